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
  /** The slot of each intermediate that some launch touches or the step returns. */
  readonly slotOf: ReadonlyMap<Storage, number>;
}

/**
 * Walks the launches in order and gives each intermediate the smallest free slot that holds it (or the largest,
 * grown), from its first use to its last. Outputs keep theirs for good. Storages outside `transients` are not placed.
 */
export function planSlots(
  launches: readonly (readonly Storage[])[],
  transients: ReadonlySet<Storage>,
  outputs: ReadonlySet<Storage>,
): SlotPlan {
  const lastUse = new Map<Storage, number>();
  launches.forEach((storages, i) => storages.forEach((s) => lastUse.set(s, i)));
  const bytes: number[] = [];
  const free: number[] = [];
  const slotOf = new Map<Storage, number>();

  const place = (storage: Storage): void => {
    if (!transients.has(storage) || slotOf.has(storage)) return;
    let best = -1;
    for (let i = 0; i < free.length; i++) {
      if (best < 0 || isBetterFit(bytes[free[i]], bytes[free[best]], storage.bytes)) best = i;
    }
    const slot = best < 0 ? bytes.push(0) - 1 : free.splice(best, 1)[0];
    bytes[slot] = Math.max(bytes[slot], storage.bytes);
    slotOf.set(storage, slot);
  };

  launches.forEach((storages, i) => {
    storages.forEach(place);
    for (const storage of new Set(storages)) {
      const slot = slotOf.get(storage);
      if (slot !== undefined && lastUse.get(storage) === i && !outputs.has(storage)) {
        free.push(slot);
      }
    }
  });
  outputs.forEach(place);
  return { bytes, slotOf };
}

/** Whether a slot of `a` bytes suits a need better than one of `b`: the smallest that fits, else the largest. */
function isBetterFit(a: number, b: number, need: number): boolean {
  if (a >= need) return b < need || a < b;
  return b < need && a > b;
}
