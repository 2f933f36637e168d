/**
 * The cpu device. Tensors lie in WebAssembly memory; kernels run as WebAssembly if they have such a
 * version, else as their TypeScript reference. In float64 only references run: that is the
 * reference device, against which everything else is tested.
 *
 * @module
 */
import type { Backend, BackendStats, Launch, Memory, Program, Region } from "./backend.ts";
import { checkOptions } from "./checks.ts";
import { type Block, CpuMemory } from "./cpu_memory.ts";
import { BackendDevice } from "./device.ts";
import { type FloatDType, hostArray, type TypedArray } from "./dtype.ts";
import { ArgumentError, DeviceError } from "./errors.ts";
import { isWorker, Threads, type WorkerConstructor } from "./cpu_threads.ts";
import type { WasmFunction, WasmModule } from "./kernel.ts";
import type { Device } from "./tensor.ts";

/** The least work (see `WasmVersion`) that threads share: about 30 us on one thread. */
const SHARED_WORK = 2 ** 18;

/** A WebAssembly module on the device's memory; null if the runtime validates no variant of it. */
type Instance = {
  readonly exports: Readonly<Record<string, WasmFunction>>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Scratch memory of this thread and then of each worker. */
  readonly scratch: readonly number[];
  /** Started with the first work for them. */
  threads?: Threads;
} | null;

/** Options of `cpu()`. */
export interface CpuOptions {
  /** The float type to compute in. Default `float32`. */
  readonly float?: FloatDType;
  /** Whether float32 kernels may use WebAssembly. Default true. */
  readonly wasm?: boolean;
  /**
   * Whether kernels refuse indices out of range, such as ids of `take`. Default false: they count
   * as the nearest index in range, as on webgpu. A captured step that is refused stops halfway.
   */
  readonly checked?: boolean;
  /**
   * How many threads share the work of large WebAssembly kernels. Default 1. Results do not depend
   * on it. The workers start with the first such kernel, and in a browser only once the caller
   * returns to the event loop; until they are up, the calling thread works alone. If a worker
   * cannot start, the others do its work. A page that is not cross-origin isolated has one thread.
   */
  readonly threads?: number;
  /** Called with a message if there are fewer threads than asked for. */
  readonly onNote?: (text: string) => void;
  /**
   * Required for more than one thread: `Worker` of `node:worker_threads`, which Deno, Bun and Node
   * have, or the global `Worker` of a browser. Its workers load a `blob:` URL and end with the
   * device. The global `Worker` of Deno works, too, but keeps the process alive until the device is
   * disposed; others do not.
   */
  readonly Worker?: WorkerConstructor;
}

/**
 * Opens a cpu device.
 *
 * @throws {ArgumentError} if `threads` is not a positive integer, or is more than 1 and `Worker` is
 * missing.
 *
 * @example
 * ```ts
 * import { cpu } from "beargrad";
 *
 * const exact = cpu({ float: "float64" });
 * console.log(exact.tensor([1, 2]).dtype); // float64
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
 *
 * @example In a browser, where the global `Worker` is used.
 * ```ts
 * import { cpu } from "beargrad";
 *
 * const device = cpu({ threads: 4, Worker, onNote: console.warn });
 * device.dispose();
 * ```
 */
export function cpu(options: CpuOptions = {}): Device {
  checkOptions(
    "open a cpu device",
    options,
    ["float", "wasm", "checked", "threads", "onNote", "Worker"],
  );
  const { threads = 1, Worker } = options;
  if (!(Number.isInteger(threads) && threads >= 1)) {
    throw new ArgumentError(
      `Cannot open a cpu device: threads must be a positive integer, got ${threads}`,
    );
  }
  if (threads > 1 && !isWorker(Worker)) {
    throw new ArgumentError(
      `Cannot open a cpu device with ${threads} threads: ` +
        "Worker must be that of node:worker_threads or of a browser, " +
        `got ${Worker === undefined ? "none" : "another"}`,
    );
  }
  const canShare = typeof SharedArrayBuffer !== "undefined";
  const backend = new CpuBackend({ ...options, threads: canShare ? threads : 1 });
  if (threads > 1 && !canShare) {
    options.onNote?.(
      `The cpu device continues with 1 of ${threads} threads: the page is not cross-origin isolated`,
    );
  }
  return new BackendDevice(backend);
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
    heldBytes: 0,
  };
  census?: () => string;
  /** Undefined once the device is disposed. */
  #memory: CpuMemory | undefined = new CpuMemory(this.stats, () => this.census?.() ?? "");
  readonly #modules: Map<WasmModule, Instance> | undefined;
  readonly #checked: boolean;
  readonly #threads: number;
  readonly #Worker: WorkerConstructor | undefined;
  readonly #onNote: CpuOptions["onNote"];

  constructor({ float = "float32", wasm, checked, threads = 1, Worker, onNote }: CpuOptions) {
    const useWasm = float === "float32" && wasm !== false;
    const kernels = useWasm ? "WebAssembly SIMD" : "TypeScript";
    this.adapter = threads > 1 ? `${kernels}, ${threads} threads` : kernels;
    this.float = float;
    this.#checked = checked === true;
    this.#threads = threads;
    this.#Worker = Worker;
    this.#onNote = onNote;
    this.#modules = useWasm ? new Map() : undefined;
  }

  allocate(bytes: number): Memory {
    return this.#open().allocate(bytes);
  }

  part(whole: Memory, offset: number, bytes: number): Memory {
    return { address: (whole as Block).address + offset, bytes } as Block;
  }

  release(memory: Memory): void {
    this.#memory?.release(memory as Block);
  }

  upload(memory: Memory, data: TypedArray | Uint16Array, offset = 0): void {
    const { address } = memory as Block;
    new Uint8Array(this.#open().wasm.buffer, address + offset, data.byteLength)
      .set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  download(regions: readonly Region[]): Promise<TypedArray[]> {
    const memory = this.#open();
    this.stats.downloads++;
    return Promise.resolve(regions.map((region) => {
      const out = hostArray(region.dtype, region.size);
      out.set(memory.view(region));
      return out;
    }));
  }

  view(region: Region): ArrayLike<number> | undefined {
    return this.#memory?.view(region);
  }

  launch(launch: Launch): void {
    this.#bind(launch)();
    this.stats.launches++;
  }

  compile(launches: readonly Launch[]): Program {
    const bound = launches.map((l) => this.#bind(l));
    return {
      run: (): void => {
        this.#open();
        for (const run of bound) run();
        this.stats.launches += bound.length;
      },
      dispose: (): void => {},
    };
  }

  dispose(): void {
    for (const instance of this.#modules?.values() ?? []) instance?.threads?.dispose();
    this.#modules?.clear();
    this.#memory = undefined;
    this.stats.liveBytes = this.stats.heldBytes = 0;
  }

  /** The memory. @throws {DeviceError} if the device was disposed. */
  #open(): CpuMemory {
    if (this.#memory) return this.#memory;
    throw new DeviceError("Cannot use the cpu device: it must be open, but it was disposed");
  }

  #bind({ leading, ...launch }: Launch): () => void {
    if (leading === undefined) return this.#bindAll(launch);
    const { count, of, param } = leading;
    const rows = this.#open().view(count);
    return () => { // the arguments depend on the count
      const share = Math.min(rows[0], of) / of;
      const params = { ...launch.params, [param]: Math.round(launch.params[param] * share) };
      if (share > 0) this.#bindAll({ ...launch, params })();
    };
  }

  #bindAll(launch: Launch): () => void {
    const run = this.#bindKernel(launch);
    const { kernel: { buffers, indices }, regions, params } = launch;
    if (!this.#checked || indices === undefined) return run;
    const memory = this.#open();
    const checks = Object.keys(buffers).flatMap((name, i) => {
      const limits = indices[name]?.(params);
      return limits ? [() => checkIndices(name, memory.view(regions[i]), ...limits)] : [];
    });
    return () => {
      for (const check of checks) check();
      run();
    };
  }

  #bindKernel({ kernel, regions, params }: Launch): () => void {
    const memory = this.#open();
    const names = Object.keys(kernel.buffers);
    const { wasm } = kernel;
    const instance = wasm && this.#instance(wasm.module, memory);
    if (wasm && instance) {
      const address = Object.fromEntries(
        names.map((name, i) => [name, (regions[i].memory as Block).address]),
      );
      const args = wasm.args(address, params);
      const items = wasm.items(params);
      if (this.#threads > 1 && this.#Worker && wasm.work(params) >= SHARED_WORK) {
        const { bytes, exports, scratch } = instance;
        const threads = instance.threads ??= new Threads(
          this.#Worker,
          bytes,
          memory.wasm,
          exports,
          scratch,
          this.#onFewer,
        );
        return untrapped(kernel.name, () => {
          if (threads.run(wasm.function, args, items)) this.stats.sharedLaunches++;
        });
      }
      const call = instance.exports[wasm.function];
      return untrapped(kernel.name, () => call(...args, 0, items, instance.scratch[0]));
    }
    const views = Object.fromEntries(names.map((name, i) => [name, memory.view(regions[i])]));
    return () => kernel.cpu(views as never, params);
  }

  readonly #onFewer = (workers: number, cause: unknown): void => {
    const got = cause instanceof Error ? cause.message : cause;
    this.#onNote?.(
      `The cpu device continues with ${workers + 1} of ${this.#threads} threads: ${got}`,
    );
  };

  #instance(module: WasmModule, memory: CpuMemory): Instance {
    if (this.#modules === undefined) return null;
    let instance = this.#modules.get(module);
    if (instance === undefined) {
      const bytes = module.variants.map(decodeBase64).find((b) => WebAssembly.validate(b));
      instance = bytes === undefined ? null : {
        exports: new WebAssembly.Instance(new WebAssembly.Module(bytes), {
          env: { memory: memory.wasm },
        }).exports as Record<string, WasmFunction>,
        bytes,
        scratch: Array.from({ length: this.#threads }, () => memory.reserve(module.scratchBytes)),
      };
      this.#modules.set(module, instance);
    }
    return instance;
  }
}

/** Refuses indices below 0 or not below `below` among the first `count`. */
function checkIndices(name: string, values: ArrayLike<number>, count: number, below: number): void {
  for (let i = 0; i < count; i++) {
    if (values[i] >= 0 && values[i] < below) continue;
    throw new ArgumentError(
      `Cannot look up ${name}: they must be from 0 to ${below - 1}, got ${values[i]} at index ${i}`,
    );
  }
}

/** `run`, with WebAssembly traps turned into errors that name the kernel. */
function untrapped(kernel: string, run: () => void): () => void {
  return () => {
    try {
      run();
    } catch (cause) {
      const got = cause instanceof Error ? cause.message : cause;
      throw new DeviceError(
        `Cannot run ${kernel}: its WebAssembly version must not trap, got: ${got}`,
        { cause },
      );
    }
  };
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
