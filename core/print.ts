/**
 * Elements as people read them.
 *
 * @module
 */
import { type Shape, stridesOf } from "./shape.ts";

/** Of more elements only those at the ends of each axis are shown. */
const MOST_SHOWN = 100;

/** How many of them at each end. */
const EDGE = 3;

/**
 * Nested brackets with a row on each line and its columns below each other, as NumPy writes arrays.
 */
export function printed(values: ArrayLike<number>, shape: Shape, digits: number): string {
  const strides = stridesOf(shape);
  const cut = values.length > MOST_SHOWN;
  let width = 0;
  const walk = (axis: number, at: number): string => {
    if (axis === shape.length) {
      const value = values[at];
      const text = `${Number.isInteger(value) ? value : Number(value.toPrecision(digits))}`;
      width = Math.max(width, text.length);
      return shape.length > 1 ? text.padStart(width) : text;
    }
    const parts: string[] = [];
    for (let i = 0; i < shape[axis]; i++) {
      if (cut && i === EDGE && i < shape[axis] - EDGE) {
        parts.push("...");
        i = shape[axis] - EDGE;
      }
      parts.push(walk(axis + 1, at + i * strides[axis]));
    }
    const inner = shape.length - 1 - axis;
    return `[${parts.join(inner > 0 ? `,${"\n".repeat(inner)}${" ".repeat(axis + 1)}` : ", ")}]`;
  };
  walk(0, 0); // finds the widest
  return walk(0, 0);
}
