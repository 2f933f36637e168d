// Types: a program whose library has no Disposable gets it with this file.
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Tensors, the device that they are on, and the memory that they hold.
 *
 * A tensor is a shape, a dtype and a storage on a device. It is always contiguous and row-major.
 * The result of an op is never written to again. Only state is: parameters, moments of optimisers,
 * meters, attention caches, and what the host writes.
 *
 * @module
 */
import type { BackendStats, Memory, Region } from "./backend.ts";
import type { DType, FloatDType, Nested, TypedArray } from "./dtype.ts";
import { ArgumentError, DisposedError } from "./errors.ts";
import type { BufferUse, Kernel, ParamType, ParamValues } from "./kernel.ts";
import { printed } from "./print.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";

// Some browsers have no Symbol.dispose. Tensors have a method of that name, and compiled `using`
// looks for it.
if (Symbol.dispose === undefined) {
  Object.defineProperty(Symbol, "dispose", { value: Symbol("Symbol.dispose") });
}

/** Significant digits that are printed. */
const DIGITS = { float16: 4, float32: 7, float64: 8, int32: 10 } as const;

/**
 * A tensor. Make one with {@link Device.tensor} or with an op.
 *
 * @example
 * ```ts
 * import { cpu } from "beargrad";
 *
 * const x = cpu().tensor([[1, 2, 3], [4, 5, 6]]);
 * console.log(x.shape, await x.data()); // [2, 3] Float32Array [1, 2, 3, 4, 5, 6]
 * console.log(x); // Tensor(2, 3) float32 on cpu, and below it the elements
 * ```
 */
export class Tensor {
  /** The device that it is on. */
  readonly device: Device;
  /** The sizes of its axes. */
  readonly shape: Shape;
  /** The type of its elements. */
  readonly dtype: DType;
  /** Its memory, possibly shared. Internal. */
  readonly storage: Storage;

  /** Internal: devices and ops make tensors. */
  constructor(device: Device, shape: Shape, dtype: DType, storage: Storage) {
    this.device = device;
    this.shape = shape.slice(); // freezing it would make eager ops a third slower
    this.dtype = dtype;
    this.storage = storage;
  }

  /** The number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** The number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /**
   * Copies the elements to the host, row-major. Every call waits for the device; use
   * {@link Device.read} to read several tensors at once.
   *
   * @throws {DisposedError} if its memory was freed.
   * @throws {CaptureError} inside a captured step.
   */
  data(): Promise<TypedArray> {
    return this.device.read([this]).then(([elements]) => elements);
  }

  /**
   * The element of a tensor that has exactly one.
   *
   * @throws {ArgumentError} if it has more or none.
   */
  item(): Promise<number> {
    if (this.size === 1) return this.data().then(([element]) => element);
    return Promise.reject(
      new ArgumentError(
        `Cannot take the item of a tensor of shape ${formatShape(this.shape)}: ` +
          `it must have one element, got ${this.size}`,
      ),
    );
  }

  /**
   * Copies the tensor to another device, by way of the host. Floats become that device's float
   * type, float16 its {@link Device.half}, and int32 stays int32. The copy belongs to the arena
   * that is open when the read-back ends. No gradient flows through it. On its own device this
   * returns the tensor itself.
   *
   * @throws {DisposedError} if its memory was freed.
   * @throws {CaptureError} inside a captured step.
   * @throws {DeviceError} if the copy does not fit.
   * @throws {ArgumentError} if `device` is not a device.
   *
   * @example
   * ```ts
   * import { cpu } from "beargrad";
   *
   * const x = cpu().tensor([1, 2]);
   * const y = await x.to(cpu({ float: "float64" }));
   * console.log(y.dtype, await y.data()); // float64 Float64Array [1, 2]
   * ```
   */
  async to(device: Device): Promise<Tensor> {
    if (device === this.device) return this;
    if (typeof device?.tensor !== "function") {
      throw new ArgumentError(
        `Cannot copy a tensor to another device: it must be a device, got ${typeof device}`,
      );
    }
    const floats = this.dtype === "float16" ? device.half : device.float;
    const dtype = this.dtype === "int32" ? "int32" : floats;
    return device.tensor(await this.data(), this.shape, dtype);
  }

  /**
   * Its shape, dtype and device, and on a cpu device its elements, abbreviated if there are many.
   * Never waits for a device, so a webgpu tensor shows no elements.
   */
  toString(): string {
    const { device, dtype, shape, storage } = this;
    const { state, memory, owner } = storage;
    const head = `Tensor${formatShape(shape)} ${dtype} on ${device.kind}`;
    if (state !== "live") return `${head}, ${STATES[state].printed}`;
    if (memory === undefined) return `${head}, not computed before the captured step runs`;
    const values = owner.peek(this.region("print"));
    if (values === undefined) return head;
    return `${head}${shape.length > 1 ? "\n" : " "}${printed(values, shape, DIGITS[dtype])}`;
  }

  /** What console.log shows in Deno, Bun and Node: see {@link Tensor.toString}. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /**
   * The same elements under another shape of the same size, sharing memory. Not differentiable.
   * Internal: use `reshape`.
   */
  view(shape: Shape): Tensor {
    return new Tensor(this.device, shape, this.dtype, this.storage);
  }

  /** Its memory, for a launch. Internal. @throws {DisposedError} if it was freed. */
  region(action: string): Region {
    const { storage } = this;
    if (storage.state !== "live") {
      throw new DisposedError(
        `Cannot ${action} a tensor of shape ${formatShape(this.shape)} from ${storage.label}: ` +
          STATES[storage.state].refused,
      );
    }
    return { memory: storage.memory as Memory, dtype: this.dtype, size: this.size };
  }

  /**
   * Frees its memory now, and with it every tensor that shares the memory. A second call does
   * nothing. The outputs of a captured step are not freed: they live as long as the step.
   */
  dispose(): void {
    this.storage.owner.free(this.storage);
  }

  /** The same as {@link Tensor.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * A device makes tensors and runs kernels on them. Open one with `cpu()` or `webgpu(gpu)`. Once it
 * is disposed or lost, everything that needs it throws a {@link DeviceError}. So does a tensor that
 * does not fit its memory.
 *
 * @example
 * ```ts
 * import { add, cpu } from "beargrad";
 *
 * const device = cpu();
 * using scope = device.arena(); // frees every tensor made below
 * const sum = add(device.tensor([1, 2]), 3);
 * console.log(await sum.data()); // Float32Array [4, 5]
 * ```
 */
export interface Device {
  /** Which kind of device this is. */
  readonly kind: "cpu" | "webgpu";
  /** The adapter's own description. */
  readonly adapter: string;
  /** Whether the adapter is a program on the processor, such as llvmpipe. */
  readonly software: boolean;
  /** The float type that this device computes in. */
  readonly float: FloatDType;
  /**
   * The dtype of weights in half precision: float16, except on a float64 device, which stores them
   * as float64.
   */
  readonly half: DType;
  /** Counters since the device was opened. */
  readonly stats: Readonly<BackendStats>;
  /** Whether a captured step is being recorded. Every replay sees what is uploaded meanwhile. */
  readonly recording: boolean;

  /**
   * Makes a tensor from numbers, nested arrays or a typed array. The default shape is that of the
   * data. The default dtype is int32 for an `Int32Array`, else the device's float type.
   *
   * @throws {ShapeError} if arrays are ragged, the shape does not fit, or the size of a float16
   * tensor is not a multiple of 4.
   * @throws {DTypeError} if the device has no such dtype.
   * @throws {ArgumentError} if an element is not a number, an element of an int32 tensor is not an
   * integer of 32 bits, or the shape is not an array of numbers.
   * @throws {DeviceError} if it does not fit.
   */
  tensor(data: Nested | TypedArray, shape?: Shape, dtype?: DType): Tensor;

  /**
   * Overwrites the elements of a tensor from the host: all of them, or `data.length` elements from
   * index `at` on. Meant for parameters and for the inputs of captured steps.
   *
   * @throws {ShapeError} if the number of elements differs, those from `at` on do not fit, or a
   * part of a float16 tensor does not begin and end at an even element.
   * @throws {ArgumentError} if the data is not a typed array, or the tensor is int32 and an element
   * is not an integer of 32 bits.
   * @throws {CaptureError} inside a captured step.
   * @throws {DisposedError} if the tensor's memory was freed.
   * @throws {DeviceError} if the tensor is on another device.
   */
  write(tensor: Tensor, data: TypedArray, at?: number): void;

  /**
   * Copies several tensors to the host in one read-back.
   *
   * @throws {CaptureError} inside a captured step, synchronously.
   * @throws {DisposedError} if a tensor's memory was freed.
   * @throws {DeviceError} if a tensor is on another device.
   * @throws {ArgumentError} if it is not called with an array of tensors.
   */
  read(tensors: readonly Tensor[]): Promise<TypedArray[]>;

  /**
   * Opens an arena, which frees every tensor made while it is open. Arenas nest and close in
   * reverse order, so hold one with `using`. While one is open, no other asynchronous code should
   * make tensors on the same device.
   */
  arena(): Arena;

  /** Frees all memory and ends the threads. The device cannot be used any more. */
  dispose(): void;

  /**
   * Makes a tensor with undefined elements, for a kernel to write. Ops use it for their results.
   * `dtype` defaults to the device's float type; `label` names the maker in errors.
   *
   * @throws {ArgumentError} if the shape is not an array of numbers.
   * @throws {ShapeError} if a size is not a non-negative integer, or the size of a float16 tensor
   * is not a multiple of 4.
   * @throws {DTypeError} if the device has no such dtype.
   * @throws {DeviceError} if it does not fit.
   */
  empty(shape: Shape, dtype?: DType, label?: string): Tensor;

  /**
   * Runs a kernel; does nothing if all buffers that it writes are empty. Ops use it. This is the
   * only place where kernels are launched, or recorded by `capture`.
   *
   * @throws {DTypeError} if a tensor does not have the declared dtype.
   * @throws {ShapeError} if a buffer is read four elements at a time and its size is not a multiple
   * of 4.
   * @throws {DisposedError} if a tensor's memory was freed.
   * @throws {DeviceError} if a tensor is on another device, or the kernel fails.
   */
  run<B extends Record<string, BufferUse>, P extends Record<string, ParamType>>(
    kernel: Kernel<B, P>,
    buffers: { readonly [K in keyof B]: Tensor },
    params: ParamValues<P>,
  ): void;
}

/** A scope of lifetimes: it frees every tensor that is made on the device while it is open. */
export interface Arena extends Disposable {
  /**
   * Lets a tensor outlive this arena, and returns it. It then belongs to the enclosing arena, or to
   * none.
   */
  keep(tensor: Tensor): Tensor;
  /** Closes it: frees its tensors. A second call does nothing. */
  dispose(): void;
}

/** Memory with a lifetime. Several tensors may share it: a reshape does. See `memory.ts`. */
export interface Storage {
  /** The memory; undefined in a captured step that is still being recorded. */
  memory: Memory | undefined;
  /** The pack that the memory is a part of, if it is one. */
  pack?: Pack;
  /** Bytes requested. */
  readonly bytes: number;
  /** What made it: the name of an op or a constructor. */
  readonly label: string;
  /**
   * `freed` by an arena or by hand; `reused`: an intermediate of a captured step, whose memory
   * other intermediates share; `repacked`: a pack whose tensors were packed again.
   */
  state: "live" | "freed" | "reused" | "repacked";
  /** Whether it belongs to a captured step and lives as long as the step. */
  captured: boolean;
  /** Who frees it. */
  readonly owner: StorageOwner;
}

/** What a tensor needs from the owner of its storage. */
export interface StorageOwner {
  /** Frees a storage. See {@link Tensor.dispose}. */
  free(storage: Storage): void;
  /** The elements in place, if the host can see them. Not a read-back. */
  peek(region: Region): ArrayLike<number> | undefined;
}

/** Memory that several storages share, one after another. It is released with the last of them. */
export interface Pack {
  /** All of it. */
  readonly memory: Memory;
  /** The storage that covers it. */
  readonly whole: Storage;
  /** How many storages in it are alive, `whole` included. */
  live: number;
}

/** Why a storage in a state other than `live` cannot be used, and how it is printed. */
const STATES = {
  freed: {
    refused: "it must be alive, but its memory was freed",
    printed: "disposed",
  },
  reused: {
    refused:
      "it must be an output of the captured step, but it is an intermediate whose memory is reused",
    printed: "an intermediate of a captured step",
  },
  repacked: {
    refused: "it must be alive, but its tensors were packed again",
    printed: "a pack whose tensors were packed again",
  },
} as const;
