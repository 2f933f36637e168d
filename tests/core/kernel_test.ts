/** How kernels are declared, laid out and launched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineKernel, gridOf, linearGrid, MAX_GROUPS_X, packParams } from "../../core/kernel.ts";

test("kernel: a linear grid covers every invocation within the limits of an axis", () => {
  for (const n of [1, 63, 64, 65, 64 * MAX_GROUPS_X, 64 * MAX_GROUPS_X + 1, 2 ** 31]) {
    const [x, y, z] = linearGrid(n, 64);
    assert.ok(x * y * 64 >= n && x <= 65535 && y <= 65535 && z === 1, `${n}`);
  }
});

test("kernel: parameters follow the number of invocations, in their order and types", () => {
  const kernel = defineKernel({
    name: "packed",
    buffers: { x: "read float4", out: "write int" },
    params: { a: "u32", b: "i32", c: "f32" },
    cpu(): void {},
    invocations: ({ a }) => a * 2,
    workgroup: 32,
    wgsl: "fn kernel(i: u32) {}",
    cases: () => [],
  });
  const bytes = packParams(kernel as never, { a: 40, b: -2, c: 0.5 });
  const view = new DataView(bytes.buffer);
  assert.equal(bytes.byteLength, 16);
  assert.equal(view.getUint32(0, true), 80);
  assert.equal(view.getUint32(4, true), 40);
  assert.equal(view.getInt32(8, true), -2);
  assert.equal(view.getFloat32(12, true), 0.5);
  assert.deepEqual(gridOf(kernel as never, { a: 40, b: 0, c: 0 }), [3, 1, 1]);
  for (
    const line of [
      "struct Params { invocations: u32, a: u32, b: i32, c: f32 };",
      "@group(0) @binding(0) var<storage, read> x: array<vec4f>;",
      "@group(0) @binding(1) var<storage, read_write> out: array<i32>;",
      "@group(0) @binding(2) var<uniform> p: Params;",
      "@compute @workgroup_size(32)",
    ]
  ) assert.ok(kernel.module.includes(line), line);
});
