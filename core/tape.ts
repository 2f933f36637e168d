/**
 * Reverse-mode automatic differentiation.
 *
 * `valueAndGrad(f)` runs `f` on tracked tensors in place of the parameters. A tracked tensor knows
 * which op made it. An op that gets one appends a node to the tape, and its outputs are tracked in
 * turn. The walk then visits the nodes in reverse: each turns the gradients of its outputs into
 * gradients of its inputs, and where a tensor was used more than once they add up.
 *
 * There is no global tape, and a tensor that does not depend on the parameters is an ordinary one.
 * First derivatives only.
 *
 * @module
 */
import { inputCheck } from "./checks.ts";
import { ArgumentError, DTypeError, ShapeError, TapeError } from "./errors.ts";
import { formatShape } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { mapTree, type Tree, treeEntries } from "./tree.ts";

/**
 * The gradients of an op's tensor inputs, in order. Each is a function that runs only if the
 * gradient is needed, or null for an input without a gradient.
 */
export type InputGradients = readonly ((() => Tensor) | null)[];

/** From the gradients of an op's outputs, undefined where there is none, to those of its inputs. */
export type Backward = (douts: readonly (Tensor | undefined)[]) => InputGradients;

/** One op on a tape, or a parameter. */
export interface TapeNode {
  /** The tape it is on. */
  readonly tape: Tape;
  /** The tensor inputs; gradients flow to those that are tracked. */
  readonly inputs: readonly Tensor[];
  /** Computes the gradients of the inputs. */
  readonly backward: Backward;
  /** The gradients of its outputs, summed as the walk goes. */
  readonly douts: (Tensor | undefined)[];
}

/** A tensor that depends on the parameters: one of the outputs of a node. */
export class TrackedTensor extends Tensor {
  /** What made it. */
  readonly node: TapeNode;
  /** Which of the node's outputs it is. */
  readonly output: number;

  /** The same tensor as an output of a node. */
  constructor({ device, shape, dtype, storage }: Tensor, node: TapeNode, output: number) {
    super(device, shape, dtype, storage);
    this.node = node;
    this.output = output;
  }
}

/** The same tensor off every tape. */
export function untracked(tensor: Tensor): Tensor {
  return tensor instanceof TrackedTensor ? tensor.view(tensor.shape) : tensor;
}

/** The ops of one run of a differentiated function, in order. */
export class Tape {
  readonly #nodes: TapeNode[] = [];
  #open = true;

  /** A parameter as a tracked tensor. Its gradient collects in its node. */
  track(parameter: Tensor): TrackedTensor {
    const node = { tape: this, inputs: [], backward: () => [], douts: [] };
    return new TrackedTensor(parameter, node, 0);
  }

  /** Appends an op and returns its outputs as tracked tensors. */
  append(
    name: string,
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    backward: Backward,
  ): TrackedTensor[] {
    if (!this.#open) {
      throw new TapeError(
        `Cannot apply ${name} to a tensor of a finished valueAndGrad: ` +
          `tracked tensors must not leave the function that is differentiated`,
      );
    }
    const node: TapeNode = { tape: this, inputs, backward, douts: [] };
    this.#nodes.push(node);
    return outputs.map((tensor, output) => new TrackedTensor(tensor, node, output));
  }

  /**
   * Walks backwards from `value`, whose gradient is `seed`, and leaves the gradient of each
   * parameter in its node.
   */
  walk(value: TrackedTensor, seed: Tensor, add: (a: Tensor, b: Tensor) => Tensor): void {
    this.#open = false;
    value.node.douts[value.output] = seed;
    for (const node of this.#nodes.toReversed()) {
      if (node.douts.every((dout) => dout === undefined)) continue;
      node.backward(node.douts).forEach((gradient, i) => {
        const input = node.inputs[i];
        if (gradient === null || !(input instanceof TrackedTensor)) return;
        const { douts } = input.node;
        const sum = douts[input.output];
        douts[input.output] = sum === undefined ? gradient() : add(sum, gradient());
      });
      node.douts.length = 0; // the gradients can be collected
    }
  }

  /** Refuses further ops. */
  close(): void {
    this.#open = false;
  }
}

/** The tape that tensors are on, or undefined. @throws {TapeError} if they are on two tapes. */
export function commonTape(name: string, tensors: readonly Tensor[]): Tape | undefined {
  let tape: Tape | undefined;
  for (const tensor of tensors) {
    if (!(tensor instanceof TrackedTensor)) continue;
    if (tape !== undefined && tape !== tensor.node.tape) {
      throw new TapeError(
        `Cannot apply ${name} to tensors of two nested valueAndGrad calls: ` +
          `beargrad has first derivatives only`,
      );
    }
    tape = tensor.node.tape;
  }
  return tape;
}

/** The arithmetic of the walk. It takes kernels, so `ops/value_and_grad.ts` supplies it. */
export interface GradientArithmetic {
  /** A one in the shape of a tensor of one element, to be read only. */
  oneLike(tensor: Tensor): Tensor;
  /** Zeros in the shape of a tensor. */
  zerosLike(tensor: Tensor): Tensor;
  /** The sum of two tensors of one shape. */
  add(a: Tensor, b: Tensor): Tensor;
}

const checkFunction = inputCheck("valueAndGrad", { f: "function" });

/** `valueAndGrad`, which `ops/value_and_grad.ts` documents, on a given arithmetic. */
export function valueAndGradWith<P extends Tree, A extends unknown[]>(
  { oneLike, zerosLike, add }: GradientArithmetic,
  f: (params: P, ...args: A) => Tensor,
): (params: P, ...args: A) => { value: Tensor; grads: P } {
  checkFunction([f]);
  return (params: P, ...args: A) => {
    checkParams(params);
    const tape = new Tape();
    const tracked = mapTree(params, (tensor) => tape.track(tensor));
    try {
      const value = f(tracked, ...args);
      checkValue(value, tape);
      if (value instanceof TrackedTensor) tape.walk(value, oneLike(value), add);
      const grads = mapTree(tracked, (param) => {
        return (param as TrackedTensor).node.douts[0] ?? zerosLike(param);
      });
      return { value: untracked(value), grads };
    } finally {
      tape.close();
    }
  };
}

function checkParams(params: Tree): void {
  for (const [path, tensor] of treeEntries(params)) {
    const { dtype, device } = tensor;
    if (tensor instanceof TrackedTensor) {
      throw new TapeError(
        "Cannot differentiate with respect to tensors that an outer valueAndGrad tracks: " +
          "beargrad has first derivatives only",
      );
    }
    if (dtype !== device.float) {
      throw new DTypeError(
        `Cannot differentiate with respect to ${path || "a tensor"}: ` +
          `it must be ${device.float}, got ${dtype}`,
      );
    }
  }
}

function checkValue(value: unknown, tape: Tape): void {
  if (!(value instanceof Tensor)) {
    throw new ArgumentError(
      `Cannot differentiate a function: its value must be a tensor, got a ${typeof value}`,
    );
  }
  if (value.size !== 1) {
    throw new ShapeError(
      `Cannot differentiate a function whose value has shape ${formatShape(value.shape)}: ` +
        `it must be a scalar, got ${value.size} elements`,
    );
  }
  if (value instanceof TrackedTensor && value.node.tape !== tape) {
    throw new TapeError(
      "Cannot differentiate a function whose value depends on what an outer valueAndGrad tracks: " +
        "beargrad has first derivatives only",
    );
  }
}
