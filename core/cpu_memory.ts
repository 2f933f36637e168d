/**
 * The memory of a cpu device: one WebAssembly memory that grows, divided into blocks that begin at
 * 64-byte lines.
 *
 * @module
 */
import type { BackendStats, Memory, Region } from "./backend.ts";
import { type TypedArray, viewArray } from "./dtype.ts";
import { DeviceError } from "./errors.ts";

const PAGE = 65536;
const MAX_PAGES = 65536;
const ALIGN = 64;

/** A block of it. */
export interface Block extends Memory {
  /** Where it begins, in bytes. */
  readonly address: number;
}

/** Allocates and releases blocks. */
export class CpuMemory {
  /** All of it. It is shared: threads work on it, and views stay valid when it grows. */
  readonly wasm: WebAssembly.Memory = new WebAssembly.Memory({
    initial: 1,
    maximum: MAX_PAGES,
    shared: true,
  });
  readonly #stats: BackendStats;
  readonly #census: () => string;
  #free: Block[] = [];
  #end = ALIGN;

  /** Counts bytes in `stats`. Out-of-memory errors end with `census()`. */
  constructor(stats: BackendStats, census: () => string) {
    this.#stats = stats;
    this.#census = census;
    stats.heldBytes = PAGE;
  }

  /**
   * Allocates the best fit among the free blocks, which are kept in address order and merged with
   * their neighbours.
   *
   * @throws {DeviceError} if it does not fit.
   */
  allocate(bytes: number): Block {
    const size = Math.ceil(Math.max(bytes, 1) / ALIGN) * ALIGN;
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const have = this.#free[i].bytes;
      if (have >= size && (best < 0 || have < this.#free[best].bytes)) best = i;
    }
    const address = best < 0 ? this.#grow(size) : this.#free[best].address;
    if (best >= 0) {
      const have = this.#free[best].bytes;
      if (have === size) this.#free.splice(best, 1);
      else this.#free[best] = { address: address + size, bytes: have - size };
    }
    this.#stats.liveBytes += size;
    return { address, bytes: size };
  }

  /** Releases a block. */
  release({ address, bytes }: Block): void {
    this.#stats.liveBytes -= bytes;
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

  /** Allocates memory that is never released, and returns its address. */
  reserve(bytes: number): number {
    return this.#grow(Math.ceil(bytes / ALIGN) * ALIGN);
  }

  /** A region as an array. */
  view({ memory, dtype, size }: Region): TypedArray | Float16Array {
    return viewArray(dtype, this.wasm.buffer, (memory as Block).address, size);
  }

  /** Takes `size` bytes at the end, from a free block there on if there is one. */
  #grow(size: number): number {
    const last = this.#free.at(-1);
    const isFree = last !== undefined && last.address + last.bytes === this.#end;
    const address = isFree ? last.address : this.#end;
    const missing = Math.ceil((address + size - this.wasm.buffer.byteLength) / PAGE);
    if (missing > 0) {
      try {
        this.wasm.grow(missing);
      } catch {
        throw new DeviceError(
          `Cannot allocate ${size} bytes on the cpu device: at most ${MAX_PAGES * PAGE} fit, ` +
            `and ${this.#stats.liveBytes} are in use${this.#census()}`,
        );
      }
      this.#stats.heldBytes = this.wasm.buffer.byteLength;
    }
    if (isFree) this.#free.pop();
    this.#end = address + size;
    return address;
  }
}
