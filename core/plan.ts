/**
 * The memory plan of a captured step: which intermediates may share memory.
 *
 * @module
 */
import type { Storage } from "./tensor.ts";

/** Slots of memory, and the slot of each intermediate. */
export interface SlotPlan {
  /** Bytes of each slot. */
  readonly bytes: readonly number[];
  /** The slot of each intermediate that some launch touches. */
  readonly slotOf: ReadonlyMap<Storage, number>;
}

/** From the first launch that touches an intermediate to the last. */
interface Life {
  readonly storage: Storage;
  readonly first: number;
  readonly last: number;
}

/**
 * Gives each intermediate, the largest first, the smallest slot that is free from its first use to its last. So no small one keeps
 * a large slot from a large one. Storages outside `transients` are not placed.
 */
export function planSlots(
  launches: readonly (readonly Storage[])[],
  transients: ReadonlySet<Storage>,
): SlotPlan {
  const bytes: number[] = [];
  const lives: Life[][] = []; // by slot
  const slotOf = new Map<Storage, number>();
  for (const life of livesOf(launches, transients)) {
    const { storage, first, last } = life;
    const isFree = (others: readonly Life[]): boolean =>
      others.every((other) => other.last < first || last < other.first);
    let slot = lives.findLastIndex(isFree); // slots are made in descending order of size
    if (slot < 0) {
      slot = bytes.push(storage.bytes) - 1;
      lives.push([]);
    }
    lives[slot].push(life);
    slotOf.set(storage, slot);
  }
  return { bytes, slotOf };
}

/** The lives of all intermediates, by size descending, among equals as they begin. */
function livesOf(
  launches: readonly (readonly Storage[])[],
  transients: ReadonlySet<Storage>,
): Life[] {
  const first = new Map<Storage, number>();
  const last = new Map<Storage, number>();
  launches.forEach((storages, i) => {
    for (const storage of storages) {
      if (!transients.has(storage)) continue;
      if (!first.has(storage)) first.set(storage, i);
      last.set(storage, i);
    }
  });
  return [...first].map(([storage, begins]) => ({
    storage,
    first: begins,
    last: last.get(storage) as number,
  })).sort((a, b) => b.storage.bytes - a.storage.bytes || a.first - b.first);
}
