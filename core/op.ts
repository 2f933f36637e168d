/**
 * An op is maths on tensors: a forward that runs kernels, and a backward beside it. `defineOp`
 * makes a function of the two that appends itself to the tape when an input is tracked.
 *
 * @module
 */
import { inputCheck, type InputKind } from "./checks.ts";
import { ArgumentError } from "./errors.ts";
import { commonTape, type InputGradients, untracked } from "./tape.ts";
import { type Device, Tensor } from "./tensor.ts";

/** What an op returns: a tensor, a record of tensors or, for a composite, a list of tensors. */
export type OpOutput = Tensor | { readonly [name: string]: Tensor } | readonly Tensor[];

/** The gradient of an output. Parts of a record that nothing depends on are undefined. */
export type OutputGradient<O> = O extends Tensor ? Tensor : { readonly [K in keyof O]?: Tensor };

/** An input on which the tests check an op's gradient in float64. */
export interface OpCase<A extends readonly unknown[]> {
  /** What is special about this case. */
  readonly name: string;
  /** Makes the arguments on a device. They must stay away from kinks such as relu's at 0. */
  args(device: Device): A;
}

/** The parts of an op. */
export interface OpSpec<A extends readonly unknown[], O extends OpOutput, S> {
  /** A unique name, shown in errors. */
  readonly name: string;
  /** The kinds of its arguments, by name, in order. Arguments after the last are not checked. */
  readonly inputs?: { readonly [name: string]: InputKind };
  /** Computes the output, and what the backward needs again. */
  forward(...args: A): { readonly out: O; readonly saved?: S };
  /**
   * The gradients of the tensor arguments, in argument order, from the gradient of the output. Each
   * is a function that runs only if the gradient is needed, or null for an argument without one. A
   * tensor argument is an argument that is a tensor, or a tensor in an argument that is an array.
   * Without a backward, no gradient flows through the op.
   */
  readonly backward?: (
    dout: OutputGradient<O>,
    saved: S,
    args: NoInfer<A>,
  ) => InputGradients;
  /** Whether it is made of other ops, whose gradients it uses. */
  readonly composite?: boolean;
  /** Inputs for the gradient check: at least one. */
  cases(): readonly OpCase<NoInfer<A>>[];
}

/** An op: a function of tensors. */
export interface Op<A extends readonly unknown[], O extends OpOutput> {
  /** Applies it. */
  (...args: A): O;
  /** Its parts. Tells an op from other exports of a module. */
  readonly spec: OpSpec<A, O, unknown>;
}

/** Makes an op from its forward and backward. */
export function defineOp<A extends readonly unknown[], O extends OpOutput, S>(
  spec: OpSpec<A, O, S>,
): Op<A, O> {
  const { name, inputs = {}, backward } = spec;
  const check = inputCheck(name, inputs);
  const apply = (...args: A): O => {
    check(args);
    const tensors = args.flatMap(tensorsOf);
    const tape = commonTape(name, tensors);
    if (tape === undefined) return spec.forward(...args).out;
    const plain = args.map(offTape) as unknown as A;
    const { out, saved } = spec.forward(...plain);
    if (backward === undefined) return out;
    if (out instanceof Tensor) {
      const [tracked] = tape.append(
        name,
        tensors,
        [out],
        ([dout]) => backward(dout as OutputGradient<O>, saved as S, plain),
      );
      return tracked as unknown as O;
    }
    const keys = Object.keys(out);
    const named = <T>(values: readonly T[]): { [key: string]: T } =>
      Object.fromEntries(keys.map((key, i) => [key, values[i]]));
    const tracked = tape.append(
      name,
      tensors,
      Object.values(out),
      (douts) => backward(named(douts) as OutputGradient<O>, saved as S, plain),
    );
    return named(tracked) as unknown as O;
  };
  return Object.assign(apply, { spec: spec as unknown as OpSpec<A, O, unknown> });
}

/** Makes an op from other ops. It needs no backward: each of them appends itself to the tape. */
export function defineComposite<A extends readonly unknown[], O extends OpOutput>(
  spec: {
    readonly name: string;
    readonly inputs?: OpSpec<A, O, unknown>["inputs"];
    forward(...args: A): O;
    cases(): readonly OpCase<NoInfer<A>>[];
  },
): Op<A, O> {
  const { name, inputs = {}, forward, cases } = spec;
  const check = inputCheck(name, inputs);
  const apply = (...args: A): O => {
    check(args);
    return forward(...args);
  };
  const whole: OpSpec<A, O, unknown> = {
    name,
    inputs,
    forward: (...args) => ({ out: forward(...args) }),
    composite: true,
    cases,
  };
  return Object.assign(apply, { spec: whole });
}

/** The tensors in one argument. */
function tensorsOf(arg: unknown): Tensor[] {
  if (arg instanceof Tensor) return [arg];
  return Array.isArray(arg) ? arg.filter((a) => a instanceof Tensor) : [];
}

/** An argument with its tensors off the tape. */
function offTape(arg: unknown): unknown {
  if (arg instanceof Tensor) return untracked(arg);
  return Array.isArray(arg) ? arg.map(offTape) : arg;
}

/**
 * The device of the first tensor among operands.
 *
 * @throws {ArgumentError} if there is no tensor.
 */
export function deviceOf(action: string, operands: readonly unknown[]): Device {
  for (const operand of operands) if (operand instanceof Tensor) return operand.device;
  throw new ArgumentError(
    `Cannot ${action} numbers alone: at least one operand must be a tensor`,
  );
}
