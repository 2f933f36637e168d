/**
 * The class behind `Device`: it checks arguments, makes tensors, and launches kernels or records
 * them. A backend runs them; `memory.ts` owns the storages.
 *
 * @module
 */
import type {
  AdapterDetails,
  Backend,
  BackendStats,
  Launch,
  Leading,
  Memory,
  Region,
} from "./backend.ts";
import {
  checkBuffer,
  checkCount,
  checkDevice,
  checkedBytes,
  checkShape,
  checkWritten,
} from "./checks.ts";
import {
  bytesPerElement,
  convertTo,
  deviceArray,
  type DType,
  flatten,
  type FloatDType,
  type Nested,
  type TypedArray,
} from "./dtype.ts";
import { ArgumentError, nameOf } from "./errors.ts";
import type { BufferUse, Kernel, ParamType, ParamValues } from "./kernel.ts";
import { DeviceMemory, type Held } from "./memory.ts";
import { type Shape, sizeOf } from "./shape.ts";
import { type Arena, type Device, type Storage, Tensor } from "./tensor.ts";

/** A device on a backend. {@link Device} documents its methods. */
export class BackendDevice implements Device {
  /** What runs the kernels. */
  readonly backend: Backend;
  /** The owner of the storages. */
  readonly memory: DeviceMemory;
  /** While `leadingRows` runs its body: how many of how many rows matter. */
  leading: { readonly count: Tensor; readonly of: number } | undefined;

  /** Opens a device on a backend. */
  constructor(backend: Backend) {
    this.backend = backend;
    this.memory = new DeviceMemory(backend);
  }

  get kind(): "cpu" | "webgpu" {
    return this.backend.kind;
  }

  get adapter(): string {
    return this.backend.adapter;
  }

  get software(): boolean {
    return this.backend.software;
  }

  get float(): FloatDType {
    return this.backend.float;
  }

  get half(): DType {
    return this.float === "float64" ? "float64" : "float16";
  }

  get stats(): Readonly<BackendStats> {
    return this.backend.stats;
  }

  get recording(): boolean {
    return this.memory.recording !== undefined;
  }

  tensor(data: Nested | TypedArray, shape?: Shape, dtype?: DType): Tensor {
    const flat = flatten(data);
    const target = shape === undefined ? flat.shape : shape;
    checkShape("make a tensor", target);
    checkCount("make a tensor", target, flat.values.length);
    const own = data instanceof Int32Array ? "int32" : this.float;
    const type = dtype === undefined ? own : dtype;
    const bytes = checkedBytes(this, flat.values.length, type);
    const values = convertTo(type, flat.values);
    const storage = this.memory.make(bytes, "device.tensor", true);
    if (values.length > 0) { // Deno panics at an empty writeBuffer
      this.backend.upload(storage.memory as Memory, deviceArray(type, values));
    }
    return new Tensor(this, target, type, storage);
  }

  write(tensor: Tensor, data: TypedArray, at?: number): void {
    this.memory.refuseRecording("write to a tensor");
    checkDevice(this, "write to a tensor", tensor);
    checkWritten(tensor, data, at);
    const { dtype } = tensor;
    const { memory } = tensor.region("write to");
    if (data.length === 0) return; // Deno panics at an empty writeBuffer
    const values = deviceArray(dtype, convertTo(dtype, data));
    this.backend.upload(memory, values, (at ?? 0) * bytesPerElement(dtype));
  }

  read(tensors: readonly Tensor[]): Promise<TypedArray[]> {
    this.memory.refuseRecording("read a tensor");
    return new Promise((resolve) => {
      if (!Array.isArray(tensors)) {
        throw new ArgumentError(
          `Cannot read tensors: they must be in an array, got ${nameOf(tensors)}`,
        );
      }
      for (const tensor of tensors) checkDevice(this, "read a tensor", tensor);
      resolve(this.backend.download(tensors.map((t) => t.region("read"))));
    });
  }

  arena(): Arena {
    return this.memory.arena();
  }

  dispose(): void {
    this.backend.dispose();
  }

  empty(shape: Shape, dtype: DType = this.float, label = "device.empty"): Tensor {
    checkShape("make a tensor", shape);
    const storage = this.memory.make(checkedBytes(this, sizeOf(shape), dtype), label, false);
    return new Tensor(this, shape, dtype, storage);
  }

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
    const count = leading && this.leading?.count.storage;
    const { recording } = this.memory;
    if (recording) recording.launches.push({ launch, storages, count });
    else this.backend.launch(launch);
  }

  /** How a launch of `kernel` restricts itself to the leading rows, if it can. */
  #leadingOf<P extends Record<string, ParamType>>(
    kernel: { rows?(params: ParamValues<P>): (keyof P & string) | undefined },
    params: ParamValues<P>,
  ): Leading | undefined {
    const param = this.leading && kernel.rows?.(params);
    if (this.leading === undefined || param === undefined) return undefined;
    const { count, of } = this.leading;
    if (params[param] % of !== 0) return undefined;
    return { count: count.region("count rows by"), of, param };
  }
}

/**
 * The machinery behind a device, for the rest of this room.
 *
 * @throws {ArgumentError} if it was not opened with `cpu()` or `webgpu(gpu)`.
 */
export function internals(device: Device): BackendDevice {
  if (device instanceof BackendDevice) return device;
  throw new ArgumentError(
    `Cannot use a device: cpu() or webgpu(gpu) must have opened it, got ${nameOf(device)}`,
  );
}

/** What the adapter of a webgpu device says of itself. */
export function adapterDetails(device: Device): AdapterDetails | undefined {
  return internals(device).backend.details;
}

/**
 * Runs `body` and returns the milliseconds that the GPU computed for it, without the time between
 * submissions and of copies. Undefined where the device has no timestamps. Nothing else may use the
 * device meanwhile.
 */
export async function gpuTime(
  device: Device,
  body: () => Promise<unknown>,
): Promise<number | undefined> {
  const { backend } = internals(device);
  return backend.time ? await backend.time(body) : void await body();
}

/**
 * Runs `body`, whose kernels then need to compute the first rows only, of `of` rows. `count`, one
 * int32, says how many when they run. The contents of the other rows are undefined. So `body` must
 * keep rows apart: row i of its results may depend on row i of its inputs and on what is not a row.
 */
export function leadingRows<T>(count: Tensor, of: number, body: () => T): T {
  const device = internals(count.device);
  const enclosing = device.leading;
  device.leading = { count, of };
  try {
    return body();
  } finally {
    device.leading = enclosing;
  }
}

/**
 * Runs `body`, which is synchronous, and returns its value. The tensors that it makes live until
 * the result is disposed, whatever arena is open. So unlike an arena, the result may be kept across
 * an `await`.
 */
export function hold<T>(device: Device, body: () => T): Held<T> {
  return internals(device).memory.hold(body);
}
