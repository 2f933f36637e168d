/**
 * A decoder-only transformer in the style of Llama (Touvron et al., arXiv:2302.13971): pre-norm
 * blocks of causal attention and SwiGLU, with rotary positions and grouped query heads.
 *
 * @module
 */
import { ArgumentError, nameOf, ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { attention } from "../ops/attention.ts";
import { add, mul } from "../ops/binary.ts";
import { concat } from "../ops/concat.ts";
import { dropout } from "../ops/dropout.ts";
import { reshape } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { sum } from "../ops/reduce.ts";
import { addRmsNorm, rmsNorm } from "../ops/rms_norm.ts";
import { rope, type RopeTable } from "../ops/rope.ts";
import { swiglu } from "../ops/swiglu.ts";
import { take } from "../ops/take.ts";
import { silu } from "../ops/unary.ts";
import { adaptedLinear } from "./lora.ts";
import { checkLora, type LoraConfig } from "./lora_config.ts";
import {
  checkConfig,
  type RopeScaling,
  type TransformerConfig,
  type TransformerParams,
} from "./transformer_config.ts";

export {
  initTransformer,
  type LayerParams,
  type LayerWeights,
  parameterCount,
  type RopeScaling,
  type TransformerConfig,
  type TransformerParams,
} from "./transformer_config.ts";

/**
 * The attention of a block: from rotated queries and keys, and values, (B, T, H + 2 KVH, D) to (B,
 * T, H, D).
 */
export type Attend = (layer: number, qkv: Tensor) => Tensor;

/**
 * The angles of rotary positions 0 to P - 1 for heads of size D, row-major (P, D). Row p holds the
 * cosines of p f_i for i = 0 .. D/2 - 1, then their sines, with f_i = theta^(-2i/D). With `scaling`
 * the frequencies are those of Llama 3.1,
 *
 *     f_i ((1 - s) / factor + s)
 *     s = (originalMaxLength f_i / 2 pi - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
 *
 * with s clamped to [0, 1] (`_compute_llama3_parameters` in transformers/modeling_rope_utils.py,
 * and `apply_scaling` in models/llama3_1/api/model.py of github.com/meta-llama/llama-models).
 *
 * @throws {ArgumentError} if D is not even.
 *
 * @example
 * ```ts
 * import { ropeTable } from "beargrad";
 *
 * console.log(ropeTable(2, 2, 10000)); // Float64Array [1, 0, cos 1, sin 1]
 * const scaling = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxLength: 4 };
 * console.log(ropeTable(2, 2, 10000, scaling)); // Float64Array [1, 0, cos 1/8, sin 1/8]
 * ```
 */
export function ropeTable(
  positions: number,
  D: number,
  theta: number,
  scaling?: RopeScaling,
): Float64Array {
  if (D % 2 !== 0) {
    throw new ArgumentError(
      `Cannot make rotary angles: the head size must be even, got ${nameOf(D)}`,
    );
  }
  const frequencies = Float64Array.from({ length: D / 2 }, (_, i) => theta ** (-2 * i / D));
  if (scaling) {
    const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxLength } = scaling;
    for (const [i, f] of frequencies.entries()) {
      const waves = originalMaxLength * f / (2 * Math.PI); // in the original context
      const kept = Math.min(Math.max((waves - low) / (high - low), 0), 1);
      frequencies[i] = f * ((1 - kept) / factor + kept);
    }
  }
  const table = new Float64Array(positions * D);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < D / 2; i++) {
      const angle = p * frequencies[i];
      table[p * D + i] = Math.cos(angle);
      table[p * D + D / 2 + i] = Math.sin(angle);
    }
  }
  return table;
}

/**
 * A transformer without its weights: its configuration and its table of rotary angles. Its methods
 * take the weights as an argument, so that `valueAndGrad` can track them.
 *
 * @example
 * ```ts
 * import { cpu, initTransformer, reshape, Transformer, type TransformerConfig } from "beargrad";
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
  /** The settings of the adapter, if the weights have one. */
  readonly lora: LoraConfig | undefined;
  /** The device that holds its table. */
  readonly device: Device;
  readonly #rope: RopeTable;
  /** The codes of items, int32 (I, L), and 1 where an item has one, (I, L, 1). */
  readonly #codes: { readonly tokens: Tensor; readonly present: Tensor } | undefined;

  /**
   * Makes the table of angles on the device. `lora` is required if the weights come from
   * {@link withLora}.
   *
   * @throws {ArgumentError} if the configuration or the adapter is not possible.
   */
  constructor(device: Device, config: TransformerConfig, lora?: LoraConfig) {
    checkConfig(config);
    if (lora) checkLora(lora);
    this.config = config;
    this.lora = lora;
    this.device = device;
    const { maxLength, headDim, ropeTheta, ropeScaling, itemCodes } = config;
    const angles = ropeTable(maxLength, headDim, ropeTheta, ropeScaling);
    this.#rope = { angles: device.tensor(angles, [maxLength, headDim]) };
    this.#codes = itemCodes && codeTable(device, itemCodes);
  }

  /**
   * The hidden states after the final norm: tokens int32 (B, T), out (B, T, C). With `dropoutKey`,
   * an int32 tensor of shape (2), dropout is on.
   *
   * @throws {ShapeError} if tokens are not (B, T), or longer than the configuration allows.
   */
  hidden(params: TransformerParams, tokens: Tensor, dropoutKey?: Tensor): Tensor {
    const { maxLength, heads, kvHeads } = this.config;
    const [, T] = tokens.shape;
    if (tokens.rank !== 2 || T > maxLength) {
      throw new ShapeError(
        `Cannot apply a transformer to tokens of shape ${formatShape(tokens.shape)}: ` +
          `they must be (B, T) with T at most ${maxLength}`,
      );
    }
    const positions = this.device.tensor(Int32Array.from({ length: T }, (_, t) => t));
    const attend: Attend = (_, qkv) => attention(qkv, heads, kvHeads);
    return this.forward(params, this.embedded(params, tokens), positions, attend, { dropoutKey });
  }

  /** The logits of hidden states: (..., C) to (..., V). */
  logits(params: TransformerParams, hidden: Tensor): Tensor {
    return linear(hidden, params.head ?? params.embed);
  }

  /**
   * The states that predict the codes of an item, from those of the positions before it: (N, C) to
   * (N, heads, C). Internal.
   */
  codeStates({ codeHeads }: TransformerParams, hidden: Tensor): Tensor {
    const { dim, codeHeads: heads = 0 } = this.config;
    const [N] = hidden.shape;
    const inner = silu(linear(hidden, codeHeads as Tensor));
    return add(reshape(inner, [N, heads, dim]), reshape(hidden, [N, 1, dim]));
  }

  /** The embeddings of tokens, also of items: int32 (...) to (..., C). Internal. */
  embedded({ embed, items }: TransformerParams, tokens: Tensor): Tensor {
    if (this.#codes === undefined || items === undefined) return take(embed, tokens);
    const codes = mul(take(embed, this.#codes.tokens), this.#codes.present); // (I, L, C)
    return take(concat([embed, add(items, sum(codes, 1))], 0), tokens);
  }

  /**
   * {@link Transformer.hidden} of embeddings (B, T, C), for other positions, (T) or (B, T), and
   * other attention. With `rows`, int32 (N), the last block computes only these rows of (B T): its
   * attention returns (N, 1, H, D), and the output is (N, 1, C). Internal.
   */
  forward(
    params: TransformerParams,
    embedded: Tensor,
    positions: Tensor,
    attend: Attend,
    { dropoutKey, rows }: { readonly dropoutKey?: Tensor; readonly rows?: Tensor } = {},
  ): Tensor {
    const { dim, heads, kvHeads, headDim: D, dropout: rate, normEps } = this.config;
    const [B, T] = embedded.shape;
    let stream = 0;
    const dropAt = (share: number) => (x: Tensor): Tensor =>
      dropoutKey ? dropout(x, share, dropoutKey, stream++) : x;
    const drop = dropAt(rate);
    const apply = adaptedLinear(this.config, this.lora, dropAt(this.lora?.dropout ?? 0));

    let x = drop(embedded); // (B, T, C)
    let normed = rmsNorm(x, params.layers[0].attnNorm, normEps);
    const residual = (branch: Tensor, norm: Tensor): void => { // also normalises for the next branch
      ({ sum: x, normed } = addRmsNorm(x, drop(branch), norm, normEps));
    };
    params.layers.forEach((layer, l) => {
      const qkv = reshape(apply(normed, layer, "qkv"), [B, T, heads + 2 * kvHeads, D]);
      const turned = rope(qkv, this.#rope, positions, heads + kvHeads); // not the values
      if (rows && l + 1 === params.layers.length) {
        x = reshape(take(reshape(x, [B * T, dim]), rows), [rows.size, 1, dim]);
      }
      const mixed = reshape(attend(l, turned), [...x.shape.slice(0, 2), heads * D]);
      residual(apply(mixed, layer, "output"), layer.mlpNorm);

      const inner = swiglu(apply(normed, layer, "gateUp")); // (B, T, F)
      residual(apply(inner, layer, "down"), params.layers[l + 1]?.attnNorm ?? params.norm);
    });
    return normed;
  }

  /** Frees its tables. */
  dispose(): void {
    this.#rope.angles.dispose();
    this.#codes?.tokens.dispose();
    this.#codes?.present.dispose();
  }

  /** The same as {@link Transformer.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function codeTable(
  device: Device,
  codes: readonly (readonly number[])[],
): { readonly tokens: Tensor; readonly present: Tensor } {
  const I = codes.length;
  const L = codes.reduce((most, { length }) => Math.max(most, length), 0);
  const tokens = new Int32Array(I * L);
  const present = new Float64Array(I * L);
  codes.forEach((own, i) => {
    tokens.set(own, i * L);
    present.fill(1, i * L, i * L + own.length);
  });
  return {
    tokens: device.tensor(tokens, [I, L]),
    present: device.tensor(present, [I, L, 1]),
  };
}
