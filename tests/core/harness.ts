/** Tiny ops for the tests of core. */
import { defineKernel } from "../../core/kernel.ts";
import { defineOp, type Op } from "../../core/op.ts";
import type { Tensor } from "../../core/tensor.ts";

const affineKernel = defineKernel({
  name: "affine",
  buffers: { x: "read float", out: "write float" },
  params: { n: "u32", scale: "f32", shift: "f32" },
  cpu({ x, out }, { n, scale, shift }): void {
    for (let i = 0; i < n; i++) out[i] = x[i] * scale + shift;
  },
  invocations: ({ n }) => n,
  wgsl: "fn kernel(i: u32) { out[i] = x[i] * p.scale + p.shift; }",
  cases: () => [{ name: "one", params: { n: 1, scale: 2, shift: 1 }, buffers: { x: [3], out: 1 } }],
});

const mulKernel = defineKernel({
  name: "mulSame",
  buffers: { a: "read float", b: "read float", out: "write float" },
  params: { n: "u32" },
  cpu({ a, b, out }, { n }): void {
    for (let i = 0; i < n; i++) out[i] = a[i] * b[i];
  },
  invocations: ({ n }) => n,
  wgsl: "fn kernel(i: u32) { out[i] = a[i] * b[i]; }",
  cases: () => [{ name: "one", params: { n: 1 }, buffers: { a: [3], b: [2], out: 1 } }],
});

const addIntoKernel = defineKernel({
  name: "addInto",
  buffers: { x: "update float" },
  params: { n: "u32", value: "f32" },
  cpu({ x }, { n, value }): void {
    for (let i = 0; i < n; i++) x[i] += value;
  },
  invocations: ({ n }) => n,
  wgsl: "fn kernel(i: u32) { x[i] += p.value; }",
  cases: () => [{ name: "one", params: { n: 1, value: 1 }, buffers: { x: [3] } }],
});

/** scale x + shift. */
export function affine(x: Tensor, scale: number, shift = 0): Tensor {
  const out = x.device.empty(x.shape, x.dtype, "affine");
  x.device.run(affineKernel, { x, out }, { n: x.size, scale, shift });
  return out;
}

/** x += value, in place. */
export function addInto(x: Tensor, value: number): void {
  x.device.run(addIntoKernel, { x }, { n: x.size, value });
}

/** The product of two tensors of one shape, differentiable. */
export const mulSame: Op<[a: Tensor, b: Tensor], Tensor> = defineOp({
  name: "mulSame",
  forward: (a: Tensor, b: Tensor) => ({ out: product(a, b) }),
  backward: (dout, _saved, [a, b]) => [() => product(dout, b), () => product(dout, a)],
  cases: () => [],
});

function product(a: Tensor, b: Tensor): Tensor {
  const out = a.device.empty(a.shape, a.dtype, "mulSame");
  a.device.run(mulKernel, { a, b, out }, { n: a.size });
  return out;
}
