/** Runs a kernel on a case and compares it with its float64 reference. */
import assert from "node:assert/strict";
import type { TypedArray } from "../../core/dtype.ts";
import type { BufferUse, Kernel, KernelCase } from "../../core/kernel.ts";
import type { Device, Tensor } from "../../core/tensor.ts";

/** Write buffers begin with this, so that an element that nobody writes shows. */
const GARBAGE = -12345;

/** How many numbers lie right behind the last element of every buffer, so that a write past it shows. */
const GUARD = 16;

/** The guard of buffer i: no two buffers have the same, so that a copy of one shows in another. Exact in half precision. */
const guardOf = (i: number): number[] => Array.from({ length: GUARD }, (_, j) => 100 * (i + 1) + j);

/** What the buffers of a case hold before the kernel runs. */
function contents(kernel: Kernel, { buffers }: KernelCase): Map<string, Float64Array | Int32Array> {
  return new Map(
    Object.entries(kernel.buffers).map(([name, use]) => {
      const given = buffers[name];
      const ArrayType = use.endsWith("int") ? Int32Array : Float64Array;
      return [
        name,
        typeof given === "number"
          ? new ArrayType(given).fill(GARBAGE)
          : ArrayType.from(given as ArrayLike<number>),
      ];
    }),
  );
}

/** Rounds the floats to what the device can hold, so that both sides start from the same numbers. */
function rounded(
  device: Device,
  use: BufferUse,
  array: Float64Array | Int32Array,
): Float64Array | Int32Array {
  if (use === "read half4") return Float64Array.from(Float16Array.from(array));
  if (array instanceof Int32Array || device.float === "float64") return array;
  return Float64Array.from(array, Math.fround);
}

function compare(actual: TypedArray, expected: TypedArray, tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i], expected[i]];
    const near = Number.isFinite(b) && Math.abs(a - b) <= tolerance * (1 + Math.abs(b));
    if (!near && !Object.is(a, b)) assert.fail(`${what}[${i}] is ${a}, the reference has ${b}`);
  }
}

/** Fails unless the kernel does on the device what its reference does in float64. Returns what the buffers hold then. */
export async function check(
  kernel: Kernel,
  kase: KernelCase,
  device: Device,
): Promise<TypedArray[]> {
  using _scope = device.arena();
  const tensors: Record<string, Tensor> = {};
  const guarded: Tensor[] = []; // the buffers with their guards, in the same memory
  const reference: Record<string, Float64Array | Int32Array> = {};
  for (const [name, array] of contents(kernel, kase)) {
    const use = kernel.buffers[name];
    reference[name] = rounded(device, use, array);
    const floats = use.endsWith("half4") ? device.half : device.float;
    const dtype = array instanceof Int32Array ? "int32" : floats;
    const whole = device.tensor([...reference[name], ...guardOf(guarded.length)], undefined, dtype);
    tensors[name] = whole.view([array.length]);
    guarded.push(whole);
  }
  device.run(kernel, tensors, kase.params);
  const names = Object.keys(kernel.buffers);
  const read = await device.read(guarded);
  const results = read.map((elements) => elements.slice(0, -GUARD));
  kernel.cpu(reference as never, kase.params);
  names.forEach((name, i) => {
    const exact = reference[name] instanceof Int32Array || kernel.buffers[name].startsWith("read");
    const tolerance = device.float === "float64" ? 1e-12 : kernel.tolerance ?? 1e-5;
    const what = `${kernel.name} on ${device.kind}, "${kase.name}": ${name}`;
    compare(results[i], reference[name], exact ? 0 : tolerance, what);
    assert.deepEqual([...read[i].slice(-GUARD)], guardOf(i), `${what} was written past its end`);
  });
  return results;
}
