/** Deliberate mistakes: each is caught by its proposition, and every proposition catches some. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exactTheorems, lossPropositions, roundingTheorems } from "../../lab/theorems/index.ts";
import { huntMutants } from "./mutants.ts";

test("mutants: planted = caught, and each theorem catches one", { timeout: 60_000 }, async () => {
  const hunted = await huntMutants({ cases: 4000, seed: 1 });
  assert.deepEqual(hunted.filter(({ worlds }) => worlds === Infinity), []);
  assert.equal(new Set(hunted.map(({ name }) => name)).size, hunted.length);
  const catchers = new Set(hunted.map(({ caughtBy }) => caughtBy));
  const ids = [...exactTheorems, ...roundingTheorems, ...lossPropositions].map(({ id }) => id);
  assert.deepEqual(ids.filter((id) => !catchers.has(id)), ["S6"]); // S6 is about numbers alone
});
