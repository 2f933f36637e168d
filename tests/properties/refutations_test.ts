/**
 * Every refutation: found by the generators and shrunk to a case for the eye; and the pictures of
 * docs/theory.md themselves.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adjacentFloats, exactWorlds } from "../../lab/theorems/generators.ts";
import { exactRefutations, roundingRefutations } from "../../lab/theorems/index.ts";
import { findRefutation, type FoundRefutation } from "../../lab/theorems/runner.ts";
import { exactWorld, returned } from "../../lab/theorems/world.ts";
import type { Branch } from "../../lab/theorems/world_model.ts";

const options = { cases: 4000, seed: 1 };

/** A tree that a person can check by hand. */
const LINES = 16;

function assertFound({ id, found, counterexample }: FoundRefutation): void {
  assert.ok(found, `${id} was not found`);
  assert.ok(counterexample.split("\n").length <= LINES, counterexample);
}

for (const refutation of exactRefutations) {
  test(`${refutation.id} is false: ${refutation.statement}`, async () => {
    assertFound(await findRefutation(exactWorlds(), refutation, options));
  });
}

for (const refutation of roundingRefutations) {
  test(`${refutation.id} is false: ${refutation.statement}`, async () => {
    assertFound(await findRefutation(adjacentFloats(), refutation, options));
  });
}

test("refutations: of several searches the smallest counterexample is returned", async () => {
  const [R1] = exactRefutations;
  const found = (searches: number): Promise<FoundRefutation> =>
    findRefutation(exactWorlds(), R1, { ...options, seed: 3, searches });
  const [one, three] = [await found(1), await found(3)];
  assert.match(three.replay, /^seed 5, /);
  assert.ok(three.counterexample.length < one.counterexample.length);
});

/** A node with a weight and its children. */
function node(weight: number, ...children: Branch[]): Branch {
  return { weight, outside: [], copies: 1, children };
}

/** The counterexamples by hand, at their widths. */
const GIVEN: Readonly<Record<string, readonly [beam: number, root: Branch]>> = {
  R1: [2, node(1, node(9, node(9), node(1)), node(1, node(1)))],
  R2: [1, node(1, node(6, node(6), node(4)), node(4, node(1)))],
  R12: [2, node(8, node(1), node(6, node(1)), node(1))],
  R3: [1, node(1, node(55, node(4), node(3), node(3)), node(45, node(5), node(5)))],
};

for (const [id, [beam, root]] of Object.entries(GIVEN)) {
  test(`${id}: the theory's own counterexample`, () => {
    const world = exactWorld({ root, beam, normalization: "children", excluded: [] });
    assert.notEqual(exactRefutations.find((r) => r.id === id)?.finds(world), undefined);
  });
}

test("R4: the theory's own counterexample: theta is .1, then .18", () => {
  const root = node(1, node(9, node(8), node(2)), node(1));
  const world = exactWorld({ root, beam: 2, normalization: "children", excluded: [] });
  assert.notEqual(exactRefutations.find((r) => r.id === "R4")?.finds(world), undefined);
  const theta = world.search.map(({ pool }) => Number(world.pi[pool[1]]) / Number(world.one));
  assert.deepEqual(theta, [0.1, 0.18]);
});

test("T4: strictness is needed: of B + 1 equal leaves one is lost", () => {
  for (const beam of [1, 2, 5]) {
    const root = node(1, ...Array.from({ length: beam + 1 }, () => node(1)));
    const world = exactWorld({ root, beam, normalization: "children", excluded: [] });
    assert.equal(world.leaves.length - returned(world).length, 1);
    for (const y of world.leaves) assert.equal(world.pi[y] * BigInt(beam + 1), world.one);
  }
});
