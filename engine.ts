/**
 * The engine alone: tensors, ops, autodiff, devices and capture. It imports no package and no
 * runtime API, so it runs wherever WebAssembly or WebGPU does, in a browser too.
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
export { cpu, type CpuOptions } from "./core/cpu_backend.ts";
export { webgpu, type WebgpuOptions } from "./core/webgpu.ts";
export { type Arena, type Device, Tensor } from "./core/tensor.ts";
export type { Shape } from "./core/shape.ts";
export type { DType, Nested, TypedArray } from "./core/dtype.ts";
export {
  ArgumentError,
  BeargradError,
  CaptureError,
  DeviceError,
  DisposedError,
  DTypeError,
  ShapeError,
  TapeError,
} from "./core/errors.ts";
export { valueAndGrad } from "./ops/value_and_grad.ts";
export { mapTree, type Tree, treeLeaves } from "./core/tree.ts";
export { capture, type Captured, type HostTensor } from "./core/capture.ts";
export { foldIn, type Key, keyOf, normal, permutation } from "./core/random.ts";
export {
  defineComposite,
  defineOp,
  deviceOf,
  type Op,
  type OpCase,
  type OpSpec,
} from "./core/op.ts";
export {
  defineKernel,
  type Kernel,
  type KernelCase,
  type KernelSpec,
  linearGrid,
} from "./core/kernel.ts";
export { attention } from "./ops/attention.ts";
export { add, clamp, div, maximum, minimum, mul, type Operand, sub } from "./ops/binary.ts";
export { categorical } from "./ops/categorical.ts";
export { equal, greater, greaterEqual, less, lessEqual, notEqual } from "./ops/compare.ts";
export { crossEntropy } from "./ops/cross_entropy.ts";
export { dropout } from "./ops/dropout.ts";
export { full, fullLike, ones, zeros } from "./ops/fill.ts";
export { gather, oneHot, scatterAdd } from "./ops/gather.ts";
export { layerNorm } from "./ops/layer_norm.ts";
export { concat, split, stack } from "./ops/concat.ts";
export { broadcastTo, reshape, slice, squeeze, transpose, unsqueeze } from "./ops/layout.ts";
export { linear, matmul } from "./ops/matmul.ts";
export { randomUniform } from "./ops/random_uniform.ts";
export { argmax, argmin, cumsum, max, mean, min, sum } from "./ops/reduce.ts";
export { addRmsNorm, rmsNorm } from "./ops/rms_norm.ts";
export { rope } from "./ops/rope.ts";
export { cast, stopGradient, where } from "./ops/select.ts";
export { logSoftmax, logSumExp, softmax } from "./ops/softmax.ts";
export { swiglu } from "./ops/swiglu.ts";
export { take } from "./ops/take.ts";
export { kthLargest, topK } from "./ops/top_k.ts";
export {
  abs,
  cos,
  exp,
  gelu,
  log,
  logSigmoid,
  neg,
  pow,
  relu,
  sigmoid,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
} from "./ops/unary.ts";
export { weightedMean } from "./ops/weighted_mean.ts";
