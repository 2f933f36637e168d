/**
 * Element types. A device computes in one float type, `device.float`; indices are int32 everywhere.
 *
 * @module
 */

/** The type of one element. `float64` exists on the cpu device only. */
export type DType = "float32" | "float64" | "int32";

/** The two float types. */
export type FloatDType = "float32" | "float64";

/** A host array of floats. */
export type FloatArray = Float32Array | Float64Array;

/** A host array that a tensor can be read into or made from. */
export type TypedArray = Float32Array | Float64Array | Int32Array;

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  return dtype === "float64" ? 8 : 4;
}

/** A zeroed host array of `size` elements. */
export function hostArray(dtype: DType, size: number): TypedArray {
  if (dtype === "float32") return new Float32Array(size);
  if (dtype === "float64") return new Float64Array(size);
  return new Int32Array(size);
}

/** A host array over `size` elements of `buffer` from `byteOffset`. */
export function viewArray(
  dtype: DType,
  buffer: ArrayBufferLike,
  byteOffset: number,
  size: number,
): TypedArray {
  if (dtype === "float32") return new Float32Array(buffer, byteOffset, size);
  if (dtype === "float64") return new Float64Array(buffer, byteOffset, size);
  return new Int32Array(buffer, byteOffset, size);
}
