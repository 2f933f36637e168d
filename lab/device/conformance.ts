/**
 * Kernels against their float64 references, on the cases that each of them registers.
 *
 * @module
 */
import { deviceArray, type TypedArray, viewArray } from "../../core/dtype.ts";
import { BeargradError } from "../../core/errors.ts";
import type { Kernel, KernelCase } from "../../core/kernel.ts";
import type { Device, Tensor } from "../../core/tensor.ts";

/** Write buffers begin with this, so that an element that nobody writes shows. */
const GARBAGE = -12345;

/**
 * How many numbers lie right behind the last element of every buffer, so that a write past it
 * shows.
 */
const GUARD = 16;

/**
 * The guard of buffer i: no two buffers have the same, so that a copy of one shows in another.
 * Exact in half precision.
 */
const guardOf = (i: number): number[] => Array.from({ length: GUARD }, (_, j) => 100 * (i + 1) + j);

/** A case with what its buffers hold before the kernel runs, and after its reference has run. */
export interface Solved extends KernelCase {
  /** Before, by the buffers' names. */
  readonly before: Readonly<Record<string, Elements>>;
  /** After. */
  readonly after: Readonly<Record<string, Elements>>;
}

/** The elements of a buffer on the host. */
export type Elements = Float64Array | Int32Array;

/** What the buffers of each case hold after the kernel, each with its guard. */
export type Results = readonly (readonly TypedArray[])[];

/** Solved cases: by kernel, those whose floats are float32 and those whose floats are not. */
const solved = new WeakMap<Kernel, [Solved[]?, Solved[]?]>();

/**
 * The cases of a kernel, each solved by its reference in float64. Floats are rounded to what the
 * device can hold first, so that both sides start from the same numbers.
 */
export function solve(kernel: Kernel, device: Device): readonly Solved[] {
  const known = solved.get(kernel) ?? [];
  solved.set(kernel, known);
  const exact = device.float === "float64";
  return known[Number(exact)] ??= kernel.cases().map((kase) => {
    const before = Object.entries(kernel.buffers).map(([name, use]) => {
      const given = kase.buffers[name];
      const ArrayType = use.endsWith("int") ? Int32Array : Float64Array;
      if (typeof given === "number") return [name, new ArrayType(given).fill(GARBAGE)];
      const array = ArrayType.from(given as ArrayLike<number>);
      if (use === "read half4") return [name, halved(array)];
      return [name, exact || array instanceof Int32Array ? array : array.map(Math.fround)];
    }) as [string, Elements][];
    const after = Object.fromEntries(before.map(([name, array]) => [name, array.slice()]));
    kernel.cpu(after as never, kase.params);
    return { ...kase, before: Object.fromEntries(before), after };
  });
}

/** The values rounded to half precision. */
function halved(values: Elements): Float64Array {
  const bits = deviceArray("float16", values);
  return Float64Array.from(viewArray("float16", bits.buffer, 0, values.length));
}

/** Launches a kernel on cases of its own. The buffers of all cases, each with its guard. */
function launch(kernel: Kernel, cases: readonly Solved[], device: Device): Tensor[] {
  const guarded: Tensor[] = [];
  for (const { before, params } of cases) {
    const tensors: Record<string, Tensor> = {};
    Object.keys(kernel.buffers).forEach((name, i) => {
      const array = before[name];
      const floats = kernel.buffers[name].endsWith("half4") ? device.half : device.float;
      const all = new Float64Array(array.length + GUARD);
      all.set(array);
      all.set(guardOf(i), array.length);
      const dtype = array instanceof Int32Array ? "int32" : floats;
      const whole = device.tensor(all, undefined, dtype);
      tensors[name] = whole.view([array.length]);
      guarded.push(whole);
    });
    device.run(kernel, tensors, params);
  }
  return guarded;
}

/** The buffers that lie one after another, by case. */
function byCase(kernel: Kernel, buffers: readonly TypedArray[]): Results {
  const count = Object.keys(kernel.buffers).length;
  return Array.from(
    { length: buffers.length / count },
    (_, k) => buffers.slice(k * count, (k + 1) * count),
  );
}

/** Runs a kernel on cases of its own. */
export async function run(
  kernel: Kernel,
  cases: readonly Solved[],
  device: Device,
): Promise<Results> {
  using _scope = device.arena();
  return byCase(kernel, await device.read(launch(kernel, cases, device)));
}

/** The first difference between what a kernel left on a device and its reference, if any. */
export function differenceOf(
  kernel: Kernel,
  cases: readonly Solved[],
  results: Results,
  device: Device,
): string | undefined {
  for (const [k, kase] of cases.entries()) {
    for (const [i, [name, expected]] of Object.entries(kase.after).entries()) {
      const what = `${kernel.name} on ${device.kind}, "${kase.name}": ${name}`;
      const actual = results[k][i];
      const exact = expected instanceof Int32Array || kernel.buffers[name].startsWith("read");
      const tolerance = device.float === "float64" ? 1e-12 : kernel.tolerance ?? 1e-5;
      const at = expected.findIndex((b, j) => !isNear(actual[j], b, exact ? 0 : tolerance));
      if (at >= 0) return `${what}[${at}] is ${actual[at]}, the reference has ${expected[at]}`;
      const guard = actual.subarray(expected.length);
      if (!guardOf(i).every((x, j) => x === guard[j])) return `${what} was written past its end`;
    }
  }
  return undefined;
}

function isNear(a: number, b: number, tolerance: number): boolean {
  const near = Number.isFinite(b) && Math.abs(a - b) <= tolerance * (1 + Math.abs(b));
  return near || Object.is(a, b);
}

/** Whether a kernel does on a device what its reference does in float64. */
export type Conformance =
  | { readonly verdict: "passed" }
  /** The first difference, or why it did not run to its end. */
  | { readonly verdict: "failed"; readonly reason: string }
  /** What the adapter or the runtime lacks for it. */
  | { readonly verdict: "refused"; readonly reason: string };

/** Compares a kernel with its reference on all its cases. */
export async function conformanceOf(kernel: Kernel, device: Device): Promise<Conformance> {
  using _scope = device.arena();
  let verdict: "failed" | "refused" = "refused"; // until it is launched
  try {
    const cases = solve(kernel, device);
    const launched = launch(kernel, cases, device);
    verdict = "failed";
    const results = byCase(kernel, await device.read(launched));
    const reason = differenceOf(kernel, cases, results, device);
    return reason === undefined ? { verdict: "passed" } : { verdict, reason };
  } catch (error) {
    if (!(error instanceof BeargradError)) throw error;
    return { verdict, reason: error.message };
  }
}
