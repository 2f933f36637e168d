/**
 * A device makes tensors, runs kernels on them and gives their memory back, the same for every backend. The one place
 * where kernels are launched, or recorded for capture. Lifetimes are kept in `heap.ts`.
 *
 * @module
 */
import type { Backend, BackendStats, Launch, Leading, Memory, Region } from "./backend.ts";
import type { Arena } from "./arena.ts";
import {
  checkBuffer,
  checkCount,
  checkedBytes,
  checkShape,
  checkWritten,
  nameOf,
  refuseForeign,
} from "./checks.ts";
import {
  bytesPerElement,
  deviceArray,
  type DType,
  type FloatDType,
  type TypedArray,
} from "./dtype.ts";
import { ArgumentError } from "./errors.ts";
import { Heap } from "./heap.ts";
import type { BufferUse, Kernel, ParamType, ParamValues } from "./kernel.ts";
import { convertTo, flatten, type Nested } from "./host_data.ts";
import { checkMovable, laidOut } from "./pack.ts";
import { collectable, record, type Recorded } from "./recording.ts";
import { type Shape, sizeOf } from "./shape.ts";
import { type Pack, type Storage, Tensor } from "./tensor.ts";

/**
 * A device. Open one with `cpu()` or `webgpu(gpu)`. Once it is disposed or lost, whatever needs it throws a
 * {@link DeviceError}; so does what does not fit into its memory.
 *
 * @example
 * ```ts
 * import { add, cpu } from "beargrad";
 *
 * const device = cpu();
 * using scope = device.arena(); // frees every tensor born below
 * const sum = add(device.tensor([1, 2]), 3);
 * console.log(await sum.data()); // Float32Array [4, 5]
 * ```
 */
export class Device {
  readonly #backend: Backend;
  readonly #heap: Heap;
  #leading: { readonly count: Tensor; readonly of: number } | undefined;

  /** Internal: use `cpu()` or `webgpu(gpu)`. */
  constructor(backend: Backend) {
    this.#backend = backend;
    this.#heap = new Heap(backend);
  }

  /** Which kind of device this is. */
  get kind(): "cpu" | "webgpu" {
    return this.#backend.kind;
  }

  /** The adapter's own description. */
  get adapter(): string {
    return this.#backend.adapter;
  }

  /** Whether the adapter is a program on the processor, such as llvmpipe. */
  get software(): boolean {
    return this.#backend.software;
  }

  /** Whether a captured step is being recorded: what is uploaded now, every replay will see. */
  get recording(): boolean {
    return this.#heap.recording !== undefined;
  }

  /** The float type that this device computes in. */
  get float(): FloatDType {
    return this.#backend.float;
  }

  /**
   * The type of weights in half precision: float16, but on a float64 device float64, which holds the same numbers and others.
   */
  get half(): DType {
    return this.float === "float64" ? "float64" : "float16";
  }

  /** Counters since the device was opened. */
  get stats(): Readonly<BackendStats> {
    return this.#backend.stats;
  }

  /**
   * A tensor with the given elements. Nested arrays give their own shape; a flat array may be given one.
   * Floats take the device's float type; `Int32Array` stays int32, and so does anything with `dtype: "int32"`.
   *
   * @throws {ShapeError} if the arrays are ragged, the shape does not fit, or float16 elements are not a multiple of 4.
   * @throws {DTypeError} if the device has no such dtype.
   * @throws {ArgumentError} if an element is not a number, or one of an int32 tensor not an integer
   * of 32 bits, or the shape is not an array of numbers.
   * @throws {DeviceError} if it does not fit.
   */
  tensor(data: Nested | TypedArray, shape?: Shape, dtype?: DType): Tensor {
    const flat = flatten(data);
    const target = shape === undefined ? flat.shape : shape;
    checkShape("make a tensor", target);
    checkCount("make a tensor", target, flat.values.length);
    const own = data instanceof Int32Array ? "int32" : this.float;
    const type = dtype === undefined ? own : dtype;
    const bytes = checkedBytes(this, flat.values.length, type);
    const values = convertTo(type, flat.values);
    const storage = this.#heap.store(bytes, "device.tensor", true);
    if (values.length > 0) { // Deno panics at an empty writeBuffer
      this.#backend.upload(storage.memory as Memory, deviceArray(type, values));
    }
    return new Tensor(this, target, type, storage);
  }

  /**
   * A float tensor (size) of numbers that the host computes: now, or in a captured step anew before
   * each run. `values` may count its calls. Internal to optimisers.
   *
   * @throws {DeviceError} if it does not fit.
   */
  perRun(size: number, values: () => Float64Array): Tensor {
    const { recording } = this.#heap;
    if (recording === undefined) return this.tensor(values(), [size]);
    const tensor = this.tensor(new Float64Array(size), [size]);
    const converted = (): TypedArray => convertTo(this.float, values());
    recording.feeds.push({ storage: tensor.storage, values: converted });
    return tensor;
  }

  /**
   * A tensor whose elements are not yet written; `label` names it in errors. Internal to ops.
   *
   * @throws {ArgumentError} if the shape is not an array of numbers.
   * @throws {ShapeError} if a size is not an integer from 0, or float16 elements are not a multiple of 4.
   * @throws {DTypeError} if the device has no such dtype.
   * @throws {DeviceError} if it does not fit.
   */
  empty(shape: Shape, dtype: DType = this.float, label = "device.empty"): Tensor {
    checkShape("make a tensor", shape);
    const storage = this.#heap.store(checkedBytes(this, sizeOf(shape), dtype), label, false);
    return new Tensor(this, shape, dtype, storage);
  }

  /**
   * Overwrites a tensor's elements from the host: all of them, or, where `at` is given, as many as there are from the at-th on.
   * Meant for parameters and for the inputs of captured steps.
   *
   * @throws {ShapeError} if the number of elements differs, those from `at` on do not fit, or a part of a float16 tensor does not
   * begin and end at an even element.
   * @throws {ArgumentError} if the data is not a typed array of these kinds, or the tensor is int32
   * and an element is not an integer of 32 bits.
   * @throws {CaptureError} inside a captured step.
   * @throws {DisposedError} if the tensor's memory was given back.
   * @throws {DeviceError} if the tensor is another device's.
   */
  write(tensor: Tensor, data: TypedArray, at?: number): void {
    this.#heap.refuseRecording("write to a tensor");
    refuseForeign(this, "write to a tensor", tensor);
    checkWritten(tensor, data, at);
    const { dtype } = tensor;
    const { memory } = tensor.region("write to");
    if (data.length === 0) return; // Deno panics at an empty writeBuffer
    const values = deviceArray(dtype, convertTo(dtype, data));
    this.#backend.upload(memory, values, (at ?? 0) * bytesPerElement(dtype));
  }

  /**
   * Reads several tensors in one read-back.
   *
   * @throws {CaptureError} inside a captured step, at once.
   * @throws {DisposedError} if a tensor's memory was given back.
   * @throws {DeviceError} if a tensor is another device's.
   * @throws {ArgumentError} if it is given no array, or something in it is no tensor.
   */
  read(tensors: readonly Tensor[]): Promise<TypedArray[]> {
    this.#heap.refuseRecording("read a tensor");
    return new Promise((resolve) => {
      if (!Array.isArray(tensors)) {
        throw new ArgumentError(
          `Cannot read tensors: they must be in an array, got ${nameOf(tensors)}`,
        );
      }
      for (const tensor of tensors) refuseForeign(this, "read a tensor", tensor);
      resolve(this.#backend.download(tensors.map((t) => t.region("read"))));
    });
  }

  /**
   * A tensor's elements where they lie, if the host can see them and there are any. Not a
   * read-back. Internal to printing.
   */
  peek(tensor: Tensor): ArrayLike<number> | undefined {
    const { state, memory } = tensor.storage;
    if (state === "live" && memory) return this.#backend.view?.(tensor.region("print"));
  }

  /**
   * Runs a kernel, unless all that it writes is empty. The only place where one is launched or
   * recorded.
   *
   * @throws {DTypeError} if a tensor's dtype is not the one declared.
   * @throws {ShapeError} if a tensor is read four elements at a time and its size is not a multiple of 4.
   * @throws {DisposedError} if a tensor's memory was given back.
   * @throws {DeviceError} if a tensor is another device's, or the kernel cannot be run or fails.
   */
  run<B extends Record<string, BufferUse>, P extends Record<string, ParamType>>(
    kernel: Kernel<B, P>,
    buffers: { readonly [K in keyof B]: Tensor },
    params: ParamValues<P>,
  ): void {
    const regions: Region[] = [];
    const storages: Storage[] = [];
    let written: number | undefined; // elements of all buffers that it writes
    for (const name in kernel.buffers) {
      const tensor = buffers[name];
      const use = kernel.buffers[name];
      checkBuffer(this, kernel.name, name, use, tensor);
      const region = tensor.region(`run ${kernel.name} on`);
      regions.push(region);
      storages.push(tensor.storage);
      if (!use.startsWith("read")) written = (written ?? 0) + region.size;
    }
    if (written === 0) return;
    const leading = this.#leadingOf(kernel, params);
    const launch: Launch = { kernel: kernel as unknown as Kernel, regions, params, leading };
    const count = leading && this.#leading?.count.storage;
    const { recording } = this.#heap;
    if (recording) recording.launches.push({ launch, storages, count });
    else this.#backend.launch(launch);
  }

  /**
   * What `body` runs need be done for the first rows only, of `of` rows; `count`, int32, says when it runs how many they are. What
   * the others become is undefined, so `body` must keep rows apart: row i of what it makes may depend on row i of what it is
   * given, and on things that are not rows. Internal to decoding.
   */
  leading<T>(count: Tensor, of: number, body: () => T): T {
    const around = this.#leading;
    this.#leading = { count, of };
    try {
      return body();
    } finally {
      this.#leading = around;
    }
  }

  /**
   * Opens an arena. Arenas nest, and close in the order opposite to their opening, so hold one with `using`.
   * While one is open, do not let other asynchronous code make tensors on the same device.
   */
  arena(): Arena {
    return this.#heap.arena();
  }

  /**
   * Gives memory back. Internal: use `Tensor.dispose` or an arena.
   *
   * @throws {CaptureError} inside a captured step, if the tensor was not born in it.
   */
  free(storage: Storage): void {
    this.#heap.free(storage);
  }

  /**
   * Moves tensors so that they lie one after another in one memory, and returns a tensor (N) over all of it: each begins
   * at a multiple of 64 elements, and what is between them is zero. Views and captured steps follow.
   * The memory is given back when the returned tensor and all of the others have been. Tensors that are packed anew leave
   * their old pack, whose tensor over all of it then cannot be used any more. Internal to optimisers.
   *
   * @throws {ArgumentError} if there are none, or one is not all of its memory, there twice, or a captured step's.
   * @throws {CaptureError} inside a captured step.
   * @throws {DTypeError} if one is not of the device's float type.
   * @throws {DisposedError} if a tensor's memory was given back.
   * @throws {DeviceError} if a tensor is another device's, or the pack does not fit.
   */
  pack(tensors: readonly Tensor[]): Tensor {
    this.#heap.refuseRecording("pack tensors");
    checkMovable(tensors);
    const { whole, parts } = laidOut(this, "pack", tensors);
    const memory = whole.storage.memory as Memory;
    const pack: Pack = { memory, whole: whole.storage, live: 1 + tensors.length };
    whole.storage.pack = pack;
    for (const [storage, { offset, bytes }] of parts) {
      this.#heap.move(storage, this.#backend.part(memory, offset, bytes), pack);
    }
    return whole;
  }

  /**
   * A tensor (N) that holds the elements of others as {@link Device.pack} lays them out, without moving them. In a
   * captured step those that are born in it are laid there from the beginning where that can be, and only the rest are
   * copied; so neither they nor the result may be written to afterwards. Internal to optimisers.
   *
   * @throws {ArgumentError} if there are none.
   * @throws {DTypeError} if one is not of the device's float type.
   * @throws {DisposedError} if a tensor's memory was given back.
   * @throws {DeviceError} if a tensor is another device's, or the result does not fit.
   */
  collect(tensors: readonly Tensor[]): Tensor {
    const { recording } = this.#heap;
    const laid = recording ? collectable(recording, tensors) : new Set<Storage>();
    const { whole, parts } = laidOut(this, "collect", tensors, laid);
    const those = [...parts].filter(([storage]) => laid.has(storage));
    recording?.collections.push({ whole: whole.storage, parts: new Map(those) });
    return whole;
  }

  /**
   * Runs `step` without launching anything and lays out what it would have launched: intermediates whose lives
   * do not overlap share memory. The outputs that `step` returns stay alive. Internal: use `capture`.
   *
   * @throws {CaptureError} inside another recording.
   * @throws {DeviceError} if its memory does not fit.
   */
  record(step: () => readonly Tensor[]): Recorded {
    return record(this.#backend, this.#heap, step);
  }

  /** Gives all memory back, and ends the threads. The device is of no use afterwards; twice is allowed. */
  dispose(): void {
    this.#backend.dispose();
  }

  #leadingOf<P extends Record<string, ParamType>>(
    kernel: { rows?(params: ParamValues<P>): (keyof P & string) | undefined },
    params: ParamValues<P>,
  ): Leading | undefined {
    const param = this.#leading && kernel.rows?.(params);
    if (this.#leading === undefined || param === undefined) return undefined;
    const { count, of } = this.#leading;
    if (params[param] % of !== 0) return undefined;
    return { count: count.region("count rows by"), of, param };
  }
}
