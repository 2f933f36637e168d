import { checkOptions, inputCheck } from "../core/checks.ts";
import { ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import { TrackedTensor } from "../core/tape.ts";
import { Tensor } from "../core/tensor.ts";
import { childLogits } from "./child_logits.ts";
import { childCounts, childPlaces } from "./child_places.ts";
import { add, mul, sub } from "./binary.ts";
import { greaterEqual } from "./compare.ts";
import { fullLike } from "./fill.ts";
import { denseLogProb } from "./dense_log_prob.ts";
import { allLogits, type Logits, type Projection } from "./logits.ts";
import { cast } from "./select.ts";
import {
  checkDistribution,
  type TrieLogProbOptions,
  type TrieLogProbs,
  type TrieTable,
} from "./trie_options.ts";
import { vocabularyLogProb } from "./vocabulary_log_prob.ts";

export * from "./trie_options.ts";

/**
 * What a child's logit costs when it is computed alone, in logits of a matrix product: two to three on the cpu, six to eight on llvmpipe
 * (`deno task bench --only heads`).
 */
const GATHERED_COST = 6;

/** The most logits that are there at a time, and as many gradients of them: 64 MiB each of float32. */
const MOST_LOGITS = 2 ** 24;

/** Of more, so many are there at a time, and as many gradients of them: they stay in the last cache. */
const CHUNK_LOGITS = 2 ** 22;

const ROWS = { trie: "record", nodes: "int", labels: "int" } as const;
const checkLogits = inputCheck("trieLogProb", { logits: "float", ...ROWS });
const checkProjection = inputCheck("trieLogProb", { hidden: "float", head: "weights", ...ROWS });

/**
 * The log-probability of each label among the children of its trie node, and that of the beam-th most probable child:
 * logits (N, V), nodes and labels int32 (N); all outputs (N). A node of -1, or a leaf, is no target: zeros, no gradient.
 * A label must be the token of a child of its node; that is not checked, and for any other label, or a node that the trie
 * does not have, the results mean nothing. The pruning margin is `logBeta - logProb`: above 0, a beam search of
 * that width prunes the label. Both have gradients; losses detach logBeta with `stopGradient`. Under "children" a node with
 * one child gives exactly 0 and no gradient. Among equal logits at the beam-th place the gradient of logBeta goes by token
 * order. The margin is that of Yang et al., arXiv:2601.22925.
 *
 * Where the logits are given as a {@link Projection}, hidden (N, C) and head (V, C), the results are those of all logits,
 * hidden head^T, but these are not made where that can be saved: under "children" the logits of children alone, (N, most children of
 * a node), where nodes have few children for the size of the vocabulary; and of more than 2^24 (64 MiB of float32) under
 * "vocabulary" a part of the vocabulary at a time, made again for the gradients. Both for C a multiple of 4.
 *
 * @throws {ShapeError} if nodes or labels are not (N), V does not exceed the trie's largest token, or hidden and head do not fit.
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
  checkSizes(logits, trie);
  checkDistribution("trieLogProb", options.normalization, options.tau ?? 1);
  const [V, C] = logits.head.shape;
  const fits = logits.hidden.shape[0] * V <= MOST_LOGITS || C % 4 !== 0;
  const gathers = options.normalization === "children" &&
    (!fits || GATHERED_COST * trie.meanChoices <= V && C % 4 === 0);
  if (fits && !gathers) return denseLogProb(allLogits(logits), trie, nodes, labels, options);
  const given = [logits, trie, nodes, labels, options] as const;
  return gathers ? ofChildren(...given) : ofVocabulary(...given);
}

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

/** Under "vocabulary", in chunks of it. The margin logBeta - logProb is the same as among siblings. */
function ofVocabulary(
  logits: Projection,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
  options: TrieLogProbOptions,
): TrieLogProbs {
  const { hidden, head } = logits;
  const { tau = 1, beam } = options;
  checkRows(logits, nodes, labels);
  const lines = Math.floor(CHUNK_LOGITS / hidden.shape[0] / 64);
  const chunk = 64 * Math.max(1, lines - 1 + lines % 2); // odd: rows a power of two apart would share cache sets
  const both = hidden instanceof TrackedTensor && head instanceof TrackedTensor;
  const choices = childCounts(trie, nodes);
  const isTarget = cast(greaterEqual(choices, 1), "float");
  const logProb = mul(vocabularyLogProb(hidden, head, labels, { tau, chunk, both }), isTarget);
  if (beam === undefined) return { logProb, logBeta: fullLike(logProb, 0), choices };
  const among = ofChildren(logits, trie, nodes, labels, options);
  return { logProb, logBeta: add(logProb, sub(among.logBeta, among.logProb)), choices };
}

function checkRows({ hidden }: Projection, nodes: Tensor, labels: Tensor): void {
  const N = hidden.shape[0];
  for (const [name, { shape, rank }] of Object.entries({ nodes, labels })) {
    if (rank === 1 && shape[0] === N) continue;
    throw new ShapeError(
      `Cannot apply trieLogProb to hidden states of shape ${formatShape(hidden.shape)}: ` +
        `${name} must be of shape (${N}), got ${formatShape(shape)}`,
    );
  }
}

function checkSizes({ hidden, head }: Projection, trie: TrieTable): void {
  const fits = hidden.rank === 2 && head.rank === 2 && hidden.shape[1] === head.shape[1];
  if (!fits || head.shape[0] <= trie.maxToken) {
    throw new ShapeError(
      `Cannot apply trieLogProb to hidden states of shape ${
        formatShape(hidden.shape)
      } by a head of shape ` +
        `${
          formatShape(head.shape)
        }: they must be (N, C) and (V, C) with V above the trie's largest ` +
        `token, ${trie.maxToken}`,
    );
  }
}
