/**
 * What some losses need beside a batch: negatives of some targets, or thresholds of beam searches
 * for some.
 *
 * @module
 */
import type { HostTensor } from "../../core/capture.ts";
import { foldIn, type Key, keyOf, uniform } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import { MASKED } from "../../kernels/masked.ts";
import { branchesAfterEach, hiddenWithBranches } from "../../models/branches.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import type { DeviceTrie, Trie } from "../../models/decode/trie.ts";
import { lossFlags } from "../../models/losses/index.ts";
import type { LossNeeds, Negatives } from "../../models/losses/loss.ts";
import type { Transformer, TransformerParams } from "../../models/transformer.ts";
import { concat } from "../../ops/concat.ts";
import { reshape, slice } from "../../ops/layout.ts";
import { take } from "../../ops/take.ts";
import { BOS } from "../data/dataset.ts";
import type { Batch } from "../data/batches.ts";
import type { Recipe } from "./recipe.ts";

/**
 * The negatives of a batch of W windows of T tokens, K a window. D is the length of the longest
 * path. The model reads L = max(D - 1, 1) tokens of a negative.
 */
export type NegativeInputs = {
  /** int32 (W, K L): the tokens that the model reads. A negative is a branch of its window. */
  readonly negativeTokens: HostTensor;
  readonly negativePositions: HostTensor; // int32 (W, K L): their positions
  /** Float (W, T): 0 for the tokens that negatives continue, `MASKED` for those after them. */
  readonly negativeMask: HostTensor;
  /**
   * int32 (W K D): the row that predicts a negative's token. Rows below W T are those of the
   * windows, rows from W T on those of the branches (W K L), or of the chains if all codes are
   * predicted at once.
   */
  readonly negativeRows: HostTensor;
  readonly negativeNodes: HostTensor; // int32 (W K D): `nodes` of `Negatives`
  readonly negativeLabels: HostTensor; // int32 (W K D): `labels` of `Negatives`
  readonly negativeTargets: HostTensor; // int32 (W D): `rows` of `Negatives`
  readonly negativeScales: HostTensor; // float (W, K, D): `logScales` of `Negatives`
};

/** What a loss is fed beside a batch. `thresholds`, float (N), are those of `Targets`. */
export type LossInputs = Partial<NegativeInputs> & { readonly thresholds?: HostTensor };

/**
 * A function that gives a loss what it needs beside batch `number` in step `step`, both counted
 * from 1. Most losses need nothing. `search` is needed for thresholds: it searches in the first
 * step and in every `searchEvery`-th after it. `isParallel` is for models that predict all codes of
 * an item at once.
 */
export function lossFeed(
  needs: LossNeeds,
  {
    seed,
    negatives = lossFlags.negatives.default,
    searchEvery = lossFlags.searchEvery.default,
  }: Pick<Recipe, "seed" | "negatives" | "searchEvery">,
  trie: Trie,
  search: BeamSearch | undefined,
  isParallel: boolean = false,
): (batch: Batch, number: number, step: number) => Promise<LossInputs> {
  const base = foldIn(keyOf(seed), 3); // 0 draws a transformer, 1 its dropout, 2 an adapter
  const K = Math.max(1, Math.min(negatives, trie.leafCount - 1)); // at most all other items
  return async (batch, number, step) => {
    if (!needs.negatives && !needs.thresholds) return {};
    const key = foldIn(base, number);
    const chosen = chooseTargets(batch, trie, foldIn(key, 0));
    const now = (step - 1) % searchEvery === 0 ? search : undefined;
    return {
      ...(needs.negatives && negativeInputs(batch, chosen, trie, K, foldIn(key, 1), isParallel)),
      ...(needs.thresholds && { thresholds: await thresholdInput(batch, chosen, trie, now) }),
    };
  };
}

/**
 * The search for thresholds: with the loss's beam width and temperature, on the present weights.
 */
export function searchOf(
  decoder: Decoder,
  trie: DeviceTrie,
  { beam, tau }: Pick<Recipe, "beam" | "tau">,
): BeamSearch {
  return new BeamSearch(decoder, trie, { beam, tau, normalization: "children" });
}

/**
 * The hidden states of all places of a batch of W windows of T tokens, (W T, C) and those of its
 * chains, and the negatives if it has {@link NegativeInputs}.
 */
export function hiddenOf(
  model: Transformer,
  weights: TransformerParams,
  batch:
    & { readonly tokens: Tensor; readonly chains?: Tensor; readonly key?: Tensor }
    & {
      readonly [K in keyof NegativeInputs]?: Tensor;
    },
): { readonly hidden: Tensor; readonly negatives?: Negatives } {
  const { tokens, chains, key, negativeTokens } = batch;
  const { dim, codeHeads } = model.config;
  const [, T] = tokens.shape;
  const sets = chains && !codeHeads ? [branchesAfterEach(chains, T)] : [];
  const all = batch as { readonly [K in keyof NegativeInputs]: Tensor };
  if (negativeTokens && !codeHeads) {
    const [W, K] = all.negativeScales.shape;
    sets.push({
      tokens: negativeTokens,
      positions: all.negativePositions,
      mask: reshape(all.negativeMask, [W, 1, T]),
      length: negativeTokens.shape[1] / K,
    });
  }
  const found = hiddenWithBranches(model, weights, tokens, sets, key);
  const rowsOf = (...parts: readonly Tensor[]): Tensor => {
    const flat = parts.map((x) => reshape(x, [-1, dim]));
    return flat.length === 1 ? flat[0] : concat(flat, 0);
  };
  const [first, last] = [found.branches[0], found.branches[sets.length - 1]];
  const hidden = codeHeads
    ? headsInTurn(model.codeStates(weights, rowsOf(found.rows)))
    : chains
    ? rowsOf(found.rows, first)
    : rowsOf(found.rows);
  if (!negativeTokens) return { hidden };
  const both = codeHeads
    ? hidden
    : all.negativeScales.shape[2] === 1
    ? rowsOf(found.rows)
    : rowsOf(found.rows, last);
  return {
    hidden,
    negatives: {
      logits: { hidden: take(both, all.negativeRows), head: weights.head ?? weights.embed },
      nodes: all.negativeNodes,
      labels: all.negativeLabels,
      rows: all.negativeTargets,
      logScales: all.negativeScales,
    },
  };
}

/** States (N, heads, C) as (N heads, C): those of the first head, then the others of each n. */
function headsInTurn(states: Tensor): Tensor {
  const [N, heads, C] = states.shape;
  const part = (from: number, to: number): Tensor =>
    reshape(slice(states, [0, from, 0], [N, to, C]), [N * (to - from), C]);
  return heads === 1 ? part(0, 1) : concat([part(0, 1), part(1, heads)], 0);
}

/** A target of a batch. */
export type ChosenTarget = {
  readonly window: number; // 0 to W - 1
  readonly row: number; // the row of the batch with its first token
  readonly history: readonly number[]; // the tokens that the model reads before its first token
  readonly leaf: number;
};

/** A target of each window that has any, drawn with `key`. */
export function chooseTargets(
  { tokens, rows, nodes, labels }: Batch,
  trie: Trie,
  key: Key,
): ChosenTarget[] {
  const [W, T] = tokens.shape;
  const starts = Array.from({ length: W }, (): number[] => []);
  nodes.data.forEach((node, row) => {
    if (node === 0) starts[Math.floor(rows.data[row] / T)].push(row);
  });
  const draws = uniform(key, W);
  return starts.flatMap((of, window) => {
    if (of.length === 0) return [];
    const row = of[Math.floor(draws[window] * of.length)];
    let node = 0;
    for (let n = row; trie.childCount(node) > 0; n++) node = trie.child(node, labels.data[n]);
    const history = [...tokens.data.subarray(window * T, rows.data[row] + 1)];
    return [{ window, row, history, leaf: node }];
  });
}

/**
 * Negatives of the chosen targets of a batch: K different leaves of the catalogue each, not the
 * target's, drawn with `key` uniformly over items; fewer if there are not as many. All sizes depend
 * only on the batch's shape.
 */
export function negativeInputs(
  { tokens }: Batch,
  chosen: readonly ChosenTarget[],
  trie: Trie,
  K: number,
  key: Key,
  isParallel: boolean = false,
): NegativeInputs {
  const [W, T] = tokens.shape;
  const D = trie.maxDepth;
  const L = Math.max(D - 1, 1);
  const ints = (
    shape: readonly number[],
    fill: number,
  ): { readonly data: Int32Array; readonly shape: readonly number[] } => ({
    data: new Int32Array(shape.reduce((a, b) => a * b)).fill(fill),
    shape,
  });
  const inputs = {
    negativeTokens: ints([W, K * L], BOS),
    negativePositions: ints([W, K * L], 0),
    negativeMask: { data: new Float64Array(W * T).fill(MASKED), shape: [W, T] },
    negativeRows: ints([W * K * D], 0),
    negativeNodes: ints([W * K * D], -1),
    negativeLabels: ints([W * K * D], 0),
    negativeTargets: ints([W * D], -1),
    negativeScales: { data: new Float64Array(W * K * D).fill(MASKED), shape: [W, K, D] },
  };
  for (const { window, row, history, leaf } of chosen) {
    const own = nodesTo(trie, leaf);
    own.slice(1).forEach((_, t) => inputs.negativeTargets.data[window * D + t] = row + t);
    const negatives = drawLeaves(trie, leaf, K, foldIn(key, window)).map((other) =>
      nodesTo(trie, other)
    );
    inputs.negativeMask.data.fill(0, window * T, window * T + history.length);
    const last = window * T + history.length - 1;
    negatives.forEach((path, k) => {
      const r = window * K + k;
      const rest = W * T + (isParallel ? last : r) * L; // where its later tokens are predicted
      for (let t = 1; t < path.length; t++) { // its t-th token
        const at = r * D + t - 1;
        inputs.negativeRows.data[at] = t === 1 ? last : rest + t - 2;
        inputs.negativeNodes.data[at] = path[t - 1];
        inputs.negativeLabels.data[at] = trie.tokens[path[t]];
        if (t + 1 < path.length) {
          inputs.negativeTokens.data[r * L + t - 1] = trie.tokens[path[t]];
          inputs.negativePositions.data[r * L + t - 1] = history.length + t - 1;
        }
      }
    });
    for (let t = 1; t < own.length; t++) {
      const seen = new Set([own[t]]);
      const counts = negatives.flatMap((path, k) => {
        if (t >= path.length || seen.has(path[t])) return [];
        seen.add(path[t]);
        return [k];
      });
      const scale = Math.log((trie.levelSizes[t] - 1) / counts.length);
      for (const k of counts) inputs.negativeScales.data[(window * K + k) * D + t - 1] = scale;
    }
  }
  return inputs;
}

/** The nodes from the root to a leaf. */
function nodesTo(trie: Trie, leaf: number): number[] {
  const nodes: number[] = [];
  for (let node = leaf; node >= 0; node = trie.parents[node]) nodes.push(node);
  return nodes.reverse();
}

/** At most K different leaves, not `leaf`. */
function drawLeaves(trie: Trie, leaf: number, K: number, key: Key): number[] {
  const drawn = new Set<number>();
  // Nearly every draw from a large catalogue is new. From a small one, a few may be missing.
  for (const u of uniform(key, 4 * K)) {
    const other = trie.leafOf[Math.floor(u * trie.itemCount)];
    if (other !== leaf && drawn.size < K) drawn.add(other);
  }
  return [...drawn];
}

/** Thresholds of a search for the chosen targets of a batch; all `MASKED` without a search. */
export async function thresholdInput(
  { nodes }: Batch,
  chosen: readonly ChosenTarget[],
  trie: Trie,
  search: BeamSearch | undefined,
): Promise<HostTensor> {
  const data = new Float64Array(nodes.data.length).fill(MASKED);
  const found = await search?.search(chosen.map(({ history }) => history)) ?? [];
  found.forEach(({ steps }, i) => {
    const { row, leaf } = chosen[i];
    for (let t = 0; t < trie.depths[leaf]; t++) {
      data[row + t] = Math.max(MASKED, steps[t].threshold); // -Infinity where nothing was pruned
    }
  });
  return { data, shape: nodes.shape };
}
