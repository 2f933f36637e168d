/**
 * Element types. A device computes in one float type, `device.float`; indices are int32 everywhere.
 *
 * @module
 */

/**
 * The type of one element. `float64` exists on the cpu device only. `float16` is a way to store weights (`Device.half`), which
 * nothing computes in: kernels widen what they read of it. Read by the host they are float32.
 */
export type DType = "float16" | "float32" | "float64" | "int32";

/** The float types that a device computes in. */
export type FloatDType = "float32" | "float64";

/** A host array of floats. */
export type FloatArray = Float32Array | Float64Array;

/** A host array that a tensor can be read into or made from. */
export type TypedArray = Float32Array | Float64Array | Int32Array;

/** Whether a value is a {@link TypedArray}; others, such as a Uint8Array, are not. */
export function isTypedArray(value: unknown): value is TypedArray {
  return [Float32Array, Float64Array, Int32Array].some((type) => value instanceof type);
}

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  if (dtype === "float16") return 2;
  return dtype === "float64" ? 8 : 4;
}

/** A zeroed host array of `size` elements. */
export function hostArray(dtype: DType, size: number): TypedArray {
  if (dtype === "float32" || dtype === "float16") return new Float32Array(size);
  if (dtype === "float64") return new Float64Array(size);
  return new Int32Array(size);
}

/** A host array over `size` elements of `buffer` from `byteOffset`. */
export function viewArray(
  dtype: DType,
  buffer: ArrayBufferLike,
  byteOffset: number,
  size: number,
): TypedArray | Float16Array {
  if (dtype === "float32") return new Float32Array(buffer, byteOffset, size);
  if (dtype === "float64") return new Float64Array(buffer, byteOffset, size);
  if (dtype === "float16") return new Float16Array(buffer, byteOffset, size);
  return new Int32Array(buffer, byteOffset, size);
}

/**
 * Host elements as a device holds them: those of float16 are rounded to the nearest, ties to even, and handed on as bits,
 * since not every WebGPU binding knows a Float16Array.
 */
export function deviceArray(dtype: DType, values: TypedArray): TypedArray | Uint16Array {
  return dtype === "float16" ? new Uint16Array(Float16Array.from(values).buffer) : values;
}
