/**
 * What devices and ops demand of their arguments.
 *
 * @module
 */
import type { Device } from "./device.ts";
import { bytesPerElement, type DType, isTypedArray, type TypedArray } from "./dtype.ts";
import { ArgumentError, DeviceError, DTypeError, ShapeError } from "./errors.ts";
import type { BufferUse } from "./kernel.ts";
import type { InputKind } from "./op.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** A kind without a question mark. */
type Kind = Exclude<InputKind, `${string}?`>;

/** What an argument must be, in words and, where no tensor will do, as a test. */
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

/** Whether a value is an array of numbers, without holes. */
export function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.findIndex((n) => typeof n !== "number") < 0;
}

/**
 * Makes the check of the arguments of an op, or of another function. Its tensors must be alive, of
 * the right dtype and on one device.
 *
 * @throws {ArgumentError} if an argument is of another kind.
 * @throws {DTypeError} if a tensor has another dtype.
 * @throws {DisposedError} if a tensor's memory was given back.
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

/** How to make a tensor of a value, where there is a way. */
function hintFor(value: unknown): string {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return "; device.tensor(...) makes one";
  if (typeof value !== "object" || value === null) return "";
  // A loss is given these in place of logits.
  return "hidden" in value && "head" in value ? "; allLogits(logits) makes one" : "";
}

/** The tensors of a record that has any, or of an array that holds nothing else. */
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
  if (tensor.device !== device) refuseForeign(device, `apply ${op}`, tensor);
  if (storage.state !== "live") tensor.region(`apply ${op} to`);
  if (kind === "tensor" || (kind === "operand" && dtype === "int32")) return;
  const wanted = kind === "int" ? "int32" : device.float;
  if (dtype === wanted || (kind === "weights" && dtype === device.half)) return;
  throw new DTypeError(`Cannot apply ${op}: ${name} must be ${wanted}, got ${dtype}`);
}

/** A value as errors show it. */
export function nameOf(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  const { constructor } = value;
  const name = typeof constructor === "function" ? constructor.name : "Object";
  if (name === "Object") return `{ ${Object.keys(value).join(", ")} }`.replace("  ", " ");
  return `${/^[AEIO]/i.test(name) ? "an" : "a"} ${name}`;
}

/**
 * Refuses options that a function does not know, such as a misspelt one.
 *
 * @throws {ArgumentError} if there is one, or the options are no object.
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

/** The bytes of a tensor of `size` elements, if the device can have one. */
export function checkedBytes(device: Device, size: number, dtype: DType): number {
  if (dtype !== "int32" && dtype !== device.float && dtype !== device.half) {
    throw new DTypeError(
      `Cannot make a ${
        typeof dtype === "string" ? dtype : nameOf(dtype)
      } tensor: floats on this ${device.kind} device must be ${device.float}`,
    );
  }
  if (dtype === "float16" && size % 4 !== 0) {
    throw new ShapeError(
      `Cannot make a float16 tensor: its size must be a multiple of 4, got ${size}`,
    );
  }
  return size * bytesPerElement(dtype);
}

/** Refuses what is no shape: an array of integers from 0. */
export function checkShape(action: string, shape: Shape): void {
  if (!isNumbers(shape)) {
    throw new ArgumentError(
      `Cannot ${action}: its shape must be an array of numbers, got ${nameOf(shape)}`,
    );
  }
  for (const n of shape) {
    if (!Number.isInteger(n) || n < 0) {
      throw new ShapeError(
        `Cannot ${action} of shape ${formatShape(shape)}: sizes must be integers from 0, got ${n}`,
      );
    }
  }
}

/** Refuses elements that are not a typed array; `what` begins the message. */
export function checkTypedArray(what: string, data: unknown): TypedArray {
  if (isTypedArray(data)) return data;
  throw new ArgumentError(
    `${what} must be a Float32Array, a Float64Array or an Int32Array, got ${nameOf(data)}`,
  );
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

/** Refuses what is no tensor, or one of another device. */
export function refuseForeign(device: Device, action: string, tensor: Tensor): void {
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
 * Refuses elements that are not a typed array, or that a tensor has no room for: all of its elements
 * or, where `at` is given, those from the at-th on.
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
  if (dtype === "float16" && (at % 2 !== 0 || length % 2 !== 0)) { // 4 bytes are the least that WebGPU copies
    refuse("a part of halves must begin and end at even ones", `${length} from ${at} on`);
  }
}
