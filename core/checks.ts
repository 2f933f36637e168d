/**
 * What a device demands of the tensors that it is handed.
 *
 * @module
 */
import type { Device } from "./device.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import { DeviceError, DTypeError, ShapeError } from "./errors.ts";
import type { BufferUse } from "./kernel.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** The bytes of a tensor of `size` elements, if the device can have one. */
export function checkedBytes(device: Device, size: number, dtype: DType): number {
  if (dtype !== "int32" && dtype !== device.float && dtype !== device.half) {
    throw new DTypeError(
      `Cannot make a ${dtype} tensor: floats on this ${device.kind} device must be ${device.float}`,
    );
  }
  if (dtype === "float16" && size % 4 !== 0) {
    throw new ShapeError(
      `Cannot make a float16 tensor: its size must be a multiple of 4, got ${size}`,
    );
  }
  return size * bytesPerElement(dtype);
}

/** Refuses elements that do not fill a shape. */
export function checkCount(action: string, shape: Shape, count: number): void {
  const size = sizeOf(shape);
  if (size === count) return;
  throw new ShapeError(
    `Cannot ${action} of shape ${formatShape(shape)}: it needs ${size} elements, got ${count}`,
  );
}

/** Refuses a tensor that a kernel cannot take for a buffer. */
export function checkBuffer(
  device: Device,
  kernel: string,
  name: string,
  use: BufferUse,
  tensor: Tensor,
): void {
  refuseForeign(device, `run ${kernel} on ${name}`, tensor);
  const wanted = use.endsWith("int") ? "int32" : use.endsWith("half4") ? device.half : device.float;
  if (tensor.dtype !== wanted) {
    throw new DTypeError(
      `Cannot run ${kernel} on ${name}: its dtype must be ${wanted}, got ${tensor.dtype}`,
    );
  }
  if (use.endsWith("4") && tensor.size % 4 !== 0) {
    throw new ShapeError(
      `Cannot run ${kernel} on ${name}: its size must be a multiple of 4, got ${tensor.size}`,
    );
  }
}

/** Refuses a tensor of another device. */
export function refuseForeign(device: Device, action: string, tensor: Tensor): void {
  if (tensor.device === device) return;
  throw new DeviceError(
    `Cannot ${action}: all tensors must be on one device, ` +
      `got one on another (${tensor.device.kind} and ${device.kind})`,
  );
}

/** Refuses elements that a tensor has no room for: `length` of them, all or, where `at` is given, those from the at-th on. */
export function checkWritten(tensor: Tensor, length: number, at?: number): void {
  const { shape, size, dtype } = tensor;
  const refuse = (requirement: string, actual: string): never => {
    throw new ShapeError(
      `Cannot write to a tensor of shape ${formatShape(shape)}: ${requirement}, got ${actual}`,
    );
  };
  if (at === undefined) {
    if (length !== size) refuse(`it needs ${size} elements`, `${length}`);
    return;
  }
  if (!Number.isInteger(at) || at < 0 || at + length > size) {
    refuse("a part must lie inside", `${length} elements from ${at} on`);
  }
  if (dtype === "float16" && (at % 2 !== 0 || length % 2 !== 0)) { // 4 bytes are the least that WebGPU copies
    refuse("a part of halves must begin and end at even ones", `${length} from ${at} on`);
  }
}
