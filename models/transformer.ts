/**
 * A decoder-only transformer in the style of Llama (Touvron et al., arXiv:2302.13971): pre-norm blocks of causal attention
 * with rotary positions and grouped query heads, and of SwiGLU.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { foldIn, keyOf, normal } from "../core/random.ts";
import { formatShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { MAX_HEAD_SIZE } from "../kernels/attention.ts";
import { attention } from "../ops/attention.ts";
import { add } from "../ops/binary.ts";
import { dropout } from "../ops/dropout.ts";
import { reshape } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { rmsNorm } from "../ops/rms_norm.ts";
import { rope, type RopeTable } from "../ops/rope.ts";
import { swiglu } from "../ops/swiglu.ts";
import { takeRows } from "../ops/take_rows.ts";

/** What decides a transformer's shapes and arithmetic. */
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
  /** What is added to the mean square in RMSNorm. */
  readonly normEps: number;
  /** The longest sequence, what is generated included. */
  readonly maxLength: number;
  /** Dropout rate on the embedding and on both branches of each block. */
  readonly dropout: number;
  /** Whether the embedding is the output head as well. */
  readonly tiedEmbeddings: boolean;
}

/** The weights of one block; matrices are (out, in). */
export type LayerParams = {
  /** (C). */
  readonly attnNorm: Tensor;
  /** (H D, C). */
  readonly query: Tensor;
  /** (KVH D, C). */
  readonly key: Tensor;
  /** (KVH D, C). */
  readonly value: Tensor;
  /** (C, H D). */
  readonly output: Tensor;
  /** (C). */
  readonly mlpNorm: Tensor;
  /** (F, C). */
  readonly gate: Tensor;
  /** (F, C). */
  readonly up: Tensor;
  /** (C, F). */
  readonly down: Tensor;
};

/** The weights of a transformer, a plain record tree. */
export type TransformerParams = {
  /** (V, C). */
  readonly embed: Tensor;
  /** One record a block. */
  readonly layers: readonly LayerParams[];
  /** (C). */
  readonly norm: Tensor;
  /** (V, C), where the embedding is not tied to it. */
  readonly head?: Tensor;
};

/** Turns a block's rotated queries (B, T, H, D) and keys, and its values (B, T, KVH, D), into (B, T, H, D). Internal. */
export type Attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor;

/** Standard deviation of fresh weights. */
const INIT_STD = 0.02;

/** The shapes of the weights, in the order in which they are drawn. */
function shapesOf(config: TransformerConfig): {
  readonly embed: Shape;
  readonly layer: { readonly [K in keyof LayerParams]: Shape };
} {
  const { vocabSize, dim, heads, kvHeads, headDim, ffn } = config;
  return {
    embed: [vocabSize, dim],
    layer: {
      attnNorm: [dim],
      query: [heads * headDim, dim],
      key: [kvHeads * headDim, dim],
      value: [kvHeads * headDim, dim],
      output: [dim, heads * headDim],
      mlpNorm: [dim],
      gate: [ffn, dim],
      up: [ffn, dim],
      down: [dim, ffn],
    },
  };
}

/**
 * Fresh weights: matrices from N(0, 0.02), norms at 1. A seed gives the same numbers on every device and runtime, before
 * they are rounded to the device's float type.
 *
 * @throws {ArgumentError} if the configuration is not possible.
 *
 * @example
 * ```ts
 * import { cpu, initTransformer, parameterCount, type TransformerConfig } from "beargrad";
 *
 * const config: TransformerConfig = {
 *   ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
 *   ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
 * };
 * const params = initTransformer(cpu(), config, 0);
 * console.log(params.layers[0].gate.shape, parameterCount(config)); // [12, 8] 632
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
  const make = (shape: Shape): Tensor => {
    if (shape.length === 1) return device.tensor(new Float64Array(shape[0]).fill(1), shape);
    const values = normal(foldIn(key, drawn++), sizeOf(shape));
    return device.tensor(values.map((z) => INIT_STD * z), shape);
  };
  const { embed, layer } = shapesOf(config);
  return {
    embed: make(embed),
    layers: Array.from(
      { length: config.layers },
      () =>
        Object.fromEntries(
          Object.entries(layer).map(([name, shape]) => [name, make(shape)]),
        ) as LayerParams,
    ),
    norm: make([config.dim]),
    ...(config.tiedEmbeddings ? {} : { head: make(embed) }),
  };
}

/** The number of weights of a transformer. */
export function parameterCount(config: TransformerConfig): number {
  const { embed, layer } = shapesOf(config);
  const block = Object.values(layer).reduce((total, shape) => total + sizeOf(shape), 0);
  const tables = config.tiedEmbeddings ? 1 : 2;
  return tables * sizeOf(embed) + config.layers * block + config.dim;
}

/**
 * The angles of rotary positions 0 to P - 1 for heads of size D, row-major (P, D): in row p the cosines of
 * p theta^(-2i/D) for i = 0 .. D/2 - 1, then their sines.
 */
export function ropeTable(positions: number, D: number, theta: number): Float64Array {
  const table = new Float64Array(positions * D);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < D / 2; i++) {
      const angle = p * theta ** (-2 * i / D);
      table[p * D + i] = Math.cos(angle);
      table[p * D + D / 2 + i] = Math.sin(angle);
    }
  }
  return table;
}

/**
 * A transformer without its weights: its configuration and its table of rotary angles. Methods take the weights, so
 * that `valueAndGrad` can lend them.
 *
 * @example
 * ```ts
 * import { cpu, initTransformer, reshape, Transformer, type TransformerConfig } from "beargrad";
 *
 * const config: TransformerConfig = {
 *   ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
 *   ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
 * };
 * const device = cpu();
 * const model = new Transformer(device, config);
 * const params = initTransformer(device, config, 0);
 * const hidden = model.hidden(params, device.tensor([[3, 1, 4]], [1, 3], "int32"));
 * console.log(model.logits(params, reshape(hidden, [3, 8])).shape); // [3, 16]
 * ```
 */
export class Transformer implements Disposable {
  /** Its configuration. */
  readonly config: TransformerConfig;
  /** The device that holds its table. */
  readonly device: Device;
  readonly #rope: RopeTable;

  /** @throws {ArgumentError} if the configuration is not possible. */
  constructor(device: Device, config: TransformerConfig) {
    checkConfig(config);
    this.config = config;
    this.device = device;
    const { maxLength, headDim, ropeTheta } = config;
    const angles = ropeTable(maxLength, headDim, ropeTheta);
    this.#rope = { angles: device.tensor(angles, [maxLength, headDim]) };
  }

  /**
   * The hidden states after the final norm: tokens int32 (B, T), out (B, T, C). Drops out where a key, an int32 tensor of
   * shape (2), is given.
   *
   * @throws {ShapeError} if tokens are not (B, T), or longer than the configuration allows.
   */
  hidden(params: TransformerParams, tokens: Tensor, dropoutKey?: Tensor): Tensor {
    const { maxLength } = this.config;
    const [, T] = tokens.shape;
    if (tokens.rank !== 2 || T > maxLength) {
      throw new ShapeError(
        `Cannot apply a transformer to tokens of shape ${formatShape(tokens.shape)}: ` +
          `they must be (B, T) with T at most ${maxLength}`,
      );
    }
    const positions = this.device.tensor(Int32Array.from({ length: T }, (_, t) => t));
    return this.forward(params, tokens, positions, (_, q, k, v) => attention(q, k, v), dropoutKey);
  }

  /** The logits of hidden states: (..., C) to (..., V). */
  logits(params: TransformerParams, hidden: Tensor): Tensor {
    return linear(hidden, params.head ?? params.embed);
  }

  /** {@link Transformer.hidden} for any positions, (T) or (B, T), and any way to attend. Internal. */
  forward(
    params: TransformerParams,
    tokens: Tensor,
    positions: Tensor,
    attend: Attend,
    dropoutKey?: Tensor,
  ): Tensor {
    const { heads, kvHeads, headDim: D, dropout: rate, normEps } = this.config;
    const [B, T] = tokens.shape;
    let stream = 0;
    const drop = (x: Tensor): Tensor => dropoutKey ? dropout(x, rate, dropoutKey, stream++) : x;
    const split = (x: Tensor, w: Tensor, n: number): Tensor => reshape(linear(x, w), [B, T, n, D]);
    const turn = (x: Tensor): Tensor => rope(x, this.#rope, positions);

    let x = drop(takeRows(params.embed, tokens)); // (B, T, C)
    params.layers.forEach((layer, l) => {
      const a = rmsNorm(x, layer.attnNorm, normEps);
      const q = turn(split(a, layer.query, heads)); // (B, T, H, D)
      const k = turn(split(a, layer.key, kvHeads)); // (B, T, KVH, D)
      const v = split(a, layer.value, kvHeads);
      const mixed = reshape(attend(l, q, k, v), [B, T, heads * D]);
      x = add(x, drop(linear(mixed, layer.output))); // (B, T, C)

      const m = rmsNorm(x, layer.mlpNorm, normEps);
      const inner = swiglu(linear(m, layer.gate), linear(m, layer.up)); // (B, T, F)
      x = add(x, drop(linear(inner, layer.down))); // (B, T, C)
    });
    return rmsNorm(x, params.norm, normEps);
  }

  /** Gives the table back. */
  [Symbol.dispose](): void {
    this.#rope.angles.dispose();
  }
}

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

/** Throws {@link ArgumentError} unless a transformer can be built. */
function checkConfig(config: TransformerConfig): void {
  const require = (holds: boolean, requirement: string, actual: number): void => {
    if (!holds) {
      throw new ArgumentError(`Cannot build a transformer: ${requirement}, got ${actual}`);
    }
  };
  for (const name of SIZES) {
    const value = config[name];
    require(Number.isInteger(value) && value >= 1, `${name} must be a positive integer`, value);
  }
  const { heads, kvHeads, headDim, ropeTheta, normEps, dropout: rate } = config;
  require(heads % kvHeads === 0, `heads must be a multiple of kvHeads (${kvHeads})`, heads);
  require(
    headDim % 4 === 0 && headDim <= MAX_HEAD_SIZE,
    `headDim must be a multiple of 4, at most ${MAX_HEAD_SIZE}`,
    headDim,
  );
  require(ropeTheta > 0, "ropeTheta must be positive", ropeTheta);
  require(normEps >= 0, "normEps must not be negative", normEps);
  require(rate >= 0 && rate < 1, "dropout must be in [0, 1)", rate);
}
