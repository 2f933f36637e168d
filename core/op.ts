/**
 * An op is maths on tensors: a forward that runs kernels, and a backward that quotes it. `defineOp` turns the two
 * into a function that writes itself onto the tape when an input depends on the parameters.
 *
 * @module
 */
import { inputCheck } from "./checks.ts";
import { ArgumentError } from "./errors.ts";
import type { Device } from "./device.ts";
import { commonTape, type InputGradients } from "./tape.ts";
import { Tensor } from "./tensor.ts";

/** What an op returns: a tensor, a record of tensors, or, for a composite, a list of tensors. */
export type OpOutput = Tensor | { readonly [name: string]: Tensor } | readonly Tensor[];

/** The gradient of an output: shaped like it, with undefined for the parts that nothing depends on. */
export type OutputGradient<O> = O extends Tensor ? Tensor : { readonly [K in keyof O]?: Tensor };

/** One input on which an op's gradient is checked in float64, because it is registered. */
export interface OpCase<A extends readonly unknown[]> {
  /** What is special about this case. */
  readonly name: string;
  /** The arguments, made on the given device. Inputs must keep away from kinks such as relu's at 0. */
  args(device: Device): A;
}

/**
 * What an argument must be: a tensor of floats, of int32, of weights (floats or float16) or of any
 * dtype; an operand, which may be a number; tensors in an array or a record, of which life and
 * device are checked; a number, numbers in an array, or either (axes); a boolean, a string, a
 * function, a device, or an object of options. With a question mark it may also be undefined.
 */
export type InputKind = `${
  | ("float" | "int" | "weights" | "tensor")
  | ("operand" | "float operand" | "tensors" | "record")
  | ("number" | "numbers" | "axes")
  | ("boolean" | "string" | "function" | "device" | "options")}${"" | "?"}`;

/** What an op is made of. */
export interface OpSpec<A extends readonly unknown[], O extends OpOutput, S> {
  /** A unique name, shown in errors. */
  readonly name: string;
  /** What its arguments must be, by name in their order; those behind the last are not checked. */
  readonly inputs?: { readonly [name: string]: InputKind };
  /** Computes the output, and whatever the backward wants to see again. */
  forward(...args: A): { readonly out: O; readonly saved?: S };
  /**
   * The gradients of the tensor arguments, in argument order, from the gradient of the output: a function each, run
   * only if that gradient is needed, or null for an argument without one. A tensor argument is every argument that is
   * a tensor, and every tensor in an argument that is an array of tensors. Absent for an op that nothing flows
   * back through.
   */
  readonly backward?: (
    dout: OutputGradient<O>,
    saved: S,
    args: NoInfer<A>,
  ) => InputGradients;
  /** Whether it is made of other ops, whose gradients are then its own. */
  readonly composite?: boolean;
  /** Inputs for the gradient check: at least one. */
  cases(): readonly OpCase<NoInfer<A>>[];
}

/** An op: call it on tensors. */
export interface Op<A extends readonly unknown[], O extends OpOutput> {
  /** Applies it. */
  (...args: A): O;
  /** Tells an op from other exports of a module, and holds what it is made of. */
  readonly spec: OpSpec<A, O, unknown>;
}

/** Makes an op of its forward and backward. */
export function defineOp<A extends readonly unknown[], O extends OpOutput, S>(
  spec: OpSpec<A, O, S>,
): Op<A, O> {
  const check = inputCheck(spec.name, spec.inputs ?? {});
  const apply = (...args: A): O => {
    check(args);
    const tensors = args.flatMap(tensorsOf);
    const tape = commonTape(spec.name, tensors);
    if (tape === undefined) return spec.forward(...args).out;
    const plain = args.map(untracked) as unknown as A;
    const { out, saved } = spec.forward(...plain);
    if (spec.backward === undefined) return out;
    const { backward } = spec;
    const names = out instanceof Tensor ? undefined : Object.keys(out);
    const node = tape.push(spec.name, tensors.map((t) => t.tracked), (douts) => {
      const dout = names === undefined
        ? douts[0]
        : Object.fromEntries(names.map((name, i) => [name, douts[i]]));
      return backward(dout as OutputGradient<O>, saved as S, plain);
    });
    if (names === undefined) return (out as Tensor).at({ node, output: 0 }) as O;
    const parts = out as { readonly [name: string]: Tensor };
    return Object.fromEntries(
      names.map((name, output) => [name, parts[name].at({ node, output })]),
    ) as O;
  };
  return Object.assign(apply, { spec: spec as unknown as OpSpec<A, O, unknown> });
}

/** Makes an op of other ops. It has no backward: each of them writes itself onto the tape. */
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

/** The tensors of one argument. */
function tensorsOf(arg: unknown): Tensor[] {
  if (arg instanceof Tensor) return [arg];
  return Array.isArray(arg) ? arg.filter((a) => a instanceof Tensor) : [];
}

function untracked(arg: unknown): unknown {
  if (arg instanceof Tensor) return arg.tracked === undefined ? arg : arg.at(undefined);
  return Array.isArray(arg) ? arg.map(untracked) : arg;
}

/** The device of the first tensor among operands; throws where there is none. */
export function deviceOf(action: string, operands: readonly unknown[]): Device {
  for (const operand of operands) if (operand instanceof Tensor) return operand.device;
  throw new ArgumentError(
    `Cannot ${action} numbers alone: at least one operand must be a tensor`,
  );
}
