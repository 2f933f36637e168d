/**
 * The engine alone: tensors, ops, the decoder, its losses and beam search, without the lab. It imports no package and
 * nothing of the runtime, so it runs wherever WebAssembly or WebGPU does, in a browser too.
 *
 * @example
 * ```ts
 * import { cpu, linear } from "beargrad/engine";
 *
 * const device = cpu();
 * const y = linear(device.tensor([1, 2]), device.tensor([[3, 4]]));
 * console.log(await y.item()); // 11
 * ```
 *
 * @module
 */
export { capture } from "../core/capture.ts";
export type { Captured, HostInputs, HostTensor, StepInputs } from "../core/capture.ts";
export { cpu, type CpuOptions } from "../core/cpu_backend.ts";
export type { WorkerConstructor, WorkerData, WorkerThread } from "../core/cpu_threads.ts";
export type { Arena } from "../core/arena.ts";
export { Device } from "../core/device.ts";
export type { Recorded } from "../core/recording.ts";
export type { Nested } from "../core/host_data.ts";
export type { DType, FloatArray, FloatDType, TypedArray } from "../core/dtype.ts";
export * from "../core/errors.ts";
export { defineKernel } from "../core/kernel.ts";
export type * from "../core/kernel.ts";
export type * from "../core/backend.ts";
export { defineComposite, defineOp } from "../core/op.ts";
export type * from "../core/op.ts";
export { foldIn, type Key, keyOf, normal, permutation, threefry, uniform } from "../core/random.ts";
export type { Shape } from "../core/shape.ts";
export type { InputGradients, Tape, TapeNode, Tracked } from "../core/tape.ts";
export { type Pack, type Storage, Tensor } from "../core/tensor.ts";
export { mapTree, type Tree, treeEntries, treeLeaves } from "../core/tree.ts";
export { webgpu, type WebgpuOptions } from "../core/webgpu.ts";

export * from "../ops/attention.ts";
export * from "../ops/binary.ts";
export * from "../ops/cached_attention.ts";
export * from "../ops/categorical.ts";
export * from "../ops/child_logits.ts";
export * from "../ops/compare.ts";
export * from "../ops/cross_entropy.ts";
export * from "../ops/dropout.ts";
export * from "../ops/fill.ts";
export * from "../ops/gather.ts";
export * from "../ops/layer_norm.ts";
export * from "../ops/layout.ts";
export * from "../ops/logits.ts";
export * from "../ops/matmul.ts";
export * from "../ops/path_sum.ts";
export * from "../ops/random_uniform.ts";
export * from "../ops/reduce.ts";
export * from "../ops/rms_norm.ts";
export * from "../ops/rope.ts";
export * from "../ops/select.ts";
export * from "../ops/softmax.ts";
export * from "../ops/swiglu.ts";
export * from "../ops/take.ts";
export * from "../ops/top_k.ts";
export * from "../ops/trie_log_prob.ts";
export * from "../ops/unary.ts";
export * from "../ops/value_and_grad.ts";
export * from "../ops/weighted_mean.ts";

export { AdamW, type AdamWOptions } from "./adamw.ts";
export * from "./checkpoint.ts";
export * from "./checkpoint_config.ts";
export { type NamedTensor, namedTensors } from "./checkpoint_names.ts";
export * from "./load_weights.ts";
export * from "./lora.ts";
export * from "./lora_peft.ts";
export * from "./gradient_mean.ts";
export * from "./meter.ts";
export * from "./safetensors.ts";
export {
  type ByteSource,
  openSafetensors,
  type SafeDType,
  type SafeEntry,
  type SafeReader,
} from "./safetensors_reader.ts";
export * from "./schedule.ts";
export * from "./sgd.ts";
export * from "./transformer.ts";
export * from "./transformer_decoder.ts";
export * from "./losses/apao_pair.ts";
export * from "./losses/apao_point.ts";
export * from "./losses/beam_exact.ts";
export * from "./losses/bear.ts";
export * from "./losses/loss.ts";
export * from "./losses/loss_by_name.ts";
export * from "./losses/msl.ts";
export * from "./losses/msl_ats.ts";
export * from "./losses/sft.ts";
export type { ApaoOptions } from "./losses/worst_prefix.ts";
export * from "./decode/beam_search.ts";
export * from "./decode/decoder.ts";
export * from "./decode/exact.ts";
export * from "./decode/host_log_probs.ts";
export { referenceBeamSearch, type ReferenceOptions } from "./decode/reference.ts";
export * from "./decode/results.ts";
export type { Semantics, SemanticsOptions } from "./decode/semantics.ts";
export * from "./decode/trie.ts";
