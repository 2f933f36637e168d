/**
 * Walks over several arrays at once: the axes of a common shape, and for each array its stride
 * along each axis.
 *
 * @module
 */
import { type Shape, stridesOf } from "../core/shape.ts";

/** The most axes a strided kernel walks. */
export const MAX_AXES = 4;

/** The axes of a walk, four at least, and the strides of each array along them. */
export interface Walk {
  /** The sizes of the axes, slowest first; 1 where fewer than four are left. */
  readonly sizes: readonly number[];
  /** For each array the strides along those axes. */
  readonly strides: readonly (readonly number[])[];
}

/**
 * Merges adjacent axes that every array walks as if they were one, and drops axes of size 1. More
 * than four may remain.
 */
export function mergeAxes(shape: Shape, arrays: readonly Shape[]): Walk {
  const sizes: number[] = [];
  const strides: number[][] = arrays.map(() => []);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 1) continue;
    const joins = sizes.length > 0 &&
      arrays.every((a, k) => a[axis] === strides[k][0] * sizes[0]);
    if (joins) {
      sizes[0] *= shape[axis];
    } else {
      sizes.unshift(shape[axis]);
      arrays.forEach((a, k) => strides[k].unshift(a[axis]));
    }
  }
  while (sizes.length < MAX_AXES) {
    sizes.unshift(1);
    for (const s of strides) s.unshift(0);
  }
  return { sizes, strides };
}

/** The strides with which an array of shape `from` is walked when it is broadcast to shape `to`. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = stridesOf(from);
  const shift = to.length - from.length;
  return to.map((_, axis) => axis < shift || from[axis - shift] === 1 ? 0 : own[axis - shift]);
}

/**
 * Parameters `d1 d2 d3` of a walk, and `name0 .. name3` for each array, as `wgslWalk` reads them.
 */
export const walkParams = <const N extends string>(names: readonly N[]): WalkParams<N> =>
  Object.fromEntries(
    ["d1", "d2", "d3", ...names.flatMap((n) => [0, 1, 2, 3].map((axis) => `${n}${axis}`))]
      .map((key) => [key, "u32"]),
  ) as WalkParams<N>;

/** What {@link walkParams} declares. */
export type WalkParams<N extends string> = {
  readonly [K in "d1" | "d2" | "d3" | `${N}${0 | 1 | 2 | 3}`]: "u32";
};

/** The numbers for {@link walkParams}. */
export function walkValues<const N extends string>(
  names: readonly N[],
  walk: Walk,
): { readonly [K in keyof WalkParams<N>]: number } {
  const [, d1, d2, d3] = walk.sizes;
  const values: Record<string, number> = { d1, d2, d3 };
  names.forEach((name, k) => walk.strides[k].forEach((s, axis) => values[`${name}${axis}`] = s));
  return values as { readonly [K in keyof WalkParams<N>]: number };
}

/** WGSL that splits output index `i` along the four axes and gives each array's index, `NAMEAt`. */
export function wgslWalk(names: readonly string[]): string {
  const at = (n: string): string =>
    `  let ${n}At = i0 * p.${n}0 + i1 * p.${n}1 + i2 * p.${n}2 + i3 * p.${n}3;`;
  return `
  let i3 = i % p.d3;
  let i2 = (i / p.d3) % p.d2;
  let i1 = (i / (p.d3 * p.d2)) % p.d1;
  let i0 = i / (p.d3 * p.d2 * p.d1);
${names.map(at).join("\n")}`;
}
