/**
 * Tensors: a shape, a dtype, and memory on a device. Always contiguous and row-major. What an op returns is never written
 * to again; only state is: parameters, moments, meters and attention caches, and whatever the host writes.
 *
 * @module
 */
import type { Device } from "./device.ts";
import type { DType, TypedArray } from "./dtype.ts";
import type { Memory, Region } from "./backend.ts";
import { ArgumentError, DisposedError } from "./errors.ts";
import { printed } from "./print.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";
import type { Tracked } from "./tape.ts";

/** Memory that several storages lie in. It is given back with the last of them. */
export interface Pack {
  /** All of it. */
  readonly memory: Memory;
  /** The storage that covers it. */
  readonly whole: Storage;
  /** How many storages in it, `whole` among them, have not been given back. */
  live: number;
}

/** Memory with a life: several tensors may share it (a reshape does). */
export interface Storage {
  /** The memory; absent while a captured step is being recorded and not yet laid out. */
  memory: Memory | undefined;
  /** The pack that the memory is a part of, where it is one. */
  pack?: Pack;
  /** Bytes asked for. */
  readonly bytes: number;
  /** What made it: the name of an op or a constructor. */
  readonly label: string;
  /**
   * `freed` by an arena or by hand; `captured`: an intermediate of a captured step, whose memory is reused;
   * `left`: a pack whose tensors have been packed anew.
   */
  state: "live" | "freed" | "captured" | "left";
  /** Whether it belongs to a captured step, which alone gives it back. */
  owned: boolean;
}

/** Why a storage that is not live cannot be used. */
const GONE = {
  freed: "it must be alive, but its memory was given back",
  captured:
    "it must be an output of the captured step, but it is an intermediate whose memory is reused",
  left: "it must be alive, but its tensors were packed anew",
} as const;

/** What a storage that is not live is called when it is printed. */
const STATES = {
  freed: "disposed",
  captured: "an intermediate of a captured step",
  left: "a pack that was left",
} as const;

/** Significant digits that are printed. */
const DIGITS = { float16: 4, float32: 7, float64: 8, int32: 10 } as const;

/**
 * A tensor. Make one with {@link Device.tensor}, or with an op.
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
  /** The device that holds it. */
  readonly device: Device;
  /** The sizes of its axes. */
  readonly shape: Shape;
  /** The type of its elements. */
  readonly dtype: DType;
  /** Its memory, possibly shared. Internal. */
  readonly storage: Storage;
  /** Its place on a tape, where it has one. Internal. */
  readonly tracked: Tracked | undefined;

  /** Internal: tensors are made by a device or by an op. */
  constructor(device: Device, shape: Shape, dtype: DType, storage: Storage, tracked?: Tracked) {
    this.device = device;
    this.shape = shape.slice(); // freezing it would make eager ops a third slower
    this.dtype = dtype;
    this.storage = storage;
    this.tracked = tracked;
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
   * Its elements, row-major, copied to the host. Every call is a read-back and waits for the device; to read
   * several tensors at once use {@link Device.read}.
   *
   * @throws {DisposedError} if its memory was given back.
   * @throws {CaptureError} inside a captured step.
   */
  data(): Promise<TypedArray> {
    return this.device.read([this]).then(([elements]) => elements);
  }

  /**
   * The one element of a tensor that has one.
   *
   * @throws {ArgumentError} if there is more than one.
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
   * The same elements on another device: floats in that device's float type, float16 in its
   * {@link Device.half}, int32 as int32. It is read back and made anew there, in the arena that is
   * open then, and no gradient flows through it. On its own device it is the tensor itself.
   *
   * @throws {DisposedError} if its memory was given back.
   * @throws {CaptureError} inside a captured step.
   * @throws {DeviceError} if it does not fit.
   * @throws {ArgumentError} if it is given no device.
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
   * Its shape, dtype and device, and on a cpu device its elements; of many those at the ends. Never
   * waits for a device, so on webgpu there are no elements.
   */
  toString(): string {
    const { device, dtype, shape, storage: { state, memory } } = this;
    const head = `Tensor${formatShape(shape)} ${dtype} on ${device.kind}`;
    if (state !== "live") return `${head}, ${STATES[state]}`;
    if (memory === undefined) return `${head}, not computed before the captured step runs`;
    const values = device.peek(this);
    if (values === undefined) return head;
    return `${head}${shape.length > 1 ? "\n" : " "}${printed(values, shape, DIGITS[dtype])}`;
  }

  /** What console.log shows in Deno, Bun and Node: see {@link Tensor.toString}. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /** The same elements under another shape, sharing memory; `shape` must have the same size. Internal: use `reshape`. */
  view(shape: Shape): Tensor {
    return new Tensor(this.device, shape, this.dtype, this.storage);
  }

  /** The same tensor at a place on a tape, or off every tape. Internal. */
  at(tracked: Tracked | undefined): Tensor {
    return new Tensor(this.device, this.shape, this.dtype, this.storage, tracked);
  }

  /** Its memory, for a launch. Internal. @throws {DisposedError} if it was given back. */
  region(action: string): Region {
    const { storage } = this;
    if (storage.state !== "live") {
      throw new DisposedError(
        `Cannot ${action} a tensor of shape ${formatShape(this.shape)} from ${storage.label}: ` +
          GONE[storage.state],
      );
    }
    return { memory: storage.memory as Memory, dtype: this.dtype, size: this.size };
  }

  /**
   * Gives its memory back now. Every tensor that shares it is gone too. Twice is allowed. The outputs of a captured
   * step stay: they are given back with it.
   */
  dispose(): void {
    this.device.free(this.storage);
  }

  /** The same as {@link Tensor.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
