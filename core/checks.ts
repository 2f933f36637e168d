/**
 * Checks of the arguments of devices and ops.
 *
 * @module
 */
import { bytesPerElement, type DType, isTypedArray, type TypedArray } from "./dtype.ts";
import { ArgumentError, DeviceError, DTypeError, nameOf, ShapeError } from "./errors.ts";
import type { BufferUse } from "./kernel.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";
import { type Device, Tensor } from "./tensor.ts";

/**
 * What an argument must be: a tensor of floats, of int32, of weights (floats or float16) or of any
 * dtype; an operand, which may also be a number; an array or a record of tensors, checked for being
 * alive and on one device; a number, an array of numbers, or either (`axes`); a boolean, a string,
 * a function, a device, or an object of options. With a question mark it may be undefined.
 */
export type InputKind = `${
  | ("float" | "int" | "weights" | "tensor")
  | ("operand" | "float operand" | "tensors" | "record")
  | ("number" | "numbers" | "axes")
  | ("boolean" | "string" | "function" | "device" | "options")}${"" | "?"}`;

/** A kind without a question mark. */
type Kind = Exclude<InputKind, `${string}?`>;

/** What each kind must be, in words, and a test for kinds other than tensors. */
const KINDS: Readonly<
  Record<Kind, readonly [wanted: string, fits?: (value: unknown) => boolean]>
> = {
  float: ["a tensor"],
  int: ["a tensor"],
  weights: ["a tensor"],
  tensor: ["a tensor"],
  operand: ["a tensor or a number", isNumber],
  "float operand": ["a tensor or a number", isNumber],
  tensors: ["an array of tensors"],
  record: ["a record of tensors"],
  number: ["a number", isNumber],
  numbers: ["an array of numbers", isNumbers],
  axes: ["a number or an array of numbers", (value) => isNumber(value) || isNumbers(value)],
  boolean: ["a boolean", (value) => typeof value === "boolean"],
  string: ["a string", (value) => typeof value === "string"],
  function: ["a function", (value) => typeof value === "function"],
  device: ["a device", (value) => typeof (value as Device)?.empty === "function"],
  options: ["an object", (value) => typeof value === "object" && value !== null],
};

function isNumber(value: unknown): boolean {
  return typeof value === "number";
}

/** Whether a value is an array of numbers without holes. */
function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.findIndex((n) => typeof n !== "number") < 0;
}

/**
 * Makes a function that checks the arguments of an op, or of another function named `op`. Tensors
 * must be alive, of the right dtype and on one device.
 *
 * @throws {ArgumentError} if an argument is of another kind.
 * @throws {DTypeError} if a tensor has another dtype.
 * @throws {DisposedError} if a tensor's memory was freed.
 * @throws {DeviceError} if two tensors are on two devices.
 */
export function inputCheck(
  op: string,
  inputs: { readonly [name: string]: InputKind },
): (args: readonly unknown[]) => void {
  const entries = Object.entries(inputs).map(([name, given]) => {
    const kind = given.replace("?", "") as Kind;
    const [wanted, fits] = KINDS[kind];
    const optional = kind !== given;
    return { name, kind, wanted, fits, optional, tensor: wanted.startsWith("a tensor") };
  });
  return (args) => {
    let device: Device | undefined;
    for (let i = 0; i < entries.length; i++) {
      const { name, kind, wanted, fits, optional, tensor } = entries[i];
      const arg = args[i];
      if (tensor && arg instanceof Tensor) {
        checkInput(device ??= arg.device, op, name, kind, arg);
        continue;
      }
      if (fits?.(arg) || (optional && arg === undefined)) continue;
      const parts = kind === "tensors" || kind === "record" ? tensorsIn(kind, arg) : undefined;
      if (parts === undefined) {
        throw new ArgumentError(
          `Cannot apply ${op}: ${name} must be ${wanted}, got ${nameOf(arg)}` +
            (tensor ? hintFor(arg) : ""),
        );
      }
      for (const x of parts) checkInput(device ??= x.device, op, name, "tensor", x);
    }
  };
}

/** How to make a tensor of a value, if there is a way. */
function hintFor(value: unknown): string {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return "; device.tensor(...) makes one";
  if (typeof value !== "object" || value === null) return "";
  // Losses accept these instead of logits.
  return "hidden" in value && "head" in value ? "; allLogits(logits) makes one" : "";
}

/** The tensors in a record that has some, or in an array that holds nothing else. */
function tensorsIn(kind: "tensors" | "record", value: unknown): readonly Tensor[] | undefined {
  const tensors = Object.values(value ?? {}).filter((part) => part instanceof Tensor);
  const fits = Array.isArray(value)
    ? kind === "tensors" && tensors.length === value.length
    : kind === "record" && tensors.length > 0;
  return fits ? tensors : undefined;
}

function checkInput(
  device: Device,
  op: string,
  name: string,
  kind: Kind,
  tensor: Tensor,
): void {
  const { dtype, storage } = tensor;
  if (tensor.device !== device) checkDevice(device, `apply ${op}`, tensor);
  if (storage.state !== "live") tensor.region(`apply ${op} to`);
  if (kind === "tensor" || (kind === "operand" && dtype === "int32")) return;
  const wanted = kind === "int" ? "int32" : device.float;
  if (dtype === wanted || (kind === "weights" && dtype === device.half)) return;
  throw new DTypeError(`Cannot apply ${op}: ${name} must be ${wanted}, got ${dtype}`);
}

/**
 * Refuses options that a function does not know, such as a misspelt one.
 *
 * @throws {ArgumentError} if there is one, or the options are not an object.
 */
export function checkOptions<O extends object>(
  action: string,
  options: O,
  known: readonly (keyof O & string)[],
): void {
  if (typeof options !== "object" || options === null) {
    throw new ArgumentError(
      `Cannot ${action}: its options must be an object, got ${nameOf(options)}`,
    );
  }
  for (const name in options) {
    if ((known as readonly string[]).includes(name)) continue;
    throw new ArgumentError(
      `Cannot ${action}: its options must be among ${known.join(", ")}, got ${name}`,
    );
  }
}

/**
 * The bytes of a tensor of `size` elements.
 *
 * @throws {DTypeError} if the device has no such dtype.
 * @throws {ShapeError} if the size of a float16 tensor is not a multiple of 4.
 */
export function checkedBytes(device: Device, size: number, dtype: DType): number {
  if (dtype !== "int32" && dtype !== device.float && dtype !== device.half) {
    const name = typeof dtype === "string" ? dtype : nameOf(dtype);
    throw new DTypeError(
      `Cannot make a ${name} tensor: floats on this ${device.kind} device must be ${device.float}`,
    );
  }
  if (dtype === "float16" && size % 4 !== 0) {
    throw new ShapeError(
      `Cannot make a float16 tensor: its size must be a multiple of 4, got ${size}`,
    );
  }
  return size * bytesPerElement(dtype);
}

/** Refuses what is not an array of non-negative integers. */
export function checkShape(action: string, shape: Shape): void {
  if (!isNumbers(shape)) {
    throw new ArgumentError(
      `Cannot ${action}: its shape must be an array of numbers, got ${nameOf(shape)}`,
    );
  }
  for (const n of shape) {
    if (!Number.isInteger(n) || n < 0) {
      throw new ShapeError(
        `Cannot ${action} of shape ${formatShape(shape)}: ` +
          `sizes must be non-negative integers, got ${n}`,
      );
    }
  }
}

/** Refuses a number of elements that does not fill a shape. */
export function checkCount(action: string, shape: Shape, count: number): void {
  const size = sizeOf(shape);
  if (size === count) return;
  throw new ShapeError(
    `Cannot ${action} of shape ${formatShape(shape)}: it needs ${size} elements, got ${count}`,
  );
}

/** Refuses elements that are not in a typed array. `what` begins the message. */
export function checkTypedArray(what: string, data: unknown): TypedArray {
  if (isTypedArray(data)) return data;
  throw new ArgumentError(
    `${what} must be a Float32Array, a Float64Array or an Int32Array, got ${nameOf(data)}`,
  );
}

/** Refuses a tensor that does not fit a buffer of a kernel. */
export function checkBuffer(
  device: Device,
  kernel: string,
  name: string,
  use: BufferUse,
  tensor: Tensor,
): void {
  checkDevice(device, `run ${kernel} on ${name}`, tensor);
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

/** Refuses what is not a tensor on `device`. */
export function checkDevice(device: Device, action: string, tensor: Tensor): void {
  if (tensor?.device === device) return;
  if (!(tensor instanceof Tensor)) {
    throw new ArgumentError(`Cannot ${action}: it must be a tensor, got ${nameOf(tensor)}`);
  }
  const [a, b] = [device.kind, tensor.device.kind];
  throw new DeviceError(
    `Cannot ${action}: all tensors must be on one device, ` +
      `got ${a === b ? `two different ${a} devices` : `${a} and ${b}`}`,
  );
}

/**
 * Refuses data that is not a typed array or does not fit a tensor: all of its elements or, if `at`
 * is given, those from index `at` on.
 */
export function checkWritten(tensor: Tensor, data: TypedArray, at?: number): void {
  const { shape, size, dtype } = tensor;
  const { length } = checkTypedArray("Cannot write to a tensor: the data", data);
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
  // WebGPU copies multiples of 4 bytes.
  if (dtype === "float16" && (at % 2 !== 0 || length % 2 !== 0)) {
    refuse("a part of float16 must begin and end at even elements", `${length} from ${at} on`);
  }
}
