/**
 * What the losses put in place of the violation, against automatic differentiation, and known
 * numbers.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tokenBatches } from "../../lab/theorems/generators.ts";
import { lossPropositions } from "../../lab/theorems/index.ts";
import { verifyPropositions } from "../../lab/theorems/runner.ts";
import {
  differentiate,
  factsOf,
  losses,
  regularizer,
  type TokenRow,
} from "../../lab/theorems/s1_s6_token_losses.ts";
import { bear } from "../../models/losses/bear.ts";

const options = { cases: 500, seed: 3 };
const outcomes = await verifyPropositions(tokenBatches(), lossPropositions, options);

for (const [i, surrogate] of lossPropositions.entries()) {
  test(`${surrogate.id}: ${surrogate.statement}`, () => {
    const { failures, instances, hypotheses, counterexample } = outcomes[i];
    assert.equal(failures, 0, `${counterexample}`);
    assert.ok(instances > 400);
    for (const [name, n] of Object.entries(hypotheses)) assert.ok(n > 50, `${name}: ${n}`);
  });
}

test("S6: one violation scores far below none, so exp(L_reg) does not relax any", () => {
  assert.equal(regularizer([-10, 5]).toFixed(2), "-10.01");
  assert.equal(regularizer([-1, -1]).toFixed(2), "-2.63");
});

test("S3: the released form is above one token's violation and below another's", async () => {
  const settings = { beam: 1, tau: 1, xi: 1, lambda: 1 } as const;
  const row = (logits: number[]): TokenRow => ({ logits, children: [0, 1], label: 0 });
  const rest: number[] = Array(6).fill(0);
  const cases = [
    { row: row([0, 0.1, ...rest]), violated: true, above: false }, // -log p = .74 < 1
    { row: row([0.1, 0, ...rest]), violated: false, above: true }, // -log p = .65 > 0
  ];
  for (const { row, violated, above } of cases) {
    const batch = { ...settings, rows: [row], losses };
    const { value } = await differentiate(bear({ ...settings, form: "released" }), batch);
    assert.equal(factsOf(row, batch).delta > 0, violated);
    assert.equal(value > (violated ? 1 : 0), above);
    assert.notEqual(value, violated ? 1 : 0);
  }
});
