/** Kernels ask for no more than every WebGPU device has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkLimits, workgroupBytes } from "../../core/webgpu_kernels.ts";
import { kernels } from "../../kernels/index.ts";

test("limits: every kernel fits the limits that every WebGPU device has", () => {
  const limits = { maxStorageBuffersPerShaderStage: 8, maxComputeWorkgroupStorageSize: 16384 };
  for (const kernel of kernels) checkLimits(kernel, limits);
  assert.ok(kernels.some((kernel) => workgroupBytes(kernel) > 0));
});

test("limits: workgroup variables are counted as WebGPU counts them", () => {
  const bytes = (wgsl: string): number => workgroupBytes({ name: "k", wgsl });
  assert.equal(bytes("fn kernel(i: u32) {}"), 0);
  assert.equal(bytes("var<workgroup> a: array<f32, 5>;"), 32);
  assert.equal(bytes("var<workgroup> a : array<vec3f,5u> ; var<workgroup> n: atomic<u32>;"), 96);
  assert.equal(bytes("alias F = vec4f;\nvar<workgroup> a: array<array<F, 3>, 2>;"), 96);
  assert.throws(() => bytes("var<workgroup> a: array<Node, 3>;"), {
    name: "DeviceError",
    message:
      "Cannot run k: its workgroup variables must be numbers, vectors, or arrays of these, " +
      "got Node",
  });
});
