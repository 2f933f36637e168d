/**
 * What the host may hand to a device: numbers, nested arrays, typed arrays.
 *
 * @module
 */
import { type DType, hostArray, isTypedArray, type TypedArray } from "./dtype.ts";
import { nameOf } from "./checks.ts";
import { ArgumentError, ShapeError } from "./errors.ts";

/** Numbers in nested arrays, as deep as the tensor has axes. */
export type Nested = number | readonly Nested[];

/**
 * The elements of nested or typed arrays, row-major, and their shape.
 *
 * @throws {ShapeError} if the arrays are ragged.
 * @throws {ArgumentError} if there is anything but numbers in them.
 */
export function flatten(data: Nested | TypedArray): { values: TypedArray; shape: number[] } {
  if (isTypedArray(data)) return { values: data, shape: [data.length] };
  const shape: number[] = [];
  for (let level: Nested = data as Nested; typeof level !== "number"; level = level[0]) {
    if (!Array.isArray(level)) refuse(level);
    shape.push(level.length);
    if (level.length === 0) break;
  }
  const values: number[] = [];
  const walk = (part: Nested, depth: number): void => {
    if (typeof part !== "number" && !Array.isArray(part)) refuse(part);
    const length = typeof part === "number" ? undefined : part.length;
    if (length !== shape[depth]) {
      throw new ShapeError(
        `Cannot make a tensor of nested arrays: all arrays at depth ${depth} must have ` +
          `length ${shape[depth] ?? "none"}, got ${length ?? "a number"}`,
      );
    }
    if (typeof part === "number") values.push(part);
    else for (const p of part) walk(p, depth + 1);
  };
  walk(data as Nested, 0);
  return { values: Float64Array.from(values), shape };
}

function refuse(got: unknown): never {
  throw new ArgumentError(
    `Cannot make a tensor: it must be made of a typed array, or of numbers in nested arrays, got ${
      nameOf(got)
    }`,
  );
}

/**
 * The same elements as an array of `dtype`; the array itself where it is one already.
 *
 * @throws {ArgumentError} if the dtype is int32 and an element is not an integer from -2^31 to 2^31 - 1.
 */
export function convertTo(dtype: DType, values: TypedArray): TypedArray {
  if (ARRAYS[dtype] === values.constructor) return values;
  if (dtype === "int32") {
    const bad = values.findIndex((v) => (v | 0) !== v);
    if (bad >= 0) {
      throw new ArgumentError(
        `Cannot make an int32 tensor: elements must be integers of 32 bits, ` +
          `got ${values[bad]} at index ${bad}`,
      );
    }
  }
  const out = hostArray(dtype, values.length);
  out.set(values);
  return out;
}

const ARRAYS = {
  float16: Float32Array,
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
} as const;
