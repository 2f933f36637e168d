/**
 * What a device demands of the tensors that it is handed.
 *
 * @module
 */
import type { Device } from "./device.ts";
import { DeviceError, DTypeError, ShapeError } from "./errors.ts";
import type { BufferUse } from "./kernel.ts";
import type { Tensor } from "./tensor.ts";

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
