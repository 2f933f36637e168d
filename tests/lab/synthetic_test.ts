/** The synthetic shop: its shape, its determinism, and whether its oracle tells the truth. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import {
  type Dataset,
  distinctPaths,
  evaluationCases,
  type UserHistory,
} from "../../lab/data/dataset.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import { Trie } from "../../models/decode/trie.ts";

const shop = synthetic();

/** The users of a data set, with all of their items. */
function usersOf({ test }: Dataset): UserHistory[] {
  return test.map(({ id, history, target }) => ({ id, items: [...history, target] }));
}

test("synthetic: sizes and titles", () => {
  assert.equal(shop.items.length, 400);
  assert.equal(usersOf(shop).length, 1500);
  assert.equal(distinctPaths(shop), 400);
  assert.equal(new Set(shop.tokens).size, shop.tokens.length);
  const end = shop.tokens.indexOf("<end>");
  const lengths = new Set<number>();
  shop.paths.forEach((path, item) => {
    assert.equal(path.at(-1), end);
    assert.ok(!path.slice(0, -1).includes(end));
    assert.equal(path.slice(0, -1).map((t) => shop.tokens[t]).join(" "), shop.titles?.[item]);
    lengths.add(path.length);
  });
  assert.deepEqual([...lengths].sort(), [3, 4, 5, 6]);
});

test("synthetic: some titles begin others, and first words are fewer than items", () => {
  const titles = new Set(shop.titles);
  const begun = [...titles].filter((title) =>
    [...titles].some((other) => other.startsWith(title + " "))
  );
  assert.ok(begun.length > 20, `${begun.length}`);
  const { fanOuts } = new Trie(shop.paths);
  assert.ok(fanOuts[0] > 40 && fanOuts[0] < 120, `${fanOuts[0]}`);
});

test("synthetic: histories fit 20 items and nothing is taken twice", () => {
  for (const { items } of usersOf(shop)) {
    assert.ok(items.length >= 6 && items.length <= 14);
    assert.equal(new Set(items).size, items.length);
  }
});

test("synthetic: the seed decides everything, and fewer users are the first ones", () => {
  const again = synthetic({ seed: 0, users: 40 });
  assert.deepEqual(again.titles, shop.titles);
  assert.deepEqual(usersOf(again), usersOf(shop).slice(0, 40));
  const other = synthetic({ seed: 1, users: 40 });
  assert.notDeepEqual(other.titles, shop.titles);
  assert.notDeepEqual(usersOf(other), usersOf(again));
});

test("synthetic: the same data in every runtime", () => {
  assert.equal(shop.titles?.[399], "Golra notebook Comet double white");
  assert.deepEqual(usersOf(shop)[1499].items, [269, 313, 0, 399, 356, 148, 94, 365]);
});

test("synthetic: the oracle gives a distribution that excludes the history", () => {
  for (const { history } of evaluationCases(shop, "test", 20, 50)) {
    const p = shop.oracle!(history);
    assert.ok(Math.abs(p.reduce((sum, x) => sum + x, 0) - 1) < 1e-12);
    p.forEach((x, item) => assert.equal(x > 0, !history.includes(item)));
  }
});

/**
 * If p is the truth, the squared deviation of counts from their expectation, summed over bins as
 * (count - expected)^2 / expected, is about the number of bins. The bins are ranks under p, so the
 * expectation differs from user to user and the variance of a bin is below its expectation.
 */
function chiSquare(dataset: Dataset, truth: (history: readonly number[]) => Float64Array): {
  statistic: number;
  bins: number;
} {
  const edges = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 400];
  const expected = new Float64Array(edges.length);
  const counts = new Float64Array(edges.length);
  for (const { items } of usersOf(dataset).slice(0, 220)) {
    for (let t = 0; t < items.length; t++) {
      const p = truth(items.slice(0, t));
      const order = [...p.keys()].sort((i, j) => p[j] - p[i]);
      let rank = 0;
      edges.forEach((edge, bin) => {
        for (; rank < edge; rank++) {
          expected[bin] += p[order[rank]];
          if (order[rank] === items[t]) counts[bin]++;
        }
      });
    }
  }
  return {
    statistic: counts.reduce((sum, n, bin) => sum + (n - expected[bin]) ** 2 / expected[bin], 0),
    bins: edges.length,
  };
}

test("synthetic: what users do agrees with the oracle", () => {
  const { statistic, bins } = chiSquare(shop, shop.oracle!);
  assert.ok(statistic < bins + 3 * Math.sqrt(2 * bins), `chi-square ${statistic} on ${bins} bins`);
});

test("synthetic: the same check refutes an oracle that forgets all but the last item", () => {
  const { statistic, bins } = chiSquare(shop, (history) => shop.oracle!(history.slice(-1)));
  assert.ok(statistic > 2 * (bins + 3 * Math.sqrt(2 * bins)), `chi-square ${statistic}`);
});

test("synthetic: next-item frequencies after one item agree with the oracle", () => {
  const many = synthetic({ users: 6000 });
  const users = usersOf(many);
  const first = new Float64Array(400);
  for (const { items } of users) first[items[0]]++;
  const item = first.indexOf(Math.max(...first));
  const p = many.oracle!([item]);
  const n = first[item];
  const seen = new Float64Array(400);
  for (const { items } of users) if (items[0] === item) seen[items[1]]++;
  const likely = [...p.keys()].filter((j) => n * p[j] >= 5);
  const statistic = likely.reduce((sum, j) => sum + (seen[j] - n * p[j]) ** 2 / (n * p[j]), 0);
  assert.ok(likely.length >= 4, `${likely.length} items are likely enough to be counted`);
  assert.ok(
    statistic < likely.length + 3 * Math.sqrt(2 * likely.length),
    `chi-square ${statistic} on ${likely.length} items`,
  );
});

test("synthetic: arguments out of range", () => {
  for (const options of [{ items: 50 }, { items: 100.5 }, { users: 0 }]) {
    assert.throws(() => synthetic(options), ArgumentError);
  }
  for (const history of [[3, 3], [400], [-1]]) {
    assert.throws(() => shop.oracle!(history), ArgumentError);
  }
});
