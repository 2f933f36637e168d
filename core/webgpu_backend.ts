/**
 * The webgpu device. Launches are encoded into one open compute pass. It is submitted only when it
 * has to be: before a read-back, before an upload that would overtake it, or when the ring of
 * parameter blocks is full.
 *
 * @module
 */
import type {
  AdapterDetails,
  Backend,
  BackendStats,
  Launch,
  Memory,
  Program,
  Region,
} from "./backend.ts";
import { bytesPerElement, hostArray, type TypedArray, viewArray } from "./dtype.ts";
import { DeviceError } from "./errors.ts";
import { gridOf, type Kernel, packParams } from "./kernel.ts";
import { WebgpuClock } from "./webgpu_clock.ts";
import { oneLine, PARAM_BLOCK, WebgpuKernels } from "./webgpu_kernels.ts";
import { type Block, partOf, WebgpuPool } from "./webgpu_pool.ts";

// The bits of GPUBufferUsage and GPUMapMode, which not every runtime has as globals.
const MAP_READ = 1;
const COPY_DST = 8;
const UNIFORM = 64;
const MODE_READ = 1;

/** The number of launches whose parameters fit the ring. */
const RING_BLOCKS = 256;

/** Errors that follow from one that is reported itself, and in browsers come late. */
const FOLLOWS = /\[Invalid (ComputePipeline|CommandBuffer)\b/;

/** Kept alive: a process crashes if the npm package's object is collected before its devices. */
const gpus = new Set<GPU>();

/** Destroys the device of a backend that is garbage-collected without having been disposed. */
const forgotten = new FinalizationRegistry<GPUDevice>((device) => device.destroy());

/** A webgpu device's machinery. `webgpu.ts` opens it. */
export class WebgpuBackend implements Backend {
  readonly kind = "webgpu" as const;
  readonly float = "float32" as const;
  readonly adapter: string;
  readonly software: boolean;
  readonly details: AdapterDetails;
  readonly stats: BackendStats = {
    launches: 0,
    sharedLaunches: 0,
    submits: 0,
    downloads: 0,
    liveBytes: 0,
    heldBytes: 0,
  };
  census?: () => string;
  readonly #device: GPUDevice;
  readonly #pool: WebgpuPool;
  readonly #kernels: WebgpuKernels;
  readonly #ring: GPUBuffer;
  readonly #ringHost = new Uint8Array(RING_BLOCKS * PARAM_BLOCK);
  readonly #staging: GPUBuffer[] = [];
  #ringUsed = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #batch = 1;
  /** Times the passes while `time` runs. */
  #clock: WebgpuClock | undefined;
  /** The error of a failed command, which the next use throws once. */
  #failure: DeviceError | undefined;
  /** Set once the device is lost or disposed; every use throws it. */
  #gone: DeviceError | undefined;

  /** A backend on `device`, whose adapter is named `adapter`. */
  constructor(
    gpu: GPU,
    device: GPUDevice,
    adapter: string,
    software: boolean,
    details: AdapterDetails,
  ) {
    gpus.add(gpu);
    forgotten.register(this, device, this);
    this.adapter = adapter;
    this.software = software;
    this.details = details;
    this.#device = device;
    this.#pool = new WebgpuPool(device, this.stats, () => {
      this.#flush();
      this.#kernels.forgetGroups();
    });
    this.#kernels = new WebgpuKernels(device, (error) => this.#failure = error);
    this.#ring = this.#buffer("params", RING_BLOCKS * PARAM_BLOCK, UNIFORM | COPY_DST);
    listen(device, new WeakRef(this));
  }

  allocate(bytes: number): Memory {
    this.#check();
    return this.#pool.allocate(bytes);
  }

  part(whole: Memory, offset: number, bytes: number): Memory {
    return partOf(whole as Block, offset, bytes);
  }

  release(memory: Memory): void {
    if (this.#gone === undefined) this.#pool.release(memory as Block);
  }

  upload(memory: Memory, data: TypedArray | Uint16Array, at = 0): void {
    this.#check();
    const { buffer, offset, use } = memory as Block;
    if (use.batch === this.#batch) this.#flush();
    this.#device.queue.writeBuffer(buffer, offset + at, data as BufferSource);
  }

  /** Throws failures of earlier commands at its end, once all compilations have finished. */
  async download(regions: readonly Region[]): Promise<TypedArray[]> {
    if (this.#gone !== undefined) throw this.#gone;
    if (regions.length === 0) return [];
    const sizes = regions.map((r) => r.size * bytesPerElement(r.dtype));
    const bytes = sizes.reduce((a, b) => a + b);
    const staging = this.#takeStaging(bytes);
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass?.end();
    this.#pass = undefined;
    let at = 0;
    for (const [i, { memory }] of regions.entries()) {
      const { buffer, offset } = memory as Block;
      this.#encoder.copyBufferToBuffer(buffer, offset, staging, at, sizes[i]);
      at += sizes[i];
    }
    this.#flush();
    this.stats.downloads++;
    try {
      await staging.mapAsync(MODE_READ, 0, bytes);
      await Promise.all(this.#kernels.compiling);
      this.#check();
      const mapped = staging.getMappedRange(0, bytes);
      at = 0;
      const arrays = regions.map(({ dtype, size }, i) => {
        const array = hostArray(dtype, size);
        array.set(viewArray(dtype, mapped, at, size));
        at += sizes[i];
        return array;
      });
      staging.unmap();
      this.#staging.push(staging);
      return arrays;
    } catch (cause) {
      this.#destroy(staging);
      this.#check();
      if (cause instanceof DeviceError) throw cause;
      throw new DeviceError(
        `Cannot read from the webgpu device: it must map its memory, got: ${cause}`,
        { cause },
      );
    }
  }

  launch({ kernel, regions, params }: Launch): void {
    this.#check();
    const grid = this.#grid(kernel, params);
    const compiled = this.#kernels.get(kernel);
    const group = this.#kernels.cachedGroup(compiled, regions, this.#ring);
    if (this.#ringUsed === RING_BLOCKS) this.#flush();
    const offset = this.#ringUsed++ * PARAM_BLOCK;
    this.#ringHost.set(packParams(kernel, params), offset);
    for (const { memory } of regions) (memory as Block).use.batch = this.#batch;
    this.#dispatch(compiled.pipeline, group, offset, grid);
    this.stats.launches++;
  }

  compile(launches: readonly Launch[]): Program {
    this.#check();
    const prepared = launches.map(({ kernel, params }) => ({
      grid: this.#grid(kernel, params),
      compiled: this.#kernels.get(kernel),
    }));
    const blocks = new Uint8Array(Math.max(launches.length, 1) * PARAM_BLOCK);
    const uniform = this.#buffer("program params", blocks.byteLength, UNIFORM | COPY_DST);
    const commands = launches.map(({ kernel, regions, params }, i) => {
      blocks.set(packParams(kernel, params), i * PARAM_BLOCK);
      const { grid, compiled: { pipeline, layout } } = prepared[i];
      return { pipeline, group: this.#kernels.group(layout, regions, uniform), grid };
    });
    this.#device.queue.writeBuffer(uniform, 0, blocks);
    return {
      run: (): void => {
        this.#check();
        commands.forEach(({ pipeline, group, grid }, i) =>
          this.#dispatch(pipeline, group, i * PARAM_BLOCK, grid)
        );
        this.stats.launches += commands.length;
        this.#flush();
      },
      dispose: (): void => this.#destroy(uniform),
    };
  }

  async time(run: () => Promise<unknown>): Promise<number | undefined> {
    if (!this.#device.features.has("timestamp-query")) return void await run();
    this.#flush();
    const clock = this.#clock = new WebgpuClock(this.#device);
    try {
      await run();
    } finally {
      this.#flush();
      this.#clock = undefined;
    }
    return clock.read();
  }

  dispose(): void {
    this.#gone = new DeviceError(
      "Cannot use the webgpu device: it must be open, but it was disposed",
    );
    this.#pass = this.#encoder = undefined;
    forgotten.unregister(this);
    this.#device.destroy();
    this.stats.liveBytes = this.stats.heldBytes = 0;
  }

  #dispatch(
    pipeline: GPUComputePipeline,
    group: GPUBindGroup,
    offset: number,
    [x, y, z]: readonly [number, number, number],
  ): void {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass({ timestampWrites: this.#clock?.next() });
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, group, [offset]);
    this.#pass.dispatchWorkgroups(x, y, z);
  }

  /** Submits the pending commands. */
  #flush(): void {
    if (this.#encoder === undefined) return;
    this.#pass?.end();
    const bytes = this.#ringUsed * PARAM_BLOCK;
    if (bytes > 0) this.#device.queue.writeBuffer(this.#ring, 0, this.#ringHost, 0, bytes);
    this.#device.queue.submit([this.#encoder.finish()]);
    this.#pass = this.#encoder = undefined;
    this.#ringUsed = 0;
    this.#batch++;
    this.stats.submits++;
  }

  /** Keeps the error of a command for the next check. */
  fail(error: GPUError): void {
    const message = oneLine(error.message);
    if (FOLLOWS.test(message)) return;
    this.#failure ??= new DeviceError(
      error.constructor.name === "GPUOutOfMemoryError"
        ? `Cannot allocate on the webgpu device: it must have memory left, got: ${message}` +
          `${this.census?.() ?? ""}`
        : `Cannot use the webgpu device: its commands must be valid, got: ${message}`,
    );
  }

  /** Keeps the reason why the device is lost. */
  lose(message: string): void {
    this.#gone ??= new DeviceError(
      `Cannot use the webgpu device: it must not be lost, got: ${oneLine(message)}`,
    );
  }

  /** Throws the error since the last check, if there was one. */
  #check(): void {
    const error = this.#gone ?? this.#failure;
    this.#failure = undefined;
    if (error !== undefined) throw error;
  }

  #grid(kernel: Kernel, params: Launch["params"]): readonly [number, number, number] {
    const grid = gridOf(kernel, params);
    const most = this.#device.limits.maxComputeWorkgroupsPerDimension;
    if (grid.some((n) => n > most)) {
      throw new DeviceError(
        `Cannot run ${kernel.name}: this adapter allows ${most} workgroups along an axis, ` +
          `got (${grid.join(", ")})`,
      );
    }
    return grid;
  }

  /** A buffer to map. Every read-back in progress has its own. */
  #takeStaging(bytes: number): GPUBuffer {
    const last = this.#staging.pop();
    if (last !== undefined && last.size >= bytes) return last;
    if (last !== undefined) this.#destroy(last);
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, 4096)));
    return this.#buffer("staging", size, MAP_READ | COPY_DST);
  }

  #buffer(label: string, size: number, usage: number): GPUBuffer {
    this.stats.heldBytes += size;
    return this.#device.createBuffer({ label, size, usage });
  }

  #destroy(buffer: GPUBuffer): void {
    if (this.#gone !== undefined) return;
    this.stats.heldBytes -= buffer.size;
    buffer.destroy();
  }
}

/**
 * Reports the device's errors to a backend. It is not a method, because a closure over `this` would
 * keep the backend alive.
 */
function listen(device: GPUDevice, backend: WeakRef<WebgpuBackend>): void {
  device.addEventListener("uncapturederror", (event) => {
    event.preventDefault();
    backend.deref()?.fail((event as GPUUncapturedErrorEvent).error);
  });
  device.lost.then(({ message }) => backend.deref()?.lose(message));
}
