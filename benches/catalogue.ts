/**
 * What a catalogue's trie costs to build, by the number of items.
 *
 * @module
 */
import { keyOf, uniform } from "../core/random.ts";
import { type Path, Trie } from "../models/decode/trie.ts";
import { rssMiB } from "./measure.ts";

/** A catalogue of random paths. */
export interface Shape {
  readonly items: number;
  /** Tokens an item. */
  readonly levels: number;
  /** Tokens to choose from at each level. */
  readonly codes: number;
}

/** What building took. */
export interface BuildCost {
  readonly nodes: number;
  readonly ms: number;
  /** MiB of the trie's arrays. */
  readonly trieMiB: number;
  /** MiB by which the process grew while the trie was built, what it needed in between included. */
  readonly grownMiB: number;
}

/** Random paths. */
export function randomPaths({ items, levels, codes }: Shape): Path[] {
  const u = uniform(keyOf(items), items * levels);
  return Array.from(
    { length: items },
    (_, i) => Array.from(u.subarray(i * levels, (i + 1) * levels), (x) => Math.floor(codes * x)),
  );
}

/** Builds the trie of a shape from `paths`, once. */
export function buildCost(paths: readonly Path[]): BuildCost {
  const before = rssMiB();
  const began = performance.now();
  const trie = new Trie(paths);
  const ms = performance.now() - began;
  const arrays = Object.values(trie).filter((value) => ArrayBuffer.isView(value));
  return {
    nodes: trie.nodeCount,
    ms,
    trieMiB: arrays.reduce((bytes, array) => bytes + array.byteLength, 0) / 2 ** 20,
    grownMiB: rssMiB() - before,
  };
}
