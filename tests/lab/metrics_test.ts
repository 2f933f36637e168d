/** Metrics on hand-made cases. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import {
  hitRate,
  ndcg,
  share,
  standardError,
  survivalCurve,
  vacuousShares,
} from "../../lab/evaluate/metrics.ts";
import { certifiesTop } from "../../lab/analysis/certificates.ts";
import { attribute, margins } from "../../lab/analysis/pruning.ts";
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
    rows: 0,
  });
  assert.equal(certifiesTop(result(-2.5), 2), true);
  assert.equal(certifiesTop(result(-2.5), 3), false);
  assert.equal(certifiesTop(result(-2), 2), false);
  assert.equal(certifiesTop(result(-Infinity), 5), true);
  assert.equal(certifiesTop(result(-9), 5), false);
});

type Paths = readonly (readonly number[])[];

/** Conditional probabilities by path; a path that is not named has equal ones. */
type Model = Readonly<Record<string, readonly number[]>>;

/** What became of an item under a model given by its conditional probabilities. */
function fate(
  paths: Paths,
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

const THREE: Paths = [[0, 0], [0, 1], [1, 0]];
const FOUR: Paths = [[0, 0], [0, 1], [1, 0], [1, 1]];
/** The third child of 0 is not among the best two of its siblings. */
const SIBLINGS: Paths = [[0, 0], [0, 1], [0, 2], [1, 0]];
const THIRD: Model = { "": [0.9, 0.1], "0": [0.5, 0.3, 0.2] };
/** Under 2, which is lost at step 1 already, the third child violates. */
const LATE: Paths = [[0, 0], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]];
const EVEN: Model = { "": [0.5, 0.5], "0": [0.5, 0.5], "1": [0.5, 0.5] };
/** Item 0 ends at step 1 and keeps its place; without it 1,1 would be the second of step 2. */
const SHORT: Paths = [[0], [1, 0], [1, 1]];
/**
 * Item 2 ends at step 1 with the second best score; then the children of 0 score .3 each, or .45.
 */
const LOSER: Paths = [[0, 0], [0, 1], [1]];

const FATES: readonly (readonly [string, Paths, Model, item: number, beam: number, string])[] = [
  ["a violated margin", SIBLINGS, THIRD, 2, 2, "violation at 2"],
  ["the second of its siblings", SIBLINGS, THIRD, 1, 2, "retrieved"],
  ["the best", SIBLINGS, THIRD, 0, 1, "retrieved"],
  [
    "a violation after the loss",
    LATE,
    { "": [0.5, 0.4, 0.1], "2": [0.5, 0.3, 0.2] },
    5,
    2,
    "violation at 1",
  ],
  ["a violation at width 1", FOUR, { "": [0.6, 0.4] }, 2, 1, "violation at 1"],
  // T1 holds for 1,0 at width 2, but both places go to the children of 0 (the shape of R2).
  ["displacement", THREE, { "": [0.8, 0.2], "0": [0.6, 0.4] }, 2, 2, "displacement at 2"],
  ["an equal score, decided by the order of paths", FOUR, EVEN, 2, 2, "tie at 2"],
  ["a score lower by rounding", FOUR, { ...EVEN, "": [0.5, 0.5 - 2 ** -51] }, 2, 2, "tie at 2"],
  ["an equal score that comes first", FOUR, EVEN, 1, 2, "retrieved"],
  [
    "an item that ended took the place",
    SHORT,
    { "": [0.5, 0.5], "1": [0.6, 0.4] },
    2,
    2,
    "length at 2",
  ],
  [
    "an item that ended keeps its place",
    LOSER,
    { "": [0.6, 0.4], "0": [0.5, 0.5] },
    2,
    2,
    "retrieved",
  ],
  ["an item that ended loses it", LOSER, { "": [0.9, 0.1], "0": [0.5, 0.5] }, 2, 2, "length at 2"],
];

for (const [what, paths, model, item, beam, expected] of FATES) {
  test(`metrics: ${what} is ${expected}`, () => {
    assert.equal(fate(paths, model, item, beam), expected);
  });
}

test("metrics: an excluded item is absent", () => {
  assert.equal(fate(THREE, {}, 0, 3, [0]), "absent at 2");
  assert.equal(fate(THREE, {}, 2, 3, [2]), "absent at 1");
  assert.equal(fate(THREE, {}, 1, 3, [2]), "retrieved");
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
