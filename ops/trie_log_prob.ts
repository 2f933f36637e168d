import { ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { childLogits, childPlaces } from "./child_logits.ts";
import { denseLogProb } from "./dense_log_prob.ts";
import { allLogits, type Logits, type Projection } from "./logits.ts";
import type { TrieLogProbOptions, TrieLogProbs, TrieTable } from "./trie_options.ts";

export * from "./trie_options.ts";

/**
 * What a child's logit costs when it is computed alone, in logits of a matrix product: two to three on the cpu, six on llvmpipe
 * (`deno task bench --only heads`).
 */
const GATHERED_COST = 6;

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
 * a node), where nodes have few children for the size of the vocabulary.
 *
 * @throws {ShapeError} if nodes or labels are not (N), V does not exceed the trie's largest token, or hidden and head do not fit.
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
export function trieLogProb(
  logits: Logits,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
  options: TrieLogProbOptions,
): TrieLogProbs {
  if (logits instanceof Tensor) return denseLogProb(logits, trie, nodes, labels, options);
  checkProjection(logits, trie);
  const [V, C] = logits.head.shape;
  const gathers = options.normalization === "children" && C % 4 === 0 &&
    GATHERED_COST * trie.meanChoices <= V;
  if (!gathers) return denseLogProb(allLogits(logits), trie, nodes, labels, options);
  const children = childLogits(logits.hidden, logits.head, trie, nodes); // (N, F)
  const siblings = { ...trie, table: trie.places, maxToken: trie.fanOut - 1 };
  return denseLogProb(children, siblings, nodes, childPlaces(trie, nodes, labels), options);
}

function checkProjection({ hidden, head }: Projection, trie: TrieTable): void {
  const fits = hidden.rank === 2 && head.rank === 2 && hidden.shape[1] === head.shape[1];
  if (!fits || head.shape[0] <= trie.maxToken) {
    throw new ShapeError(
      `Cannot trieLogProb of hidden states of shape ${
        formatShape(hidden.shape)
      } by a head of shape ` +
        `${
          formatShape(head.shape)
        }: they must be (N, C) and (V, C) with V above the trie's largest ` +
        `token, ${trie.maxToken}`,
    );
  }
}
