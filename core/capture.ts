/**
 * Capture: record a step once, replay it from then on with no graph building, no allocation and one submission.
 *
 * @module
 */
import { checkOptions, checkTypedArray, inputCheck, isNumbers, nameOf } from "./checks.ts";
import type { Device } from "./device.ts";
import type { TypedArray } from "./dtype.ts";
import { ArgumentError, CaptureError, DisposedError, ShapeError } from "./errors.ts";
import type { Recorded } from "./recording.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";
import { type Tree, treeLeaves } from "./tree.ts";

/** Elements on the host, with their shape: what a captured step is fed. */
export interface HostTensor {
  /** The elements, row-major. `Int32Array` becomes int32, floats the device's float type. */
  readonly data: TypedArray;
  /** The sizes of the axes. */
  readonly shape: Shape;
}

/** Named host tensors. */
export type HostInputs = { readonly [name: string]: HostTensor };

/** The tensors that a step sees for its inputs. */
export type StepInputs<I extends HostInputs> = { readonly [K in keyof I]: Tensor };

/**
 * A captured step. Call it with host inputs; its outputs are overwritten by the next call with the
 * same shapes, and given back when the program of these shapes is (see {@link capture}).
 */
export interface Captured<I extends HostInputs, O extends Tree> extends Disposable {
  /** Runs the step on new inputs. */
  (inputs: I): O;
  /** How many programs are kept, one for each shape of inputs. */
  readonly programs: number;
  /** Gives all recorded programs back. */
  dispose(): void;
}

interface Entry<O> {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: O;
  readonly recorded: Recorded;
}

const checkCapture = inputCheck("capture", { device: "device", step: "function" });
const checkCall = inputCheck("a captured step", { inputs: "options" });

/**
 * Captures a step. The first call with given input shapes runs `step` once to record its kernels and lay out its
 * memory; every call copies the inputs in and replays the record. `step` must therefore do the same whenever it is
 * called: what changes from call to call (a learning rate, a dropout key) comes in through `inputs`. Parameters that
 * `step` updates in place keep their place.
 *
 * Other shapes record another program, which has memory of its own for its inputs and outputs. At
 * most `programs` are kept, default 64: one more takes the place of the one that has not run for
 * longest, whose outputs are then given back.
 *
 * @throws {ArgumentError} if `step` is no function, programs is not a positive integer, or an input
 * is no host tensor.
 * @throws {CaptureError} if `step` is asynchronous or reads or writes a tensor on the host, or if
 * inputs are missing or renamed.
 * @throws {ShapeError} if an input's shape does not fit its data.
 * @throws {DisposedError} if a tensor from outside that the step uses was freed.
 *
 * @example
 * ```ts
 * import { capture, cpu, mul, sum, type Tensor } from "beargrad";
 *
 * const device = cpu();
 * const weights = device.tensor([1, 2, 3]);
 * const step = capture(device, ({ x }: { x: Tensor }) => ({ dot: sum(mul(x, weights)) }));
 * const { dot } = step({ x: { data: new Float32Array([1, 1, 1]), shape: [3] } });
 * console.log(await dot.item()); // 6
 * ```
 */
export function capture<K extends string, O extends Tree>(
  device: Device,
  step: (inputs: Readonly<Record<K, Tensor>>) => O,
  options: { readonly programs?: number } = {},
): Captured<Readonly<Record<K, HostTensor>>, O> {
  checkCapture([device, step]);
  checkOptions("capture a step", options, ["programs"]);
  const { programs = 64 } = options;
  if (!(Number.isInteger(programs) && programs >= 1)) {
    throw new ArgumentError(
      `Cannot capture a step: programs must be a positive integer, got ${programs}`,
    );
  }
  type I = Readonly<Record<K, HostTensor>>;
  const entries = new Map<string, Entry<O>>();
  let names: string | undefined;

  const call = (inputs: I): O => {
    checkCall([inputs]);
    const given = Object.keys(inputs).sort().join(", ");
    if (names !== undefined && given !== names) {
      throw new CaptureError(
        `Cannot run a captured step on inputs {${given}}: they must be those of its first call, {${names}}`,
      );
    }
    const signature = signatureOf(inputs);
    let entry = entries.get(signature);
    if (entry === undefined) {
      entry = recordStep(device, step, inputs);
      names = given;
    } else {
      for (const name in inputs) device.write(entry.inputs[name], inputs[name].data);
    }
    entries.delete(signature); // the last to run comes last
    entries.set(signature, entry);
    if (entries.size > programs) {
      const [[oldest, { recorded }]] = entries;
      entries.delete(oldest);
      recorded.dispose();
    }
    checkExternals(entry.recorded);
    entry.recorded.run();
    return entry.outputs;
  };

  const dispose = (): void => {
    for (const { recorded } of entries.values()) recorded.dispose();
    entries.clear();
  };

  return Object.defineProperties(call, {
    programs: { get: () => entries.size },
    dispose: { value: dispose },
    [Symbol.dispose]: { value: dispose },
  }) as Captured<I, O>;
}

/** The inputs are made inside the recording, so they belong to it and are given back with it. */
function recordStep<I extends HostInputs, O extends Tree>(
  device: Device,
  step: (inputs: StepInputs<I>) => O,
  inputs: I,
): Entry<O> {
  const tensors: Record<string, Tensor> = {};
  let outputs: O | undefined;
  const recorded = device.record(() => {
    for (const name in inputs) tensors[name] = device.tensor(inputs[name].data, inputs[name].shape);
    outputs = step(tensors as StepInputs<I>);
    if (outputs instanceof Promise) {
      outputs.catch(() => {}); // what the rest of it throws comes too late
      throw new CaptureError("Cannot capture a step: it must be synchronous, got a Promise");
    }
    return treeLeaves(outputs);
  });
  return { inputs: tensors, outputs: outputs as O, recorded };
}

function signatureOf(inputs: HostInputs): string {
  return Object.keys(inputs).sort().map((name) => {
    const { data, shape } = inputs[name] ?? {};
    const what = `Cannot run a captured step on input ${name}: of { data, shape } the`;
    checkTypedArray(`${what} data`, data);
    if (!isNumbers(shape)) {
      throw new ArgumentError(`${what} shape must be an array of numbers, got ${nameOf(shape)}`);
    }
    if (data.length !== sizeOf(shape)) {
      throw new ShapeError(
        `Cannot run a captured step on input ${name} of shape ${formatShape(shape)}: ` +
          `it needs ${sizeOf(shape)} elements, got ${data.length}`,
      );
    }
    return `${name}:${data instanceof Int32Array ? "int" : "float"}${formatShape(shape)}`;
  }).join(" ");
}

function checkExternals(recorded: Recorded): void {
  for (const { state, label } of recorded.externals) {
    if (state === "left") {
      throw new CaptureError(
        "Cannot run a captured step: the packed tensors that it uses must be where they were, but they were " +
          "packed anew; dispose of the step, and capture one that uses what moved them (the newer optimiser)",
      );
    }
    if (state !== "live") {
      throw new DisposedError(
        `Cannot run a captured step: the tensor from ${label} that it uses must be alive, ` +
          "but its memory was given back",
      );
    }
  }
}
