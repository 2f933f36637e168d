/**
 * Typed errors. Every message says what failed, what is required and what it got:
 * `Cannot matmul (8, 64) by (32, 64): inner sizes must match, got 64 and 32`.
 *
 * @module
 */

/** The base class of every error that this project throws on purpose. */
export class BeargradError extends Error {
  /** The name of its class. A text, as classes lose their own names in minified bundles. */
  override readonly name: string = "BeargradError";
}

/** Shapes that do not fit together. */
export class ShapeError extends BeargradError {
  /** Its name. */
  override readonly name = "ShapeError";
}

/** A tensor of the wrong dtype. */
export class DTypeError extends BeargradError {
  /** Its name. */
  override readonly name = "DTypeError";
}

/** A tensor used after its memory was freed. */
export class DisposedError extends BeargradError {
  /** Its name. */
  override readonly name = "DisposedError";
}

/** A device that is missing, lost, out of memory, or refused a command. */
export class DeviceError extends BeargradError {
  /** Its name. */
  override readonly name = "DeviceError";
}

/** A misuse of automatic differentiation, such as a second derivative. */
export class TapeError extends BeargradError {
  /** Its name. */
  override readonly name = "TapeError";
}

/** A misuse of `capture`, such as reading a tensor inside a captured step. */
export class CaptureError extends BeargradError {
  /** Its name. */
  override readonly name = "CaptureError";
}

/** An argument outside its domain, such as a beam width below 1. */
export class ArgumentError extends BeargradError {
  /** Its name. */
  override readonly name = "ArgumentError";
}

/** A loss or score that is NaN or infinite. */
export class NonFiniteError extends BeargradError {
  /** Its name. */
  override readonly name = "NonFiniteError";
}

/** A file or data set that is missing or malformed. */
export class DataError extends BeargradError {
  /** Its name. */
  override readonly name = "DataError";
}

/** A checkpoint that is missing, malformed, or belongs to another configuration. */
export class CheckpointError extends BeargradError {
  /** Its name. */
  override readonly name = "CheckpointError";
}

/** A command line that cannot be understood. */
export class UsageError extends BeargradError {
  /** Its name. */
  override readonly name = "UsageError";
}

/** A value as error messages show it: `"text"`, `null`, `an Array`, `{ hidden, head }`. */
export function nameOf(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  const { constructor } = value;
  const name = typeof constructor === "function" ? constructor.name : "Object";
  if (name === "Object") return `{ ${Object.keys(value).join(", ")} }`.replace("  ", " ");
  return `${/^[AEIO]/i.test(name) ? "an" : "a"} ${name}`;
}
