/**
 * A choice between two operands, element by element: out_i = a_i where cond_i is not 0, else b_i.
 *
 * @module
 */
import type { TypedArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { integers } from "./cases.ts";

/** out = cond ? a : b on n elements of one shape. */
export type WhereKernel = Kernel<
  {
    readonly cond: "read int";
    readonly a: "read float" | "read int";
    readonly b: "read float" | "read int";
    readonly out: "write float" | "write int";
  },
  { readonly n: "u32" }
>;

function whereKernel(element: "float" | "int"): WhereKernel {
  return defineKernel({
    name: `where ${element}`,
    buffers: {
      cond: "read int",
      a: `read ${element}`,
      b: `read ${element}`,
      out: `write ${element}`,
    },
    params: { n: "u32" },
    cpu(
      { cond, a, b, out }: { cond: Int32Array; a: TypedArray; b: TypedArray; out: TypedArray },
      { n },
    ): void {
      for (let i = 0; i < n; i++) out[i] = cond[i] !== 0 ? a[i] : b[i];
    },
    invocations: ({ n }) => n,
    wgsl: `fn kernel(i: u32) { out[i] = select(b[i], a[i], cond[i] != 0); }`,
    cases: () => [{
      name: "5 elements",
      params: { n: 5 },
      buffers: { cond: [0, 1, 0, -1, 2], a: integers(5, 9, 1), b: integers(5, 9, 2), out: 5 },
    }],
  });
}

/** {@link WhereKernel} for floats. */
export const whereFloat = whereKernel("float");

/** {@link WhereKernel} for integers. */
export const whereInt = whereKernel("int");
