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
  T1: 34_816 / 119_397,
  T2: 33_926 / 119_397,
  T3: 32_547 / 119_397,
  T4: 11_644 / 119_397,
  T5: (112_189 + 19_538) / 119_397,
  T6: 23_475 / 119_397,
  T7: 272_030 / 119_397,
  T9: 29_492 / 119_397,
};

test("theorems: the generators are as strong as those the theory was first checked with", () => {
  for (const [id, expected] of Object.entries(STRENGTH)) {
    const ratio = (outcomes.get(id)?.instances ?? 0) / exact[0].instances / expected;
    assert.ok(ratio > 0.5 && ratio < 2, `${id}: ${ratio} times the instances an item`);
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
