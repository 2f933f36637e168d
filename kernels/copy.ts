/**
 * Strided copy, along at most four axes:
 *
 *   out[outAt + i . outStrides] = x[xAt + i . xStrides]   for every index i of the walk
 *
 * By its strides and offsets it transposes, slices, broadcasts, and copies a tensor into a part of
 * a larger one.
 *
 * @module
 */
import type { TypedArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { integers } from "./cases.ts";
import { type WalkParams, walkParams, walkValues, wgslWalk } from "./strides.ts";

/** Copies n elements along a walk over x and out. */
export type CopyKernel = Kernel<
  { readonly x: "read float" | "read int"; readonly out: "update float" | "update int" },
  WalkParams<"x" | "o"> & { readonly n: "u32"; readonly xAt: "u32"; readonly outAt: "u32" }
>;

function copyKernel(element: "float" | "int"): CopyKernel {
  return defineKernel({
    name: `copy ${element}`,
    buffers: { x: `read ${element}`, out: `update ${element}` },
    params: { n: "u32", ...walkParams(["x", "o"]), xAt: "u32", outAt: "u32" },
    cpu({ x, out }: { x: TypedArray; out: TypedArray }, p): void {
      const { n, d1, d2, d3, x3, o3 } = p;
      const d0 = n / (d1 * d2 * d3);
      for (let i0 = 0; i0 < d0; i0++) {
        for (let i1 = 0; i1 < d1; i1++) {
          for (let i2 = 0; i2 < d2; i2++) {
            let i = p.xAt + i0 * p.x0 + i1 * p.x1 + i2 * p.x2;
            let o = p.outAt + i0 * p.o0 + i1 * p.o1 + i2 * p.o2;
            for (let i3 = 0; i3 < d3; i3++, i += x3, o += o3) out[o] = x[i];
          }
        }
      }
    },
    invocations: ({ n }) => n,
    wgsl: `
fn kernel(i: u32) {${wgslWalk(["x", "o"])}
  out[p.outAt + oAt] = x[p.xAt + xAt];
}`,
    cases: () => [
      {
        name: "(2, 3, 4) transposed to (4, 2, 3)",
        params: {
          n: 24,
          xAt: 0,
          outAt: 0,
          ...walkValues(["x", "o"], {
            sizes: [1, 4, 2, 3],
            strides: [[0, 1, 12, 4], [0, 6, 3, 1]],
          }),
        },
        buffers: { x: integers(24, 99, 1), out: new Int32Array(24) },
      },
      {
        name: "columns 1 to 3 of (3, 4) into columns 2 to 4 of (3, 5)",
        params: {
          n: 6,
          xAt: 1,
          outAt: 2,
          ...walkValues(["x", "o"], { sizes: [1, 1, 3, 2], strides: [[0, 0, 4, 1], [0, 0, 5, 1]] }),
        },
        buffers: { x: integers(12, 99, 1), out: integers(15, 99, 2) },
      },
    ],
  });
}

/** Copies floats. */
export const copyFloat = copyKernel("float");

/** Copies integers. */
export const copyInt = copyKernel("int");
