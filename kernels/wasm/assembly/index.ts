// What the WebAssembly module exports.

import { CACHED_SCRATCH } from "./cached_attention";
import { GEMM_SCRATCH } from "./gemm";
import { SELECT_SCRATCH } from "./select_largest";
import { TILE_SCRATCH } from "./tile";

export { gemm } from "./gemm";
export { attentionForward } from "./attention";
export { cachedAttentionForward } from "./cached_attention";
export { attentionBackward, attentionDelta } from "./attention_backward";
export { add, adamwUpdate, dropout, sumSquares, swigluBackward, swigluForward } from "./pointwise";
export { addRmsNormBackward, addRmsNormForward } from "./rows";
export { rmsNormBackwardWeight, rmsNormBackwardX, rmsNormForward, rotate } from "./rows";
export { childHead, childHidden, childLogits } from "./child_logits";
export { trieLogProbBackward, trieLogProbForward } from "./trie_log_prob";
export { vocabularyBackward, vocabularyForward } from "./vocabulary_log_prob";

/** The most scratch memory that any function needs, in bytes. */
export function scratchBytes(): usize {
  return max(max(GEMM_SCRATCH, TILE_SCRATCH), max(CACHED_SCRATCH, SELECT_SCRATCH));
}
