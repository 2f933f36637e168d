/** Every theorem and differential check in 500 random worlds, named by its id; and the runner. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exactWorlds, perturbedLogits } from "../../lab/theorems/generators.ts";
import { exactTheorems, roundingTheorems } from "../../lab/theorems/index.ts";
import type { Proposition } from "../../lab/theorems/proposition.ts";
import { type Outcome, verifyPropositions } from "../../lab/theorems/runner.ts";
import type { World } from "../../lab/theorems/world.ts";

const items: Proposition<World> = {
  id: "items",
  statement: "one instance an item",
  check: ({ leaves }, tally) => leaves.forEach(() => tally.expect(true, () => "")),
};
const options = { cases: 500, seed: 20261124 };
// All share their worlds: making these costs more than checking them.
const exact = await verifyPropositions(exactWorlds(), [items, ...exactTheorems], options);
const rounding = await verifyPropositions(perturbedLogits(), roundingTheorems, options);
const outcomes = new Map([...exact, ...rounding].map((outcome) => [outcome.id, outcome]));

for (const theorem of [...exactTheorems, ...roundingTheorems]) {
  test(`${theorem.id}: ${theorem.statement}`, () => {
    const outcome = outcomes.get(theorem.id) as Outcome;
    assert.equal(outcome.failures, 0, `${outcome.counterexample}`);
    assert.ok(outcome.instances > 0, "its hypothesis was never true");
    assert.equal(outcome.cases, 500);
  });
}

/** Instances an item in an independent run over 119,397 items of 12,000 random tries. */
const STRENGTH: Readonly<Record<string, number>> = {
  "T1": 34_816 / 119_397,
  "T2": 33_926 / 119_397,
  "T3": 32_547 / 119_397,
  "T4": 11_644 / 119_397,
  "T5: a share of the pool": 112_189 / 119_397,
  "T5: a threshold": 19_538 / 119_397,
  "T6": 23_475 / 119_397,
  "T7: a step that y_<t has reached": 272_030 / 119_397,
  "T9": 29_492 / 119_397,
};

/** The instances of a statement, or of one of its hypotheses, an item. */
function perItem(key: string): number {
  const [id, hypothesis] = key.split(": ");
  const { instances, hypotheses } = outcomes.get(id) as Outcome;
  return (hypothesis ? hypotheses[hypothesis] : instances) / exact[0].instances;
}

test("theorems: the generators are as strong as those the theory was first checked with", () => {
  for (const [key, expected] of Object.entries(STRENGTH)) {
    const ratio = perItem(key) / expected;
    assert.ok(ratio > 0.5 && ratio < 2, `${key}: ${ratio} times the instances an item`);
  }
});

/**
 * The least number of instances of each hypothesis per item, over 500 worlds: about half of those
 * when this was written. A hypothesis that rarely holds tests little.
 */
const FLOORS: Readonly<Record<string, number>> = {
  "T1: more than B siblings at some step": 0.05,
  "T1: never more than B siblings": 0.1,
  "T2: some Delta is above 0": 0.2,
  "T2': T2 does not say so": 0.02,
  "T2': T2 says so": 0.2,
  "T3: something is pruned": 0.1,
  "T3: nothing is pruned": 0.08,
  "T4: something is pruned": 0.03,
  "T4: nothing is pruned": 0.03,
  "T5: a share of the pool": 0.5,
  "T5: a threshold": 0.1,
  "T6: something is pruned": 0.07,
  "T6: nothing is pruned": 0.08,
  "T7: a step that y_<t has reached": 1,
  "T7: at least B siblings": 0.6,
  "T8: B = 1": 0.1,
  "T8: one token": 0.05,
  "T8: room for every level": 0.08,
  "T8: room for every level but the last": 0.2,
  "T9: something is pruned": 0.09,
  "T9: nothing is pruned": 0.08,
  "T13: something is pruned": 0.08,
  "T13: nothing is pruned": 0.07,
  "T13': some entry ahead is wasted": 0.03,
  "T13': none is (T13)": 0.2,
  "T15: B is enough": 0.2,
  "T15: B is too small": 0.03,
  "T14: more than B items": 0.04,
  "T14: at most B items": 0.03,
  "T16: a prefix that it expands": 0.2,
  "T16: a prefix of a round": 0.2,
  "T16: a prefix above the k-th best": 0.1,
  "T16: the list": 0.1,
  "T17: y is missed": 0.3,
  "T17: y is returned": 0.2,
  "T17: the losses": 0.03,
  "S7: B others score as much": 0.5,
  "S7: the loss": 0.07,
  "S8: y is lost": 0.3,
  "S8: the loss": 0.03,
  "T11: a clear verdict": 0.2,
  "T11: clear gaps": 0.04,
};

test("theorems: every hypothesis has its instances, the hard ones too", () => {
  const named = [...exactTheorems, ...roundingTheorems].flatMap(({ id, hypotheses = [] }) =>
    hypotheses.map((name) => `${id}: ${name}`)
  );
  assert.deepEqual(Object.keys(FLOORS).toSorted(), named.toSorted());
  for (const [key, floor] of Object.entries(FLOORS)) {
    assert.ok(perItem(key) > floor, `${key}: ${perItem(key)} instances an item`);
  }
});

test("theorems: a false one fails, with a small counterexample that can be replayed", async () => {
  const wrong: Proposition<World> = {
    ...exactTheorems[0],
    check({ leaves, search }, tally): void {
      for (const y of leaves) tally.expect(search[0].kept.length < 3, () => `item ${y}`);
    },
  };
  const verify = (): Promise<Outcome[]> =>
    verifyPropositions(exactWorlds(), [wrong], { cases: 200, seed: 5 });
  const [first] = await verify();
  assert.ok(first.failures > 0 && first.failures <= first.instances);
  assert.match(
    first.counterexample ?? "",
    /^item \d+ \(seed 5, path [\d:]+\)\nB = 3, .*\n {2}\[0\]/,
  );
  assert.deepEqual(await verify(), [first]);
});

test("theorems: what a check throws is thrown", async () => {
  const broken: Proposition<World> = {
    ...exactTheorems[0],
    check: () => {
      throw new RangeError("broken");
    },
  };
  const verified = verifyPropositions(exactWorlds(), [broken], { cases: 2, seed: 1 });
  await assert.rejects(verified, RangeError);
});
