/** Deliberate mistakes: what was planted is what was caught, and every theorem catches something. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exactTheorems, stabilityTheorems, surrogates } from "../../lab/theorems/catalogue.ts";
import { runMutants } from "../../lab/theorems/mutant_hunt.ts";

test("mutants: planted = caught, and each theorem catches one", { timeout: 60_000 }, async () => {
  const results = await runMutants({ cases: 4000, seed: 1 });
  assert.deepEqual(results.filter(({ caught }) => !caught), []);
  assert.equal(new Set(results.map(({ name }) => name)).size, results.length);
  const catchers = new Set(results.map(({ caughtBy }) => caughtBy));
  const named = [...exactTheorems, ...stabilityTheorems, ...surrogates].map(({ id }) => id);
  assert.deepEqual(named.filter((id) => !catchers.has(id)), ["S6"]); // S6 is about numbers alone
});
