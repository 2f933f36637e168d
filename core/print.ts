/**
 * Tensors as text.
 *
 * @module
 */
import { type Shape, stridesOf } from "./shape.ts";

/**
 * A tensor with more elements is abbreviated: the last axes show their ends, as many axes as make
 * up this number of elements, and the axes before those show their first index.
 */
const MOST_SHOWN = 100;

/** Elements shown at each end of an abbreviated axis. */
const EDGE = 3;

/** Nested brackets, one row a line with aligned columns, as NumPy prints arrays. */
export function printed(values: ArrayLike<number>, shape: Shape, digits: number): string {
  if (values.length === 0) return "[]";
  const strides = stridesOf(shape);
  const cut = values.length > MOST_SHOWN;
  let shown = 1;
  const edges = shape.map(() => 0);
  for (let axis = shape.length - 1; axis >= 0 && shown < MOST_SHOWN; axis--) {
    edges[axis] = EDGE;
    shown *= Math.min(shape[axis], 2 * EDGE);
  }
  let width = 0;
  const walk = (axis: number, at: number): string => {
    if (axis === shape.length) {
      const value = values[at];
      const whole = Number.isInteger(value) && Math.abs(value) < 10 ** (digits + 1);
      const text = `${whole ? value : Number(value.toPrecision(digits))}`;
      width = Math.max(width, text.length);
      return shape.length > 1 ? text.padStart(width) : text;
    }
    const parts: string[] = [];
    const [size, edge] = [shape[axis], edges[axis]];
    for (let i = 0; i < size; i++) {
      if (cut && i === Math.max(edge, 1) && i < size - edge) {
        parts.push("...");
        i = size - edge;
        if (edge === 0) break;
      }
      parts.push(walk(axis + 1, at + i * strides[axis]));
    }
    const inner = shape.length - 1 - axis;
    return `[${parts.join(inner > 0 ? `,${"\n".repeat(inner)}${" ".repeat(axis + 1)}` : ", ")}]`;
  };
  walk(0, 0); // finds the width of the widest element
  return walk(0, 0);
}
