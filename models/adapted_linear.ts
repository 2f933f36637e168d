/**
 * The linear layers of a block, with the adapter that lies beside them.
 *
 * @module
 */
import { ArgumentError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import { add, mul } from "../ops/binary.ts";
import { zeros } from "../ops/fill.ts";
import { concat } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { adaptedSizes, type LoraConfig, type LoraTarget, TARGETS_OF } from "./lora_config.ts";
import type { LayerWeights, TransformerConfig } from "./transformer_config.ts";

/** What applies a matrix of a block: x (..., in), out (..., out). */
export type ApplyMatrix = (
  x: Tensor,
  layer: LayerWeights,
  matrix: keyof typeof TARGETS_OF,
) => Tensor;

/**
 * What applies the matrices of a model: x W^T, and beside it alpha / r drop(x) A^T B^T for each adapted target, in the columns
 * of W^T that are the target's. `drop` is called for each target anew.
 *
 * The function throws {@link ArgumentError} where a block has an adapter and there are no settings for one.
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
