/**
 * Threads of the cpu device: workers that run functions of a WebAssembly module on the device's
 * memory, together with the calling thread. Between jobs a worker spins for a moment, then sleeps.
 *
 * @module
 */
import type { WasmFunction } from "./kernel.ts";

/** Parts that each thread's share is cut into, so that a delayed thread leaves work to others. */
const PARTS = 2;

// The control block: int32 fields, then the job's arguments as float64.
const JOB = 0; // number of the job, incremented when one begins
const NEXT = 1; // the next part to claim
const LEFT = 2; // workers that have not finished the job
const FAILED = 3; // whether a worker's function threw
const READY = 4; // workers that have started
const FUNCTION = 5; // index of the function, -1 to end the worker
const ITEMS = 6;
const PART_COUNT = 7;
const ARG_COUNT = 8;
const WORKERS = 9; // workers that run or are starting
const ARGS = 64; // bytes
const MOST_ARGS = 30;
const BYTES = ARGS + 8 * MOST_ARGS;

/** What a worker starts with. */
interface WorkerData {
  /** The module. */
  readonly bytes: Uint8Array;
  /** The device's memory. */
  readonly memory: WebAssembly.Memory;
  /** Where jobs are announced. */
  readonly control: SharedArrayBuffer;
  /** The module's functions, by their index in jobs. */
  readonly names: readonly string[];
  /** The worker's scratch memory. */
  readonly scratch: number;
}

/** The part of `Worker` of `node:worker_threads` that is used here. */
export interface NodeWorker {
  /** Lets the process end while the worker runs. */
  unref(): void;
  /** Calls `listener` when the worker fails. */
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** The part of a browser's `Worker` that is used here. */
export interface WebWorker {
  /** Lets the process end while the worker runs. Bun's has it. */
  unref?(): void;
  /** Sends a message to the worker. */
  postMessage(message: unknown): void;
  /** Calls `listener` when the worker fails. An event without a message: it could not load. */
  addEventListener(
    type: "error",
    listener: (event: { readonly message?: string; preventDefault(): void }) => void,
    options: { readonly once: true },
  ): void;
}

/** `Worker` of `node:worker_threads`, or the global one of a browser. */
export type WorkerConstructor = NodeWorkerConstructor | WebWorkerConstructor;

/** The constructor of `Worker` of `node:worker_threads`, which Deno, Bun and Node have. */
export interface NodeWorkerConstructor {
  /** The methods of a worker. */
  readonly prototype: NodeWorker;
  /** Starts a worker from source text. */
  new (
    source: string,
    options: { eval: true; env: Record<string, string>; workerData: unknown },
  ): NodeWorker;
}

/** The constructor of the global `Worker` of browsers, Deno and Bun. */
export interface WebWorkerConstructor {
  /** The methods of a worker. */
  readonly prototype: WebWorker;
  /** Starts a worker from a URL. */
  new (url: string, options: { type: "module" }): WebWorker;
}

/** What runs in a worker. It is passed as source text, so it can use nothing from this module. */
function work({ bytes, memory, control, names, scratch }: WorkerData): void {
  const module = new WebAssembly.Module(bytes as BufferSource);
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const functions = names.map((name) => exports[name] as (...args: number[]) => void);
  const ints = new Int32Array(control, 0, 16);
  const floats = new Float64Array(control, 64);
  const [JOB, NEXT, LEFT, FAILED, READY, FUNCTION, ITEMS, PART_COUNT, ARG_COUNT] = Array.from({
    length: 9,
  }, (_, i) => i);
  const SPINS = 20000;
  let job = 0;
  Atomics.add(ints, READY, 1);
  for (;;) {
    for (let i = 0; i < SPINS && Atomics.load(ints, JOB) === job; i++);
    while (Atomics.load(ints, JOB) === job) Atomics.wait(ints, JOB, job);
    job = Atomics.load(ints, JOB);
    if (ints[FUNCTION] < 0) return;
    try {
      const run = functions[ints[FUNCTION]];
      const args = Array.from(floats.subarray(0, ints[ARG_COUNT]));
      const items = ints[ITEMS];
      const parts = ints[PART_COUNT];
      for (;;) {
        const part = Atomics.add(ints, NEXT, 1);
        if (part >= parts) break;
        const from = Math.floor(items * part / parts);
        run(...args, from, Math.floor(items * (part + 1) / parts), scratch);
      }
    } catch {
      Atomics.store(ints, FAILED, 1);
    }
    if (Atomics.sub(ints, LEFT, 1) === 1) Atomics.notify(ints, LEFT);
  }
}

/** The URL of the source of web workers, one for all devices. */
let sourceUrl: string | undefined;

/** Starts a worker. `onError` is called if it fails later. */
function start(
  Worker: WorkerConstructor,
  data: WorkerData,
  onError: (cause: unknown) => void,
): NodeWorker | WebWorker {
  if (isNodeWorker(Worker)) {
    const worker = new Worker(`(${work})(require("node:worker_threads").workerData)`, {
      eval: true,
      env: {}, // by default it copies process.env, for which Deno asks permission
      workerData: data,
    });
    worker.on("error", onError);
    worker.unref();
    return worker;
  }
  sourceUrl ??= URL.createObjectURL(
    new Blob(
      [`addEventListener("message", ({ data }) => { (${work})(data); close(); });`],
      { type: "text/javascript" },
    ),
  );
  const worker = new Worker(sourceUrl, { type: "module" });
  worker.addEventListener("error", (event) => {
    event.preventDefault(); // it is not an error of the page
    onError(event.message ?? "a worker must be allowed to load a blob: URL");
  }, { once: true });
  worker.unref?.();
  worker.postMessage(data);
  return worker;
}

/** Whether it is that of `node:worker_threads`. */
function isNodeWorker(Worker: WorkerConstructor): Worker is NodeWorkerConstructor {
  return "on" in Worker.prototype;
}

/** Whether threads can start with it: `Worker` of `node:worker_threads` or of a browser. */
export function isWorker(Worker: WorkerConstructor | undefined): boolean {
  return typeof Worker?.prototype === "object" &&
    (isNodeWorker(Worker) || "postMessage" in Worker.prototype);
}

/**
 * Workers on one module and one memory. They end with the device or the process.
 *
 * @internal
 */
export class Threads {
  readonly #control = new SharedArrayBuffer(BYTES);
  readonly #ints = new Int32Array(this.#control, 0, ARGS / 4);
  readonly #floats = new Float64Array(this.#control, ARGS);
  readonly #names: readonly string[];
  readonly #exports: Readonly<Record<string, WasmFunction>>;
  readonly #scratch: number;
  readonly #mayBlock: boolean;
  /** A browser may end a worker that nobody refers to. */
  readonly #workers: unknown[] = [];

  /**
   * Starts a worker for each scratch memory but the first, which is this thread's. If workers
   * cannot start, the others do their work, and `onFewer` is called with the number that are left
   * and the cause.
   */
  constructor(
    Worker: WorkerConstructor,
    bytes: Uint8Array,
    memory: WebAssembly.Memory,
    exports: Readonly<Record<string, WasmFunction>>,
    scratch: readonly number[],
    onFewer: (workers: number, cause: unknown) => void = () => {},
  ) {
    this.#exports = exports;
    this.#names = Object.keys(exports);
    this.#scratch = scratch[0];
    const ints = this.#ints; // the error listeners must not keep `this` alive
    ints[WORKERS] = scratch.length - 1;
    const shared = { bytes, memory, control: this.#control, names: this.#names };
    const fewer = (by: number, cause: unknown): void => {
      onFewer(Atomics.sub(ints, WORKERS, by) - by, cause);
    };
    for (const [i, address] of scratch.slice(1).entries()) {
      try {
        const data = { ...shared, scratch: address };
        this.#workers.push(start(Worker, data, (cause) => fewer(1, cause)));
      } catch (cause) { // the remaining ones would fail too
        fewer(scratch.length - 1 - i, cause);
        break;
      }
    }
    this.#mayBlock = mayBlock(ints);
    forgotten.register(this, this.#ints);
  }

  /**
   * Runs one function over all items, on this thread and the workers. Returns false if this thread
   * did it alone, because workers are still starting or there are none.
   */
  run(name: string, args: readonly number[], items: number): boolean {
    const ints = this.#ints;
    const call = this.#exports[name];
    const workers = Atomics.load(ints, WORKERS);
    if (workers === 0 || Atomics.load(ints, READY) < workers) {
      call(...args, 0, items, this.#scratch);
      return false;
    }
    const parts = Math.min(items, PARTS * (workers + 1));
    this.#floats.set(args);
    ints[FUNCTION] = this.#names.indexOf(name);
    ints[ITEMS] = items;
    ints[PART_COUNT] = parts;
    ints[ARG_COUNT] = args.length;
    ints[NEXT] = 0;
    ints[LEFT] = workers;
    ints[FAILED] = 0;
    Atomics.add(ints, JOB, 1);
    Atomics.notify(ints, JOB);
    try {
      for (;;) {
        const part = Atomics.add(ints, NEXT, 1);
        if (part >= parts) break;
        const from = Math.floor(items * part / parts);
        call(...args, from, Math.floor(items * (part + 1) / parts), this.#scratch);
      }
    } finally {
      this.#join();
    }
    if (Atomics.exchange(ints, FAILED, 0) !== 0) {
      throw new WebAssembly.RuntimeError("a trap in a worker");
    }
    return true;
  }

  /** Ends the workers. */
  dispose(): void {
    end(this.#ints);
  }

  /** Waits until all workers have finished the job. */
  #join(): void {
    for (let i = 0; i < 20000; i++) if (Atomics.load(this.#ints, LEFT) === 0) return;
    for (;;) {
      const left = Atomics.load(this.#ints, LEFT);
      if (left === 0) return;
      if (this.#mayBlock) Atomics.wait(this.#ints, LEFT, left);
    }
  }
}

/** Whether this thread may block. The main thread of a page may not. */
function mayBlock(ints: Int32Array<SharedArrayBuffer>): boolean {
  try {
    Atomics.wait(ints, WORKERS, -1); // returns at once: the value is another
    return true;
  } catch {
    return false;
  }
}

function end(ints: Int32Array<SharedArrayBuffer>): void {
  Atomics.store(ints, READY, -(2 ** 30)); // later jobs run on their own thread
  ints[FUNCTION] = -1;
  Atomics.add(ints, JOB, 1);
  Atomics.notify(ints, JOB);
}

/** Ends the workers of devices that were garbage-collected. */
const forgotten = new FinalizationRegistry(end);
