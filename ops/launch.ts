/**
 * How the ops of this room launch the pointwise, copy and reduction kernels. Plain functions on
 * tensors: nothing here is an op, so nothing here is differentiable.
 *
 * @module
 */
import type { DType } from "../core/dtype.ts";
import { ArgumentError, DTypeError } from "../core/errors.ts";
import { deviceOf } from "../core/op.ts";
import { broadcastShapes, sameShape, type Shape, sizeOf, stridesOf } from "../core/shape.ts";
import { type Device, Tensor } from "../core/tensor.ts";
import type { BinaryKernels, StridedKernel } from "../kernels/binary.ts";
import { whereFloat, whereInt } from "../kernels/where.ts";
import { copyFloat, copyInt } from "../kernels/copy.ts";
import { fillFloat, fillInt } from "../kernels/fill.ts";
import { gatherForward, scatterAddForward } from "../kernels/gather.ts";
import { pick, type Vectorised } from "../kernels/pick.ts";
import type { UnaryKernel } from "../kernels/pointwise.ts";
import { CHUNK, sumChunks } from "../kernels/reduce.ts";
import { broadcastStrides, MAX_AXES, mergeAxes, walkValues } from "../kernels/strides.ts";

/** A new tensor filled with a value. */
export function runFill(
  device: Device,
  shape: Shape,
  value: number,
  dtype: DType = device.float,
): Tensor {
  if (dtype === "float16") {
    throw new DTypeError(
      `Cannot fill a tensor: it must be ${device.float} or int32, got float16`,
    );
  }
  const out = device.empty(shape, dtype, "full");
  if (dtype !== "int32") {
    device.run(fillFloat, { out }, { n: out.size, value });
    return out;
  }
  if ((value | 0) !== value) {
    throw new ArgumentError(
      `Cannot fill an int32 tensor: the value must be an integer of 32 bits, got ${value}`,
    );
  }
  device.run(fillInt, { out }, { n: out.size, value });
  return out;
}

/** A number as a tensor that is only read. A recorded step keeps it: no replay fills it again. */
export function scalar(device: Device, value: number, dtype: DType = device.float): Tensor {
  if (!device.recording || (dtype === "int32" && (value | 0) !== value)) {
    return runFill(device, [], value, dtype);
  }
  return device.tensor([value], [], dtype);
}

/**
 * f(x) of every element.
 *
 * @internal
 */
export function runUnary(kernels: Vectorised<UnaryKernel>, label: string, x: Tensor): Tensor {
  const out = x.device.empty(x.shape, x.device.float, label);
  x.device.run(pick(kernels, x.size), { x, out }, { n: x.size });
  return out;
}

/** Two operands as tensors of one device and one dtype; a number becomes a scalar. */
export function operands(
  action: string,
  a: Tensor | number,
  b: Tensor | number,
): { device: Device; dtype: DType; a: Tensor; b: Tensor; shape: Shape } {
  const device = deviceOf(action, [a, b]);
  const dtype = (a instanceof Tensor ? a : b as Tensor).dtype;
  const x = a instanceof Tensor ? a : scalar(device, a, dtype);
  const y = b instanceof Tensor ? b : scalar(device, b, dtype);
  if (x.dtype !== y.dtype) {
    throw new DTypeError(
      `Cannot ${action} tensors of two dtypes: they must be equal, got ${x.dtype} and ${y.dtype}`,
    );
  }
  return { device, dtype, a: x, b: y, shape: broadcastShapes(action, x.shape, y.shape) };
}

/**
 * f(a, b) of every pair of floats, with broadcasting.
 *
 * @internal
 */
export function runBinary(
  kernels: BinaryKernels,
  action: string,
  a: Tensor | number,
  b: Tensor | number,
): Tensor {
  const pair = operands(action, a, b);
  const n = sizeOf(pair.shape);
  if (n % 4 !== 0 || pair.a.size !== n || pair.b.size !== n) {
    const choose = (row: number): StridedKernel => pick(kernels.strided, row);
    return runStrided(choose, action, pair, pair.device.float);
  }
  const out = pair.device.empty(pair.shape, pair.dtype, action);
  pair.device.run(kernels.sameShape, { a: pair.a, b: pair.b, out }, { n });
  return out;
}

/**
 * f(a, b) of every pair, walking both by strides. `choose` gets the size of the walk's last axis.
 *
 * @internal
 */
export function runStrided(
  choose: (row: number) => StridedKernel,
  action: string,
  { device, a, b, shape }: ReturnType<typeof operands>,
  dtype: DType,
): Tensor {
  const walk = mergeAxes(shape, [
    broadcastStrides(a.shape, shape),
    broadcastStrides(b.shape, shape),
  ]);
  if (walk.sizes.length > MAX_AXES) { // of one shape there is one axis to walk
    const [wideA, wideB] = [a, b].map((x) => runBroadcast(action, x, shape));
    return runStrided(choose, action, { device, a: wideA, b: wideB, dtype, shape }, dtype);
  }
  const out = device.empty(shape, dtype, action);
  const kernel = choose(walk.sizes[walk.sizes.length - 1]);
  device.run(kernel, { a, b, out }, { n: out.size, ...walkValues(["a", "b"], walk) });
  return out;
}

/** cond ? a : b, all of one shape. */
export function runWhere(action: string, cond: Tensor, a: Tensor, b: Tensor): Tensor {
  const out = a.device.empty(a.shape, a.dtype, action);
  a.device.run(a.dtype === "int32" ? whereInt : whereFloat, { cond, a, b, out }, { n: out.size });
  return out;
}

/** Where a copy begins and how it walks. */
export interface Side {
  /** The first element. */
  readonly at: number;
  /** The stride of each axis of the walk. */
  readonly strides: Shape;
}

/** Copies a walk of `shape` over `from` of x to `to` of out, which exists already. */
export function runCopy(
  shape: Shape,
  x: Tensor,
  from: Side,
  out: Tensor,
  to: Side,
): void {
  const walk = mergeAxes(shape, [from.strides, to.strides]);
  const { sizes, strides } = walk;
  if (sizes.length > MAX_AXES) { // a copy for each index of the shortest axis
    const short = sizes.indexOf(Math.min(...sizes));
    const [fromAt, toAt] = [from, to].map(({ at }, k) => (i: number): Side => (
      { at: at + i * strides[k][short], strides: strides[k].toSpliced(short, 1) }
    ));
    const rest = sizes.toSpliced(short, 1);
    for (let i = 0; i < sizes[short]; i++) runCopy(rest, x, fromAt(i), out, toAt(i));
    return;
  }
  x.device.run(
    x.dtype === "int32" ? copyInt : copyFloat,
    { x, out },
    { n: sizeOf(shape), xAt: from.at, outAt: to.at, ...walkValues(["x", "o"], walk) },
  );
}

/** A new tensor of `shape` from a walk over x. */
export function runStridedCopy(action: string, shape: Shape, x: Tensor, from: Side): Tensor {
  const out = x.device.empty(shape, x.dtype, action);
  runCopy(shape, x, from, out, { at: 0, strides: stridesOf(shape) });
  return out;
}

/** x with its axes in another order. */
export function runTranspose(action: string, x: Tensor, axes: readonly number[]): Tensor {
  const strides = stridesOf(x.shape);
  const shape = axes.map((axis) => x.shape[axis]);
  return runStridedCopy(action, shape, x, { at: 0, strides: axes.map((axis) => strides[axis]) });
}

/** The opposite of {@link runTranspose}: axis i of x becomes axis `order[i]`. */
export function runInverseTranspose(action: string, x: Tensor, order: readonly number[]): Tensor {
  if (order.every((axis, i) => axis === i)) return x;
  const back: number[] = [];
  order.forEach((axis, i) => back[axis] = i);
  return runTranspose(action, x, back);
}

/** x stretched to `shape`, which it must broadcast to. */
export function runBroadcast(action: string, x: Tensor, shape: Shape): Tensor {
  if (x.size === sizeOf(shape)) return x.view(shape);
  return runStridedCopy(action, shape, x, { at: 0, strides: broadcastStrides(x.shape, shape) });
}

/** A tensor seen as (outer, n, inner), to be reduced over n. */
export interface Rows {
  /** The tensor, its axes possibly in another order. */
  readonly x: Tensor;
  /** Axis i of it is axis `order[i]` of the original. */
  readonly order: readonly number[];
  /** The product of the sizes before the reduced axes. */
  readonly outer: number;
  /** The product of the reduced sizes. */
  readonly n: number;
  /** The product of the sizes after them. */
  readonly inner: number;
}

/**
 * x seen so that `axes` (sorted) are its middle axis; x is transposed first where they are not
 * neighbours.
 */
export function rowsOver(action: string, x: Tensor, axes: readonly number[]): Rows {
  const n = sizeOf(axes.map((axis) => x.shape[axis]));
  const first = axes[0] ?? 0;
  if (axes.every((axis, i) => axis === first + i)) {
    const outer = sizeOf(x.shape.slice(0, first));
    const inner = sizeOf(x.shape.slice(first + axes.length));
    return { x, order: x.shape.map((_, axis) => axis), outer, n, inner };
  }
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes];
  const outer = sizeOf(kept.map((axis) => x.shape[axis]));
  return { x: runTranspose(action, x, order), order, outer, n, inner: 1 };
}

/** The sums over `axes` (sorted), under the shape that is left. */
export function runSum(action: string, x: Tensor, axes: readonly number[]): Tensor {
  const shape = x.shape.filter((_, axis) => !axes.includes(axis));
  const { outer, inner, ...rows } = rowsOver(action, x, axes);
  let { x: part, n } = rows;
  if (n === 0) return runFill(x.device, shape, 0, x.dtype);
  while (n > 1) {
    const chunk = n > 2 * CHUNK ? CHUNK : n;
    const chunks = Math.ceil(n / chunk);
    const out = x.device.empty(chunks === 1 ? shape : [outer, chunks, inner], x.dtype, action);
    x.device.run(sumChunks, { x: part, out }, { outer, n, inner, chunk });
    part = out;
    n = chunks;
  }
  return part.view(shape);
}

/**
 * The gradient of an operand of shape `shape` that was broadcast: the sum of dout over the
 * stretched axes.
 */
export function unbroadcast(dout: Tensor, shape: Shape): Tensor {
  if (sameShape(dout.shape, shape)) return dout;
  const shift = dout.rank - shape.length;
  const axes = dout.shape.map((_, axis) => axis)
    .filter((axis) => axis < shift || shape[axis - shift] !== dout.shape[axis]);
  return runSum("sum a gradient", dout, axes).view(shape);
}

/** out[..., k] = x[..., index[..., k]]. */
export function runGather(label: string, x: Tensor, index: Tensor): Tensor {
  const V = x.shape.at(-1) ?? 1;
  const K = index.shape.at(-1) ?? 1;
  const out = x.device.empty(index.shape, x.device.float, label);
  const outer = sizeOf(index.shape.slice(0, -1));
  x.device.run(gatherForward, { x, index, out }, { outer, V, K, inner: 1 });
  return out;
}

/** out[..., v] = the sum of the values whose index is v. */
export function runScatterAdd(label: string, index: Tensor, values: Tensor, V: number): Tensor {
  const K = index.shape.at(-1) ?? 1;
  const outer = sizeOf(index.shape.slice(0, -1));
  const out = values.device.empty([...index.shape.slice(0, -1), V], values.device.float, label);
  values.device.run(scatterAddForward, { index, values, out }, { outer, V, K, inner: 1 });
  return out;
}
