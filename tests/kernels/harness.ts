/** Runs a kernel on a case and compares it with its float64 reference. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { TypedArray } from "../../core/dtype.ts";
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
  readonly before: Readonly<Record<string, Elements>>;
  readonly after: Readonly<Record<string, Elements>>;
}

type Elements = Float64Array | Int32Array;

/** Solved cases: by kernel, those whose floats are float32 and those whose floats are not. */
const solved = new Map<Kernel, [Solved[]?, Solved[]?]>();

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
      if (use === "read half4") return [name, Float64Array.from(Float16Array.from(array))];
      return [name, exact || array instanceof Int32Array ? array : array.map(Math.fround)];
    }) as [string, Elements][];
    const after = Object.fromEntries(before.map(([name, array]) => [name, array.slice()]));
    kernel.cpu(after as never, kase.params);
    return { ...kase, before: Object.fromEntries(before), after };
  });
}

function compare(actual: TypedArray, expected: TypedArray, tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i], expected[i]];
    const near = Number.isFinite(b) && Math.abs(a - b) <= tolerance * (1 + Math.abs(b));
    if (!near && !Object.is(a, b)) assert.fail(`${what}[${i}] is ${a}, the reference has ${b}`);
  }
}

/** Runs a kernel on cases of its own. Returns what the buffers of each case hold then. */
export async function run(
  kernel: Kernel,
  cases: readonly Solved[],
  device: Device,
): Promise<TypedArray[][]> {
  using _scope = device.arena();
  const names = Object.keys(kernel.buffers);
  const guarded: Tensor[] = []; // all buffers with their guards, in the same memory
  for (const { before, params } of cases) {
    const tensors: Record<string, Tensor> = {};
    names.forEach((name, i) => {
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
  const read = await device.read(guarded);
  return cases.map(({ name: what }, k) =>
    names.map((name, i) => {
      const elements = read[k * names.length + i];
      const guard = guardOf(i);
      const kept = elements.slice(-GUARD).every((x, j) => x === guard[j]);
      assert.ok(kept, `${kernel.name}, "${what}": ${name} was written past its end`);
      return elements.slice(0, -GUARD);
    })
  );
}

/**
 * Fails unless the kernel does on the device what its reference does in float64. Returns what the
 * buffers of each case hold then.
 */
export async function check(
  kernel: Kernel,
  cases: readonly Solved[],
  device: Device,
): Promise<TypedArray[][]> {
  const results = await run(kernel, cases, device);
  cases.forEach((kase, k) => {
    Object.entries(kase.after).forEach(([name, expected], i) => {
      const exact = expected instanceof Int32Array || kernel.buffers[name].startsWith("read");
      const tolerance = device.float === "float64" ? 1e-12 : kernel.tolerance ?? 1e-5;
      const what = `${kernel.name} on ${device.kind}, "${kase.name}": ${name}`;
      compare(results[k][i], expected, exact ? 0 : tolerance, what);
    });
  });
  return results;
}

/** Whether two runs left the same bits. */
export function sameBits(
  a: readonly (readonly TypedArray[])[],
  b: readonly (readonly TypedArray[])[],
): boolean {
  const bytes = (runs: readonly (readonly TypedArray[])[]): Buffer =>
    Buffer.concat(
      runs.flat().map(({ buffer, byteOffset, byteLength }) =>
        new Uint8Array(buffer, byteOffset, byteLength)
      ),
    );
  return bytes(a).equals(bytes(b));
}
