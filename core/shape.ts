/**
 * Shapes are plain arrays of integers from 0, `[]` for a scalar. Tensors are always contiguous and
 * row-major, so a shape is all there is to know about a layout.
 *
 * @module
 */
import { ShapeError } from "./errors.ts";

/** The sizes of a tensor's axes. */
export type Shape = readonly number[];

/** The number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const n of shape) size *= n;
  return size;
}

/** A shape as people write it: `(8, 64)`. */
export function formatShape(shape: Shape): string {
  return `(${shape.join(", ")})`;
}

/** Whether two shapes are equal. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** `axis` counted from the front; negative axes count from the back. */
export function normalizeAxis(action: string, shape: Shape, axis: number): number {
  const normal = axis < 0 ? axis + shape.length : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= shape.length) {
    throw new ShapeError(
      `Cannot ${action} over axis ${axis}: a tensor of shape ${formatShape(shape)} has ` +
        `axes ${-shape.length} to ${shape.length - 1}`,
    );
  }
  return normal;
}

/** The shape two shapes broadcast to, by NumPy's rule: aligned at the back, a size of 1 stretches. */
export function broadcastShapes(action: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new ShapeError(
        `Cannot ${action} ${formatShape(a)} and ${formatShape(b)}: ` +
          `sizes must be equal or 1, got ${x} and ${y}`,
      );
    }
    out[i] = x === 1 ? y : x;
  }
  return out;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}
