/**
 * The cpu device: tensors in WebAssembly memory, kernels as their WebAssembly versions where they have one, else as
 * their TypeScript twins. In float64 it runs the twins only: the oracle that everything else is tested against.
 *
 * @module
 */
import type { Backend, BackendStats, Launch, Memory, Program, Region } from "./backend.ts";
import { Device } from "./device.ts";
import { type FloatDType, hostArray, type TypedArray, viewArray } from "./dtype.ts";
import { ArgumentError, DeviceError } from "./errors.ts";
import { Threads, type WorkerConstructor } from "./cpu_threads.ts";
import type { WasmFunction, WasmModule } from "./kernel.ts";

const PAGE = 65536;
const MAX_PAGES = 65536;
const ALIGN = 64;
/** A kernel of at least so much work (see `WasmVersion`) is shared between threads: some 30 us of one. */
const SHARED_WORK = 2 ** 18;

interface Block extends Memory {
  readonly address: number;
}

/** A WebAssembly module at work on the device's memory; null where no variant of it is valid here. */
type Instance = {
  readonly exports: Readonly<Record<string, WasmFunction>>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Scratch memory of this thread, then of each worker. */
  readonly scratch: readonly number[];
  /** Started when there is first work for them. */
  threads?: Threads;
} | null;

/** Options of `cpu()`. */
export interface CpuOptions {
  /** The float type to compute in; `float32` unless told. */
  readonly float?: FloatDType;
  /** Whether float32 kernels may use WebAssembly; true unless told. */
  readonly wasm?: boolean;
  /**
   * How many threads share the work of WebAssembly kernels that have enough of it; 1 unless told. Results do not depend on it.
   * The workers start with the first such kernel and do not keep the process alive.
   */
  readonly threads?: number;
  /** What to make workers with, if threads are more than 1: `Worker` of `node:worker_threads`. */
  readonly Worker?: WorkerConstructor;
}

/**
 * Opens a cpu device.
 *
 * @throws {ArgumentError} if threads is not a positive integer, or more than 1 without a Worker.
 *
 * @example
 * ```ts
 * import { cpu } from "beargrad";
 *
 * const oracle = cpu({ float: "float64" });
 * console.log(oracle.tensor([1, 2]).dtype); // float64
 * ```
 *
 * @example
 * ```ts
 * import { Worker } from "node:worker_threads";
 * import { cpu } from "beargrad";
 *
 * const device = cpu({ threads: 2, Worker });
 * console.log(device.kind); // cpu
 * ```
 */
export function cpu(options: CpuOptions = {}): Device {
  const float = options.float ?? "float32";
  const { threads = 1, Worker } = options;
  if (!(Number.isInteger(threads) && threads >= 1)) {
    throw new ArgumentError(
      `Cannot open a cpu device: threads must be a positive integer, got ${threads}`,
    );
  }
  if (threads > 1 && Worker === undefined) {
    throw new ArgumentError(
      `Cannot open a cpu device with ${threads} threads: Worker must be that of node:worker_threads, got none`,
    );
  }
  const wasm = float === "float32" && options.wasm !== false;
  return new Device(new CpuBackend(float, wasm, threads, Worker));
}

class CpuBackend implements Backend {
  readonly kind = "cpu" as const;
  readonly adapter: string;
  readonly software = true;
  readonly float: FloatDType;
  readonly stats: BackendStats = {
    launches: 0,
    sharedLaunches: 0,
    submits: 0,
    downloads: 0,
    liveBytes: 0,
    heldBytes: PAGE,
  };
  // Shared memory keeps the views of its old buffer valid when it grows; unshared memory detaches them.
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared: true });
  #free: Block[] = [];
  #end = ALIGN;
  readonly #modules: Map<WasmModule, Instance> | undefined;
  readonly #threads: number;
  readonly #Worker: WorkerConstructor | undefined;

  constructor(
    float: FloatDType,
    wasm: boolean,
    threads: number,
    Worker: WorkerConstructor | undefined,
  ) {
    this.float = float;
    this.#threads = threads;
    this.#Worker = Worker;
    this.#modules = wasm ? new Map() : undefined;
    const kernels = wasm ? "WebAssembly SIMD" : "TypeScript";
    this.adapter = threads > 1 ? `${kernels}, ${threads} threads` : kernels;
  }

  /** Best fit over the free blocks, which are kept in address order and merged when neighbours meet. */
  allocate(bytes: number): Memory {
    const size = Math.ceil(Math.max(bytes, 1) / ALIGN) * ALIGN;
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const have = this.#free[i].bytes;
      if (have >= size && (best < 0 || have < this.#free[best].bytes)) best = i;
    }
    this.stats.liveBytes += size;
    if (best < 0) return { address: this.#grow(size), bytes: size } as Block;
    const { address, bytes: have } = this.#free[best];
    if (have === size) this.#free.splice(best, 1);
    else this.#free[best] = { address: address + size, bytes: have - size };
    return { address, bytes: size } as Block;
  }

  part(whole: Memory, offset: number, bytes: number): Memory {
    return { address: (whole as Block).address + offset, bytes } as Block;
  }

  release(memory: Memory): void {
    const { address, bytes } = memory as Block;
    this.stats.liveBytes -= bytes;
    let at = this.#free.findIndex((b) => b.address > address);
    if (at < 0) at = this.#free.length;
    const before = this.#free[at - 1];
    const after = this.#free[at];
    const joinsBefore = before !== undefined && before.address + before.bytes === address;
    const joinsAfter = after !== undefined && address + bytes === after.address;
    const merged: Block = {
      address: joinsBefore ? before.address : address,
      bytes: bytes + (joinsBefore ? before.bytes : 0) + (joinsAfter ? after.bytes : 0),
    };
    const from = joinsBefore ? at - 1 : at;
    this.#free.splice(from, (joinsBefore ? 1 : 0) + (joinsAfter ? 1 : 0), merged);
  }

  upload(memory: Memory, data: TypedArray | Uint16Array, offset = 0): void {
    const { address } = memory as Block;
    new Uint8Array(this.#memory.buffer, address + offset, data.byteLength)
      .set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  download(regions: readonly Region[]): Promise<TypedArray[]> {
    this.stats.downloads++;
    return Promise.resolve(regions.map((region) => {
      const out = hostArray(region.dtype, region.size);
      out.set(this.#view(region));
      return out;
    }));
  }

  launch(launch: Launch): void {
    this.#bind(launch)();
    this.stats.launches++;
  }

  compile(launches: readonly Launch[]): Program {
    const bound = launches.map((l) => this.#bind(l));
    return {
      run: (): void => {
        for (const run of bound) run();
        this.stats.launches += bound.length;
      },
      dispose: (): void => {},
    };
  }

  dispose(): void {
    this.#free = [];
    for (const instance of this.#modules?.values() ?? []) instance?.threads?.dispose();
  }

  #bind({ leading, ...launch }: Launch): () => void {
    if (leading === undefined) return this.#bindAll(launch);
    const { count, of, param } = leading;
    const rows = this.#view(count);
    return () => { // what it is bound to depends on how many there are
      const share = Math.min(rows[0], of) / of;
      const params = { ...launch.params, [param]: Math.round(launch.params[param] * share) };
      if (share > 0) this.#bindAll({ ...launch, params })();
    };
  }

  #bindAll({ kernel, regions, params }: Launch): () => void {
    const names = Object.keys(kernel.buffers);
    const { wasm } = kernel;
    const instance = wasm && this.#instance(wasm.module);
    if (wasm && instance) {
      const address = Object.fromEntries(
        names.map((name, i) => [name, (regions[i].memory as Block).address]),
      );
      const args = wasm.args(address, params);
      const items = wasm.items(params);
      if (this.#threads > 1 && this.#Worker && wasm.work(params) >= SHARED_WORK) {
        const { bytes, exports, scratch } = instance;
        const threads = instance.threads ??= new Threads(
          ...[this.#Worker, bytes, this.#memory, exports, scratch] as const,
        );
        return () => {
          if (threads.run(wasm.function, args, items)) this.stats.sharedLaunches++;
        };
      }
      const call = instance.exports[wasm.function];
      return () => call(...args, 0, items, instance.scratch[0]);
    }
    const views = Object.fromEntries(names.map((name, i) => [name, this.#view(regions[i])]));
    return () => kernel.cpu(views as never, params);
  }

  #instance(module: WasmModule): Instance {
    if (this.#modules === undefined) return null;
    let instance = this.#modules.get(module);
    if (instance === undefined) {
      const bytes = module.variants.map(decodeBase64).find((b) => WebAssembly.validate(b));
      const scratchBytes = Math.ceil(module.scratchBytes / ALIGN) * ALIGN;
      instance = bytes === undefined ? null : {
        exports: new WebAssembly.Instance(new WebAssembly.Module(bytes), {
          env: { memory: this.#memory },
        }).exports as Record<string, WasmFunction>,
        bytes,
        scratch: Array.from({ length: this.#threads }, () => this.#grow(scratchBytes)),
      };
      this.#modules.set(module, instance);
    }
    return instance;
  }

  #view(region: Region): TypedArray {
    const { address } = region.memory as Block;
    return viewArray(region.dtype, this.#memory.buffer, address, region.size);
  }

  #grow(size: number): number {
    const address = this.#end;
    const missing = Math.ceil((address + size - this.#memory.buffer.byteLength) / PAGE);
    if (missing > 0) {
      try {
        this.#memory.grow(missing);
      } catch {
        this.stats.liveBytes -= size;
        throw new DeviceError(
          `Cannot allocate ${size} bytes on the cpu device: at most ${
            MAX_PAGES * PAGE
          } bytes fit, ` +
            `and ${address} are in use`,
        );
      }
      this.stats.heldBytes = this.#memory.buffer.byteLength;
    }
    this.#end = address + size;
    return address;
  }
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
