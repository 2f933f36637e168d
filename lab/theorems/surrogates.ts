/**
 * What the losses put in place of V_t = 1[Delta_t > 0] (docs/theory.md, S1 to S6): from which side they bound it, and what gradient
 * they give a token as a function of its margin, compared with automatic differentiation in float64.
 *
 * @module
 */
import { bear } from "../../models/losses/bear.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { msl } from "../../models/losses/msl.ts";
import { sft } from "../../models/losses/sft.ts";
import type { Proposition, Tally } from "./proposition.ts";
import { differentiate, factsOf, type TokenBatch, type TokenFacts } from "./token_batch.ts";

/** The loss of a batch's settings. */
export type LossOf = (batch: TokenBatch) => Loss;

/** Rounding of float64 in values and gradients that are below about 1e3. */
const ROUNDING = 1e-10;

const near = (a: number, b: number): boolean =>
  Math.abs(a - b) <= ROUNDING * Math.max(1, Math.abs(b));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const indicator = (holds: boolean): number => holds ? 1 : 0;

/** Expects the loss's gradient at each row to be `weights` times that of -log p, and its value to be `value`. */
async function expectLoss(
  tally: Tally,
  batch: TokenBatch,
  loss: Loss,
  facts: readonly TokenFacts[],
  weights: readonly number[],
  value: number,
): Promise<void> {
  const actual = await differentiate(loss, batch);
  if (!near(actual.value, value)) tally.expect(false, () => `value ${actual.value}, not ${value}`);
  actual.gradients.forEach((row, n) =>
    tally.expect(
      row.every((g, v) => near(g, weights[n] * facts[n].gradient[v])),
      () => `token ${n}: the gradient is not ${weights[n]} times that of -log p`,
    )
  );
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** S1 and S2: what is said of a likelihood, checked on `loss`. */
export function likelihood(
  id: string,
  name: string,
  over: "children" | "vocabulary",
  loss: LossOf,
): Proposition<TokenBatch> {
  return {
    id,
    statement: `${name}: -log p / log(B+1) >= 1[Delta > 0]; gradient weight 1, whatever the margin`,
    hypothesis: "One instance a token.",
    proof: "A violated token has B siblings that are more probable, so p <= 1/(B+1).",
    source: "this project",
    async check(batch, tally): Promise<void> {
      const facts = batch.rows.map((row) => factsOf(row, batch, over));
      for (const { logP, violated } of facts) {
        const bound = -logP / Math.log(batch.beam + 1);
        if (bound < indicator(violated) - ROUNDING) tally.expect(false, () => `${bound} < 1`);
      }
      const value = -total(facts.map((f) => f.logP));
      await expectLoss(tally, batch, loss(batch), facts, facts.map(() => 1), value);
    },
  };
}

export const S1: Proposition<TokenBatch> = likelihood(
  "S1",
  "sft (whole vocabulary)",
  "vocabulary",
  ({ tau }) => sft({ tau, reduction: "sum" }),
);

export const S2: Proposition<TokenBatch> = likelihood(
  "S2",
  "msl (valid children)",
  "children",
  ({ tau }) => msl({ tau, reduction: "sum" }),
);

/** S3: what is said of the released form, checked on `loss`. */
export const releasedForm = (loss: LossOf): Proposition<TokenBatch> => ({
  id: "S3",
  statement:
    "bear, released form: gradient weight w / sum w with w = 1 + lambda sigma(-x), falling in the margin; bounds neither side",
  hypothesis: "x = Delta / xi; w is 0 for a token without siblings. One instance a token.",
  proof:
    "w is detached, so the loss is a weighted mean of -log p. For one token w cancels and -log p is left.",
  source: "Tiny-Snow/BEAR-SIGIR-2026",
  async check(batch, tally): Promise<void> {
    const { xi, lambda } = batch;
    const facts = batch.rows.map((row) => factsOf(row, batch));
    const w = facts.map(({ delta, choices }) =>
      choices > 1 ? 1 + lambda * sigmoid(-delta / xi) : 0
    );
    facts.forEach((a, i) =>
      facts.forEach((b, j) => {
        if (a.choices > 1 && b.choices > 1 && a.delta < b.delta && w[i] < w[j]) {
          tally.expect(false, () => `weight ${w[i]} at margin ${a.delta}, ${w[j]} at ${b.delta}`);
        }
      })
    );
    const sum = total(w) || 1;
    const value = total(facts.map(({ logP }, n) => -w[n] * logP)) / sum;
    await expectLoss(
      tally,
      batch,
      loss(batch),
      facts,
      w.map((x) => x / sum),
      value,
    );
  },
});

export const S3: Proposition<TokenBatch> = releasedForm(
  ({ tau, xi, lambda, beam }) => bear({ form: "released", tau, xi, lambda, beam }),
);

/** S4: what is said of the paper form, checked on `loss`. */
export const paperForm = (loss: LossOf): Proposition<TokenBatch> => ({
  id: "S4",
  statement:
    "bear, paper form: log sigma(x) <= 0 <= 1[Delta > 0], 1 + log2 sigma(x) <= 1[Delta >= 0]; gradient weight " +
    "1 + (lambda/xi) sigma(-x), more where the token is safe",
  hypothesis: "x = Delta / xi, beta detached. One instance a token.",
  proof:
    "sigma(x) < 1, and sigma(x) < 1/2 where x < 0. d log sigma(x) / d log p = -sigma(-x) / xi.",
  source: "Yang et al., arXiv:2601.22925",
  async check(batch, tally): Promise<void> {
    const { xi, lambda } = batch;
    const facts = batch.rows.map((row) => factsOf(row, batch));
    const term = facts.map(({ delta, choices }) => choices > 1 ? -softplus(-delta / xi) : 0);
    facts.forEach(({ delta, violated, choices }, n) => {
      const below = term[n] <= indicator(violated) &&
        (choices === 1 || 1 + term[n] / Math.LN2 <= indicator(delta >= 0) + ROUNDING);
      if (!below) tally.expect(false, () => `${term[n]} at margin ${delta}`);
    });
    const weights = facts.map(({ delta }) => 1 + (lambda / xi) * sigmoid(-delta / xi));
    const value = total(facts.map(({ logP }, n) => lambda * term[n] - logP));
    await expectLoss(tally, batch, loss(batch), facts, weights, value);
  },
});

export const S4: Proposition<TokenBatch> = paperForm(
  ({ tau, xi, lambda, beam }) => bear({ form: "paper", tau, xi, lambda, beam, reduction: "sum" }),
);

/** S5: what is said of the convex form, checked on `loss`. */
export const convexForm = (loss: LossOf): Proposition<TokenBatch> => ({
  id: "S5",
  statement:
    "bear, convex form: softplus(x)/log 2, max(0, 1+x), 2 sigma(x), e^x >= 1[Delta > 0]; gradient weight " +
    "1 + (lambda/xi) sigma(x), more where the token would be pruned",
  hypothesis: "x = Delta / xi, beta detached. One instance a token.",
  proof:
    "Each is 1 at x = 0, rises, and is never negative. d softplus(x) / d log p = -sigma(x) / xi.",
  source: "this project",
  async check(batch, tally): Promise<void> {
    const { xi, lambda } = batch;
    const facts = batch.rows.map((row) => factsOf(row, batch));
    for (const { delta, violated } of facts) {
      const x = delta / xi;
      const above = [softplus(x) / Math.LN2, Math.max(0, 1 + x), 2 * sigmoid(x), Math.exp(x)];
      if (above.some((bound) => bound < indicator(violated))) {
        tally.expect(false, () => `${above} at margin ${delta}`);
      }
    }
    const weights = facts.map(({ delta }) => 1 + (lambda / xi) * sigmoid(delta / xi));
    const value = total(
      facts.map(({ logP, delta, choices }) =>
        (choices > 1 ? lambda * softplus(delta / xi) : 0) - logP
      ),
    );
    await expectLoss(tally, batch, loss(batch), facts, weights, value);
  },
});

export const S5: Proposition<TokenBatch> = convexForm(
  ({ tau, xi, lambda, beam }) => bear({ form: "convex", tau, xi, lambda, beam, reduction: "sum" }),
);

export const S6: Proposition<TokenBatch> = {
  id: "S6",
  statement:
    "summed over t the upper surrogates bound 1[any violation]; exp(L_reg) = product of sigma(x_t) is at most each " +
    "sigma(x_t), and 2^T times it at least 1[all violated]: it relaxes all, not any",
  hypothesis: "The tokens are taken as one item's. One instance an item.",
  proof:
    "A sum of numbers of at least 0 is at least each of them. A product of numbers below 1 is at most each of them.",
  source:
    "this project: at xi = 1, Delta = (-10, 5) scores -10.01 with one violation, (-1, -1) scores -2.63 with none",
  check(batch, tally): void {
    const facts = batch.rows.map((row) => factsOf(row, batch));
    const x = facts.map(({ delta }) => delta / batch.xi);
    const any = indicator(facts.some((f) => f.violated));
    const all = indicator(facts.every((f) => f.violated));
    const product = Math.exp(regularizer(x));
    const sums = [
      total(x.map((v) => softplus(v) / Math.LN2)),
      total(x.map((v) => Math.max(0, 1 + v))),
      total(x.map((v) => 2 * sigmoid(v))),
      total(x.map(Math.exp)),
    ];
    tally.expect(
      sums.every((sum) => sum >= any) &&
        x.every((v) => product <= sigmoid(v) * (1 + ROUNDING)) &&
        2 ** x.length * product >= all * (1 - ROUNDING),
      () => `margins / xi ${x}`,
    );
  },
};

/** L_reg of the paper form: sum log sigma(x_t). */
export function regularizer(x: readonly number[]): number {
  return total(x.map((v) => -softplus(-v)));
}
