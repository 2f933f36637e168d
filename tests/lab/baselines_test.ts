/** Baselines: by hand, against brute force, and on real data. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import { bestAttainable, cooccurrence, oracle, popularity } from "../../lab/evaluate/baselines.ts";
import { judgeBaselines } from "../../lab/train/experiment.ts";
import { evaluationCases } from "../../lab/data/dataset.ts";
import { loadSemanticIds } from "../../lab/data/semantic_ids.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import { hitRate } from "../../lab/evaluate/metrics.ts";
import { datasetOf } from "./datasets.ts";

const OFFICE = "../shared/data/office-sid";

const small = datasetOf([[1], [2], [3], [4], [5]], [[0, 1, 2, 3], [1, 2, 4], [1, 0, 3]]);

test("baselines: popularity counts what comes before the targets", () => {
  // Before the test targets: 0 1 2, 1 2, 1 0. Before the validation targets: 0 1, 1, 1.
  assert.deepEqual(popularity(small, "test").rank([], 5), [1, 0, 2, 3, 4]);
  assert.deepEqual(popularity(small, "validation").rank([], 3), [1, 0, 2]);
  assert.deepEqual(popularity(small, "test").rank([1, 3], 2), [1, 0]);
});

test("baselines: popularity without the history", () => {
  const baseline = popularity(small, "test", { excludeHistory: true });
  assert.deepEqual(baseline.rank([1, 3], 2), [0, 2]);
  assert.deepEqual(baseline.rank([0, 1, 2, 3], 5), [4]);
});

test("baselines: co-occurrence by hand", () => {
  // Test: C(0, 1) = 1, C(0, 2) = 1/2, C(1, 2) = 2, C(1, 0) = 1; counts 2 3 2 0 0.
  const baseline = cooccurrence(small, "test", { excludeHistory: true });
  // After 0: 1 scores 1 / sqrt(3 * 4), 2 scores 0.5 / sqrt(3 * 3); the others go by count, then
  // index.
  assert.deepEqual(baseline.rank([0], 5), [1, 2, 3, 4]);
  // After 1: 2 scores 2 / sqrt(4 * 3), 0 scores 1 / sqrt(4 * 3).
  assert.deepEqual(baseline.rank([1], 2), [2, 0]);
  // Nothing followed 2 and 3: by count.
  assert.deepEqual(baseline.rank([2, 3], 5), [1, 0, 4]);
  // With the history, 0 scores 1 / 2 / sqrt(4 * 3) after 1 and 0, and 1 scores 1 / sqrt(3 * 4).
  const whole = cooccurrence(small, "test");
  assert.deepEqual(whole.rank([1, 0], 3), [2, 1, 0]);
  assert.deepEqual(whole.rank([2, 3], 5), [1, 0, 2, 3, 4]);
});

test("baselines: co-occurrence ranks by its formula, faster than maps do", () => {
  const shop = synthetic({ users: 700, items: 1500 });
  const cases = evaluationCases(shop, "test", 20);
  const seconds = (run: () => void): number => {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  const n = new Array<number>(shop.items.length).fill(0);
  const together = n.map(() => new Map<number, number>());
  for (const items of shop.known("test")) {
    items.forEach((item, p) => {
      n[item]++;
      items.slice(p + 1, p + 6).forEach((later, gap) => {
        together[item].set(later, (together[item].get(later) ?? 0) + 1 / (gap + 1));
      });
    });
  }
  const plain: number[][] = [];
  const slow = seconds(() => {
    for (const { history } of cases) {
      const scores = new Map<number, number>();
      history.forEach((item, i) => {
        const weight = 1 / (history.length - i) / Math.sqrt(1 + n[item]);
        for (const [later, sum] of together[item]) {
          const share = (weight * sum) / Math.sqrt(1 + n[later]);
          scores.set(later, (scores.get(later) ?? 0) + share);
        }
      });
      for (const item of history) scores.delete(item);
      const score = (item: number): number => scores.get(item) as number;
      const order = [...scores.keys()].sort((i, j) => score(j) - score(i) || n[j] - n[i] || i - j);
      plain.push(order.slice(0, 10));
    }
  });
  const baseline = cooccurrence(shop, "test", { excludeHistory: true });
  const found: number[][] = [];
  const fast = seconds(() => {
    for (const { history } of cases) found.push(baseline.rank(history, 10));
  });
  assert.deepEqual(found.map((list, i) => list.slice(0, plain[i].length)), plain);
  assert.ok(fast < slow / 2, `${fast} s, plain maps ${slow} s`);
});

test("baselines: the oracle ranks by the true probabilities", () => {
  const p = Float64Array.of(0.1, 0.4, 0.2, 0.3, 0);
  const dataset = { ...small, oracle: (): Float64Array => p.slice() };
  assert.deepEqual(oracle(dataset).rank([3], 3), [1, 3, 2]);
  assert.deepEqual(oracle(dataset, { excludeHistory: true }).rank([3], 3), [1, 2, 0]);
  const cases = evaluationCases(dataset, "test", 20);
  assert.ok(Math.abs(bestAttainable(dataset, cases, 2) - 0.7) < 1e-12);
  assert.ok(Math.abs(bestAttainable(dataset, cases, 9) - 1) < 1e-12);
  assert.throws(() => oracle(small), ArgumentError);
  assert.throws(() => bestAttainable(small, cases, 2), ArgumentError);
});

test("baselines: on synthetic data the order is popularity, co-occurrence, oracle", () => {
  const users = 700;
  const shop = synthetic({ users });
  const cases = evaluationCases(shop, "test", 20);
  const all = [popularity(shop, "test"), cooccurrence(shop, "test"), oracle(shop)];
  const [popular, together, best] = all.map((baseline) =>
    hitRate(cases.map((c) => baseline.rank(c.history, 10).indexOf(c.target)), 10)
  );
  assert.ok(popular + 0.05 < together && together + 0.05 < best, `${popular} ${together} ${best}`);
  // What the oracle reaches is what it expects, within three standard errors.
  assert.ok(Math.abs(best - bestAttainable(shop, cases, 10)) < 3 * Math.sqrt(0.25 / users));
  const setting = { excludeHistory: false, joinValidation: false };
  const [whole, cut] = [20, 2].map((history) => judgeBaselines(shop, { history, ...setting }));
  assert.deepEqual(cut.best, whole.best, "the truth needs the whole history");
  assert.deepEqual(cut.baselines.at(-1), whole.baselines.at(-1));
});

test("baselines: co-occurrence on office-sid reaches HR@10 of about .116", {
  skip: existsSync(OFFICE) ? false : `there is no ${OFFICE}`,
}, () => {
  const office = loadSemanticIds(OFFICE);
  const cases = evaluationCases(office, "test", 20);
  const baseline = cooccurrence(office, "test", { excludeHistory: true });
  const hr = hitRate(cases.map((c) => baseline.rank(c.history, 10).indexOf(c.target)), 10);
  assert.ok(Math.abs(hr - 0.116) < 0.005, `HR@10 ${hr}`);
});
