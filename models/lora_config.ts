/**
 * The settings, names and shapes of low-rank adapters.
 *
 * @module
 */
import { checkOptions } from "../core/checks.ts";
import { ArgumentError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";

/**
 * The matrices of a block that can have an adapter: queries, keys, values and output of the
 * attention, and the three matrices of the SwiGLU. Adapters are drawn, listed and saved in this
 * order.
 */
export const LORA_TARGETS = ["q", "k", "v", "o", "gate", "up", "down"] as const;

/** One of {@link LORA_TARGETS}. */
export type LoraTarget = (typeof LORA_TARGETS)[number];

/** The settings of an adapter. */
export interface LoraConfig {
  /** The adapted matrices of every block, each at most once. */
  readonly targets: readonly LoraTarget[];
  /** The rank r of the updates. */
  readonly rank: number;
  /** Updates are scaled by alpha / r. */
  readonly alpha: number;
  /** The dropout rate on the input of the adapters, in training. */
  readonly dropout: number;
}

/** The adapter in the BEAR paper: queries and values, rank 8, alpha 16, dropout 0.05. */
export const defaultLora: LoraConfig = { targets: ["q", "v"], rank: 8, alpha: 16, dropout: 0.05 };

/** The two factors of an update. It adds alpha / r b a to a matrix (out, in). */
export type LoraPair = {
  /** (r, in). */
  readonly a: Tensor;
  /** (out, r). */
  readonly b: Tensor;
};

/** The updates of one block, in the order of {@link LORA_TARGETS}. */
export type LayerLora = { readonly [K in LoraTarget]?: LoraPair };

/** The weights of an adapter, a tree. */
export type LoraParams = {
  /** One record for each block. */
  readonly layers: readonly LayerLora[];
};

/**
 * Checks the settings of an adapter.
 *
 * @throws {ArgumentError} if one is out of range.
 */
export function checkLora(config: LoraConfig): void {
  checkOptions("build an adapter", config, ["targets", "rank", "alpha", "dropout"]);
  const { targets, rank, alpha, dropout } = config;
  const ensure = (holds: boolean, requirement: string, actual: unknown): void => {
    if (!holds) throw new ArgumentError(`Cannot build an adapter: ${requirement}, got ${actual}`);
  };
  ensure(targets.length > 0, "there must be a target", "none");
  for (const target of targets) {
    ensure(LORA_TARGETS.includes(target), `targets must be ${LORA_TARGETS.join(", ")}`, target);
  }
  ensure(new Set(targets).size === targets.length, "targets must differ", targets.join(", "));
  ensure(Number.isInteger(rank) && rank >= 1, "rank must be a positive integer", rank);
  ensure(alpha > 0 && Number.isFinite(alpha), "alpha must be above 0", alpha);
  ensure(dropout >= 0 && dropout < 1, "dropout must be in [0, 1)", dropout);
}

/** The number of columns (`inner`) and rows (`outer`) of each matrix that can have an adapter. */
export function adaptedSizes(
  { dim, heads, kvHeads, headDim, ffn }: Readonly<
    Record<"dim" | "heads" | "kvHeads" | "headDim" | "ffn", number>
  >,
): Readonly<Record<LoraTarget, { readonly inner: number; readonly outer: number }>> {
  return {
    q: { inner: dim, outer: heads * headDim },
    k: { inner: dim, outer: kvHeads * headDim },
    v: { inner: dim, outer: kvHeads * headDim },
    o: { inner: heads * headDim, outer: dim },
    gate: { inner: dim, outer: ffn },
    up: { inner: dim, outer: ffn },
    down: { inner: ffn, outer: dim },
  };
}

/** The targets of an adapter in the order of {@link LORA_TARGETS}. */
export function orderedTargets({ targets }: LoraConfig): readonly LoraTarget[] {
  return LORA_TARGETS.filter((target) => targets.includes(target));
}

/** The targets within each fused matrix of a block, in the order of its rows. */
export const TARGETS_OF = {
  qkv: ["q", "k", "v"],
  output: ["o"],
  gateUp: ["gate", "up"],
  down: ["down"],
} as const satisfies Readonly<Record<string, readonly LoraTarget[]>>;
