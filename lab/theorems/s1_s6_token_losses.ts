/**
 * S1 to S6: what the losses put in place of the violation 1[Delta > 0] of a token. From which side
 * they bound it, and what gradient they give a token by its margin, compared with automatic
 * differentiation in float64.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import { logProbs } from "../../models/decode/host_log_probs.ts";
import { Trie } from "../../models/decode/trie.ts";
import { bear, type BearOptions } from "../../models/losses/bear.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { msl } from "../../models/losses/msl.ts";
import { sft } from "../../models/losses/sft.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import type { Proposition, Tally } from "./proposition.ts";

/** Some tokens to predict, and the options of a loss. */
export interface TokenBatch extends Required<Pick<BearOptions, "beam" | "tau" | "xi" | "lambda">> {
  /** The tokens. */
  readonly rows: readonly TokenRow[];
}

/** A token to predict. */
export interface TokenRow {
  /** The logits of the vocabulary. */
  readonly logits: readonly number[];
  /** The tokens that are valid here, ascending, the label among them. */
  readonly children: readonly number[];
  /** The token to predict. */
  readonly label: number;
}

/** What is known of a token on the host, from the definitions. */
export interface TokenFacts {
  /** Its log-probability. */
  readonly logP: number;
  /** The margin log beta - log p. */
  readonly delta: number;
  /** The number of valid tokens. */
  readonly choices: number;
  /** The gradient of -log p with respect to the logits. */
  readonly gradient: readonly number[];
}

/** The facts of a token, normalised over its siblings or over the vocabulary. */
export function factsOf(
  { logits, children, label }: TokenRow,
  { beam, tau }: Pick<TokenBatch, "beam" | "tau">,
  over: Normalization = "children",
): TokenFacts {
  const tokens = over === "children" ? children : [...logits.keys()];
  const log = new Float64Array(logits.length).fill(-Infinity);
  logProbs(logits, tokens, over, tau).forEach((q, i) => log[tokens[i]] = q);
  const ranked = children.map((v) => logits[v]).sort((a, b) => b - a);
  const beta = ranked[Math.min(beam, ranked.length) - 1];
  return {
    logP: log[label],
    delta: (beta - logits[label]) / tau, // the normaliser cancels (T12)
    choices: children.length,
    gradient: Array.from(log, (q, v) => (Math.exp(q) - (v === label ? 1 : 0)) / tau),
  };
}

let reference: Device | undefined;

/** A loss of a batch and its gradient with respect to each row's logits, in float64. */
export async function differentiate(
  loss: Loss,
  { rows }: TokenBatch,
): Promise<{ readonly value: number; readonly gradients: readonly Float64Array[] }> {
  const device = reference ??= cpu({ float: "float64" });
  using _scope = device.arena();
  const trie = new Trie(rows.flatMap(({ children }, n) => children.map((token) => [n, token])));
  const targets = {
    trie: trie.upload(device),
    nodes: device.tensor(Int32Array.from(rows, (_, n) => trie.child(0, n))),
    labels: device.tensor(Int32Array.from(rows, ({ label }) => label)),
  };
  const logits = device.tensor(rows.map((row) => [...row.logits]));
  const { value, grads } = valueAndGrad((z: typeof logits) => loss(z, targets))(logits);
  const [[number], flat] = await device.read([value, grads]);
  const V = rows[0].logits.length;
  const gradients = rows.map((_, n) => Float64Array.from(flat.subarray(n * V, (n + 1) * V)));
  return { value: number, gradients };
}

/** A proposition about a loss, with the loss that it is checked on. */
export interface LossProposition extends Proposition<TokenBatch> {
  /** The loss of a batch's options. */
  readonly loss: (batch: TokenBatch) => Loss;
}

/**
 * What a loss must be: its value, and by token its gradient in units of the gradient of -log p. May
 * add failures of its own.
 */
type Expected = (
  facts: readonly TokenFacts[],
  batch: TokenBatch,
  tally: Tally,
) => { readonly value: number; readonly weights: readonly number[] };

/** A proposition that compares a loss with what is expected of it. One instance a token. */
function lossProposition(
  { over = "children", expected, ...proposition }:
    & Omit<LossProposition, "check">
    & { readonly over?: Normalization; readonly expected: Expected },
): LossProposition {
  return {
    ...proposition,
    async check(batch, tally): Promise<void> {
      const facts = batch.rows.map((row) => factsOf(row, batch, over));
      const { value, weights } = expected(facts, batch, tally);
      const actual = await differentiate(this.loss(batch), batch);
      if (!near(actual.value, value)) {
        tally.expect(false, () => `value ${actual.value}, not ${value}`);
      }
      actual.gradients.forEach((row, n) =>
        tally.expect(
          row.every((g, v) => near(g, weights[n] * facts[n].gradient[v])),
          () => `token ${n}: the gradient is not ${weights[n]} times that of -log p`,
        )
      );
    },
  };
}

/** Rounding of float64 in values and gradients that are below about 1e3. */
const ROUNDING = 1e-10;

function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= ROUNDING * Math.max(1, Math.abs(b));
}

/** S1 and S2: what is said of a likelihood, and what it must be. */
const ofLikelihood = ": -log p / log(B+1) >= 1[Delta > 0]; gradient weight 1, whatever the margin";

const likelihood: Expected = (facts, { beam }, tally) => {
  for (const { logP, delta } of facts) {
    const bound = -logP / Math.log(beam + 1);
    if (bound < indicator(delta > 0) - ROUNDING) tally.expect(false, () => `${bound} < 1`);
  }
  return { value: -sum(facts.map(({ logP }) => logP)), weights: facts.map(() => 1) };
};

/** S1, the likelihood over the vocabulary. */
export const S1: LossProposition = lossProposition({
  id: "S1",
  statement: `sft (whole vocabulary)${ofLikelihood}`,
  over: "vocabulary",
  loss: ({ tau }) => sft({ tau, reduction: "sum" }),
  expected: likelihood,
});

/** S2, the likelihood over valid children. */
export const S2: LossProposition = lossProposition({
  id: "S2",
  statement: `msl (valid children)${ofLikelihood}`,
  loss: ({ tau }) => msl({ tau, reduction: "sum" }),
  expected: likelihood,
});

/** S3, the released form of BEAR. With x = Delta / xi; w is 0 for a token without siblings. */
export const S3: LossProposition = lossProposition({
  id: "S3",
  statement:
    "bear, released form: gradient weight w / sum w with w = 1 + lambda sigma(-x), falling in the margin; bounds neither side",
  loss: ({ tau, xi, lambda, beam }) => bear({ form: "released", tau, xi, lambda, beam }),
  expected(facts, { xi, lambda }, tally) {
    const weights = facts.map(({ delta, choices }) =>
      choices > 1 ? 1 + lambda * sigmoid(-delta / xi) : 0
    );
    facts.forEach((a, i) =>
      facts.forEach((b, j) => {
        const isOrdered = a.choices > 1 && b.choices > 1 && a.delta < b.delta;
        if (isOrdered && weights[i] < weights[j]) {
          const [at, other] = [`${weights[i]} at margin ${a.delta}`, `${weights[j]} at ${b.delta}`];
          tally.expect(false, () => `weight ${at}, ${other}`);
        }
      })
    );
    const all = sum(weights) || 1;
    return {
      value: sum(facts.map(({ logP }, n) => -weights[n] * logP)) / all,
      weights: weights.map((w) => w / all),
    };
  },
});

/**
 * S4 and S5: what is said of the sum of -log p and lambda times a term of the margin, with x =
 * Delta / xi. The term is sign * softplus(sign * x), and 0 for a token without siblings.
 */
function regularized(
  id: string,
  form: "paper" | "convex",
  statement: string,
  sign: 1 | -1,
  isBound: (facts: TokenFacts, term: number, x: number) => boolean,
): LossProposition {
  return lossProposition({
    id,
    statement: `bear, ${form} form: ${statement}`,
    loss: ({ tau, xi, lambda, beam }) => bear({ form, tau, xi, lambda, beam, reduction: "sum" }),
    expected(facts, { xi, lambda }, tally) {
      const terms = facts.map((token) => {
        const x = token.delta / xi;
        const term = token.choices > 1 ? sign * softplus(sign * x) : 0;
        if (!isBound(token, term, x)) {
          tally.expect(false, () => `${term} at margin ${token.delta}`);
        }
        return term;
      });
      return {
        value: sum(facts.map(({ logP }, n) => lambda * terms[n] - logP)),
        weights: facts.map(({ delta }) => 1 + (lambda / xi) * sigmoid(sign * delta / xi)),
      };
    },
  });
}

/** S4, the paper's form of BEAR. With x = Delta / xi and beta detached. */
export const S4: LossProposition = regularized(
  "S4",
  "paper",
  "log sigma(x) <= 0 <= 1[Delta > 0], 1 + log2 sigma(x) <= 1[Delta >= 0]; gradient weight " +
    "1 + (lambda/xi) sigma(-x), more where the token is safe",
  -1,
  ({ delta, choices }, term) =>
    term <= indicator(delta > 0) &&
    (choices === 1 || 1 + term / Math.LN2 <= indicator(delta >= 0) + ROUNDING),
);

/** S5, the convex form of BEAR. With x = Delta / xi and beta detached. */
export const S5: LossProposition = regularized(
  "S5",
  "convex",
  "softplus(x)/log 2, max(0, 1+x), 2 sigma(x), e^x >= 1[Delta > 0]; gradient weight " +
    "1 + (lambda/xi) sigma(x), more where the token would be pruned",
  1,
  ({ delta }, _, x) => UPPER.every((bound) => bound(x) >= indicator(delta > 0)),
);

/** S6, what a sum of terms and what a product bounds. One instance a batch, taken as one item. */
export const S6: Proposition<TokenBatch> = {
  id: "S6",
  statement:
    "summed over t the upper surrogates bound 1[any violation]; exp(L_reg) = product of sigma(x_t) is at most each " +
    "sigma(x_t), and 2^T times it at least 1[all violated]: it relaxes all, not any",
  check(batch, tally): void {
    const x = batch.rows.map((row) => factsOf(row, batch).delta / batch.xi);
    const any = indicator(x.some((v) => v > 0));
    const all = indicator(x.every((v) => v > 0));
    const product = Math.exp(regularizer(x));
    tally.expect(
      UPPER.every((bound) => sum(x.map(bound)) >= any) &&
        x.every((v) => product <= sigmoid(v) * (1 + ROUNDING)) &&
        2 ** x.length * product >= all * (1 - ROUNDING),
      () => `margins / xi ${x}`,
    );
  },
};

/** L_reg of the paper form: sum log sigma(x_t). */
export function regularizer(x: readonly number[]): number {
  return sum(x.map((v) => -softplus(-v)));
}

/** log(1 + e^x). */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Upper bounds of 1[x > 0]. */
const UPPER: readonly ((x: number) => number)[] = [
  (x) => softplus(x) / Math.LN2,
  (x) => Math.max(0, 1 + x),
  (x) => 2 * sigmoid(x),
  Math.exp,
];

function indicator(holds: boolean): number {
  return holds ? 1 : 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
