/**
 * The memory of a webgpu device: a pool of buffers by size class.
 *
 * @module
 */
import type { BackendStats, Memory } from "./backend.ts";
import { DeviceError } from "./errors.ts";

// The bits of GPUBufferUsage, which not every runtime has as a global.
const COPY_SRC = 4;
const COPY_DST = 8;
const STORAGE = 128;

/** Idle buffers are destroyed when they take more bytes than those in use plus this. */
const IDLE_BYTES = 64 * 2 ** 20;

/** A buffer of the pool, or a part of one. */
export interface Block extends Memory {
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** Where it begins in the buffer, in bytes. */
  readonly offset: number;
  /**
   * The buffer's number. Allocation takes the lowest idle number, so equal steps get equal blocks
   * and find their bind groups again.
   */
  readonly id: number;
  /** Tells it from all other blocks and parts. */
  readonly key: string;
  /** `batch` is the last batch of commands that uses the buffer. Parts share this object. */
  readonly use: { batch: number };
}

/**
 * A part of a block. `offset` must be a multiple of 256, where every WebGPU device allows a binding
 * to begin.
 */
export function partOf(whole: Block, offset: number, bytes: number): Block {
  const { buffer, id, use } = whole;
  const at = whole.offset + offset;
  return { buffer, offset: at, bytes, id, use, key: `${id}+${at}+${bytes}` };
}

/** The pool of one device. */
export class WebgpuPool {
  readonly #device: GPUDevice;
  readonly #stats: BackendStats;
  readonly #beforeTrim: () => void;
  readonly #maxBytes: number;
  readonly #idle = new Map<number, Block[]>();
  #idleBytes = 0;
  #nextId = 0;

  /**
   * Counts bytes in `stats`. `beforeTrim` must submit pending commands and forget the bind groups
   * of idle blocks.
   */
  constructor(device: GPUDevice, stats: BackendStats, beforeTrim: () => void) {
    this.#device = device;
    this.#stats = stats;
    this.#beforeTrim = beforeTrim;
    const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
    this.#maxBytes = Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 16) * 16;
  }

  /** Allocates a block. @throws {DeviceError} if the adapter allows no buffer of this size. */
  allocate(bytes: number): Block {
    if (bytes > this.#maxBytes) {
      throw new DeviceError(
        `Cannot allocate ${bytes} bytes on the webgpu device: ` +
          `a buffer has at most ${this.#maxBytes} on this adapter`,
      );
    }
    const size = Math.min(sizeClass(bytes), this.#maxBytes);
    const idle = this.#idle.get(size)?.pop();
    this.#stats.liveBytes += size;
    if (idle !== undefined) {
      this.#idleBytes -= size;
      return idle;
    }
    if (this.#idleBytes > this.#stats.liveBytes + IDLE_BYTES) this.#trim();
    this.#stats.heldBytes += size;
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const buffer = this.#device.createBuffer({ label: "tensor", size, usage });
    const id = this.#nextId++;
    return { bytes: size, buffer, offset: 0, id, key: `${id}`, use: { batch: 0 } };
  }

  /** Releases a block. The commands of its next owner run after those of this one. */
  release(block: Block): void {
    const { bytes, id } = block;
    this.#stats.liveBytes -= bytes;
    this.#idleBytes += bytes;
    const idle = this.#idle.get(bytes) ?? [];
    this.#idle.set(bytes, idle);
    let at = idle.length; // sorted from the highest number, so that pop() takes the lowest
    while (at > 0 && idle[at - 1].id < id) at--;
    idle.splice(at, 0, block);
  }

  #trim(): void {
    this.#beforeTrim();
    for (const blocks of this.#idle.values()) for (const { buffer } of blocks) buffer.destroy();
    this.#idle.clear();
    this.#stats.heldBytes -= this.#idleBytes;
    this.#idleBytes = 0;
  }
}

/** The size of a buffer for `bytes`: at least 256, with four classes to each doubling. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2);
  return Math.ceil(bytes / step) * step;
}
