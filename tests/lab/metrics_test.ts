/** Metrics on hand-made cases. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import {
  attribute,
  certifiesTop,
  hitRate,
  ndcg,
  share,
  standardError,
  survivalCurve,
  vacuousShares,
} from "../../lab/evaluate/metrics.ts";
import { margins } from "../../lab/analysis/pruning.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import type { BeamResult } from "../../models/decode/results.ts";
import { Trie } from "../../models/decode/trie.ts";

const close = (a: number, b: number): void =>
  assert.ok(Math.abs(a - b) < 1e-12, `${a} is not ${b}`);

test("metrics: HR counts ranks below k", () => {
  const ranks = [0, 4, 5, 9, 10, -1];
  close(hitRate(ranks, 1), 1 / 6);
  close(hitRate(ranks, 5), 2 / 6);
  close(hitRate(ranks, 10), 4 / 6);
  assert.equal(hitRate([], 10), 0);
});

test("metrics: NDCG discounts by rank", () => {
  close(ndcg([0], 10), 1);
  close(ndcg([2], 10), 1 / 2);
  close(ndcg([6, -1, 2], 10), (1 / 3 + 1 / 2) / 3);
  close(ndcg([6, -1, 2], 5), 1 / 6);
  assert.equal(ndcg([], 10), 0);
});

test("metrics: a share of nothing is 0; the standard error of a share", () => {
  assert.equal(share(0, 0), 0);
  assert.equal(share(1, 4), 0.25);
  close(standardError(0.1, 900), 0.01);
  assert.equal(standardError(0, 0), 0);
});

test("metrics: survival curve", () => {
  // Two targets retrieved, one lost at each of the steps 1, 2 and 3.
  assert.deepEqual(survivalCurve([0, 1, 2, 3, 0], 3), [0.8, 0.6, 0.4]);
  assert.deepEqual(survivalCurve([0], 2), [1, 1]);
});

test("metrics: where the local condition is vacuous", () => {
  const shares = vacuousShares([[12, 10, 1], [3, 11], [11]], 10, 4);
  assert.deepEqual(shares, [1 / 3, 1 / 2, 1, NaN]); // no path has a fourth token
});

test("metrics: a list is certified if its last entry beats everything pruned", () => {
  const result = (bestPruned: number): BeamResult => ({
    ranking: [-1, -2, -3].map((logProb, i) => ({ leaf: i + 1, items: [i], logProb })),
    steps: [],
    bestPruned,
  });
  assert.equal(certifiesTop(result(-2.5), 2), true);
  assert.equal(certifiesTop(result(-2.5), 3), false);
  assert.equal(certifiesTop(result(-2), 2), false);
  assert.equal(certifiesTop(result(-Infinity), 5), true);
  assert.equal(certifiesTop(result(-9), 5), false);
});

/** Conditional probabilities by path, as logits; a token that is not named has none. */
type Model = Readonly<Record<string, readonly number[]>>;

/** What became of an item under a model given by its conditional probabilities. */
function fate(
  paths: readonly (readonly number[])[],
  model: Model,
  item: number,
  beam: number,
  excluded: readonly number[] = [],
): string {
  const trie = new Trie(paths);
  const logits = (path: readonly number[]): Float64Array =>
    Float64Array.from(model[path.join()] ?? [1, 1, 1, 1], Math.log);
  const { steps } = referenceBeamSearch(trie, logits, { beam, excluded });
  const leaf = trie.leafOf[item];
  const blocked = new Set(trie.blockedNodes(excluded));
  const found = attribute(trie, leaf, {
    steps,
    margins: blocked.has(leaf) ? [] : margins(trie, leaf, logits, { beam, blocked }),
    beam,
    rounding: 2 ** -48,
  });
  return found === undefined ? "retrieved" : `${found.cause} at ${found.step}`;
}

test("metrics: a violated margin", () => {
  // The third child of 0 is not among the best two of its siblings.
  const paths = [[0, 0], [0, 1], [0, 2], [1, 0]];
  const model = { "": [0.9, 0.1], "0": [0.5, 0.3, 0.2] };
  assert.equal(fate(paths, model, 2, 2), "violation at 2");
  assert.equal(fate(paths, model, 1, 2), "retrieved");
  assert.equal(fate(paths, model, 0, 1), "retrieved");
});

test("metrics: a violation counts wherever it is, even after the loss", () => {
  // Under 2, lost at step 1 already, the third child violates; so does 1 itself at width 1.
  const paths = [[0, 0], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]];
  const model = { "": [0.5, 0.4, 0.1], "2": [0.5, 0.3, 0.2] };
  assert.equal(fate(paths, model, 5, 2), "violation at 1");
  assert.equal(fate([[0, 0], [0, 1], [1, 0], [1, 1]], { "": [0.6, 0.4] }, 2, 1), "violation at 1");
});

test("metrics: displacement from elsewhere", () => {
  // T1 holds for 1,0 at width 2, but both places go to the children of 0 (the shape of R2).
  const paths = [[0, 0], [0, 1], [1, 0]];
  const model = { "": [0.8, 0.2], "0": [0.6, 0.4] };
  assert.equal(fate(paths, model, 2, 2), "displacement at 2");
});

test("metrics: an equal score, decided by the order of paths", () => {
  const paths = [[0, 0], [0, 1], [1, 0], [1, 1]];
  const model = { "": [0.5, 0.5], "0": [0.5, 0.5], "1": [0.5, 0.5] };
  assert.equal(fate(paths, model, 2, 2), "tie at 2");
  assert.equal(fate(paths, model, 1, 2), "retrieved");
});

test("metrics: items that ended earlier take the places", () => {
  // Item 0 ends at step 1 and keeps its place; without it 1,1 would be the second of step 2.
  const paths = [[0], [1, 0], [1, 1]];
  const model = { "": [0.5, 0.5], "1": [0.6, 0.4] };
  assert.equal(fate(paths, model, 2, 2), "length at 2");
});

test("metrics: an item that ended loses its place to longer ones", () => {
  // Item 2 ends at step 1 with the second best score; then the children of 0 score .3 each, or .45.
  const paths = [[0, 0], [0, 1], [1]];
  assert.equal(fate(paths, { "": [0.6, 0.4], "0": [0.5, 0.5] }, 2, 2), "retrieved");
  assert.equal(fate(paths, { "": [0.9, 0.1], "0": [0.5, 0.5] }, 2, 2), "length at 2");
});

test("metrics: an excluded item is absent", () => {
  const paths = [[0, 0], [0, 1], [1, 0]];
  assert.equal(fate(paths, {}, 0, 3, [0]), "absent at 2");
  assert.equal(fate(paths, {}, 2, 3, [2]), "absent at 1");
  assert.equal(fate(paths, {}, 1, 3, [2]), "retrieved");
});

test("metrics: attribution needs a trace", () => {
  const trie = new Trie([[0], [1]]);
  const { steps } = referenceBeamSearch(trie, () => [1, 0], { beam: 1 });
  const bare = steps.map(({ pool: _, ...step }) => step);
  assert.throws(
    () => attribute(trie, trie.leafOf[1], { steps: bare, margins: [], beam: 1, rounding: 0 }),
    ArgumentError,
  );
});
