/**
 * A device makes tensors, runs kernels on them and gives their memory back. All of it is here, once for every
 * backend: creation, lifetimes (arenas), the one place where kernels are launched, and recording for capture.
 *
 * @module
 */
import type { Backend, BackendStats, Launch, Memory, Region } from "./backend.ts";
import { bytesPerElement, type DType, type FloatDType, type TypedArray } from "./dtype.ts";
import { CaptureError, DeviceError, DTypeError, ShapeError } from "./errors.ts";
import type { BufferUse, Kernel, ParamType, ParamValues } from "./kernel.ts";
import { convertTo, flatten, type Nested } from "./host_data.ts";
import { planSlots } from "./plan.ts";
import { checkShape, formatShape, type Shape, sizeOf } from "./shape.ts";
import { type Storage, Tensor } from "./tensor.ts";

/** A scope of lifetimes: every tensor born on the device while it is open is freed when it closes. */
export interface Arena extends Disposable {
  /** Lets a tensor outlive this arena: it then belongs to the arena around it, or to nobody. Returns it. */
  keep(tensor: Tensor): Tensor;
}

/** A recorded step: its program, and the memory it lives in. Internal to capture. */
export interface Recorded {
  /** Runs the step again. @throws {CaptureError} inside another recording. */
  run(): void;
  /** Memory from outside the step that must still be alive when it runs. */
  readonly externals: readonly Storage[];
  /** Gives the step's memory back. */
  dispose(): void;
}

interface Recording {
  /** How many arenas were open when the recording began: their lifetimes are not the step's. */
  readonly depth: number;
  readonly launches: { launch: Launch; storages: readonly Storage[] }[];
  readonly transients: Set<Storage>;
  readonly constants: Set<Storage>;
}

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

  /** The float type that this device computes in. */
  get float(): FloatDType {
    return this.#backend.float;
  }

  /** Counters since the device was opened. */
  get stats(): Readonly<BackendStats> {
    return this.#backend.stats;
  }

  /**
   * A tensor with the given elements. Nested arrays give their own shape; a flat array may be given one.
   * Floats take the device's float type; `Int32Array` stays int32, and so does anything with `dtype: "int32"`.
   *
   * @throws {ShapeError} if the arrays are ragged or the shape does not fit.
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
    const bytes = flat.values.length * this.#elementBytes(type);
    const values = convertTo(type, flat.values);
    const storage = this.#store(bytes, "tensor", true);
    this.#backend.upload(storage.memory as Memory, values);
    return new Tensor(this, target, type, storage);
  }

  /** A tensor whose elements are not yet written; `birth` names it in errors. Internal to ops. */
  empty(shape: Shape, dtype: DType = this.float, birth = "empty"): Tensor {
    checkShape("make a tensor", shape);
    const storage = this.#store(sizeOf(shape) * this.#elementBytes(dtype), birth, false);
    return new Tensor(this, shape, dtype, storage);
  }

  /**
   * Overwrites a tensor's elements from the host. Meant for parameters and for the inputs of captured steps.
   *
   * @throws {ShapeError} if the number of elements differs.
   * @throws {DeviceError} if the tensor is another device's.
   */
  write(tensor: Tensor, data: TypedArray): void {
    this.#refuseWhileRecording("write to a tensor");
    this.#refuseForeign("write to a tensor", tensor);
    if (data.length !== tensor.size) {
      throw new ShapeError(
        `Cannot write to a tensor of shape ${formatShape(tensor.shape)}: ` +
          `it needs ${tensor.size} elements, got ${data.length}`,
      );
    }
    this.#backend.upload(tensor.region("write to").memory, convertTo(tensor.dtype, data));
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
      for (const tensor of tensors) this.#refuseForeign("read a tensor", tensor);
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
      this.#checkBuffer(kernel.name, name, kernel.buffers[name], tensor);
      regions.push(tensor.region(`run ${kernel.name} on`));
      storages.push(tensor.storage);
    }
    const launch: Launch = { kernel: kernel as unknown as Kernel, regions, params };
    if (this.#recording) this.#recording.launches.push({ launch, storages });
    else this.#backend.launch(launch);
  }

  /**
   * Opens an arena. Arenas nest, and close in the order opposite to their opening, so hold one with `using`.
   * While one is open, do not let other asynchronous code make tensors on the same device.
   */
  arena(): Arena {
    const scopes = this.#scopes;
    const born = new Set<Storage>();
    scopes.push(born);
    return {
      keep: (tensor: Tensor): Tensor => {
        const depth = scopes.indexOf(born);
        if (born.delete(tensor.storage) && depth > 0) scopes[depth - 1].add(tensor.storage);
        return tensor;
      },
      [Symbol.dispose]: (): void => {
        const depth = scopes.indexOf(born);
        if (depth < 0) return;
        for (const inner of scopes.splice(depth)) for (const storage of inner) this.free(storage);
      },
    };
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
    if (storage.memory) this.#backend.release(storage.memory);
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
      return this.#layOut(recording, outputs, memories, release);
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

  /** Fills `memories` and places the recorded storages in them. */
  #layOut(
    { launches, transients, constants }: Recording,
    outputs: ReadonlySet<Storage>,
    memories: Memory[],
    release: () => void,
  ): Recorded {
    const slots = planSlots(launches.map((l) => l.storages), transients, outputs);
    for (const bytes of slots.bytes) memories.push(this.#backend.allocate(bytes));
    for (const [storage, slot] of slots.slotOf) storage.memory = memories[slot];
    const externals = new Set<Storage>();
    for (const { launch, storages } of launches) {
      launch.regions.forEach((region, i) => {
        region.memory = storages[i].memory as Memory;
        if (!transients.has(storages[i]) && !constants.has(storages[i])) externals.add(storages[i]);
      });
    }
    const program = this.#backend.compile(launches.map((l) => l.launch));
    for (const storage of transients) if (!outputs.has(storage)) storage.state = "captured";
    for (const storage of [...transients, ...constants]) storage.owned = true;
    const dispose = (): void => {
      program.dispose();
      release();
    };
    const run = (): void => {
      this.#refuseWhileRecording("run a captured step");
      program.run();
    };
    return { run, externals: [...externals], dispose };
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

  #elementBytes(dtype: DType): number {
    if (dtype !== "int32" && dtype !== this.float) {
      throw new DTypeError(
        `Cannot make a ${dtype} tensor: floats on this ${this.kind} device must be ${this.float}`,
      );
    }
    return bytesPerElement(dtype);
  }

  #checkBuffer(kernel: string, name: string, use: BufferUse, tensor: Tensor): void {
    this.#refuseForeign(`run ${kernel} on ${name}`, tensor);
    const wanted = use.endsWith("int") ? "int32" : this.float;
    if (tensor.dtype !== wanted) {
      throw new DTypeError(
        `Cannot run ${kernel} on ${name}: its dtype must be ${wanted}, got ${tensor.dtype}`,
      );
    }
    if (use.endsWith("float4") && tensor.size % 4 !== 0) {
      throw new ShapeError(
        `Cannot run ${kernel} on ${name}: its size must be a multiple of 4, got ${tensor.size}`,
      );
    }
  }

  #refuseForeign(action: string, tensor: Tensor): void {
    if (tensor.device === this) return;
    throw new DeviceError(
      `Cannot ${action}: all tensors must be on one device, ` +
        `got one on another (${tensor.device.kind} and ${this.kind})`,
    );
  }

  #refuseWhileRecording(action: string): void {
    if (this.#recording) {
      throw new CaptureError(
        `Cannot ${action} inside a captured step: a step must be free of reads and writes by the host`,
      );
    }
  }
}
