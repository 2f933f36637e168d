/**
 * What low-rank adapters are: their settings, their names and their shapes.
 *
 * @module
 */
import { checkOptions } from "../core/checks.ts";
import { ArgumentError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import type { TransformerConfig } from "./transformer_config.ts";

/**
 * The matrices of a block that can be adapted: those of queries, keys, values and of the attention's output, and those
 * of the SwiGLU. In this order they are drawn, listed and saved.
 */
export const LORA_TARGETS = ["q", "k", "v", "o", "gate", "up", "down"] as const;

/** One of {@link LORA_TARGETS}. */
export type LoraTarget = (typeof LORA_TARGETS)[number];

/** What decides an adapter's shapes and arithmetic. */
export interface LoraConfig {
  /** The adapted matrices of every block: at least one, each once. */
  readonly targets: readonly LoraTarget[];
  /** Rank r of the updates. */
  readonly rank: number;
  /** An update is scaled by alpha / r. */
  readonly alpha: number;
  /** Dropout rate on what goes into the adapters, in training. */
  readonly dropout: number;
}

/**
 * The adapter of the BEAR paper's runs: queries and values, rank 8, alpha 16, dropout 0.05.
 *
 * @example
 * ```ts
 * import { defaultLora, type LoraConfig } from "beargrad";
 *
 * const wider: LoraConfig = { ...defaultLora, targets: ["q", "k", "v", "o"] };
 * console.log(wider.rank); // 8
 * ```
 */
export const defaultLora: LoraConfig = { targets: ["q", "v"], rank: 8, alpha: 16, dropout: 0.05 };

/** The two factors of an update: it adds alpha / r b a to a matrix (out, in). */
export type LoraPair = {
  /** (r, in). */
  readonly a: Tensor;
  /** (out, r). */
  readonly b: Tensor;
};

/** The updates of one block, in the order of {@link LORA_TARGETS}. */
export type LayerLora = { readonly [K in LoraTarget]?: LoraPair };

/** The weights of an adapter, a plain record tree. */
export type LoraParams = {
  /** One record a block. */
  readonly layers: readonly LayerLora[];
};

/** Throws {@link ArgumentError} unless an adapter can be built. */
export function checkLora(config: LoraConfig): void {
  checkOptions("build an adapter", config, ["targets", "rank", "alpha", "dropout"]);
  const { targets, rank, alpha, dropout } = config;
  const require = (holds: boolean, requirement: string, actual: unknown): void => {
    if (!holds) throw new ArgumentError(`Cannot build an adapter: ${requirement}, got ${actual}`);
  };
  require(targets.length > 0, "there must be a target", "none");
  for (const target of targets) {
    require(LORA_TARGETS.includes(target), `targets must be ${LORA_TARGETS.join(", ")}`, target);
  }
  require(new Set(targets).size === targets.length, "targets must differ", targets.join(", "));
  require(Number.isInteger(rank) && rank >= 1, "rank must be a positive integer", rank);
  require(alpha > 0 && Number.isFinite(alpha), "alpha must be above 0", alpha);
  require(dropout >= 0 && dropout < 1, "dropout must be in [0, 1)", dropout);
}

/** The columns and the rows of the matrices that can be adapted. */
export function adaptedSizes(
  { dim, heads, kvHeads, headDim, ffn }: TransformerConfig,
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

/** The targets in the order of {@link LORA_TARGETS}, whatever the order in which they were asked for. */
export function orderedTargets({ targets }: LoraConfig): readonly LoraTarget[] {
  return LORA_TARGETS.filter((target) => targets.includes(target));
}

/** The targets that lie in each matrix of a block here, in the order of its rows. */
export const TARGETS_OF = {
  qkv: ["q", "k", "v"],
  output: ["o"],
  gateUp: ["gate", "up"],
  down: ["down"],
} as const satisfies Readonly<Record<string, readonly LoraTarget[]>>;
