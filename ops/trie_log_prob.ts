import { checkOptions, inputCheck } from "../core/checks.ts";
import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import { type InputGradients, TrackedTensor } from "../core/tape.ts";
import { Tensor } from "../core/tensor.ts";
import { trieLogProbBackward, trieLogProbForward } from "../kernels/trie_log_prob.ts";
import { add, mul, sub } from "./binary.ts";
import { exampleTrie, sample } from "./cases.ts";
import { childCounts, childLogits, childPlaces } from "./child_logits.ts";
import { greaterEqual } from "./compare.ts";
import { fullLike } from "./fill.ts";
import { allLogits, type Logits, type Projection } from "./logits.ts";
import { cast } from "./select.ts";
import {
  checkBeam,
  checkDistribution,
  type TrieLogProbOptions,
  type TrieLogProbs,
  type TrieTable,
} from "./trie_options.ts";
import { vocabularyLogProb } from "./vocabulary_log_prob.ts";

export * from "./trie_options.ts";

/**
 * What a child's logit costs if it is computed alone, in logits of a matrix product: two to three
 * on the cpu, six to eight on llvmpipe (`deno task bench --only heads`).
 */
const GATHERED_COST = 6;

/** The most logits held at a time, and as many gradients: 64 MiB each of float32. */
const MOST_LOGITS = 2 ** 24;

/**
 * If there are more, the size of a chunk of them: its logits and gradients stay in the last cache.
 */
const CHUNK_LOGITS = 2 ** 22;

const ROWS = { trie: "record", nodes: "int", labels: "int" } as const;
const checkLogits = inputCheck("trieLogProb", { logits: "float", ...ROWS });
const checkProjection = inputCheck("trieLogProb", { hidden: "float", head: "weights", ...ROWS });

/**
 * The log-probability of each label among the children of its trie node, and that of the beam-th
 * most probable child: logits (N, V), nodes and labels int32 (N); all outputs (N). A node of -1, or
 * a leaf, is no target: it gives zeros and no gradient.
 *
 * The pruning margin is `logBeta - logProb`: above 0, a beam search of that width prunes the label
 * (Yang et al., arXiv:2601.22925). Both outputs have gradients; losses detach logBeta with
 * `stopGradient`. Under "children" a node with one child gives exactly 0 and no gradient. Among
 * equal logits at the beam-th place the gradient of logBeta goes by token order.
 *
 * A label must be the token of a child of its node. This is not checked: for any other label, or a
 * node that the trie does not have, the results mean nothing.
 *
 * The logits may be given as a {@link Projection}, hidden (N, C) and head (V, C). The results are
 * those of all logits, hidden head^T, but not all of these are computed, for C a multiple of 4:
 * under "children" only those of children where nodes have few children for the size of the
 * vocabulary, and under "vocabulary" a part of the vocabulary at a time where there are more than
 * 2^24 logits (64 MiB of float32). They are then computed again for the gradients.
 *
 * @throws {ShapeError} if nodes or labels are not (N), V does not exceed the trie's largest token,
 * or hidden and head do not fit.
 * @throws {ArgumentError} if beam is not a positive integer or tau below 1e-8.
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
export function trieLogProb(
  logits: Logits,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
  options: TrieLogProbOptions,
): TrieLogProbs {
  checkOptions("apply trieLogProb", options, ["normalization", "tau", "beam"]);
  const { hidden, head } = (logits ?? {}) as Partial<Projection>;
  if (hidden === undefined) checkLogits([logits, trie, nodes, labels]);
  else checkProjection([hidden, head, trie, nodes, labels]);
  if (logits instanceof Tensor) return denseLogProb(logits, trie, nodes, labels, options);
  checkSizes(logits, trie, nodes, labels);
  checkDistribution("apply trieLogProb", options.normalization, options.tau ?? 1);
  const [V, C] = logits.head.shape;
  const fits = logits.hidden.shape[0] * V <= MOST_LOGITS || C % 4 !== 0;
  const gathers = options.normalization === "children" &&
    (!fits || GATHERED_COST * trie.meanChoices <= V && C % 4 === 0);
  if (gathers) return ofChildren(logits, trie, nodes, labels, options);
  if (!fits) return ofVocabulary(logits, trie, nodes, labels, options);
  return denseLogProb(allLogits(logits), trie, nodes, labels, options);
}

/** {@link trieLogProb} of logits that are all there, (N, V). */
export const denseLogProb: Op<
  [logits: Tensor, trie: TrieTable, nodes: Tensor, labels: Tensor, options: TrieLogProbOptions],
  TrieLogProbs
> = defineOp({
  name: "denseLogProb",
  inputs: { logits: "float", trie: "record", nodes: "int", labels: "int", options: "options" },
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
    device.run(trieLogProbForward, buffers, params);
    return { out: { logProb, logBeta, choices }, saved: { saved } };
  },
  backward(dout, { saved }, [logits, trie, nodes, labels, options]): InputGradients {
    return [
      () => { // dz_v = (dlogProb ([v = y] - p_v) + dlogBeta ([v = b] - p_v)) / tau
        const params = paramsOf(logits, trie, nodes, labels, options);
        const { table } = trie;
        const dlogits = logits.device.empty(logits.shape, logits.dtype, "trieLogProb gradient");
        const some = (dout.logProb ?? dout.logBeta) as Tensor;
        const [dlogProb, dlogBeta] = [dout.logProb ?? some, dout.logBeta ?? some];
        logits.device.run(
          trieLogProbBackward,
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
          exampleTrie(d),
          d.tensor(Int32Array.from([0, 1, 2, -1, 3, 0])),
          d.tensor(Int32Array.from([5, 4, 2, 0, 0, 0])),
          { normalization, beam, tau: 1.5 },
        ],
      }))
    ),
});

/** Under "children", from the logits of children alone. */
function ofChildren(
  { hidden, head }: Projection,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
  options: TrieLogProbOptions,
): TrieLogProbs {
  const children = childLogits(hidden, head, trie, nodes); // (N, F)
  const siblings = { ...trie, table: trie.places, maxToken: trie.fanOut - 1 };
  const places = childPlaces(trie, nodes, labels);
  return denseLogProb(children, siblings, nodes, places, { ...options, normalization: "children" });
}

/**
 * Under "vocabulary", in chunks of it. The margin logBeta - logProb is the same as among siblings.
 */
function ofVocabulary(
  logits: Projection,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
  options: TrieLogProbOptions,
): TrieLogProbs {
  const { hidden, head } = logits;
  const { tau = 1, beam } = options;
  const lines = Math.floor(CHUNK_LOGITS / hidden.shape[0] / 64);
  // An odd number of lines: rows a power of two apart would share cache sets.
  const chunk = 64 * Math.max(1, lines - 1 + lines % 2);
  const both = hidden instanceof TrackedTensor && head instanceof TrackedTensor;
  const choices = childCounts(trie, nodes);
  const isTarget = cast(greaterEqual(choices, 1), "float");
  const logProb = mul(vocabularyLogProb(hidden, head, labels, { tau, chunk, both }), isTarget);
  if (beam === undefined) return { logProb, logBeta: fullLike(logProb, 0), choices };
  const among = ofChildren(logits, trie, nodes, labels, options);
  return { logProb, logBeta: add(logProb, sub(among.logBeta, among.logProb)), choices };
}

function paramsOf(
  logits: Tensor,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
  { normalization, tau = 1, beam }: TrieLogProbOptions,
): { N: number; V: number; beam: number; vocabulary: number; tau: number } {
  const [N, V] = logits.shape;
  if (logits.rank !== 2 || V <= trie.maxToken) {
    throw new ShapeError(
      "Cannot apply trieLogProb: logits must be (N, V) with V above the trie's largest token, " +
        `${trie.maxToken}, got ${formatShape(logits.shape)}`,
    );
  }
  checkRows(N, nodes, labels);
  checkDistribution("apply trieLogProb", normalization, tau);
  if (beam !== undefined) checkBeam("apply trieLogProb", beam);
  const places = Math.min(beam ?? 0, trie.fanOut); // no node has more children
  return { N, V, beam: places, vocabulary: normalization === "vocabulary" ? 1 : 0, tau };
}

function checkSizes(
  { hidden, head }: Projection,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
): void {
  const fits = hidden.rank === 2 && head.rank === 2 && hidden.shape[1] === head.shape[1];
  if (!fits || head.shape[0] <= trie.maxToken) {
    throw new ShapeError(
      "Cannot apply trieLogProb: hidden and head must be (N, C) and (V, C) with V above the " +
        `trie's largest token, ${trie.maxToken}, got ${formatShape(hidden.shape)} and ` +
        formatShape(head.shape),
    );
  }
  checkRows(hidden.shape[0], nodes, labels);
}

function checkRows(N: number, nodes: Tensor, labels: Tensor): void {
  for (const [name, { shape, rank }] of Object.entries({ nodes, labels })) {
    if (rank === 1 && shape[0] === N) continue;
    throw new ShapeError(
      `Cannot apply trieLogProb: ${name} must be (${N}), got ${formatShape(shape)}`,
    );
  }
}
