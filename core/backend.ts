/**
 * What a device must be able to do. `cpu_backend.ts` and `webgpu_backend.ts` do it; `device.ts` builds tensors,
 * lifetimes and capture on top, once for both.
 *
 * @module
 */
import type { DType, FloatDType, TypedArray } from "./dtype.ts";
import type { Kernel } from "./kernel.ts";

/** A piece of device memory. Opaque to everyone but its backend. */
export interface Memory {
  /** Usable bytes, at least what was asked for. */
  readonly bytes: number;
}

/** A piece of device memory seen as an array. */
export interface Region {
  /** Where the elements lie, from the beginning of the memory. */
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
  /** If only some of its rows matter: how many. A backend may do them all the same. */
  readonly leading?: Leading;
}

/** The first of some rows, as many as a number says that is on the device. */
export interface Leading {
  /** One int32. */
  readonly count: Region;
  /** How many rows there are. */
  readonly of: number;
  /** The parameter that counts them: a multiple of `of`. */
  readonly param: string;
}

/** A recorded sequence of launches, ready to run again with no further allocation. */
export interface Program {
  /** Runs all launches in order. */
  run(): void;
  /** Gives back what the program holds beside its memory. */
  dispose(): void;
}

/** What has happened on a backend so far. */
export interface BackendStats {
  /** Kernel launches. */
  launches: number;
  /** Of these, those whose work threads shared (cpu). */
  sharedLaunches: number;
  /** Command submissions (webgpu), 0 on the cpu. */
  submits: number;
  /** Read-backs of device memory by the host. */
  downloads: number;
  /** Bytes handed out and not given back. */
  liveBytes: number;
  /** Bytes held from the system, in use or pooled. */
  heldBytes: number;
}

/** A device's machinery. */
export interface Backend {
  /** Which kind of device this is. */
  readonly kind: "cpu" | "webgpu";
  /** The adapter's own description. */
  readonly adapter: string;
  /** Whether the adapter is a program on the processor, such as llvmpipe. */
  readonly software: boolean;
  /** The float type it computes in. */
  readonly float: FloatDType;
  /** Counters, kept by the backend. */
  readonly stats: BackendStats;
  /**
   * What an error says of the tensors that are alive when there is no more memory; whoever makes
   * tensors sets it.
   */
  census?: () => string;
  /** Takes memory. Contents are undefined. */
  allocate(bytes: number): Memory;
  /** A part of memory, to be used like memory of its own but never released: that is done to the whole. */
  part(whole: Memory, offset: number, bytes: number): Memory;
  /** Gives memory back. Launches already made may still use it. */
  release(memory: Memory): void;
  /** Copies host data into memory from a byte on, after all launches made so far. */
  upload(memory: Memory, data: TypedArray | Uint16Array, offset?: number): void;
  /** Reads regions back in one go, after all launches made so far. */
  download(regions: readonly Region[]): Promise<TypedArray[]>;
  /**
   * The elements where they lie, where the host can see them; undefined of a device that is
   * disposed.
   */
  view?(region: Region): ArrayLike<number> | undefined;
  /** Runs a kernel. */
  launch(launch: Launch): void;
  /** Prepares launches to be run again and again. */
  compile(launches: readonly Launch[]): Program;
  /** Gives everything back. */
  dispose(): void;
}
