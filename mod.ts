/**
 * beargrad: a minimal tensor and autodiff engine with hand-written WGSL kernels, and on it a small
 * decoder, the SFT / MSL / BEAR losses, trie-constrained beam search, and a lab that measures what
 * beam search prunes.
 *
 * @example
 * ```ts
 * import { cpu, mul, square, sub, sum, valueAndGrad } from "beargrad";
 *
 * const device = cpu();
 * const x = device.tensor([1, 2, 3]);
 * const loss = (p: { w: ReturnType<typeof device.tensor> }) => sum(square(sub(mul(p.w, x), 1)));
 * const { value, grads } = valueAndGrad(loss)({ w: device.tensor([0.5, 0.5, 0.5]) });
 * console.log(await value.item(), await grads.w.data()); // 0.5 [-1, 0, 3]
 * ```
 *
 * @module
 */
export * from "./engine.ts";

export { CheckpointError, DataError, NonFiniteError } from "./core/errors.ts";
export { allLogits, type Logits } from "./ops/logits.ts";
export { childLogits } from "./ops/child_logits.ts";
export { trieLogProb } from "./ops/trie_log_prob.ts";
export { pathSum } from "./ops/path_sum.ts";
export type { Normalization, TrieLogProbOptions } from "./ops/trie_options.ts";
export { type AttentionCache, cachedAttention } from "./ops/cached_attention.ts";
export { ropeTable, Transformer } from "./models/transformer.ts";
export {
  initTransformer,
  parameterCount,
  type TransformerConfig,
  type TransformerParams,
} from "./models/transformer_config.ts";
export { TransformerDecoder } from "./models/transformer_decoder.ts";
export { AdamW, type AdamWOptions } from "./models/adamw.ts";
export { SGD, type SGDOptions } from "./models/sgd.ts";
export { GradientMean } from "./models/gradient_mean.ts";
export { Meter } from "./models/meter.ts";
export { cosineSchedule } from "./models/schedule.ts";
export { loadWeights, readTree, toHuggingFace, writeTree } from "./models/checkpoint.ts";
export { configFromJson, configToJson } from "./models/checkpoint_config.ts";
export { decodeSafetensors, encodeSafetensors, openSafetensors } from "./models/safetensors.ts";
export { initLora, type LoraConfig, mergeLora, withLora } from "./models/lora.ts";
export { type Loss, meanOverTargets, type Negatives, type Targets } from "./models/losses/loss.ts";
export { sft } from "./models/losses/sft.ts";
export { msl } from "./models/losses/msl.ts";
export { mslAts } from "./models/losses/msl_ats.ts";
export { bear } from "./models/losses/bear.ts";
export { apaoPair, apaoPoint } from "./models/losses/apao.ts";
export { beamExact } from "./models/losses/beam_exact.ts";
export { type AnyLoss, losses, lossNamed, type LossOptions } from "./models/losses/index.ts";
export { type DeviceTrie, Trie } from "./models/decode/trie.ts";
export type { Decoder, StepRows } from "./models/decode/decoder.ts";
export { BeamSearch, type BeamSearchOptions } from "./models/decode/beam_search.ts";
export {
  openSearch,
  type OpenSearchOptions,
  type Search,
  type SearchMethod,
} from "./models/decode/open_search.ts";
export type { BeamResult, BeamStep, RankedItem, SearchResult } from "./models/decode/results.ts";
export type { Semantics } from "./models/decode/semantics.ts";
export { referenceBeamSearch } from "./models/decode/reference.ts";
export { exactRanks, exactTopK, scoreCatalogue } from "./models/decode/exact.ts";
export { logProbs, openChildren, type PathLogits } from "./models/decode/host_log_probs.ts";
