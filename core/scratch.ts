/**
 * Memory for the intermediates of captured steps. Steps run one after the other and read nothing that an earlier run has
 * left, so all steps of a device share it: it is as large as the largest of them, not as all together.
 *
 * @module
 */
import type { Backend, Memory } from "./backend.ts";

/** What one step has of the shared memory. */
export interface Share {
  /** Changes whenever the memory has moved. */
  readonly version: number;
  /** The memory of the step's i-th slot. */
  slot(i: number): Memory;
  /** Says that the step is no more. */
  release(): void;
}

/** The shared memory: slots, the largest first. */
export class Scratch {
  readonly #backend: Backend;
  #slots: readonly Memory[] = [];
  #bytes: readonly number[] = [];
  #shares = 0;
  #version = 0;

  /** Slots in this backend's memory. */
  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Makes sure that slots of these sizes fit. The largest lies in the largest slot, and so on, so that steps that differ
   * in their shapes alone need as much as one of them.
   *
   * @throws {DeviceError} if the device has no room; then everything is as it was, though elsewhere.
   */
  share(bytes: readonly number[]): Share {
    const order = [...bytes.keys()].sort((a, b) => bytes[b] - bytes[a]);
    const rank = new Map(order.map((slot, place) => [slot, place]));
    const wanted = order.map((slot) => bytes[slot]);
    const length = Math.max(wanted.length, this.#bytes.length);
    const grown = Array.from({ length }, (_, i) => Math.max(wanted[i] ?? 0, this.#bytes[i] ?? 0));
    if (grown.some((size, i) => size > (this.#bytes[i] ?? 0))) this.#resize(grown);
    this.#shares++;
    const version = (): number => this.#version;
    return {
      get version(): number {
        return version();
      },
      slot: (i) => this.#slots[rank.get(i) as number],
      release: () => {
        if (--this.#shares === 0) this.#clear();
      },
    };
  }

  #resize(bytes: readonly number[]): void {
    const before = this.#bytes;
    this.#clear();
    try {
      this.#allocate(bytes);
    } catch (error) {
      this.#clear();
      this.#allocate(before);
      throw error;
    }
  }

  #allocate(bytes: readonly number[]): void {
    const slots: Memory[] = [];
    this.#slots = slots;
    for (const size of bytes) slots.push(this.#backend.allocate(size));
    this.#bytes = bytes;
  }

  #clear(): void {
    for (const slot of this.#slots) this.#backend.release(slot);
    this.#slots = [];
    this.#bytes = [];
    this.#version++;
  }
}
