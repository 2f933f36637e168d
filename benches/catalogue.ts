/**
 * What a catalogue's trie costs to build and to walk, by the number of items.
 *
 * @module
 */
import type { Device } from "../core/tensor.ts";
import { keyOf, permutation, uniform } from "../core/random.ts";
import { BeamSearch } from "../models/decode/beam_search.ts";
import type { Decoder } from "../models/decode/decoder.ts";
import { type FlatPaths, Trie } from "../models/decode/trie.ts";
import { zeros } from "../ops/fill.ts";
import { costOf, median, rssMiB } from "./measure.ts";

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
export function randomPaths({ items, levels, codes }: Shape): FlatPaths {
  const u = uniform(keyOf(items), items * levels);
  return {
    tokens: Int32Array.from(u, (x) => Math.floor(codes * x)),
    lengths: new Int32Array(items).fill(levels),
  };
}

/** Builds the trie of a catalogue, once. */
export function buildCost(paths: FlatPaths): BuildCost {
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

/** Children of the root, and of every node below it in a full catalogue. */
const [ROOT, BELOW] = [256, 16];
/** Levels of those catalogues. */
const LEVELS = 4;
/** Tokens of them: each level has its own. */
const TOKENS = ROOT + (LEVELS - 1) * BELOW;

/**
 * A catalogue of `items` of the 256 x 16 x 16 x 16 items of a full one, always with those that an
 * indifferent search of width `beam` meets: it keeps the lexicographically first prefixes, whose
 * nodes have all their children in every such catalogue.
 */
export function nestedCatalogue(items: number, beam: number): FlatPaths {
  const full = ROOT * BELOW ** (LEVELS - 1);
  const chosen = new Set<number>();
  for (let level = 0, below = full; level < LEVELS; level++) {
    const fan = level === 0 ? ROOT : BELOW;
    const node = below; // leaves under a node of this level
    below /= fan;
    for (let u = 0; u < (level === 0 ? 1 : beam); u++) {
      for (let child = 0; child < fan; child++) chosen.add(u * node + child * below);
    }
  }
  const order = permutation(keyOf(3), full);
  for (let i = 0; chosen.size < items; i++) chosen.add(order[i]);
  const tokens = new Int32Array(LEVELS * chosen.size);
  let at = 0;
  for (const leaf of chosen) {
    for (let level = LEVELS - 1, rest = leaf; level >= 0; level--) {
      const fan = level === 0 ? ROOT : BELOW;
      tokens[at + level] = rest % fan + (level === 0 ? 0 : ROOT + (level - 1) * BELOW);
      rest = Math.floor(rest / fan);
    }
    at += LEVELS;
  }
  return { tokens, lengths: new Int32Array(chosen.size).fill(LEVELS) };
}

/**
 * What a search takes without a model: the trie, the beams, the results. Milliseconds a step of
 * `users` users.
 */
export async function walkCost(
  device: Device,
  paths: FlatPaths,
  { beam, users, rounds }: { beam: number; users: number; rounds: number },
): Promise<{ wall: number; cpu: number }> {
  const indifferent: Decoder<null> = {
    vocabSize: TOKENS,
    prefill: (tokens) => ({ logits: zeros(device, [tokens.shape[0], TOKENS]), cache: null }),
    step: (_cache, { tokens }) => zeros(device, [tokens.size, TOKENS]),
  };
  using trie = new Trie(paths).upload(device);
  using search = new BeamSearch(indifferent as Decoder, trie, {
    beam,
    batch: users,
    normalization: "vocabulary",
  });
  const prompts = Array.from({ length: users }, () => [0]);
  for (let i = 0; i < 2; i++) await search.search(prompts);
  const costs = [];
  for (let i = 0; i < rounds; i++) costs.push(await costOf(() => search.search(prompts)));
  return {
    wall: median(costs.map((c) => c.wall)) / LEVELS,
    cpu: median(costs.map((c) => c.cpu)) / LEVELS,
  };
}
