/**
 * Typed errors. Every message says action, requirement, actual:
 * `Cannot matmul (8, 64) by (32, 64): inner sizes must match, got 64 and 32`.
 *
 * @module
 */

/** The base of every error that this project throws on purpose. */
export class BeargradError extends Error {
  /** `message` says action, requirement, actual. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Shapes that do not fit together. */
export class ShapeError extends BeargradError {}

/** A tensor of the wrong dtype. */
export class DTypeError extends BeargradError {}

/** A tensor used after its memory was given back. */
export class DisposedError extends BeargradError {}

/** A device that is missing, lost, or refused a command. */
export class DeviceError extends BeargradError {}

/** A misuse of automatic differentiation, such as a second derivative. */
export class TapeError extends BeargradError {}

/** A misuse of `capture`, such as reading a tensor inside a captured step. */
export class CaptureError extends BeargradError {}

/** An argument outside its domain, such as a beam width below 1. */
export class ArgumentError extends BeargradError {}

/** A loss or score that is NaN or infinite. */
export class NonFiniteError extends BeargradError {}

/** A file or data set that is missing or malformed. */
export class DataError extends BeargradError {}

/** A checkpoint that is missing, malformed, or belongs to another configuration. */
export class CheckpointError extends BeargradError {}

/** A command line that cannot be understood. */
export class UsageError extends BeargradError {}
