/**
 * Element types, and the host arrays that tensors are made from and read into. A device computes
 * in one float type, `device.float`; indices are int32 everywhere.
 *
 * @module
 */
import { ArgumentError, DTypeError, nameOf, ShapeError } from "./errors.ts";

/**
 * The type of one element. `float64` exists on the cpu device only. `float16` is a storage format
 * for weights (`device.half`): kernels widen it as they read it, and the host reads it as float32.
 */
export type DType = "float16" | "float32" | "float64" | "int32";

/** The float types that a device computes in. */
export type FloatDType = "float32" | "float64";

/** A host array of floats. */
export type FloatArray = Float32Array | Float64Array;

/** A host array that a tensor can be read into or made from. */
export type TypedArray = Float32Array | Float64Array | Int32Array;

/** Numbers in nested arrays, as deep as the tensor has axes. */
export type Nested = number | readonly Nested[];

/** The host array type of each dtype. */
const ARRAYS = {
  float16: Float32Array,
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
} as const;

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  if (dtype === "float16") return 2;
  return dtype === "float64" ? 8 : 4;
}

/** Whether a value is a {@link TypedArray}; a Uint8Array, for example, is not. */
export function isTypedArray(value: unknown): value is TypedArray {
  return [Float32Array, Float64Array, Int32Array].some((type) => value instanceof type);
}

/** A host array of `size` zeros. */
export function hostArray(dtype: DType, size: number): TypedArray {
  return new ARRAYS[dtype](size);
}

/**
 * The constructor of arrays in half precision.
 *
 * @throws {DTypeError} if the runtime has none.
 * @internal
 */
export function halfArray(): Float16ArrayConstructor {
  if (typeof Float16Array === "function") return Float16Array;
  throw new DTypeError(
    "Cannot use half precision: the runtime must have Float16Array, as Node 24 has, got none",
  );
}

/**
 * A host array over `size` elements of `buffer` from `byteOffset`.
 *
 * @throws {DTypeError} if the dtype is float16 and the runtime has no such arrays.
 * @internal
 */
export function viewArray(
  dtype: DType,
  buffer: ArrayBufferLike,
  byteOffset: number,
  size: number,
): TypedArray | Float16Array {
  if (dtype === "float32") return new Float32Array(buffer, byteOffset, size);
  if (dtype === "float64") return new Float64Array(buffer, byteOffset, size);
  if (dtype === "float16") return new (halfArray())(buffer, byteOffset, size);
  return new Int32Array(buffer, byteOffset, size);
}

/**
 * The elements as device memory holds them. float16 is rounded to nearest, ties to even, and
 * returned as bits, because not every WebGPU binding knows Float16Array.
 *
 * @throws {DTypeError} if the dtype is float16 and the runtime has no such arrays.
 */
export function deviceArray(dtype: DType, values: TypedArray): TypedArray | Uint16Array {
  return dtype === "float16" ? new Uint16Array(halfArray().from(values).buffer) : values;
}

/**
 * The elements of nested or typed arrays, row-major, and their shape.
 *
 * @throws {ShapeError} if the arrays are ragged.
 * @throws {ArgumentError} if they hold anything but numbers.
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
    `Cannot make a tensor: data must be a typed array or numbers in nested arrays, got ${
      nameOf(got)
    }`,
  );
}

/**
 * The same elements as an array of `dtype`; the array itself if it is one already.
 *
 * @throws {ArgumentError} if the dtype is int32 and an element is not an integer of 32 bits.
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
