/**
 * Scores of the children of prefixes, on the device.
 *
 * @module
 */
import { Tensor } from "../../core/tensor.ts";
import { poolScores } from "../../kernels/beam_pool.ts";
import { childLogProbs, pickChildren } from "../../kernels/child_log_probs.ts";
import { childLogits, childLogitsHalf } from "../../kernels/child_logits.ts";
import type { Normalization, TrieTable } from "../../ops/trie_log_prob.ts";
import { allLogits, type Logits, type Projection } from "./decoder.ts";
import type { DeviceTrie } from "./trie.ts";

/**
 * A logit that is computed alone takes at most this many times as long as one of a whole product.
 */
const GATHERED_COST = 8;

/**
 * Whether {@link childrenOf} supports these hidden states: the kernel reads four numbers at a time.
 */
export function isGatherable({ hidden }: Projection): boolean {
  return hidden.shape[1] % 4 === 0;
}

/**
 * The logits of the children of each node, in their order: nodes int32 (R), out (R, F) with zeros
 * behind the last child. F must be at least the number of children of any node. The hidden state of
 * row r is row `place[r]`. A row with a place or a node of -1 has none, and its output is
 * undefined.
 */
export function childrenOf(
  { hidden, head }: Projection,
  { table }: TrieTable,
  nodes: Tensor,
  place: Tensor,
  F: number,
): Tensor {
  const { device } = hidden;
  const out = device.empty([nodes.size, F], device.float, "child logits");
  const kernel = head.dtype === "float16" ? childLogitsHalf : childLogits;
  const sizes = { R: nodes.size, F, C: hidden.shape[1] };
  device.run(kernel, { hidden, head, table, nodes, place, out }, sizes);
  return out;
}

/** Prefixes of U users, W rows each: R = U W. */
export interface ScoredRows {
  /** int32 (R): their nodes, -1 for none. */
  readonly nodes: Tensor;
  /** (R): their log-probabilities. */
  readonly scores: Tensor;
  /** Logits of some of them. */
  readonly logits: Logits;
  /** int32 (R): the place of each in the logits, -1 without logits. */
  readonly place: Tensor;
  /** int32 (U, E): each user's blocked nodes, ascending, padded with NO_NODE. */
  readonly blocked: Tensor;
}

/** Scores children over a trie. */
export class ChildScores {
  readonly #trie: DeviceTrie;
  readonly #normalization: Normalization;
  readonly #tau: number;

  /** Scores under a normalisation and a temperature. */
  constructor(
    trie: DeviceTrie,
    { normalization, tau }: { readonly normalization: Normalization; readonly tau: number },
  ) {
    this.#trie = trie;
    this.#normalization = normalization;
    this.#tau = tau;
  }

  /** Whether the logits of the at most F children of each row are computed alone. */
  gathers(logits: Logits, F: number): logits is Projection {
    if (logits instanceof Tensor || this.#normalization === "vocabulary") return false;
    return isGatherable(logits) && GATHERED_COST * F <= logits.head.shape[0];
  }

  /**
   * Scores the at most F children of each row: pool (U, W F); mass and number of entries by row,
   * (R).
   */
  poolOf(
    { nodes, scores, logits, place, blocked }: ScoredRows,
    F: number,
  ): { readonly pool: Tensor; readonly mass: Tensor; readonly count: Tensor } {
    const { trie: { nodeCount }, table } = this.#trie;
    const { device } = table;
    const [U, E] = blocked.shape;
    const R = nodes.size;
    const W = R / U;
    const pool = device.empty([U, W * F], device.float, "beam pool");
    const mass = device.empty([R], device.float, "beam mass");
    const count = device.empty([R], "int32", "beam count");
    const rows = this.#childrenIn(logits, nodes, place, F);
    const normalized = this.#normalization === "vocabulary" ? 1 : 0;
    device.run(
      poolScores,
      { logits: rows, table, nodes, scores, blocked, pool, mass, count },
      { R, W, F, E, edges: nodeCount - 1, normalized, tau: this.#tau },
    );
    return { pool, mass, count };
  }

  /** Logits of each node's children, (R, F); under "vocabulary" log-probabilities. */
  #childrenIn(logits: Logits, nodes: Tensor, place: Tensor, F: number): Tensor {
    if (this.gathers(logits, F)) return childrenOf(logits, this.#trie, nodes, place, F);
    const { table } = this.#trie;
    const { device } = table;
    const rows = allLogits(logits);
    const sizes = { R: nodes.size, F, V: rows.shape[1] };
    const out = device.empty([nodes.size, F], device.float, "children");
    const buffers = { logits: rows, table, nodes, place, out };
    if (this.#normalization === "children") device.run(pickChildren, buffers, sizes);
    else device.run(childLogProbs, buffers, { ...sizes, tau: this.#tau });
    return out;
  }
}
