/**
 * beargrad: a minimal tensor and autodiff engine with hand-written WGSL kernels, and on it a small decoder, the
 * SFT / MSL / BEAR losses, trie-constrained beam search, and a lab that measures what beam search prunes.
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
export { capture } from "./core/capture.ts";
export type { Captured, HostInputs, HostTensor, StepInputs } from "./core/capture.ts";
export { cpu, type CpuOptions } from "./core/cpu_backend.ts";
export type { WorkerConstructor, WorkerData, WorkerThread } from "./core/cpu_threads.ts";
export type { Arena } from "./core/arena.ts";
export { Device } from "./core/device.ts";
export type { Recorded } from "./core/recording.ts";
export type { Nested } from "./core/host_data.ts";
export type { DType, FloatArray, FloatDType, TypedArray } from "./core/dtype.ts";
export * from "./core/errors.ts";
export { defineKernel } from "./core/kernel.ts";
export type * from "./core/kernel.ts";
export type * from "./core/backend.ts";
export { defineOp } from "./core/op.ts";
export type * from "./core/op.ts";
export { foldIn, type Key, keyOf, normal, permutation, threefry, uniform } from "./core/random.ts";
export type { Shape } from "./core/shape.ts";
export type { InputGradients, Tape, TapeNode, Tracked } from "./core/tape.ts";
export { type Pack, type Storage, Tensor } from "./core/tensor.ts";
export { mapTree, type Tree, treeEntries, treeLeaves } from "./core/tree.ts";
export { webgpu, type WebgpuOptions } from "./core/webgpu_backend.ts";

export * from "./ops/attention.ts";
export * from "./ops/binary.ts";
export * from "./ops/cached_attention.ts";
export * from "./ops/child_logits.ts";
export * from "./ops/compare.ts";
export * from "./ops/dropout.ts";
export * from "./ops/fill.ts";
export * from "./ops/gather.ts";
export * from "./ops/layout.ts";
export * from "./ops/logits.ts";
export * from "./ops/matmul.ts";
export * from "./ops/random_uniform.ts";
export * from "./ops/reduce.ts";
export * from "./ops/rms_norm.ts";
export * from "./ops/rope.ts";
export * from "./ops/select.ts";
export * from "./ops/softmax.ts";
export * from "./ops/swiglu.ts";
export * from "./ops/take_rows.ts";
export * from "./ops/top_k.ts";
export * from "./ops/trie_log_prob.ts";
export * from "./ops/unary.ts";
export * from "./ops/value_and_grad.ts";
export * from "./ops/weighted_mean.ts";

export * from "./models/adamw.ts";
export * from "./models/checkpoint.ts";
export * from "./models/checkpoint_config.ts";
export * from "./models/lora.ts";
export * from "./models/lora_peft.ts";
export * from "./models/meter.ts";
export * from "./models/safetensors.ts";
export * from "./models/schedule.ts";
export * from "./models/transformer.ts";
export * from "./models/transformer_decoder.ts";
export * from "./models/losses/bear.ts";
export * from "./models/losses/loss.ts";
export * from "./models/losses/loss_by_name.ts";
export * from "./models/losses/msl.ts";
export * from "./models/losses/sft.ts";
export * from "./models/decode/beam_search.ts";
export * from "./models/decode/certificates.ts";
export * from "./models/decode/decoder.ts";
export * from "./models/decode/exact.ts";
export * from "./models/decode/pruning.ts";
export { referenceBeamSearch, type ReferenceOptions } from "./models/decode/reference.ts";
export * from "./models/decode/results.ts";
export type { Semantics, SemanticsOptions } from "./models/decode/semantics.ts";
export * from "./models/decode/trie.ts";

export { type Adapter, loadAdapter, saveAdapter } from "./lab/adapter_folder.ts";
export * from "./lab/adapter_training.ts";
export * from "./lab/baselines.ts";
export * from "./lab/checkpoint.ts";
export * from "./lab/devices.ts";
export * from "./lab/evaluate.ts";
export * from "./lab/experiment.ts";
export type { TheoremCount, TheoremId } from "./lab/judge.ts";
export * from "./lab/metrics.ts";
export * from "./lab/options.ts";
export * from "./lab/progress.ts";
export * from "./lab/recipe.ts";
export * from "./lab/summary.ts";
export * from "./lab/table.ts";
export * from "./lab/teacher_forcing.ts";
export * from "./lab/trainer.ts";
export * from "./lab/verify_model.ts";
export * from "./lab/verify_report.ts";
export * from "./lab/data/batches.ts";
export * from "./lab/data/dataset.ts";
export * from "./lab/data/semantic_ids.ts";
export * from "./lab/data/synthetic.ts";
export { exactWorlds } from "./lab/theorems/arbitraries.ts";
export * from "./lab/theorems/catalogue.ts";
export * from "./lab/theorems/proposition.ts";
export * from "./lab/theorems/report.ts";
export * from "./lab/theorems/runner.ts";
export type { Worlds } from "./lab/theorems/worlds.ts";
export type { ExactSearch, ExactStep } from "./lab/theorems/search.ts";
export {
  adjacentFloats,
  type FloatPair,
  type Perturbed,
  perturbedLogits,
} from "./lab/theorems/stability.ts";
export { type TokenBatch, tokenBatches, type TokenRow } from "./lab/theorems/token_batch.ts";
export * from "./lab/theorems/verification.ts";
export {
  type Branch,
  exactWorld,
  type Model,
  type World,
  type WorldSpec,
} from "./lab/theorems/world.ts";
