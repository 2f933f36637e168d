/** Every theorem and differential check in 500 random worlds, named by its id. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exactWorlds } from "../../lab/theorems/arbitraries.ts";
import { exactTheorems, stabilityTheorems } from "../../lab/theorems/catalogue.ts";
import type { Proposition } from "../../lab/theorems/proposition.ts";
import { type Outcome, verifyPropositions } from "../../lab/theorems/runner.ts";
import { perturbedLogits } from "../../lab/theorems/stability.ts";
import type { World } from "../../lab/theorems/world.ts";

const options = { cases: 500, seed: 20261124 };

function assertHolds({ id, instances, failures, counterexample }: Outcome): void {
  assert.equal(failures, 0, `${id}: ${counterexample}`);
  assert.ok(instances > 0, `${id}: its hypothesis was never true`);
}

for (const theorem of exactTheorems) {
  test(`${theorem.id}: ${theorem.statement}`, async () => {
    const [outcome] = await verifyPropositions(exactWorlds(), [theorem], options);
    assertHolds(outcome);
    assert.equal(outcome.cases, 500);
  });
}

for (const theorem of stabilityTheorems) {
  test(`${theorem.id}: ${theorem.statement}`, async () => {
    const [outcome] = await verifyPropositions(perturbedLogits(), [theorem], options);
    assertHolds(outcome);
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

test("theorems: the generators are as strong as those the theory was first checked with", async () => {
  const items: Proposition<World> = {
    id: "items",
    statement: "one instance an item",
    hypothesis: "none",
    proof: "none",
    source: "none",
    check: ({ leaves }, tally) => leaves.forEach(() => tally.expect(true, () => "")),
  };
  const outcomes = await verifyPropositions(exactWorlds(), [items, ...exactTheorems], options);
  for (const { id, instances } of outcomes) {
    if (!(id in STRENGTH)) continue;
    const ratio = instances / outcomes[0].instances / STRENGTH[id];
    assert.ok(ratio > 0.5 && ratio < 2, `${id}: ${ratio} times the instances an item`);
  }
});

test("theorems: a false one fails, and its smallest counterexample can be read and replayed", async () => {
  const wrong: Proposition<World> = {
    ...exactTheorems[0],
    check({ leaves, search }, tally): void {
      for (const y of leaves) tally.expect(search[0].kept.length < 3, () => `item ${y}`);
    },
  };
  const [first] = await verifyPropositions(exactWorlds(), [wrong], { cases: 200, seed: 5 });
  const [second] = await verifyPropositions(exactWorlds(), [wrong], { cases: 200, seed: 5 });
  assert.ok(first.failures > 0 && first.failures <= first.instances);
  assert.match(
    first.counterexample ?? "",
    /^item \d+ \(seed 5, path [\d:]+\)\nB = 3, .*\n {2}\[0\]/,
  );
  assert.deepEqual(first, second);
});

test("theorems: what a check throws is thrown", async () => {
  const broken: Proposition<World> = {
    ...exactTheorems[0],
    check: () => {
      throw new RangeError("broken");
    },
  };
  await assert.rejects(
    verifyPropositions(exactWorlds(), [broken], { cases: 2, seed: 1 }),
    RangeError,
  );
});
