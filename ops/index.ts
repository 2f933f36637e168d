/**
 * Every op there is. A test checks the gradients of each op that a module listed here exports.
 *
 * @module
 */
import type { Op, OpOutput } from "../core/op.ts";
import * as attention from "./attention.ts";
import * as binary from "./binary.ts";
import * as categorical from "./categorical.ts";
import * as childLogits from "./child_logits.ts";
import * as compare from "./compare.ts";
import * as concat from "./concat.ts";
import * as crossEntropy from "./cross_entropy.ts";
import * as dropout from "./dropout.ts";
import * as fill from "./fill.ts";
import * as gather from "./gather.ts";
import * as layerNorm from "./layer_norm.ts";
import * as layout from "./layout.ts";
import * as matmul from "./matmul.ts";
import * as pathSum from "./path_sum.ts";
import * as randomUniform from "./random_uniform.ts";
import * as reduce from "./reduce.ts";
import * as rmsNorm from "./rms_norm.ts";
import * as rope from "./rope.ts";
import * as select from "./select.ts";
import * as softmax from "./softmax.ts";
import * as swiglu from "./swiglu.ts";
import * as take from "./take.ts";
import * as topK from "./top_k.ts";
import * as trieLogProb from "./trie_log_prob.ts";
import * as unary from "./unary.ts";
import * as vocabularyLogProb from "./vocabulary_log_prob.ts";
import * as weightedMean from "./weighted_mean.ts";

/** The modules of this room that export ops; a test checks that none is missing. */
const modules: readonly Record<string, unknown>[] = [
  attention,
  binary,
  categorical,
  childLogits,
  compare,
  concat,
  crossEntropy,
  dropout,
  fill,
  gather,
  layerNorm,
  layout,
  matmul,
  pathSum,
  randomUniform,
  reduce,
  rmsNorm,
  rope,
  select,
  softmax,
  swiglu,
  take,
  topK,
  trieLogProb,
  unary,
  vocabularyLogProb,
  weightedMean,
];

/** Every op, by registration. */
export const ops: readonly Op<readonly unknown[], OpOutput>[] = modules
  .flatMap((module) => Object.values(module))
  .filter((value): value is Op<readonly unknown[], OpOutput> =>
    typeof value === "function" && "spec" in value
  );
