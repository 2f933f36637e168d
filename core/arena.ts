/**
 * Arenas: scopes of lifetimes.
 *
 * @module
 */
import type { Storage, Tensor } from "./tensor.ts";

/** A scope of lifetimes: every tensor born on the device while it is open is freed when it closes. */
export interface Arena extends Disposable {
  /** Lets a tensor outlive this arena: it then belongs to the arena around it, or to nobody. Returns it. */
  keep(tensor: Tensor): Tensor;
}

/** Opens an arena inside those that are open: each is the set of what was born in it and has not moved out. */
export function openArena(scopes: Set<Storage>[], free: (storage: Storage) => void): Arena {
  const born = new Set<Storage>();
  scopes.push(born);
  return {
    keep: (tensor: Tensor): Tensor => {
      const depth = scopes.indexOf(born);
      if (born.delete(tensor.storage) && depth > 0) scopes[depth - 1].add(tensor.storage);
      return tensor;
    },
    [Symbol.dispose]: (): void => {
      const depth = scopes.indexOf(born);
      if (depth < 0) return;
      for (const inner of scopes.splice(depth)) for (const storage of inner) free(storage);
    },
  };
}
