/**
 * Low-rank adapters (LoRA; Hu et al., arXiv:2106.09685). A frozen matrix W (out, in) is used as
 * W + alpha / r B A, and only A (r, in) and B (out, r) are trained.
 *
 * @module
 */
import { ArgumentError } from "../core/errors.ts";
import { foldIn, keyOf, uniform } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { add, mul } from "../ops/binary.ts";
import { zeros } from "../ops/fill.ts";
import { concat } from "../ops/concat.ts";
import { linear, matmul } from "../ops/matmul.ts";
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
  type LayerWeights,
  type TransformerConfig,
  type TransformerParams,
} from "./transformer_config.ts";

export {
  defaultLora,
  LORA_TARGETS,
  type LoraConfig,
  type LoraParams,
  type LoraTarget,
} from "./lora_config.ts";

/**
 * Draws a fresh adapter, which does not change the model yet: A is uniform in +-1 / sqrt(in), as in
 * PEFT, and B is 0. A seed gives the same numbers on every device and runtime, up to rounding to
 * the device's float type, and the numbers of a matrix do not depend on which others are adapted.
 *
 * @throws {ArgumentError} if a setting of the model or the adapter is out of range, or the seed is
 * not an integer from 0 to 2^53 - 1.
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
 * Puts an adapter beside the weights of a model, for a {@link Transformer} that was made with the
 * adapter's settings. Nothing is copied. With `valueAndGrad` of the adapter alone, no gradient of a
 * frozen weight is computed.
 *
 * @throws {ArgumentError} if the adapter has another number of blocks.
 *
 * @example
 * ```ts
 * import { cpu, initLora, initTransformer, mean, mergeLora, square, Transformer } from "beargrad";
 * import { type LoraConfig, type TransformerConfig, valueAndGrad, withLora } from "beargrad";
 *
 * const config: TransformerConfig = {
 *   vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12,
 *   ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true,
 * };
 * const lora: LoraConfig = { targets: ["q", "v"], rank: 8, alpha: 16, dropout: 0.05 };
 * const device = cpu();
 * const base = initTransformer(device, config, 0);
 * const adapter = initLora(device, config, lora, 0);
 * const model = new Transformer(device, config, lora);
 * const tokens = device.tensor([[3, 1, 4]], [1, 3], "int32");
 * const loss = valueAndGrad((params: typeof adapter) =>
 *   mean(square(model.logits(base, model.hidden(withLora(base, params), tokens))))
 * );
 * console.log(loss(adapter).grads.layers[0].v?.b.shape); // [4, 8]
 *
 * const merged = mergeLora(base, adapter, config, lora); // for a plain Transformer
 * console.log(merged.embed === base.embed, merged.layers[0].qkv === base.layers[0].qkv);
 * // true false
 * ```
 */
export function withLora(params: TransformerParams, adapter: LoraParams): TransformerParams {
  checkLayers("adapt", params, adapter);
  const layers = params.layers.map((layer, l) => ({ ...layer, lora: adapter.layers[l] }));
  return { ...params, layers };
}

/**
 * Adds an adapter to the matrices of a model, W + alpha / r B A, so that it can be used without the
 * adapter. The adapted matrices are new tensors in the device's float type, even where the model's
 * own are float16. All other weights are shared with the model.
 *
 * @throws {ArgumentError} if a setting is out of range, or the adapter has another number of
 * blocks.
 * @throws {ShapeError} if a matrix of the adapter does not fit the model.
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

function checkLayers(action: string, params: TransformerParams, adapter: LoraParams): void {
  const [blocks, adapted] = [params.layers.length, adapter.layers.length];
  if (blocks !== adapted) {
    throw new ArgumentError(
      `Cannot ${action} a model with ${blocks} blocks: its adapter must have as many, ` +
        `got ${adapted}`,
    );
  }
}

/** Applies a matrix of a block to x (..., in); the result is (..., out). */
export type ApplyMatrix = (
  x: Tensor,
  layer: LayerWeights,
  matrix: keyof typeof TARGETS_OF,
) => Tensor;

/**
 * Makes the function that applies the matrices of a model: x W^T plus, for each adapted target,
 * alpha / r drop(x) A^T B^T in the target's columns. Each target calls `drop` anew.
 *
 * The function throws {@link ArgumentError} where a block has an adapter and `lora` is undefined.
 */
export function adaptedLinear(
  config: TransformerConfig,
  lora: LoraConfig | undefined,
  drop: (x: Tensor) => Tensor,
): ApplyMatrix {
  const sizes = adaptedSizes(config);
  return (x, layer, matrix) => {
    const out = linear(x, layer[matrix]);
    const targets: readonly LoraTarget[] = TARGETS_OF[matrix];
    if (targets.every((target) => layer.lora?.[target] === undefined)) return out;
    if (lora === undefined) {
      throw new ArgumentError(
        "Cannot apply a transformer to adapted weights: " +
          "it must be made with the adapter's settings, got none",
      );
    }
    const updates = targets.map((target) => {
      const pair = layer.lora?.[target];
      if (pair === undefined) {
        return zeros(x.device, [...x.shape.slice(0, -1), sizes[target].outer]);
      }
      return linear(mul(linear(drop(x), pair.a), lora.alpha / lora.rank), pair.b);
    });
    return add(out, updates.length === 1 ? updates[0] : concat(updates, -1));
  };
}
