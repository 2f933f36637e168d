/**
 * A device makes tensors, runs kernels on them and gives their memory back. All of it is here, once for every
 * backend: creation, lifetimes (arenas), the one place where kernels are launched, and recording for capture.
 *
 * @module
 */
import type { Backend, BackendStats, Launch, Leading, Memory, Region } from "./backend.ts";
import { type Arena, openArena } from "./arena.ts";
import { checkBuffer, checkWritten, refuseForeign } from "./checks.ts";
import {
  bytesPerElement,
  deviceArray,
  type DType,
  type FloatDType,
  type TypedArray,
} from "./dtype.ts";
import { CaptureError, DTypeError, ShapeError } from "./errors.ts";
import type { BufferUse, Kernel, ParamType, ParamValues } from "./kernel.ts";
import { convertTo, flatten, type Nested } from "./host_data.ts";
import { checkMovable, laidOut } from "./pack.ts";
import { collectable, layOut, type Recorded, type Recording } from "./recording.ts";
import { checkShape, formatShape, type Shape, sizeOf } from "./shape.ts";
import { type Pack, type Storage, Tensor } from "./tensor.ts";

/**
 * A device. Open one with `cpu()` or `webgpu(gpu)`.
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
  readonly #scopes: Set<Storage>[] = [];
  #recording: Recording | undefined;
  #leading: { readonly count: Tensor; readonly of: number } | undefined;

  /** Internal: use `cpu()` or `webgpu(gpu)`. */
  constructor(backend: Backend) {
    this.#backend = backend;
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
    return this.#recording !== undefined;
  }

  /** The float type that this device computes in. */
  get float(): FloatDType {
    return this.#backend.float;
  }

  /**
   * The type of weights in half precision: float16 on webgpu. The cpu device has none, and holds their rounded values in the
   * float type that it computes in.
   */
  get half(): DType {
    return this.kind === "webgpu" ? "float16" : this.float;
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
   */
  tensor(data: Nested | TypedArray, shape?: Shape, dtype?: DType): Tensor {
    const flat = flatten(data);
    const target = shape ?? flat.shape;
    checkShape("make a tensor", target);
    if (sizeOf(target) !== flat.values.length) {
      throw new ShapeError(
        `Cannot make a tensor of shape ${formatShape(target)}: it needs ${
          sizeOf(target)
        } elements, ` +
          `got ${flat.values.length}`,
      );
    }
    const type = dtype ?? (data instanceof Int32Array ? "int32" : this.float);
    const bytes = this.#bytes(flat.values.length, type);
    const values = convertTo(type, flat.values);
    const storage = this.#store(bytes, "tensor", true);
    this.#backend.upload(storage.memory as Memory, deviceArray(type, values));
    return new Tensor(this, target, type, storage);
  }

  /** A tensor whose elements are not yet written; `birth` names it in errors. Internal to ops. */
  empty(shape: Shape, dtype: DType = this.float, birth = "empty"): Tensor {
    checkShape("make a tensor", shape);
    const storage = this.#store(this.#bytes(sizeOf(shape), dtype), birth, false);
    return new Tensor(this, shape, dtype, storage);
  }

  /**
   * Overwrites a tensor's elements from the host: all of them, or, where `at` is given, as many as there are from the at-th on.
   * Meant for parameters and for the inputs of captured steps.
   *
   * @throws {ShapeError} if the number of elements differs, those from `at` on do not fit, or a part of a float16 tensor does not
   * begin and end at an even element.
   * @throws {DeviceError} if the tensor is another device's.
   */
  write(tensor: Tensor, data: TypedArray, at?: number): void {
    this.#refuseWhileRecording("write to a tensor");
    refuseForeign(this, "write to a tensor", tensor);
    checkWritten(tensor, data.length, at);
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
   */
  read(tensors: readonly Tensor[]): Promise<TypedArray[]> {
    this.#refuseWhileRecording("read a tensor");
    return new Promise((resolve) => {
      for (const tensor of tensors) refuseForeign(this, "read a tensor", tensor);
      resolve(this.#backend.download(tensors.map((t) => t.region("read"))));
    });
  }

  /**
   * Runs a kernel. The only place where one is launched, or recorded.
   *
   * @throws {DTypeError} if a tensor's dtype is not the one declared.
   * @throws {DisposedError} if a tensor's memory was given back.
   */
  run<B extends Record<string, BufferUse>, P extends Record<string, ParamType>>(
    kernel: Kernel<B, P>,
    buffers: { readonly [K in keyof B]: Tensor },
    params: ParamValues<P>,
  ): void {
    const regions: Region[] = [];
    const storages: Storage[] = [];
    for (const name in kernel.buffers) {
      const tensor = buffers[name];
      checkBuffer(this, kernel.name, name, kernel.buffers[name], tensor);
      regions.push(tensor.region(`run ${kernel.name} on`));
      storages.push(tensor.storage);
    }
    const leading = this.#leadingOf(kernel, params);
    const launch: Launch = { kernel: kernel as unknown as Kernel, regions, params, leading };
    const count = leading && this.#leading?.count.storage;
    if (this.#recording) this.#recording.launches.push({ launch, storages, count });
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
    return openArena(this.#scopes, (storage) => this.free(storage));
  }

  /** Gives memory back. Internal: use `Tensor.dispose` or an arena. */
  free(storage: Storage): void {
    if (storage.state !== "live" || storage.owned) return;
    if (this.#recording) {
      const { transients, constants } = this.#recording;
      if (!transients.has(storage) && !constants.has(storage)) {
        throw new CaptureError(
          `Cannot free the ${storage.birth} tensor inside a captured step: only tensors born in the step may be`,
        );
      }
      storage.state = "freed";
      return;
    }
    storage.state = "freed";
    for (const born of this.#scopes) born.delete(storage);
    this.#release(storage);
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
   */
  pack(tensors: readonly Tensor[]): Tensor {
    this.#refuseWhileRecording("pack tensors");
    checkMovable(tensors);
    const { whole, parts } = laidOut(this, "pack", tensors);
    const memory = whole.storage.memory as Memory;
    const pack: Pack = { memory, whole: whole.storage, live: 1 + tensors.length };
    whole.storage.pack = pack;
    for (const [storage, { offset, bytes }] of parts) {
      const old = storage.pack?.whole;
      this.#release(storage);
      if (old?.state === "live") {
        this.free(old);
        old.state = "left";
      }
      storage.memory = this.#backend.part(memory, offset, bytes);
      storage.pack = pack;
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
   */
  collect(tensors: readonly Tensor[]): Tensor {
    const recording = this.#recording;
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
   */
  record(step: () => readonly Tensor[]): Recorded {
    this.#refuseWhileRecording("capture a step");
    const depth = this.#scopes.length;
    const recording: Recording = {
      depth,
      launches: [],
      transients: new Set(),
      constants: new Set(),
      collections: [],
    };
    const memories: Memory[] = [];
    const release = (): void => {
      for (const storage of [...recording.transients, ...recording.constants]) {
        storage.state = "freed";
      }
      for (const storage of recording.constants) memories.push(storage.memory as Memory);
      for (const memory of memories) this.#backend.release(memory);
    };
    try {
      this.#recording = recording;
      const outputs = new Set(step().map((t) => (t.region("return"), t.storage)));
      this.#recording = undefined;
      const { program, externals } = layOut(this.#backend, recording, outputs, memories);
      for (const storage of recording.transients) {
        if (!outputs.has(storage)) storage.state = "captured";
        storage.owned = true;
      }
      for (const storage of recording.constants) storage.owned = true;
      const run = (): void => {
        this.#refuseWhileRecording("run a captured step");
        program.run();
      };
      const dispose = (): void => {
        program.dispose();
        release();
      };
      return { run, externals, dispose };
    } catch (error) {
      release();
      throw error;
    } finally {
      this.#scopes.length = depth;
      this.#recording = undefined;
    }
  }

  /** Gives all memory back. The device is of no use afterwards. */
  dispose(): void {
    this.#backend.dispose();
  }

  /** Gives a storage's memory back, or its share of a pack. */
  #release({ memory, pack }: Storage): void {
    if (pack === undefined) {
      if (memory) this.#backend.release(memory);
    } else if (--pack.live === 0) this.#backend.release(pack.memory);
  }

  #store(bytes: number, birth: string, constant: boolean): Storage {
    const storage: Storage = {
      memory: undefined,
      bytes,
      birth,
      state: "live",
      owned: false,
    };
    const recording = this.#recording;
    if (recording && !constant) recording.transients.add(storage);
    else storage.memory = this.#backend.allocate(bytes);
    if (recording && constant) recording.constants.add(storage);
    if (this.#scopes.length > (recording?.depth ?? 0)) this.#scopes.at(-1)?.add(storage);
    return storage;
  }

  #bytes(size: number, dtype: DType): number {
    if (dtype !== "int32" && dtype !== this.float && dtype !== this.half) {
      throw new DTypeError(
        `Cannot make a ${dtype} tensor: floats on this ${this.kind} device must be ${this.float}`,
      );
    }
    if (dtype === "float16" && size % 4 !== 0) {
      throw new ShapeError(
        `Cannot make a float16 tensor: its size must be a multiple of 4, got ${size}`,
      );
    }
    return size * bytesPerElement(dtype);
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

  #refuseWhileRecording(action: string): void {
    if (this.#recording) {
      throw new CaptureError(
        `Cannot ${action} inside a captured step: a step must be free of reads and writes by the host`,
      );
    }
  }
}
