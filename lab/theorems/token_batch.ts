/**
 * Tokens to predict: what is known of them on the host, and what a loss on a device makes of them.
 *
 * @module
 */
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/device.ts";
import { logProbs } from "../../models/decode/host_log_probs.ts";
import { Trie } from "../../models/decode/trie.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { type Worlds, worldsFrom } from "./worlds.ts";

/** Some tokens to predict, each with its logits and its siblings, and what the losses are told. */
export interface TokenBatch {
  /** The tokens. */
  readonly rows: readonly TokenRow[];
  /** The beam width. */
  readonly beam: number;
  /** The temperature of the softmax. */
  readonly tau: number;
  /** The temperature of the margin. */
  readonly xi: number;
  /** The weight of the regulariser. */
  readonly lambda: number;
}

/** A token to predict. */
export interface TokenRow {
  /** (V) */
  readonly logits: readonly number[];
  /** The tokens that are valid here, ascending, the label among them. */
  readonly children: readonly number[];
  /** The token to predict. */
  readonly label: number;
}

/** Size of the vocabulary. */
const V = 8;

/**
 * Batches of one to four tokens: ties, single children, margins on both sides.
 */
export function tokenBatches(): Worlds<TokenBatch> {
  const logit = fc.oneof(
    fc.integer({ min: -2, max: 2 }),
    fc.double({ min: -9, max: 9, noNaN: true }),
  );
  const row = fc.record({
    logits: fc.array(logit, { minLength: V, maxLength: V }),
    children: fc.subarray([...Array(V).keys()], { minLength: 1 }),
    at: fc.nat(V - 1),
  }).map(({ logits, children, at }) => ({
    logits,
    children,
    label: children[at % children.length],
  }));
  const batches = fc.record({
    rows: fc.array(row, { minLength: 1, maxLength: 4 }),
    beam: fc.integer({ min: 1, max: 6 }),
    tau: fc.constantFrom(1, 0.5, 2),
    xi: fc.constantFrom(1, 0.25, 2.75),
    lambda: fc.constantFrom(1, 0, 0.25, 4),
  });
  return worldsFrom(batches);
}

/** A token's probabilities, on the host, from their definition. */
export interface TokenFacts {
  readonly logP: number;
  /** The margin log beta - log p. */
  readonly delta: number;
  readonly violated: boolean;
  /** The number of valid tokens. */
  readonly choices: number;
  /** The gradient of -log p by the logits. */
  readonly gradient: readonly number[];
}

/** The facts of a token, normalised over its siblings or over the vocabulary. */
export function factsOf(
  { logits, children, label }: TokenRow,
  { beam, tau }: TokenBatch,
  over: "children" | "vocabulary" = "children",
): TokenFacts {
  const logP = logProbs(logits, [label], "vocabulary", tau)[0];
  const own = logProbs(logits, children, over, tau);
  const at = children.indexOf(label);
  const ranked = children.map((v) => logits[v]).sort((a, b) => b - a);
  const beta = ranked[Math.min(beam, ranked.length) - 1];
  const everything = logProbs(logits, logits.map((_, v) => v), "vocabulary", tau);
  const q = logits.map((_, v) =>
    over === "vocabulary"
      ? everything[v]
      : children.includes(v)
      ? own[children.indexOf(v)]
      : -Infinity
  );
  return {
    logP: over === "vocabulary" ? logP : own[at],
    delta: (beta - logits[label]) / tau, // the normaliser cancels (T12)
    violated: beta > logits[label],
    choices: children.length,
    gradient: q.map((log, v) => (Math.exp(log) - (v === label ? 1 : 0)) / tau),
  };
}

let oracle: Device | undefined;

/** A loss of a batch and its gradient by each row's logits, on the cpu in float64. */
export async function differentiate(
  loss: Loss,
  { rows }: TokenBatch,
): Promise<{ value: number; gradients: number[][] }> {
  const device = oracle ??= cpu({ float: "float64" });
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
  return {
    value: number,
    gradients: rows.map((_, n) => [...flat.subarray(n * V, (n + 1) * V)]),
  };
}
