import { ArgumentError, ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import {
  trieLogProbBackward,
  trieLogProbBackwardWide,
  trieLogProbForward,
  trieLogProbForwardWide,
} from "../kernels/trie_log_prob.ts";
import { exampleTable } from "../kernels/trie_table.ts";
import { sample } from "./cases.ts";

/**
 * What a token's probability is normalised over: the `children` of its trie node (they sum to 1), or the whole
 * `vocabulary` (they sum to at most 1).
 */
export type Normalization = "children" | "vocabulary";

/** A trie in device memory. `Trie.upload` makes one. */
export interface TrieTable {
  /** Children by node, as the kernels walk them: int32. */
  readonly table: Tensor;
  /** The number of nodes. */
  readonly nodeCount: number;
  /** The largest token. */
  readonly maxToken: number;
}

/** Options of {@link trieLogProb}. */
export interface TrieLogProbOptions {
  /** What to normalise over. */
  readonly normalization: Normalization;
  /** The temperature that divides the logits; 1 unless told. */
  readonly tau?: number;
  /** The beam width of logBeta, beyond any number of children at will; without it logBeta is 0. */
  readonly beam?: number;
}

/** What {@link trieLogProb} returns, each of shape (N). */
export type TrieLogProbs = {
  /** The label's log-probability. */
  readonly logProb: Tensor;
  /** The log-probability of the beam-th most probable child, the least probable one's if there are fewer. */
  readonly logBeta: Tensor;
  /** The number of children, int32. */
  readonly choices: Tensor;
};

/**
 * The log-probability of each label among the children of its trie node, and that of the beam-th most probable child:
 * logits (N, V), nodes and labels int32 (N); all outputs (N). A node of -1, or a leaf, is no target: zeros, no gradient.
 * A label must be the token of a child of its node; that is not checked, and for any other label, or a node that the trie
 * does not have, the results mean nothing. The pruning margin is `logBeta - logProb`: above 0, a beam search of
 * that width prunes the label. Both have gradients; losses detach logBeta with `stopGradient`. Under "children" a node with
 * one child gives exactly 0 and no gradient. Among equal logits at the beam-th place the gradient of logBeta goes by token
 * order. The margin is that of Yang et al., arXiv:2601.22925.
 *
 * @throws {ShapeError} if nodes or labels are not (N), or V does not exceed the trie's largest token.
 * @throws {ArgumentError} if beam is not a positive integer or tau not positive.
 *
 * @example
 * ```ts
 * import { cpu, Trie, trieLogProb } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0], [2]]).upload(device);
 * const logits = device.tensor([[1, 5, 0]]);
 * const [node, label] = [new Int32Array([0]), new Int32Array([2])].map((x) => device.tensor(x));
 * const { logProb } = trieLogProb(logits, trie, node, label, { normalization: "children" });
 * console.log(await logProb.item()); // -log(1 + e) = -1.3133
 * ```
 */
export const trieLogProb: Op<
  [logits: Tensor, trie: TrieTable, nodes: Tensor, labels: Tensor, options: TrieLogProbOptions],
  TrieLogProbs
> = defineOp({
  name: "trieLogProb",
  forward(
    logits: Tensor,
    trie: TrieTable,
    nodes: Tensor,
    labels: Tensor,
    options: TrieLogProbOptions,
  ): { out: TrieLogProbs; saved: { saved: Tensor } } {
    const params = paramsOf(logits, trie, nodes, labels, options);
    const { device, dtype } = logits;
    const { N } = params;
    const [logProb, logBeta] = [0, 1].map(() => device.empty([N], dtype, "trieLogProb"));
    const choices = device.empty([N], "int32", "trieLogProb");
    const saved = device.empty([N, 3], dtype, "trieLogProb"); // max z, log sum exp, z_b
    const { table } = trie;
    const buffers = { logits, table, nodes, labels, logProb, logBeta, choices, saved };
    const kernel = device.software ? trieLogProbForward : trieLogProbForwardWide;
    device.run(kernel, buffers, params);
    return { out: { logProb, logBeta, choices }, saved: { saved } };
  },
  backward(dout, { saved }, [logits, trie, nodes, labels, options]): InputGradients {
    return [
      () => { // dz_v = (dlogProb ([v = y] - p_v) + dlogBeta ([v = b] - p_v)) / tau
        const params = paramsOf(logits, trie, nodes, labels, options);
        const { table } = trie;
        const kernel = logits.device.software ? trieLogProbBackward : trieLogProbBackwardWide;
        const dlogits = logits.device.empty(logits.shape, logits.dtype, "trieLogProb gradient");
        const some = (dout.logProb ?? dout.logBeta) as Tensor;
        const [dlogProb, dlogBeta] = [dout.logProb ?? some, dout.logBeta ?? some];
        logits.device.run(
          kernel,
          { dlogProb, dlogBeta, logits, table, nodes, labels, saved, dlogits },
          {
            ...params,
            withProb: dout.logProb ? 1 : 0,
            withBeta: dout.logBeta && params.beam > 0 ? 1 : 0,
          },
        );
        return dlogits;
      },
      null,
      null,
    ];
  },
  cases: () =>
    (["children", "vocabulary"] as const).flatMap((normalization) =>
      [1, 2, 9].map((beam) => ({
        name: `${normalization}, beam ${beam}`,
        args: (d) => [
          sample(d, [6, 8], 1, -3, 3),
          { table: d.tensor(exampleTable(8)), nodeCount: 5, maxToken: 7 },
          d.tensor(Int32Array.from([0, 1, 2, -1, 3, 0])),
          d.tensor(Int32Array.from([5, 4, 2, 0, 0, 0])),
          { normalization, beam, tau: 1.5 },
        ],
      }))
    ),
});

interface Params {
  readonly N: number;
  readonly V: number;
  readonly beam: number;
  readonly vocabulary: number;
  readonly tau: number;
}

function paramsOf(
  logits: Tensor,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
  { normalization, tau = 1, beam }: TrieLogProbOptions,
): Params {
  const [N, V] = logits.shape;
  if (logits.rank !== 2 || V <= trie.maxToken) {
    throw new ShapeError(
      `Cannot trieLogProb of logits of shape ${formatShape(logits.shape)}: ` +
        `they must be (N, V) with V above the trie's largest token, ${trie.maxToken}`,
    );
  }
  for (const [name, { shape, rank }] of Object.entries({ nodes, labels })) {
    if (rank !== 1 || shape[0] !== N) {
      throw new ShapeError(
        `Cannot trieLogProb of logits of shape ${formatShape(logits.shape)}: ` +
          `${name} must be of shape (${N}), got ${formatShape(shape)}`,
      );
    }
  }
  checkDistribution("trieLogProb", normalization, tau);
  if (beam !== undefined) checkBeam("trieLogProb", beam);
  const places = Math.min(beam ?? 0, trie.maxToken + 1); // no node has more children
  return { N, V, beam: places, vocabulary: normalization === "vocabulary" ? 1 : 0, tau };
}

/** Throws {@link ArgumentError} unless the normalisation is known and the temperature positive. */
export function checkDistribution(
  action: string,
  normalization: Normalization,
  tau: number,
): void {
  if (normalization !== "children" && normalization !== "vocabulary") {
    throw new ArgumentError(
      `Cannot ${action}: the normalization must be "children" or "vocabulary", got ${normalization}`,
    );
  }
  if (!(tau > 0 && tau < Infinity)) {
    throw new ArgumentError(`Cannot ${action}: tau must be a positive number, got ${tau}`);
  }
}

/** Throws {@link ArgumentError} unless a beam width is a positive integer. */
export function checkBeam(action: string, beam: number): void {
  if (!(Number.isInteger(beam) && beam >= 1)) {
    throw new ArgumentError(`Cannot ${action}: beam must be a positive integer, got ${beam}`);
  }
}
