/**
 * A decoder to search with.
 *
 * @module
 */
import type { Device, Tensor } from "../../core/tensor.ts";
import { initTransformer, Transformer } from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { SEED } from "./training_steps.ts";
import { type ConfigName, decoderConfig } from "./workload.ts";

/** A decoder with random weights, in half precision if `half`, and its output head. */
export function randomDecoder(
  device: Device,
  name: ConfigName,
  longestPrompt: number,
  depth: number,
  half = false,
): { readonly decoder: TransformerDecoder; readonly head: Tensor } {
  const config = decoderConfig(name, 8 * Math.ceil(longestPrompt / 8) + depth);
  const params = initTransformer(device, config, SEED);
  const model = new Transformer(device, config);
  const decoder = new TransformerDecoder(model, params, half ? { weights: "float16" } : {});
  return { decoder, head: params.head ?? params.embed };
}
