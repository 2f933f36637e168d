/**
 * What a device is made of: memory, launches and programs. `cpu_backend.ts` and `webgpu_backend.ts`
 * implement it; `device.ts` builds tensors, lifetimes and capture on top, once for both.
 *
 * @module
 */
import type { DType, FloatDType, TypedArray } from "./dtype.ts";
import type { Kernel } from "./kernel.ts";

/** A block of device memory. Opaque to everything but its backend. */
export interface Memory {
  /** Usable bytes, at least as many as were requested. */
  readonly bytes: number;
}

/** A block of device memory seen as an array. */
export interface Region {
  /** The memory; the array begins where it begins. */
  memory: Memory;
  /** The type of one element. */
  readonly dtype: DType;
  /** The number of elements. */
  readonly size: number;
}

/** One run of a kernel. */
export interface Launch {
  /** The kernel. */
  readonly kernel: Kernel;
  /** Its buffers, in binding order. */
  readonly regions: readonly Region[];
  /** Its parameters. */
  readonly params: Readonly<Record<string, number>>;
  /** Set if only the first rows matter. A backend may ignore it and compute all of them. */
  readonly leading?: Leading;
}

/** The first rows of a launch, as many as a number on the device says. */
export interface Leading {
  /** The number of rows that matter: one int32. */
  readonly count: Region;
  /** The number of all rows. */
  readonly of: number;
  /** The parameter that counts rows, a multiple of `of`. */
  readonly param: string;
}

/** A recorded sequence of launches that runs again without allocating. */
export interface Program {
  /** Runs all launches in order. */
  run(): void;
  /** Frees what the program holds besides the memory of its regions. */
  dispose(): void;
}

/** Counters of a backend since it was opened. */
export interface BackendStats {
  /** Kernel launches. */
  launches: number;
  /** Launches whose work was shared between threads (cpu). */
  sharedLaunches: number;
  /** Command submissions (webgpu), 0 on the cpu. */
  submits: number;
  /** Read-backs of device memory by the host. */
  downloads: number;
  /** Bytes allocated and not released. */
  liveBytes: number;
  /** Bytes held from the system, in use or pooled. */
  heldBytes: number;
}

/** What a WebGPU adapter says of itself. */
export interface AdapterDetails {
  /** Its `info`. */
  readonly vendor: string;
  /** Its family, such as `ampere`. */
  readonly architecture: string;
  /** The device's own id. */
  readonly device: string;
  /** A name for people. */
  readonly description: string;
  /** All limits by their names. A device has the adapter's, where kernels may need more. */
  readonly limits: Readonly<Record<string, number>>;
  /** All features, sorted. */
  readonly features: readonly string[];
}

/** The machinery of a device. */
export interface Backend {
  /** Which kind of device this is. */
  readonly kind: "cpu" | "webgpu";
  /** The adapter's own description. */
  readonly adapter: string;
  /** Whether the adapter is a program on the processor, such as llvmpipe. */
  readonly software: boolean;
  /** The float type it computes in. */
  readonly float: FloatDType;
  /** What the adapter says of itself (webgpu). */
  readonly details?: AdapterDetails;
  /** Counters, kept by the backend. */
  readonly stats: BackendStats;
  /** Describes the live tensors for out-of-memory errors. Set by the owner of the tensors. */
  census?: () => string;
  /** Allocates memory. Its contents are undefined. */
  allocate(bytes: number): Memory;
  /** A part of `whole`, used like memory of its own but never released: the whole is. */
  part(whole: Memory, offset: number, bytes: number): Memory;
  /** Releases memory. Launches made before may still use it. */
  release(memory: Memory): void;
  /** Copies host data into memory from byte `offset` on, after all launches made so far. */
  upload(memory: Memory, data: TypedArray | Uint16Array, offset?: number): void;
  /** Copies regions to the host in one read-back, after all launches made so far. */
  download(regions: readonly Region[]): Promise<TypedArray[]>;
  /** The elements in place, if the host can see them; undefined once the device is disposed. */
  view?(region: Region): ArrayLike<number> | undefined;
  /** Runs a kernel. */
  launch(launch: Launch): void;
  /** Prepares launches to run again and again. */
  compile(launches: readonly Launch[]): Program;
  /** The milliseconds that the GPU computes what `run` launches, where it has timestamps. */
  time?(run: () => Promise<unknown>): Promise<number | undefined>;
  /** Frees everything. */
  dispose(): void;
}
