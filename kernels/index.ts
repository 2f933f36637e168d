/**
 * Every kernel. A test compares each kernel that a module listed here exports with its reference,
 * on every device.
 *
 * @module
 */
import type { Kernel } from "../core/kernel.ts";
import * as pack from "../core/pack.ts";
import * as accumulate from "./accumulate.ts";
import * as adamw from "./adamw.ts";
import * as attention from "./attention.ts";
import * as attentionBackward from "./attention_backward.ts";
import * as beamAdvance from "./beam_advance.ts";
import * as beamPool from "./beam_pool.ts";
import * as beamRows from "./beam_rows.ts";
import * as binary from "./binary.ts";
import * as cachedAttention from "./cached_attention.ts";
import * as childLogProbs from "./child_log_probs.ts";
import * as childLogits from "./child_logits.ts";
import * as copy from "./copy.ts";
import * as cumsum from "./cumsum.ts";
import * as fill from "./fill.ts";
import * as gather from "./gather.ts";
import * as half from "./half.ts";
import * as indexRows from "./index_rows.ts";
import * as matmul from "./matmul.ts";
import * as matmulSoftware from "./matmul_software.ts";
import * as pathSum from "./path_sum.ts";
import * as pointwise from "./pointwise.ts";
import * as random from "./random.ts";
import * as reduce from "./reduce.ts";
import * as rmsNorm from "./rms_norm.ts";
import * as rope from "./rope.ts";
import * as sgd from "./sgd.ts";
import * as softmax from "./softmax.ts";
import * as swiglu from "./swiglu.ts";
import * as topK from "./top_k.ts";
import * as trieLogProb from "./trie_log_prob.ts";
import * as trieTable from "./trie_table.ts";
import * as vocabularyLogProb from "./vocabulary_log_prob.ts";
import * as weightedMean from "./weighted_mean.ts";
import * as where from "./where.ts";

/** The modules that export kernels. A test checks that none of this room is missing. */
const modules: readonly Record<string, unknown>[] = [
  accumulate,
  adamw,
  attention,
  attentionBackward,
  beamAdvance,
  beamPool,
  beamRows,
  binary,
  cachedAttention,
  childLogProbs,
  childLogits,
  copy,
  cumsum,
  fill,
  gather,
  half,
  indexRows,
  matmul,
  matmulSoftware,
  pack,
  pathSum,
  pointwise,
  random,
  reduce,
  rmsNorm,
  rope,
  sgd,
  softmax,
  swiglu,
  topK,
  trieLogProb,
  trieTable,
  vocabularyLogProb,
  weightedMean,
  where,
];

/** Every kernel, by registration. */
export const kernels: readonly Kernel[] = modules.flatMap((module) => Object.values(module))
  .flatMap(
    (value) => Array.isArray(value) ? value : [value],
  ).filter((value): value is Kernel => (value as Kernel | undefined)?.kind === "kernel");
