/**
 * Shapes are arrays of non-negative integers, `[]` for a scalar. Tensors are always contiguous and
 * row-major, so the shape determines the layout.
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

/** A shape as text: `(8, 64)`. */
export function formatShape(shape: Shape): string {
  return `(${shape.join(", ")})`;
}

/** Whether two shapes are equal. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/**
 * `axis` counted from the front; a negative one counts from the back.
 *
 * @throws {ShapeError} if there is no such axis.
 */
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

/**
 * The shape that two shapes broadcast to, by NumPy's rule: axes are aligned at the back, and a size
 * of 1 stretches.
 *
 * @throws {ShapeError} if two sizes differ and neither is 1.
 */
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
