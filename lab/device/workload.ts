/**
 * What is measured: decoders, catalogues and batches, the same numbers on every device and runtime.
 *
 * @module
 */
import type { HostTensor } from "../../core/capture.ts";
import { foldIn, type Key, keyOf, uniform } from "../../core/random.ts";
import { type Path, Trie } from "../../models/decode/trie.ts";
import { losses, type LossName } from "../../models/losses/index.ts";
import type { TransformerConfig } from "../../models/transformer.ts";

/**
 * A decoder's size, with its batch: tiny (for tests), small, S or P; L has Llama 3's vocabulary,
 * and titles for items.
 */
export type ConfigName = "tiny" | "small" | "S" | "P" | "L";

const SIZES = {
  tiny: { dim: 16, layers: 1, heads: 2, headDim: 8, ffn: 32, batch: 2, length: 12 },
  small: { dim: 64, layers: 2, heads: 2, headDim: 32, ffn: 256, batch: 32, length: 80 },
  S: { dim: 128, layers: 4, heads: 4, headDim: 32, ffn: 512, batch: 32, length: 80 },
  P: { dim: 128, layers: 8, heads: 8, headDim: 16, ffn: 1024, batch: 32, length: 80 },
  L: { dim: 512, layers: 2, heads: 8, headDim: 64, ffn: 2048, batch: 8, length: 128 },
} as const satisfies Record<ConfigName, Record<string, number>>;

/** The names of the sizes. */
export const configNames = Object.keys(SIZES) as readonly ConfigName[];

/** The vocabulary: a first token, 4 x 256 codes, and two that no item has. */
export const VOCABULARY = 1027;
/** The vocabulary of L. */
export const LARGE_VOCABULARY = 128_256;
/** Codes an item, and codes a level. */
export const LEVELS = 4;
const CODES = 256;
/** Items of the catalogue that stands for Amazon Office Products. */
export const ITEMS = 2400;
/** Titles of L. */
const TITLES = 10_000;

/** Numbers of both signs. */
export function wave(size: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: size }, (_, i) => Math.sin(0.37 * i));
}

/** The decoder of a name; the output head is the embedding. */
export function decoderConfig(name: ConfigName, maxLength = 128): TransformerConfig {
  const { dim, layers, heads, headDim, ffn } = SIZES[name];
  return {
    dim,
    layers,
    heads,
    kvHeads: heads,
    headDim,
    ffn,
    vocabSize: name === "L" ? LARGE_VOCABULARY : VOCABULARY,
    ...{ ropeTheta: 10000, normEps: 1e-5, maxLength, dropout: 0, tiedEmbeddings: true },
  };
}

/**
 * A catalogue of semantic ids with the fan-outs of a real one: 256 children at the root, then about
 * 5.5, 1.4 and 1.2 a node with 2,400 items. Codes of a level are tokens of their own: 1 + 256 level
 * + code.
 */
export function catalogue(items: number, seed = 1): Path[] {
  const u = uniform(keyOf(seed), 4 * items);
  return Array.from({ length: items }, (_, i) => {
    const first = Math.floor(CODES * u[4 * i]);
    const second = scatter(first, Math.floor(8 * u[4 * i + 1]));
    const third = scatter(CODES * first + second, Math.floor(2 * u[4 * i + 2]));
    const fourth = Math.floor(CODES * u[4 * i + 3]);
    return [first, second, third, fourth].map((code, level) => 1 + CODES * level + code);
  });
}

/**
 * A catalogue of titles, whose trie has the shape of a real one: some 370 children at the root,
 * fewer and fewer below, and from about the fourth token on a title has its node for itself. 6 to
 * 16 tokens of `LARGE_VOCABULARY` each, the last of them the end.
 */
export function titles(items: number, seed = 1): Path[] {
  const length = 17;
  const u = uniform(keyOf(seed), length * items);
  const width = [400, 40, 12, 6];
  return Array.from({ length: items }, (_, i) => {
    const at = u.subarray(length * i, length * (i + 1));
    const path: number[] = [];
    for (let t = 0; t < 5 + Math.floor(11 * at[16]); t++) {
      const pick = Math.floor((width[t] ?? 1e9) * at[t] ** 3); // a few are much more frequent
      const word = Math.imul((path.at(-1) ?? 0) + 1, 0x9e3779b1) + Math.imul(pick + 1, 0x85ebca6b);
      path.push(2 + (word >>> 0) % (LARGE_VOCABULARY - 2));
    }
    return [...path, 1];
  });
}

/** A code that depends on what came before it and on a choice. */
function scatter(before: number, pick: number): number {
  return (Math.imul(before + 1, 0x9e3779b1) + Math.imul(pick, 0x85ebca6b)) >>> 24;
}

/** `count` users' histories, of `length` random items each. */
export function histories(
  count: number,
  length: number,
  items: number,
  key: Key = keyOf(2),
): number[][] {
  return Array.from({ length: count }, (_, user) => {
    const u = uniform(foldIn(key, user), length);
    return Array.from(u, (x) => Math.floor(items * x));
  });
}

/** The losses that need nothing but a batch, or a state. */
export const batchLosses: readonly LossName[] = losses
  .filter(({ needs }) => !needs.negatives && !needs.thresholds)
  .map(({ name }) => name);

/** What a training step is fed, apart from its learning rate. */
export interface Workload {
  /** The trie that `nodes` are of. */
  readonly trie: Trie;
  /** int32 (B, T). */
  readonly tokens: HostTensor;
  /** int32 (B T): the children of a position's node are its candidates. */
  readonly nodes: HostTensor;
  /** int32 (B T): the token that comes next. */
  readonly labels: HostTensor;
}

/**
 * A batch of item sequences in which every position is a target. For `sft` all tokens are
 * candidates everywhere, as in a plain cross-entropy; for other losses those of the catalogue's
 * trie are. L has the trie of its titles for all losses.
 */
export function workload(name: ConfigName, loss: LossName): Workload {
  const { batch: B, length: T } = SIZES[name];
  const paths = name === "L" ? titles(TITLES) : catalogue(ITEMS);
  const items = new Trie(paths);
  const flat = loss === "sft" && name !== "L";
  const trie = flat ? new Trie(Array.from({ length: VOCABULARY }, (_, v) => [v])) : items;
  const tokens = new Int32Array(B * T);
  const nodes = new Int32Array(B * T);
  const labels = new Int32Array(B * T);
  histories(B, Math.ceil(T / LEVELS), paths.length).forEach((history, b) => {
    let at = b * T;
    let before = 0;
    for (const item of history) {
      let node = 0;
      for (const token of paths[item]) {
        if (at === (b + 1) * T) return;
        tokens[at] = before;
        labels[at] = before = token;
        nodes[at++] = flat ? 0 : node;
        node = items.child(node, token);
      }
    }
  });
  return {
    trie,
    tokens: { data: tokens, shape: [B, T] },
    nodes: { data: nodes, shape: [B * T] },
    labels: { data: labels, shape: [B * T] },
  };
}
