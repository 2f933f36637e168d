/**
 * The configuration and the weights of a transformer.
 *
 * @module
 */
import { checkOptions } from "../core/checks.ts";
import { ArgumentError } from "../core/errors.ts";
import { foldIn, keyOf, normalInto } from "../core/random.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { MAX_HEAD_SIZE } from "../kernels/attention.ts";
import type { LayerLora } from "./lora_config.ts";

/**
 * How Llama 3.1 and later models scale rotary positions beyond the context of their first training.
 * Short waves stay, long ones become `factor` times as long, and those between are blended. See
 * `ropeTable`.
 */
export interface RopeScaling {
  /** How many times as long the longest waves become, at least 1. */
  readonly factor: number;
  /**
   * Waves longer than `originalMaxLength / lowFreqFactor` positions become `factor` times as long.
   */
  readonly lowFreqFactor: number;
  /**
   * Waves shorter than `originalMaxLength / highFreqFactor` positions stay. Above `lowFreqFactor`.
   */
  readonly highFreqFactor: number;
  /** The context before scaling. */
  readonly originalMaxLength: number;
}

/** The shapes and the arithmetic of a transformer. */
export interface TransformerConfig {
  /** Size of the vocabulary, V. */
  readonly vocabSize: number;
  /** Channels of the residual stream, C. */
  readonly dim: number;
  /** Blocks. */
  readonly layers: number;
  /** Query heads, H. */
  readonly heads: number;
  /** Key and value heads, KVH; H is a multiple of it. */
  readonly kvHeads: number;
  /** Size of a head, D: a multiple of 4, at most 128. */
  readonly headDim: number;
  /** Inner width of the SwiGLU, F. */
  readonly ffn: number;
  /** Base of the rotary frequencies. */
  readonly ropeTheta: number;
  /** How rotary positions are scaled. Default: not at all. */
  readonly ropeScaling?: RopeScaling;
  /** Added to the mean square in RMSNorm. */
  readonly normEps: number;
  /** The longest sequence, including generated tokens. */
  readonly maxLength: number;
  /** Dropout rate on the embedding and on both branches of each block. */
  readonly dropout: number;
  /** Whether the embedding is also the output head. */
  readonly tiedEmbeddings: boolean;
  /**
   * The codes of I items, tokens of the vocabulary, for inputs with one position an item. Token V +
   * i stands for item i: it is embedded as row i of `items` plus the sum of the embeddings of
   * `itemCodes[i]`, and is never predicted. RPG (Hou et al., arXiv:2506.05781) has the mean of the
   * codes alone; LIGER (Yang et al., arXiv:2411.18814) adds a vector of the item's text to its
   * codes. Default none.
   */
  readonly itemCodes?: readonly (readonly number[])[];
  /**
   * With `itemCodes`, how many codes of the next item are predicted from the position before it,
   * none of which depends on another: code j from the state h + silu(W_j h), as in RPG. Default
   * none: codes are read one after the other.
   */
  readonly codeHeads?: number;
}

/** The weights of one block; matrices are (out, in). */
export type LayerParams = {
  /** (C). */
  readonly attnNorm: Tensor;
  /** ((H + 2 KVH) D, C): rows of the query matrix, then of the key and of the value matrix. */
  readonly qkv: Tensor;
  /** (C, H D). */
  readonly output: Tensor;
  /** (C). */
  readonly mlpNorm: Tensor;
  /** (2 F, C): rows of the gate matrix, then of the up matrix. */
  readonly gateUp: Tensor;
  /** (C, F). */
  readonly down: Tensor;
};

/** The weights of one block, and its adapter if it has one. */
export type LayerWeights = LayerParams & {
  /** See {@link withLora}. */
  readonly lora?: LayerLora;
};

/** The weights of a transformer. */
export type TransformerParams = {
  /** (V, C). */
  readonly embed: Tensor;
  /** One record per block. */
  readonly layers: readonly LayerWeights[];
  /** (C). */
  readonly norm: Tensor;
  /** (V, C), if it is not tied to the embedding. */
  readonly head?: Tensor;
  /** (I, C), if the configuration has codes of items. */
  readonly items?: Tensor;
  /** (heads C, C), if the configuration has code heads: W_0, then W_1 and so on. */
  readonly codeHeads?: Tensor;
};

const SIZES = [
  "vocabSize",
  "dim",
  "layers",
  "heads",
  "kvHeads",
  "headDim",
  "ffn",
  "maxLength",
] as const satisfies (keyof TransformerConfig)[];

const OTHERS = [
  "ropeTheta",
  "ropeScaling",
  "normEps",
  "dropout",
  "tiedEmbeddings",
  "itemCodes",
  "codeHeads",
] as const;

/** Throws {@link ArgumentError} unless a transformer can be built. */
export function checkConfig(config: TransformerConfig): void {
  checkOptions("build a transformer", config, [...SIZES, ...OTHERS]);
  const ensure = (holds: boolean, requirement: string, actual: number): void => {
    if (!holds) {
      throw new ArgumentError(`Cannot build a transformer: ${requirement}, got ${actual}`);
    }
  };
  for (const name of SIZES) {
    const value = config[name];
    ensure(Number.isInteger(value) && value >= 1, `${name} must be a positive integer`, value);
  }
  const { heads, kvHeads, headDim, ropeTheta, ropeScaling, normEps, dropout: rate } = config;
  const { vocabSize, itemCodes, codeHeads } = config;
  ensure(heads % kvHeads === 0, `heads must be a multiple of kvHeads (${kvHeads})`, heads);
  ensure(
    headDim % 4 === 0 && headDim <= MAX_HEAD_SIZE,
    `headDim must be a multiple of 4, at most ${MAX_HEAD_SIZE}`,
    headDim,
  );
  ensure(ropeTheta > 0, "ropeTheta must be positive", ropeTheta);
  if (ropeScaling) {
    const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxLength } = ropeScaling;
    const finite = Number.isFinite;
    ensure(finite(factor) && factor >= 1, "ropeScaling.factor must be at least 1", factor);
    ensure(finite(low) && low > 0, "ropeScaling.lowFreqFactor must be positive", low);
    ensure(
      finite(high) && high > low,
      `ropeScaling.highFreqFactor must be above lowFreqFactor (${low})`,
      high,
    );
    ensure(
      Number.isInteger(originalMaxLength) && originalMaxLength >= 1,
      "ropeScaling.originalMaxLength must be a positive integer",
      originalMaxLength,
    );
  }
  ensure(normEps >= 0, "normEps must not be negative", normEps);
  ensure(rate >= 0 && rate < 1, "dropout must be in [0, 1)", rate);
  if (codeHeads !== undefined) {
    const isCount = Number.isInteger(codeHeads) && codeHeads >= 1;
    ensure(isCount, "codeHeads must be a positive integer", codeHeads);
    ensure(itemCodes !== undefined, "codeHeads must come with itemCodes", codeHeads);
  }
  if (itemCodes === undefined) return;
  ensure(itemCodes.length > 0, "itemCodes must be of at least 1 item", itemCodes.length);
  for (const code of itemCodes.flat()) {
    const isToken = Number.isInteger(code) && code >= 0 && code < vocabSize;
    ensure(isToken, `itemCodes must be tokens below ${vocabSize}`, code);
  }
}

/** Standard deviation of new weights. */
const INIT_STD = 0.02;

/** The number of rows of each matrix in the fused weights of a block, in their order. */
function fusedRows(
  { heads, kvHeads, headDim, ffn }: TransformerConfig,
): { readonly qkv: readonly number[]; readonly gateUp: readonly number[] } {
  return {
    qkv: [heads * headDim, kvHeads * headDim, kvHeads * headDim],
    gateUp: [ffn, ffn],
  };
}

/** The shapes of the weights in the order in which they are drawn; fused ones matrix by matrix. */
export function shapesOf(config: TransformerConfig): {
  readonly embed: Shape;
  readonly layer: { readonly [K in keyof LayerParams]: readonly Shape[] };
  readonly items?: Shape;
  readonly codeHeads?: Shape;
} {
  const { vocabSize, dim, heads, headDim, ffn, itemCodes, codeHeads } = config;
  const { qkv, gateUp } = fusedRows(config);
  return {
    embed: [vocabSize, dim],
    layer: {
      attnNorm: [[dim]],
      qkv: qkv.map((rows) => [rows, dim]),
      output: [[dim, heads * headDim]],
      mlpNorm: [[dim]],
      gateUp: gateUp.map((rows) => [rows, dim]),
      down: [[dim, ffn]],
    },
    ...(itemCodes && { items: [itemCodes.length, dim] }),
    ...(codeHeads && { codeHeads: [codeHeads * dim, dim] }),
  };
}

/**
 * New weights: matrices from N(0, 0.02^2), norms of ones. A seed gives the same numbers on every
 * device and runtime, before they are rounded to the device's float type.
 *
 * @throws {ArgumentError} if the configuration is not possible, or the seed is not an integer from
 * 0 to 2^53 - 1.
 *
 * @example
 * ```ts
 * import { cpu, initTransformer, parameterCount, type TransformerConfig } from "beargrad";
 *
 * const config: TransformerConfig = {
 *   vocabSize: 16,
 *   dim: 8,
 *   layers: 1,
 *   heads: 2,
 *   kvHeads: 1,
 *   headDim: 4,
 *   ffn: 12,
 *   ropeTheta: 10000,
 *   normEps: 1e-5,
 *   maxLength: 32,
 *   dropout: 0,
 *   tiedEmbeddings: true,
 * };
 * const params = initTransformer(cpu(), config, 0);
 * console.log(params.layers[0].gateUp.shape, parameterCount(config)); // [24, 8] 632
 * ```
 */
export function initTransformer(
  device: Device,
  config: TransformerConfig,
  seed: number,
): TransformerParams {
  checkConfig(config);
  const key = foldIn(keyOf(seed), 0);
  let drawn = 0;
  const make = (...parts: readonly Shape[]): Tensor => {
    const [[, ...inner]] = parts;
    const rows = parts.reduce((total, [n]) => total + n, 0);
    const shape = [rows, ...inner];
    const size = sizeOf(shape);
    const values = device.float === "float32" ? new Float32Array(size) : new Float64Array(size);
    let at = 0;
    for (const part of parts) {
      const own = values.subarray(at, at += sizeOf(part));
      if (part.length === 1) own.fill(1);
      else normalInto(own, foldIn(key, drawn++), INIT_STD);
    }
    return device.tensor(values, shape);
  };
  const { embed, layer, items, codeHeads } = shapesOf(config);
  return {
    embed: make(embed),
    layers: Array.from(
      { length: config.layers },
      () =>
        Object.fromEntries(
          Object.entries(layer).map(([name, parts]) => [name, make(...parts)]),
        ) as LayerParams,
    ),
    norm: make([config.dim]),
    ...(config.tiedEmbeddings ? {} : { head: make(embed) }),
    ...(items && { items: make(items) }),
    ...(codeHeads && { codeHeads: make(codeHeads) }),
  };
}

/**
 * The number of weights of a transformer.
 *
 * @example
 * ```ts
 * import { parameterCount } from "beargrad";
 *
 * const config = {
 *   vocabSize: 1024,
 *   dim: 64,
 *   layers: 2,
 *   heads: 2,
 *   kvHeads: 2,
 *   headDim: 32,
 *   ffn: 256,
 *   ropeTheta: 10000,
 *   normEps: 1e-5,
 *   maxLength: 96,
 *   dropout: 0,
 *   tiedEmbeddings: true,
 * };
 * console.log(parameterCount(config)); // 196928
 * ```
 */
export function parameterCount(config: TransformerConfig): number {
  const { embed, layer, items = [0], codeHeads = [0] } = shapesOf(config);
  const block = Object.values(layer).flat().reduce((total, shape) => total + sizeOf(shape), 0);
  const tables = config.tiedEmbeddings ? 1 : 2;
  return tables * sizeOf(embed) + config.layers * block + config.dim + sizeOf(items) +
    sizeOf(codeHeads);
}
