/**
 * Kernels in two widths. An invocation handles one element, or four that lie side by side where the
 * size along the last axis is a multiple of 4.
 *
 * @module
 */

/** What an invocation handles. */
export interface Width {
  /** How many elements. */
  readonly lanes: 1 | 4;
  /** The element type of a buffer. */
  readonly element: "float" | "float4";
  /** The type of a value in WGSL. */
  readonly F: "f32" | "vec4f";
}

/** One kernel in both widths. {@link pick} chooses; `kernels/index.ts` registers both. */
export type Vectorised<K> = readonly [forAnySize: K, forMultiplesOf4: K];

/** Makes a kernel in both widths. */
export function vectorised<K>(make: (width: Width) => K): Vectorised<K> {
  return [
    make({ lanes: 1, element: "float", F: "f32" }),
    make({ lanes: 4, element: "float4", F: "vec4f" }),
  ];
}

/** The kernel for a size. */
export function pick<K>(kernels: Vectorised<K>, size: number): K {
  return kernels[size % 4 === 0 ? 1 : 0];
}
