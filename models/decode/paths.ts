/**
 * The paths of a catalogue in flat arrays: checks and sorting.
 *
 * @module
 */
import { ArgumentError, DataError, nameOf } from "../../core/errors.ts";

/** An item's tokens. */
export type Path = readonly number[];

/** Paths in flat arrays, for catalogues of millions of items. */
export interface FlatPaths {
  /** The tokens of item 0, then those of item 1, ... */
  readonly tokens: Int32Array;
  /** The number of tokens of each item. */
  readonly lengths: Int32Array;
}

/** Item i's tokens are entries offsets[i] to offsets[i + 1] of `tokens`. */
export interface PathTable {
  /** Tokens by item. */
  readonly tokens: Int32Array;
  /** Where each item begins. */
  readonly offsets: Int32Array;
}

/** Bits of a token per pass of the radix sort. */
const DIGIT = 11;
const MASK = 2 ** DIGIT - 1;

/**
 * Checks paths and copies them into a table.
 *
 * @throws {ArgumentError} if `paths` is neither an array of arrays nor flat arrays.
 * @throws {DataError} if there are no items, a path is empty, a token is not an integer in [0,
 * 2^31), or the lengths do not add up to the tokens.
 */
export function pathTable(paths: readonly Path[] | FlatPaths): PathTable {
  const { tokens: all, lengths } = (paths ?? {}) as Partial<FlatPaths>;
  const isFlat = all instanceof Int32Array && lengths instanceof Int32Array;
  if (!isFlat && !Array.isArray(paths)) {
    throw new ArgumentError(
      "Cannot build a trie: paths must be an array of arrays, or { tokens, lengths } of " +
        `Int32Arrays, got ${nameOf(paths)}`,
    );
  }
  const flat = "lengths" in paths;
  const count = flat ? paths.lengths.length : paths.length;
  if (count === 0) {
    throw new DataError("Cannot build a trie: the catalogue must have items, got none");
  }
  const offsets = new Int32Array(count + 1);
  for (let item = 0; item < count; item++) {
    if (!flat && !Array.isArray(paths[item])) {
      throw new ArgumentError(
        `Cannot build a trie: a path must be an array of tokens, got ${nameOf(paths[item])} ` +
          `for item ${item}`,
      );
    }
    const length = flat ? paths.lengths[item] : paths[item].length;
    if (length < 1) {
      throw new DataError(
        `Cannot build a trie: an item's path must have tokens, got none for item ${item}`,
      );
    }
    offsets[item + 1] = offsets[item] + length;
  }
  if (flat && offsets[count] !== paths.tokens.length) {
    throw new DataError(
      `Cannot build a trie: the lengths of the paths must add up to the ${paths.tokens.length} tokens, ` +
        `got ${offsets[count]}`,
    );
  }
  if (flat) {
    const at = paths.tokens.findIndex((token) => token < 0);
    if (at >= 0) refuseToken(paths.tokens[at], offsets.findLastIndex((from) => from <= at));
    return { tokens: paths.tokens, offsets };
  }
  const tokens = new Int32Array(offsets[count]);
  paths.forEach((path, item) => {
    for (let i = 0; i < path.length; i++) {
      if (typeof path[i] !== "number" || path[i] !== (path[i] & 0x7fffffff)) {
        refuseToken(path[i], item);
      }
      tokens[offsets[item] + i] = path[i];
    }
  });
  return { tokens, offsets };
}

function refuseToken(token: number, item: number): never {
  throw new DataError(
    `Cannot build a trie: tokens must be non-negative integers of 31 bits, got ${
      nameOf(token)
    } in item ${item}`,
  );
}

/**
 * Items sorted by path, lexicographically; a path comes after its prefixes, and equal paths go by
 * item. A radix sort from the last token to the first. An item enters it at its last token.
 */
export function sortedItems({ tokens, offsets }: PathTable): Int32Array {
  const count = offsets.length - 1;
  const byLength = itemsByLength(offsets);
  const lengthOf = (item: number): number => offsets[item + 1] - offsets[item];
  let order = new Int32Array(count); // its last `sorted` entries are in order from `depth` on
  let spare = new Int32Array(count);
  let sorted = 0;
  for (let depth = lengthOf(byLength[count - 1]) - 1; depth >= 0; depth--) {
    let first = count - sorted;
    while (first > 0 && lengthOf(byLength[first - 1]) > depth) first--;
    order.set(byLength.subarray(first, count - sorted), first); // they end here, so they come first
    sorted = count - first;
    let largest = 0;
    for (let i = first; i < count; i++) {
      largest = Math.max(largest, tokens[offsets[order[i]] + depth]);
    }
    for (let shift = 0; shift < 31 && (shift === 0 || largest >> shift > 0); shift += DIGIT) {
      const digits = Math.min(MASK, largest >> shift) + 1; // that occur
      const places = new Int32Array(digits + 1);
      for (let i = first; i < count; i++) {
        places[(tokens[offsets[order[i]] + depth] >> shift & MASK) + 1]++;
      }
      for (let digit = 1; digit < digits; digit++) places[digit] += places[digit - 1];
      for (let i = first; i < count; i++) {
        const digit = tokens[offsets[order[i]] + depth] >> shift & MASK;
        spare[first + places[digit]++] = order[i];
      }
      [order, spare] = [spare, order];
    }
  }
  return order;
}

/** Items sorted by the number of their tokens, ascending, then by item. */
function itemsByLength(offsets: Int32Array): Int32Array {
  const count = offsets.length - 1;
  let longest = 0;
  for (let i = 0; i < count; i++) longest = Math.max(longest, offsets[i + 1] - offsets[i]);
  const places = new Int32Array(longest + 2);
  for (let i = 0; i < count; i++) places[offsets[i + 1] - offsets[i] + 1]++;
  for (let n = 0; n < longest; n++) places[n + 1] += places[n];
  const items = new Int32Array(count);
  for (let i = 0; i < count; i++) items[places[offsets[i + 1] - offsets[i]]++] = i;
  return items;
}
