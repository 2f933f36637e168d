/** Gradient weights by margin against the formulas of the losses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import { gradientWeights } from "../../lab/train/loss_probe.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { bear } from "../../models/losses/bear.ts";
import { msl } from "../../models/losses/msl.ts";
import { sft } from "../../models/losses/sft.ts";
import { sum } from "../../ops/reduce.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg, square } from "../../ops/unary.ts";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const [xi, lambda, beam] = [2, 0.5, 4];

async function expectWeights(
  loss: Loss,
  weight: (margin: number) => number,
  B = beam,
): Promise<void> {
  const found = await gradientWeights(loss, B);
  for (const { margin, weight: actual } of found) {
    const expected = weight(margin);
    assert.ok(Math.abs(actual - expected) < 1e-9 * expected, `${margin}: ${actual}, ${expected}`);
  }
}

test("gradient weights are those that the losses document", async () => {
  for (const reduction of ["mean", "sum"] as const) {
    await expectWeights(msl({ reduction }), () => 1);
    await expectWeights(sft({ reduction }), () => 1);
    const options = { xi, lambda, beam, reduction };
    await expectWeights(
      bear({ form: "paper", ...options }),
      (m) => 1 + (lambda / xi) * sigmoid(-m / xi),
    );
    await expectWeights(
      bear({ form: "convex", ...options }),
      (m) => 1 + (lambda / xi) * sigmoid(m / xi),
    );
  }
  const margins = (await gradientWeights(msl(), beam)).map(({ margin }) => margin);
  assert.deepEqual([margins[0], margins[24], margins[48], margins.length], [-6, 0, 6, 49]);
  const w = (m: number): number => 1 + lambda * sigmoid(-m / xi);
  const mean = margins.reduce((total, m) => total + w(m), 0) / margins.length;
  await expectWeights(bear({ xi, lambda, beam }), (m) => w(m) / mean);
});

test("gradient weights of a loss of one's own, and of a beam of one", async () => {
  const squared: Loss = (logits, { trie, nodes, labels }) => {
    const { logProb } = trieLogProb(logits, trie, nodes, labels, { normalization: "children" });
    return neg(sum(neg(square(logProb)))); // weight -2 log p
  };
  const logP = (m: number, B: number): number => -m - Math.log(Math.exp(-m) + B);
  await expectWeights(squared, (m) => -2 * logP(m, beam));
  assert.equal((await gradientWeights(msl(), 1)).length, 25);
  await expectWeights(bear({ form: "convex", beam: 1 }), (m) => 1 + sigmoid(m), 1);
  await assert.rejects(gradientWeights(msl(), 0), ArgumentError);
});
