/**
 * Training an adapter of a model whose own weights stay as they are.
 *
 * @module
 */
import type { Device } from "../../core/device.ts";
import { initLora, type LoraConfig, type LoraParams, withLora } from "../../models/lora.ts";
import {
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import type { Trained } from "./trainer.ts";

/**
 * What a {@link Trainer} trains when only a fresh adapter of `base` is to learn: it alone gets gradients and optimiser state.
 * The adapter is drawn from `seed`. The weights of `base` may be float16 where the device has it.
 *
 * @throws {ArgumentError} if the model or the adapter is not possible.
 */
export function adapterOf(
  device: Device,
  base: { readonly config: TransformerConfig; readonly params: TransformerParams },
  lora: LoraConfig,
  seed: number,
): Trained<LoraParams> {
  return {
    model: new Transformer(device, base.config, lora),
    params: initLora(device, base.config, lora, seed),
    weights: (adapter) => withLora(base.params, adapter),
  };
}
