/**
 * Losses on small batches of rows, and their formulas evaluated directly in float64.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Device } from "../../core/tensor.ts";
import { Trie } from "../../models/decode/trie.ts";
import { bear, type BearOptions } from "../../models/losses/bear.ts";
import type { Loss, Targets } from "../../models/losses/loss.ts";
import { msl } from "../../models/losses/msl.ts";
import { sft } from "../../models/losses/sft.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";

/** Rows of logits, each with the candidates of its token; a row without candidates is no target. */
export interface Batch {
  readonly logits: readonly (readonly number[])[];
  readonly children: readonly (readonly number[])[];
  readonly label: readonly number[];
}

/** A loss's hyperparameters. */
export interface Settings {
  readonly B: number;
  readonly tau: number;
  readonly xi: number;
  readonly lambda: number;
}

export interface Value {
  readonly value: number;
  readonly grad: readonly (readonly number[])[];
}

/**
 * The losses of the golden file: sft and msl are means over all tokens, the two forms of bear sums.
 */
export const goldenLosses = (s: Settings): Readonly<Record<GoldenName, Loss>> => ({
  sft: sft({ tau: s.tau }),
  msl: msl({ tau: s.tau }),
  bear_released: bear(bearOptions(s, "released")),
  bear_paper: bear({ ...bearOptions(s, "paper"), reduction: "sum" }),
  bear_convex: bear({ ...bearOptions(s, "convex"), reduction: "sum" }),
});

/** The names of the losses in the golden file. */
export const goldenNames = ["sft", "msl", "bear_released", "bear_paper", "bear_convex"] as const;

/** One of them. */
export type GoldenName = (typeof goldenNames)[number];

/** The options of a form of bear. */
export function bearOptions(
  { B, tau, xi, lambda }: Settings,
  form: BearOptions["form"],
): BearOptions {
  return { form, tau, xi, lambda, beam: B };
}

/** A trie whose root has a child for each row, whose children are the row's. */
export function targets(device: Device, { children, label }: Batch): Targets {
  const rows = children.flatMap((_, row) => children[row].length === 0 ? [] : [row]);
  const paths = rows.flatMap((row) => children[row].map((token) => [row, token]));
  const trie = new Trie(paths.length === 0 ? [[0]] : paths);
  return {
    trie: trie.upload(device),
    nodes: device.tensor(Int32Array.from(children, (c, row) => c.length ? trie.child(0, row) : -1)),
    labels: device.tensor(Int32Array.from(label)),
  };
}

/** A loss and its gradient on a device. */
export async function run(device: Device, loss: Loss, batch: Batch): Promise<Value> {
  return (await runAll(device, { loss }, batch)).loss;
}

/** Losses and their gradients on one batch, by name, with one read-back. */
export async function runAll<K extends string>(
  device: Device,
  losses: Readonly<Record<K, Loss>>,
  batch: Batch,
): Promise<Record<K, Value>> {
  using _scope = device.arena();
  const aims = targets(device, batch);
  const logits = device.tensor(batch.logits);
  const names = Object.keys(losses) as K[];
  const read = await device.read(names.flatMap((name) => {
    const { value, grads } = valueAndGrad((z: typeof logits) => losses[name](z, aims))(logits);
    return [value, grads];
  }));
  const V = batch.logits[0].length;
  const rows = (flat: ArrayLike<number>): number[][] =>
    batch.logits.map((_, n) => Array.from({ length: V }, (_, v) => flat[n * V + v]));
  const values = names.map((name, i) => {
    return [name, { value: read[2 * i][0], grad: rows(read[2 * i + 1]) }];
  });
  return Object.fromEntries(values);
}

/** Largest difference relative to the larger of 1 and the largest expected number. */
export function assertClose(actual: Value, expected: Value, tolerance: number, what: string): void {
  const near = (a: number[], b: number[], part: string): void => {
    const scale = Math.max(1, ...b.map(Math.abs));
    a.forEach((x, i) => {
      const close = Math.abs(x - b[i]) <= tolerance * scale;
      assert.ok(close, `${what}, ${part} ${i}: ${x} is not ${b[i]}`);
    });
  };
  near([actual.value], [expected.value], "value");
  near(actual.grad.flat(), expected.grad.flat(), "gradient");
}

/** What the formulas of the losses say about one token, evaluated directly. */
export interface Token {
  readonly logP: number;
  readonly logBeta: number;
  readonly dlogP: readonly number[];
}

/** log p of the label, log beta, and the gradient of log p, with the softmax over `over`. */
export function token(
  z: readonly number[],
  over: readonly number[],
  children: readonly number[],
  label: number,
  { B, tau }: Settings,
): Token {
  const scaled = z.map((x) => x / tau);
  const top = Math.max(...over.map((v) => scaled[v]));
  const log = top + Math.log(over.reduce((s, v) => s + Math.exp(scaled[v] - top), 0));
  const ranked = children.map((v) => scaled[v] - log).sort((a, b) => b - a);
  return {
    logP: scaled[label] - log,
    logBeta: ranked[Math.min(B, ranked.length) - 1],
    dlogP: z.map((_, v) =>
      ((v === label ? 1 : 0) - (over.includes(v) ? Math.exp(scaled[v] - log) : 0)) / tau
    ),
  };
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/**
 * Each loss from its formula: a token's share of the value, and its weight on the gradient of -log
 * p.
 */
export function evaluate(name: GoldenName, batch: Batch, s: Settings): Value {
  const tokens = batch.logits.map((z, n) => {
    const children = batch.children[n];
    if (children.length === 0) return { value: 0, weight: 0, share: 0, dlogP: z.map(() => 0) };
    const over = name === "sft" ? z.map((_, v) => v) : children;
    const { logP, logBeta, dlogP } = token(z, over, children, batch.label[n], s);
    const x = (logBeta - logP) / s.xi;
    const open = children.length > 1 ? 1 : 0;
    if (name === "sft" || name === "msl") return { value: -logP, weight: 1, share: 1, dlogP };
    if (name === "bear_released") {
      const w = open * (1 + s.lambda * sigmoid(-x));
      return { value: -w * logP, weight: w, share: w, dlogP };
    }
    const [term, slope] = name === "bear_paper"
      ? [-softplus(-x), sigmoid(-x)]
      : [softplus(x), sigmoid(x)];
    const weight = 1 + (s.lambda / s.xi) * slope;
    return { value: open * (s.lambda * term - logP), weight: open * weight, share: 0, dlogP };
  });
  const total = tokens.reduce((sum, t) => sum + t.share, 0) || 1;
  return {
    value: tokens.reduce((sum, t) => sum + t.value, 0) / total,
    grad: tokens.map((t) => t.dlogP.map((g) => (-t.weight * g) / total)),
  };
}
