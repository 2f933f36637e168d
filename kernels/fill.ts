/**
 * out_i = value.
 *
 * @module
 */
import type { TypedArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";

/** out = value on n elements. */
export type FillKernel = Kernel<
  { readonly out: "write float" | "write int" },
  { readonly n: "u32"; readonly value: "f32" | "i32" }
>;

function fillKernel(element: "float" | "int", type: "f32" | "i32"): FillKernel {
  return defineKernel({
    name: `fill ${element}`,
    buffers: { out: `write ${element}` },
    params: { n: "u32", value: type },
    cpu({ out }: { out: TypedArray }, { n, value }): void {
      for (let i = 0; i < n; i++) out[i] = value;
    },
    invocations: ({ n }) => n,
    wgsl: `fn kernel(i: u32) { out[i] = p.value; }`,
    cases: () => [{ name: "5 elements", params: { n: 5, value: -3 }, buffers: { out: 5 } }],
  });
}

/** Fills with a float. */
export const fillFloat = fillKernel("float", "f32");

/** Fills with an integer. */
export const fillInt = fillKernel("int", "i32");
