/**
 * Capture: record a step once, then replay it without building a graph, without allocating, and
 * with one submission. JAX calls this jit; here kernels are recorded, not compiled.
 *
 * @module
 */
import { checkCount, checkOptions, checkShape, checkTypedArray, inputCheck } from "./checks.ts";
import { internals } from "./device.ts";
import { convertTo, type TypedArray } from "./dtype.ts";
import { ArgumentError, CaptureError, DisposedError } from "./errors.ts";
import type { Recorded } from "./memory.ts";
import { formatShape, type Shape } from "./shape.ts";
import type { Device, Tensor } from "./tensor.ts";
import { type Tree, treeLeaves } from "./tree.ts";

/** Elements on the host and their shape: an input of a captured step. */
export interface HostTensor {
  /** The elements, row-major. An `Int32Array` becomes int32, others the device's float type. */
  readonly data: TypedArray;
  /** The sizes of the axes. */
  readonly shape: Shape;
}

/** Named host tensors. */
export type HostInputs = { readonly [name: string]: HostTensor };

/** The inputs as the step sees them. */
export type StepInputs<I extends HostInputs> = { readonly [K in keyof I]: Tensor };

/**
 * A captured step. Call it with host inputs. The next call with the same shapes overwrites its
 * outputs; they are freed with the program of these shapes (see {@link capture}).
 */
export interface Captured<I extends HostInputs, O extends Tree> extends Disposable {
  /** Runs the step on new inputs. */
  (inputs: I): O;
  /** How many programs it holds, one for each combination of input shapes. */
  readonly programs: number;
  /** Frees all recorded programs. */
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
 * Captures a step. The first call with given input shapes runs `step` once, to record its kernels
 * and plan its memory; every call copies the inputs to the device and replays the record. So `step`
 * must do the same on every call. What changes from call to call (a learning rate, a dropout key)
 * comes in through `inputs`. Parameters that `step` updates in place stay where they are.
 *
 * Other shapes record another program, with memory of its own for its inputs and outputs. At most
 * `programs` are kept, default 64. One more replaces the least recently used one and frees its
 * outputs.
 *
 * @throws {ArgumentError} if `step` is not a function, `programs` is not a positive integer, or an
 * input is not a host tensor.
 * @throws {CaptureError} if `step` is asynchronous, or the host reads or writes a tensor in it, or
 * inputs are missing or renamed.
 * @throws {ShapeError} if an input's shape does not fit its data.
 * @throws {DisposedError} if the step uses a tensor from outside whose memory was freed.
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
        `Cannot run a captured step on inputs {${given}}: ` +
          `they must be those of its first call, {${names}}`,
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
    entries.delete(signature); // the most recently used comes last
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

/** Makes the inputs inside the recording, so that they belong to it. */
function recordStep<I extends HostInputs, O extends Tree>(
  device: Device,
  step: (inputs: StepInputs<I>) => O,
  inputs: I,
): Entry<O> {
  const tensors: Record<string, Tensor> = {};
  let outputs: O | undefined;
  const recorded = internals(device).memory.record(() => {
    for (const name in inputs) tensors[name] = device.tensor(inputs[name].data, inputs[name].shape);
    outputs = step(tensors as StepInputs<I>);
    if (outputs instanceof Promise) {
      outputs.catch(() => {}); // nobody waits for it
      throw new CaptureError("Cannot capture a step: it must be synchronous, got a Promise");
    }
    return treeLeaves(outputs);
  });
  return { inputs: tensors, outputs: outputs as O, recorded };
}

function signatureOf(inputs: HostInputs): string {
  return Object.keys(inputs).sort().map((name) => {
    const { data, shape } = inputs[name] ?? {};
    const action = `run a captured step on input ${name}`;
    checkTypedArray(`Cannot ${action}: its data`, data);
    checkShape(action, shape);
    checkCount(action, shape, data.length);
    return `${name}:${data instanceof Int32Array ? "int" : "float"}${formatShape(shape)}`;
  }).join(" ");
}

function checkExternals(recorded: Recorded): void {
  for (const { state, label } of recorded.externals) {
    if (state === "repacked") {
      throw new CaptureError(
        "Cannot run a captured step: the pack that it uses must still hold its tensors, but they " +
          "were packed again; dispose of the step and capture one that uses the newer optimiser",
      );
    }
    if (state !== "live") {
      throw new DisposedError(
        `Cannot run a captured step: the tensor from ${label} that it uses must be alive, ` +
          "but its memory was freed",
      );
    }
  }
}

/**
 * A float tensor (size) of numbers that the host computes: now or, in a captured step, before each
 * run. Optimisers use it, so `values` may count its calls.
 *
 * @throws {DeviceError} if it does not fit.
 */
export function perRun(device: Device, size: number, values: () => Float64Array): Tensor {
  const { recording } = internals(device).memory;
  if (recording === undefined) return device.tensor(values(), [size]);
  const tensor = device.tensor(new Float64Array(size), [size]);
  const converted = (): TypedArray => convertTo(device.float, values());
  recording.feeds.push({ storage: tensor.storage, values: converted });
  return tensor;
}
