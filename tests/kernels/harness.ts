/** What tests of kernels share, beside lab/device/conformance.ts. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Kernel } from "../../core/kernel.ts";
import type { Device } from "../../core/tensor.ts";
import { differenceOf, type Results, run, type Solved } from "../../lab/device/conformance.ts";

/**
 * Fails unless the kernel does on the device what its reference does in float64. Returns what the
 * buffers of each case hold then.
 */
export async function check(
  kernel: Kernel,
  cases: readonly Solved[],
  device: Device,
): Promise<Results> {
  const results = await run(kernel, cases, device);
  assert.equal(differenceOf(kernel, cases, results, device), undefined);
  return results;
}

/** Whether two runs left the same bits. */
export function sameBits(a: Results, b: Results): boolean {
  const bytes = (runs: Results): Buffer =>
    Buffer.concat(
      runs.flat().map(({ buffer, byteOffset, byteLength }) =>
        new Uint8Array(buffer, byteOffset, byteLength)
      ),
    );
  return bytes(a).equals(bytes(b));
}
