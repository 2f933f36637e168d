/**
 * Reverse-mode differentiation. A tensor that depends on the parameters carries its place on a tape; an op that
 * sees such a tensor writes itself down. There is no global tape and no flag on tensors: `valueAndGrad` lends each
 * parameter a place, runs the function, and walks the tape backwards. First derivatives only.
 *
 * @module
 */
import { inputCheck } from "./checks.ts";
import { ArgumentError, DTypeError, ShapeError, TapeError } from "./errors.ts";
import { formatShape } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { mapTree, type Tree, treeEntries } from "./tree.ts";

/** A place on a tape: an output of a node. */
export interface Tracked {
  /** The node. */
  readonly node: TapeNode;
  /** Which of its outputs. */
  readonly output: number;
}

/** The gradients of an op's tensor inputs, each computed only if somebody needs it; null where there is none. */
export type InputGradients = readonly ((() => Tensor) | null)[];

/** One op on a tape. */
export interface TapeNode {
  /** The op's name. */
  readonly name: string;
  /** The tape it is on. */
  readonly tape: Tape;
  /** For each tensor input its place, or undefined where it does not depend on the parameters. */
  readonly inputs: readonly (Tracked | undefined)[];
  /** From the gradients of its outputs (undefined where nothing depends on one) to those of its inputs. */
  readonly backward: (douts: readonly (Tensor | undefined)[]) => InputGradients;
  /** The gradients of its outputs, summed as the walk goes. */
  readonly douts: (Tensor | undefined)[];
}

/** The ops of one run of a differentiated function, in order. */
export class Tape {
  readonly #nodes: TapeNode[] = [];
  #open = true;

  /** A place that nothing flows back from: a parameter. */
  leaf(): Tracked {
    const node: TapeNode = {
      name: "parameter",
      tape: this,
      inputs: [],
      backward: () => [],
      douts: [],
    };
    return { node, output: 0 };
  }

  /** Writes an op down. */
  push(
    name: string,
    inputs: readonly (Tracked | undefined)[],
    backward: TapeNode["backward"],
  ): TapeNode {
    if (!this.#open) {
      throw new TapeError(
        `Cannot apply ${name} to a tensor of a finished valueAndGrad: ` +
          `tracked tensors must not leave the function that is differentiated`,
      );
    }
    const node: TapeNode = { name, tape: this, inputs, backward, douts: [] };
    this.#nodes.push(node);
    return node;
  }

  /** Walks backwards from a scalar and leaves in every leaf's `douts` its gradient. */
  backward(from: Tracked, seed: Tensor, add: (a: Tensor, b: Tensor) => Tensor): void {
    this.#open = false;
    from.node.douts[from.output] = seed;
    for (const node of this.#nodes.toReversed()) {
      if (node.douts.every((d) => d === undefined)) continue;
      node.backward(node.douts).forEach((gradient, i) => {
        const input = node.inputs[i];
        if (input === undefined || gradient === null) return;
        const sofar = input.node.douts[input.output];
        input.node.douts[input.output] = sofar === undefined ? gradient() : add(sofar, gradient());
      });
      node.douts.length = 0;
    }
  }

  /** Closes the tape without walking it. */
  close(): void {
    this.#open = false;
  }
}

/** The tape that tensors are on, or undefined; throws where they are on two. */
export function commonTape(name: string, tensors: readonly Tensor[]): Tape | undefined {
  let tape: Tape | undefined;
  for (const { tracked } of tensors) {
    if (tracked === undefined) continue;
    if (tape !== undefined && tape !== tracked.node.tape) {
      throw new TapeError(
        `Cannot apply ${name} to tensors of two nested valueAndGrad calls: ` +
          `beargrad has first derivatives only`,
      );
    }
    tape = tracked.node.tape;
  }
  return tape;
}

/** What the walk needs from the ops above this room: how to make a one, a zero, and a sum. */
export interface TapeArithmetic {
  /** A one in the shape of a tensor of one element, to be read only. */
  oneLike(tensor: Tensor): Tensor;
  /** Zeros of a tensor's shape. */
  zerosLike(tensor: Tensor): Tensor;
  /** The sum of two tensors of one shape. */
  add(a: Tensor, b: Tensor): Tensor;
}

const checkFunction = inputCheck("valueAndGrad", { f: "function" });

/** `valueAndGrad` for a given arithmetic; `ops/` binds it. */
export function valueAndGradWith<P extends Tree, A extends unknown[]>(
  arithmetic: TapeArithmetic,
  f: (params: P, ...args: A) => Tensor,
): (params: P, ...args: A) => { value: Tensor; grads: P } {
  checkFunction([f]);
  return (params: P, ...args: A) => {
    for (const [path, { tracked, dtype, device }] of treeEntries(params)) {
      if (tracked !== undefined) {
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
    const tape = new Tape();
    const lent = mapTree(params, (t) => t.at(tape.leaf()));
    try {
      const value = f(lent, ...args);
      checkValue(value, tape);
      if (value.tracked) {
        tape.backward(value.tracked, arithmetic.oneLike(value), arithmetic.add);
      }
      const grads = mapTree(lent, (t) => {
        const { node, output } = t.tracked as Tracked;
        return node.douts[output] ?? arithmetic.zerosLike(t);
      });
      return { value: value.at(undefined), grads };
    } finally {
      tape.close();
    }
  };
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
  if (value.tracked && value.tracked.node.tape !== tape) {
    throw new TapeError(
      "Cannot differentiate a function whose value depends on what an outer valueAndGrad tracks: " +
        "beargrad has first derivatives only",
    );
  }
}
