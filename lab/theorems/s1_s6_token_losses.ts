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
import type { Proposition } from "./proposition.ts";

/** The losses that are judged. */
export const losses = { sft, msl, bear };

/** Some tokens to predict, and the options of a loss. */
export interface TokenBatch extends Required<Pick<BearOptions, "beam" | "tau" | "xi" | "lambda">> {
  /** The tokens. */
  readonly rows: readonly TokenRow[];
  /** The losses that are judged. A planted fault replaces one. */
  readonly losses: typeof losses;
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

/** A loss of a batch: its value, and by token its gradient in units of that of -log p. */
interface Valued {
  readonly value: number;
  readonly weights: readonly number[];
}

/** What is said of a loss. */
interface LossStatement extends Omit<Proposition<TokenBatch>, "check"> {
  /** The loss of a batch's options. */
  readonly loss: (batch: TokenBatch) => Loss;
  /** What its probabilities sum to 1 over; default children. */
  readonly over?: Normalization;
  /** What it must be. */
  readonly expected: (facts: readonly TokenFacts[], batch: TokenBatch) => Valued;
  /** Whether it is on the right side of its bound. Weights are NaN where -log p is flat. */
  readonly isBound: (facts: readonly TokenFacts[], batch: TokenBatch, actual: Valued) => boolean;
}

/** A proposition that compares a loss with what is said of it. One instance a token. */
function lossProposition(
  { over = "children", loss, expected, isBound, ...proposition }: LossStatement,
): Proposition<TokenBatch> {
  return {
    ...proposition,
    async check(batch, tally): Promise<void> {
      const facts = batch.rows.map((row) => factsOf(row, batch, over));
      const said = expected(facts, batch);
      const { value, gradients } = await differentiate(loss(batch), batch);
      if (!near(value, said.value)) {
        tally.of("the value").expect(false, () => `value ${value}, not ${said.value}`);
      }
      const weights = gradients.map((row, n) => {
        const { label } = batch.rows[n];
        const unit = facts[n].gradient[label];
        return Math.abs(unit) < 1e-3 ? NaN : row[label] / unit;
      });
      if (!isBound(facts, batch, { value, weights })) {
        tally.of("the bound").expect(false, () => `value ${value}, weights ${weights}`);
      }
      gradients.forEach((row, n) =>
        tally.of("the gradient").expect(
          row.every((g, v) => near(g, said.weights[n] * facts[n].gradient[v])),
          () => `token ${n}: the gradient is not ${said.weights[n]} times that of -log p`,
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

/** The options of bear. */
function optionsOf({ tau, xi, lambda, beam }: Omit<TokenBatch, "losses">): BearOptions {
  return { tau, xi, lambda, beam };
}

/** S1 and S2, a likelihood. */
const likelihood = {
  expected: (facts) => ({
    value: -sum(facts.map(({ logP }) => logP)),
    weights: facts.map(() => 1),
  }),
  isBound: (facts, { beam }, { value }) =>
    value / Math.log(beam + 1) >= violations(facts) * (1 - ROUNDING),
} satisfies Partial<LossStatement>;

const ofLikelihood = ": -log p / log(B+1) >= 1[Delta > 0]; gradient weight 1, whatever the margin";

/** S1, the likelihood over the vocabulary. */
export const S1: Proposition<TokenBatch> = lossProposition({
  id: "S1",
  statement: `sft (whole vocabulary)${ofLikelihood}`,
  over: "vocabulary",
  loss: ({ tau, losses: { sft } }) => sft({ tau, reduction: "sum" }),
  ...likelihood,
});

/** S2, the likelihood over valid children. */
export const S2: Proposition<TokenBatch> = lossProposition({
  id: "S2",
  statement: `msl (valid children)${ofLikelihood}`,
  loss: ({ tau, losses: { msl } }) => msl({ tau, reduction: "sum" }),
  ...likelihood,
});

/** S3, the released form of BEAR. With x = Delta / xi; w is 0 for a token without siblings. */
export const S3: Proposition<TokenBatch> = lossProposition({
  id: "S3",
  statement:
    "bear, released form: gradient weight w / sum w with w = 1 + lambda sigma(-x), falling in the margin; bounds neither side",
  loss: ({ losses: { bear }, ...batch }) => bear({ ...optionsOf(batch), form: "released" }),
  expected(facts, { xi, lambda }) {
    const weights = facts.map(({ delta, choices }) =>
      choices > 1 ? 1 + lambda * sigmoid(-delta / xi) : 0
    );
    const all = sum(weights) || 1;
    return {
      value: sum(facts.map(({ logP }, n) => -weights[n] * logP)) / all,
      weights: weights.map((w) => w / all),
    };
  },
  isBound: (facts, _, { weights }) =>
    facts.every((a, i) =>
      facts.every((b, j) =>
        !(a.choices > 1 && b.choices > 1 && a.delta < b.delta) ||
        !(weights[i] < weights[j] * (1 - ROUNDING))
      )
    ),
});

/**
 * S4 and S5: what is said of the sum of -log p and lambda times a term of the margin, with x =
 * Delta / xi. The term is sign * softplus(sign * x), and 0 for a token without siblings. `isBound`
 * gets the sum of the terms as the loss has it.
 */
function regularized(
  id: string,
  form: "paper" | "convex",
  statement: string,
  sign: 1 | -1,
  isBound: (choices: readonly TokenFacts[], terms: number, xi: number) => boolean,
): Proposition<TokenBatch> {
  return lossProposition({
    id,
    statement: `bear, ${form} form: ${statement}`,
    loss: ({ losses: { bear }, ...batch }) => bear({ ...optionsOf(batch), form, reduction: "sum" }),
    expected(facts, { xi, lambda }) {
      const terms = facts.map(({ delta, choices }) =>
        choices > 1 ? sign * softplus(sign * delta / xi) : 0
      );
      return {
        value: sum(facts.map(({ logP }, n) => lambda * terms[n] - logP)),
        weights: facts.map(({ delta }) => 1 + (lambda / xi) * sigmoid(sign * delta / xi)),
      };
    },
    isBound(facts, { xi, lambda }, { value }) {
      if (lambda === 0) return true; // there is no term
      const terms = (value + sum(facts.map(({ logP }) => logP))) / lambda;
      return isBound(facts.filter(({ choices }) => choices > 1), terms, xi);
    },
  });
}

/** S4, the paper's form of BEAR. With x = Delta / xi and beta detached. */
export const S4: Proposition<TokenBatch> = regularized(
  "S4",
  "paper",
  "log sigma(x) <= 0 <= 1[Delta > 0], 1 + log2 sigma(x) <= 1[Delta >= 0]; gradient weight " +
    "1 + (lambda/xi) sigma(-x), more where the token is safe",
  -1,
  (choices, terms) =>
    terms <= ROUNDING &&
    choices.length + terms / Math.LN2 <=
      choices.filter(({ delta }) => delta >= 0).length + 100 * ROUNDING,
);

/** S5, the convex form of BEAR. With x = Delta / xi and beta detached. */
export const S5: Proposition<TokenBatch> = regularized(
  "S5",
  "convex",
  "softplus(x)/log 2, max(0, 1+x), 2 sigma(x), e^x >= 1[Delta > 0]; gradient weight " +
    "1 + (lambda/xi) sigma(x), more where the token would be pruned",
  1,
  (choices, terms, xi) =>
    terms / Math.LN2 >= violations(choices) - 100 * ROUNDING &&
    choices.every(({ delta }) => UPPER.every((bound) => bound(delta / xi) >= indicator(delta > 0))),
);

/** How many tokens are violated. */
function violations(facts: readonly TokenFacts[]): number {
  return facts.filter(({ delta }) => delta > 0).length;
}

const [ALL, SOME, NONE] = ["all tokens are violated", "some are", "none is"];

/**
 * S6, what a sum of terms and what a product bounds, by the terms that the two forms of BEAR add to
 * msl. The tokens are taken as one item's. One instance a batch with a choice.
 */
export const S6: Proposition<TokenBatch> = {
  id: "S6",
  statement:
    "summed over t the upper surrogates bound 1[any violation]; exp(L_reg) = product of sigma(x_t) is at most each " +
    "sigma(x_t), and 2^T times it at least 1[all violated]: it relaxes all, not any",
  hypotheses: [ALL, SOME, NONE],
  async check(batch, tally): Promise<void> {
    const { losses: { msl, bear }, tau } = batch;
    const choices = batch.rows.map((row) => factsOf(row, batch)).filter((f) => f.choices > 1);
    if (choices.length === 0) return; // without siblings there is no term
    const x = choices.map(({ delta }) => delta / batch.xi);
    const options = { ...optionsOf(batch), lambda: 1, reduction: "sum" } as const;
    const values = await Promise.all([
      msl({ tau, reduction: "sum" }),
      ...(["convex", "paper"] as const).map((form) => bear({ ...options, form })),
    ].map((loss) => differentiate(loss, batch)));
    const [likelihood, convex, paper] = values.map(({ value }) => value);
    const [upper, product] = [(convex - likelihood) / Math.LN2, Math.exp(paper - likelihood)];
    const isAny = x.some((v) => v > 0);
    const isAll = x.every((v) => v > 0);
    const what = (): string => `margins / xi ${x}: ${upper}, ${product}`;
    const holds = UPPER.every((bound) => sum(x.map(bound)) >= indicator(isAny)) &&
      upper >= indicator(isAny) - ROUNDING &&
      x.every((v) => product <= sigmoid(v) * (1 + ROUNDING) + ROUNDING) &&
      2 ** x.length * product >= indicator(isAll) - ROUNDING;
    tally.of(isAll ? ALL : isAny ? SOME : NONE).expect(holds, what);
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

/** 1 / (1 + e^-x). */
export function sigmoid(x: number): number {
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
