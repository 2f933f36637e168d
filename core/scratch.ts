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
  /**
   * The memory of the step's i-th slot.
   *
   * @throws {DeviceError} if the device has no room for the slots any more.
   */
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
   * @throws {DeviceError} if the device has no room; then other steps find their slots elsewhere when they run next.
   */
  share(bytes: readonly number[]): Share {
    const order = [...bytes.keys()].sort((a, b) => bytes[b] - bytes[a]);
    const rank = new Map(order.map((slot, place) => [slot, place]));
    const wanted = order.map((slot) => bytes[slot]);
    const length = Math.max(wanted.length, this.#bytes.length);
    const grown = Array.from({ length }, (_, i) => Math.max(wanted[i] ?? 0, this.#bytes[i] ?? 0));
    if (grown.some((size, i) => size > (this.#bytes[i] ?? -1))) this.#resize(grown);
    this.#shares++;
    const version = (): number => this.#version;
    return {
      get version(): number {
        return version();
      },
      slot: (i) => {
        if (this.#slots.length === 0) this.#allocate(); // they could not grow when they were to
        return this.#slots[rank.get(i) as number];
      },
      release: () => {
        if (--this.#shares === 0) this.#clear();
      },
    };
  }

  /** Forgets what is in the slots, which then lie elsewhere. */
  #resize(bytes: readonly number[]): void {
    const before = this.#bytes;
    this.#clear();
    this.#bytes = bytes;
    try {
      this.#allocate();
    } catch (error) {
      this.#bytes = before;
      throw error;
    }
  }

  #allocate(): void {
    const slots: Memory[] = [];
    try {
      for (const size of this.#bytes) slots.push(this.#backend.allocate(size));
    } catch (error) {
      for (const slot of slots) this.#backend.release(slot);
      throw error;
    }
    this.#slots = slots;
  }

  #clear(): void {
    for (const slot of this.#slots) this.#backend.release(slot);
    this.#slots = [];
    this.#bytes = [];
    this.#version++;
  }
}
