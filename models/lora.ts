/**
 * Low-rank adapters (LoRA; Hu et al., arXiv:2106.09685): a frozen matrix W (out, in) is used as W + alpha / r B A, and only
 * A (r, in) and B (out, r) are trained.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { ArgumentError } from "../core/errors.ts";
import { foldIn, keyOf, uniform } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import { add, mul } from "../ops/binary.ts";
import { zeros } from "../ops/fill.ts";
import { concat } from "../ops/layout.ts";
import { matmul } from "../ops/matmul.ts";
import { take } from "../ops/take.ts";
import {
  adaptedSizes,
  checkLora,
  type LayerLora,
  LORA_TARGETS,
  type LoraConfig,
  type LoraPair,
  type LoraParams,
  type LoraTarget,
  orderedTargets,
  TARGETS_OF,
} from "./lora_config.ts";
import {
  checkConfig,
  type TransformerConfig,
  type TransformerParams,
} from "./transformer_config.ts";

export {
  defaultLora,
  type LayerLora,
  LORA_TARGETS,
  type LoraConfig,
  type LoraPair,
  type LoraParams,
  type LoraTarget,
} from "./lora_config.ts";

/**
 * A fresh adapter, under which the model is what it was: A is uniform in +-1 / sqrt(in), as PEFT draws it, and B is 0. A seed
 * gives the same numbers on every device and runtime, before they are rounded to the device's float type, and a matrix the
 * same ones whatever else is adapted.
 *
 * @throws {ArgumentError} if the model or the adapter is not possible.
 *
 * @example
 * ```ts
 * import { cpu, defaultLora, initLora, type TransformerConfig } from "beargrad";
 *
 * const config: TransformerConfig = {
 *   ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
 *   ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
 * };
 * const { layers: [{ q, v }] } = initLora(cpu(), config, defaultLora, 0);
 * console.log(q?.a.shape, q?.b.shape, v?.b.shape); // [8, 8] [8, 8] [4, 8]
 * ```
 */
export function initLora(
  device: Device,
  config: TransformerConfig,
  lora: LoraConfig,
  seed: number,
): LoraParams {
  checkConfig(config);
  checkLora(lora);
  const sizes = adaptedSizes(config);
  const { rank } = lora;
  const key = foldIn(keyOf(seed), 2); // 0 draws a transformer, 1 its dropout
  const layer = (l: number): LayerLora =>
    Object.fromEntries(
      orderedTargets(lora).map((target): [string, LoraPair] => {
        const { inner, outer } = sizes[target];
        const draw = foldIn(foldIn(key, l), LORA_TARGETS.indexOf(target));
        const a = uniform(draw, rank * inner).map((u) => (2 * u - 1) / Math.sqrt(inner));
        const b = new Float64Array(outer * rank);
        return [target, { a: device.tensor(a, [rank, inner]), b: device.tensor(b, [outer, rank]) }];
      }),
    );
  return { layers: Array.from({ length: config.layers }, (_, l) => layer(l)) };
}

/**
 * The weights of a model with an adapter beside them, for a {@link Transformer} that was made with the adapter's settings.
 * Nothing is copied. Where the adapter alone is lent by `valueAndGrad`, nothing frozen is differentiated.
 *
 * @throws {ArgumentError} if the adapter has another number of blocks.
 *
 * @example
 * ```ts
 * import { cpu, defaultLora, initLora, initTransformer, Transformer, withLora } from "beargrad";
 * import { mean, square, type TransformerConfig, valueAndGrad } from "beargrad";
 *
 * const config: TransformerConfig = {
 *   ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
 *   ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
 * };
 * const device = cpu();
 * const base = initTransformer(device, config, 0);
 * const model = new Transformer(device, config, defaultLora);
 * const tokens = device.tensor([[3, 1, 4]], [1, 3], "int32");
 * const loss = valueAndGrad((adapter: ReturnType<typeof initLora>) =>
 *   mean(square(model.logits(base, model.hidden(withLora(base, adapter), tokens))))
 * );
 * const { grads } = loss(initLora(device, config, defaultLora, 0));
 * console.log(grads.layers[0].v?.b.shape); // [4, 8]
 * ```
 */
export function withLora(params: TransformerParams, adapter: LoraParams): TransformerParams {
  checkLayers("adapt", params, adapter);
  const layers = params.layers.map((layer, l) => ({ ...layer, lora: adapter.layers[l] }));
  return { ...params, layers };
}

/**
 * The weights of a model with an adapter added to its matrices, W + alpha / r B A, to be used without it. The matrices that
 * are adapted are new tensors in the device's float type, even where those of the model are float16; all others are the
 * model's own.
 *
 * @throws {ArgumentError} if the adapter is not one of such a model.
 *
 * @example
 * ```ts
 * import { cpu, defaultLora, initLora, initTransformer, mergeLora, type TransformerConfig } from "beargrad";
 *
 * const config: TransformerConfig = {
 *   ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
 *   ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
 * };
 * const device = cpu();
 * const base = initTransformer(device, config, 0);
 * const merged = mergeLora(base, initLora(device, config, defaultLora, 0), config, defaultLora);
 * console.log(merged.layers[0].qkv === base.layers[0].qkv, merged.embed === base.embed); // false true
 * ```
 */
export function mergeLora(
  params: TransformerParams,
  adapter: LoraParams,
  config: TransformerConfig,
  lora: LoraConfig,
): TransformerParams {
  checkLora(lora);
  checkLayers("merge", params, adapter);
  const { device } = params.embed;
  const sizes = adaptedSizes(config);
  using scope = device.arena();
  const merged = (matrix: Tensor, targets: readonly LoraTarget[], layer: LayerLora): Tensor => {
    const updates = targets.map((target) => {
      const pair = layer[target];
      if (pair === undefined) return zeros(device, [sizes[target].outer, matrix.shape[1]]);
      return matmul(mul(pair.b, lora.alpha / lora.rank), pair.a);
    });
    return scope.keep(add(asFloat(matrix), concat(updates, 0)));
  };
  const layers = params.layers.map((layer, l) => {
    const adapted = Object.entries(TARGETS_OF)
      .filter(([, targets]) => targets.some((target) => adapter.layers[l][target]))
      .map(([name, targets]) => {
        const matrix = layer[name as keyof typeof TARGETS_OF];
        return [name, merged(matrix, targets, adapter.layers[l])];
      });
    return { ...layer, ...Object.fromEntries(adapted) };
  });
  return { ...params, layers };
}

/** A matrix in the device's float type. */
function asFloat(matrix: Tensor): Tensor {
  if (matrix.dtype !== "float16") return matrix;
  const rows = Int32Array.from({ length: matrix.shape[0] }, (_, i) => i);
  return take(matrix, matrix.device.tensor(rows));
}

/**
 * The number of weights of an adapter.
 *
 * @throws {ArgumentError} if the adapter is not possible.
 *
 * @example
 * ```ts
 * import { defaultLora, loraParameterCount } from "beargrad";
 *
 * const sizes = { vocabSize: 1024, dim: 64, layers: 2, heads: 2, kvHeads: 2, headDim: 32, ffn: 256 };
 * const rest = { ropeTheta: 10000, normEps: 1e-5, maxLength: 96, dropout: 0, tiedEmbeddings: true };
 * console.log(loraParameterCount({ ...sizes, ...rest }, defaultLora)); // 4096
 * ```
 */
export function loraParameterCount(config: TransformerConfig, lora: LoraConfig): number {
  checkLora(lora);
  const sizes = adaptedSizes(config);
  return lora.targets.reduce(
    (total, target) =>
      total + config.layers * lora.rank * (sizes[target].inner + sizes[target].outer),
    0,
  );
}

function checkLayers(action: string, params: TransformerParams, adapter: LoraParams): void {
  const [blocks, adapted] = [params.layers.length, adapter.layers.length];
  if (blocks !== adapted) {
    throw new ArgumentError(
      `Cannot ${action} a model with ${blocks} blocks: its adapter must have as many, got ${adapted}`,
    );
  }
}
