/**
 * Makes codes of items: vectors, clusters of them at each level, and what tells items with equal
 * codes apart.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import { DataError } from "../../core/errors.ts";
import { foldIn, type Key, keyOf, permutation } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { behaviourVectors } from "./behaviour.ts";
import { assign, type Clustering, kmeans, withoutCentres } from "./kmeans.ts";
import { trainRqvae } from "./rqvae.ts";
import { type CodeSpec, formatSpec, parseSpec } from "./spec.ts";
import { titleVectors } from "./title_vectors.ts";
import { readVectors } from "./vector_files.ts";
import { mixVectors, type Vectors, type WeightedVectors } from "./vectors.ts";

/** Called with what is being done, how much of it is done, and the total. */
export type MakingProgress = (what: string, done: number, total: number) => void;

/** Options of {@link makeCodes}. */
export interface MakeOptions {
  /** Opens the device that reads titles. Default a cpu device with one thread. */
  readonly openDevice?: () => Device | Promise<Device>;
  /** Called as it goes on. */
  readonly onProgress?: MakingProgress;
}

/** What codes are made of: the items, and what they are like. Never held-out targets. */
export type CodeData = Pick<Dataset, "name" | "items" | "titles" | "training">;

/**
 * Makes codes for the items of a data set, from its training sequences, titles or other vectors:
 * for each item the texts that `index.json` has, such as `["<a_12>", "<b_7>", "<c_0>"]`. All items
 * have equally many, and no two the same. From behaviour and files, every runtime makes the
 * same, except with an RQ-VAE.
 *
 * `spec` is what `--codes` takes, such as `hierarchical:64x16`; see docs/codes.md.
 *
 * @throws {UsageError} if the specification is malformed.
 * @throws {DataError} if vectors are missing or malformed, or there are too few codes.
 *
 * @example
 * ```ts
 * import { describeCodes, makeCodes, synthetic } from "beargrad/lab";
 *
 * const codes = await makeCodes(synthetic(), "hierarchical:16x8");
 * console.log(codes[0], describeCodes(codes).levels[0].nodes); // 16 clusters below the root: 16
 * ```
 */
export async function makeCodes(
  data: CodeData,
  spec: string,
  options: MakeOptions = {},
): Promise<readonly (readonly string[])[]> {
  const parsed = parseSpec(spec);
  const codes = parsed.kind === "random"
    ? randomCodes(data.items.length, parsed)
    : await cluster(await vectorsOf(data, parsed, options), parsed, options.onProgress);
  const uses = usesOf(data);
  if (parsed.kind === "hierarchical") {
    numberByUse(codes, uses);
    if (parsed.tokens === "own") makeTokensOwn(codes);
  }
  if (parsed.duplicates === "last") addLastTokens(codes, uses);
  return codes.map((path) => path.map((code, level) => `<${LETTERS[level]}_${code}>`));
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** The vectors that a specification asks for. */
async function vectorsOf(
  { items, titles, training, name }: CodeData,
  spec: CodeSpec,
  { openDevice = cpu, onProgress }: MakeOptions,
): Promise<Vectors> {
  const blocks: WeightedVectors[] = [];
  for (const { kind, place, tensor, weight } of spec.from) {
    if (kind === "behaviour") {
      const vectors = behaviourVectors(training, items.length, spec, (share) => {
        onProgress?.("vectors of items", Math.floor(share * items.length), items.length);
      });
      blocks.push({ ...vectors, weight });
    } else if (kind === "file") {
      blocks.push({ ...readVectors(place, items, { tensor }), weight });
    } else {
      if (titles === undefined) {
        throw new DataError(
          `Cannot make codes of ${name} from titles: it must have some, got none`,
        );
      }
      blocks.push({ ...await titleVectors(await openDevice(), titles, place, onProgress), weight });
    }
  }
  return mixVectors(blocks);
}

/** Codes of items as numbers, one for each level. */
type Codes = number[][];

/** The codes of each item by clusters of vectors. */
async function cluster(
  vectors: Vectors,
  spec: CodeSpec,
  onProgress?: MakingProgress,
): Promise<Codes> {
  const key = foldIn(keyOf(spec.seed), 0xc0de5);
  const n = vectors.data.length / vectors.dim;
  if (spec.duplicates === "free") checkRoom(n, spec);
  const { length } = spec.sizes;
  const done = (level: number): void => onProgress?.("levels of codes", level, length);
  switch (spec.kind) {
    case "hierarchical":
      return hierarchical(vectors, spec, key, done);
    case "residual":
      return separated(residual(vectors, spec, key, done), spec);
    case "rqvae": {
      const { latent, books } = await trainRqvae(vectors, spec.sizes, spec.epochs, key, (done) => {
        onProgress?.("epochs of the RQ-VAE", done, spec.epochs);
      });
      return separated(rounded(latent, books), spec);
    }
    default:
      return separated(product(vectors, spec, key, done), spec);
  }
}

/** Codes by levels, and for each item what the last level has clustered. */
type Leveled = { readonly codes: Codes; readonly last: Vectors; readonly centres: Float64Array };

/**
 * Clusters of clusters. At each level the items of a node become at most `sizes[level]` children.
 * Where duplicates take free codes, a node has no more items than there are codes below it.
 */
function hierarchical(
  vectors: Vectors,
  { sizes, slack, duplicates }: CodeSpec,
  key: Key,
  done: (level: number) => void,
): Codes {
  const n = vectors.data.length / vectors.dim;
  const codes: Codes = Array.from({ length: n }, () => []);
  let nodes: Int32Array[] = [allOf(vectors)];
  sizes.forEach((size, level) => {
    const below = sizes.slice(level + 1).reduce((product, k) => product * k, 1);
    const most = duplicates === "free" ? below : Infinity;
    const next: Int32Array[] = [];
    nodes.forEach((items, node) => {
      const k = Math.min(size, items.length);
      const mean = Math.ceil(items.length / size);
      const capacity = Math.min(Math.max(mean, Math.floor(mean * (1 + slack))), most);
      const own = foldIn(foldIn(key, level), node);
      const { clusters } = kmeans(vectors, items, { k, capacity, key: own });
      items.forEach((item, i) => codes[item].push(clusters[i]));
      for (let c = 0; c < k; c++) next.push(items.filter((_, i) => clusters[i] === c));
    });
    nodes = next;
    done(level + 1);
  });
  return codes;
}

/** Clusters of what is left of each vector after the centres of the levels before. */
function residual(
  vectors: Vectors,
  { sizes }: CodeSpec,
  key: Key,
  done: (level: number) => void,
): Leveled {
  let level = 0;
  return byResiduals(vectors, sizes, (rest, size) => {
    const k = Math.min(size, rest.data.length / rest.dim);
    const found = kmeans(rest, allOf(rest), { k, key: foldIn(key, level) });
    done(++level);
    return found;
  });
}

/** The nearest code of each level to what the levels before have left of a vector. */
function rounded(vectors: Vectors, books: readonly Float64Array[]): Leveled {
  return byResiduals(vectors, books, (rest, centres) => ({
    clusters: assign(rest, allOf(rest), centres),
    centres,
  }));
}

/** Codes by levels, each of which finds clusters of what the levels before have left. */
function byResiduals<T>(
  vectors: Vectors,
  levels: readonly T[],
  find: (rest: Vectors, level: T) => Clustering,
): Leveled {
  const codes: Codes = Array.from(allOf(vectors), () => []);
  let last = vectors;
  let rest = vectors;
  let centres: Float64Array = new Float64Array();
  for (const level of levels) {
    const found = find(rest, level);
    codes.forEach((path, item) => path.push(found.clusters[item]));
    [last, centres] = [rest, found.centres];
    rest = withoutCentres(rest, found);
  }
  return { codes, last, centres };
}

function allOf({ data, dim }: Vectors): Int32Array {
  return Int32Array.from({ length: data.length / dim }, (_, item) => item);
}

/** Clusters of each part of the dimensions, which are dealt out to the levels in turn. */
function product(
  { data, dim }: Vectors,
  { sizes }: CodeSpec,
  key: Key,
  done: (level: number) => void,
): Leveled {
  const n = data.length / dim;
  if (dim < sizes.length) {
    throw new DataError(
      `Cannot make product codes: vectors must have a dimension for each of ${sizes.length} ` +
        `levels, got ${dim}`,
    );
  }
  const codes: Codes = Array.from({ length: n }, () => []);
  let last: Leveled | undefined;
  sizes.forEach((size, level) => {
    const own = Math.ceil((dim - level) / sizes.length);
    const part = Float64Array.from({ length: n * own }, (_, at) => {
      const item = Math.floor(at / own);
      return data[item * dim + level + (at - item * own) * sizes.length];
    });
    const vectors = { data: part, dim: own };
    const { clusters, centres } = kmeans(vectors, allOf(vectors), {
      k: Math.min(size, n),
      key: foldIn(key, level),
    });
    codes.forEach((path, item) => path.push(clusters[item]));
    last = { codes, last: vectors, centres };
    done(level + 1);
  });
  return last as Leveled;
}

/** With free codes for duplicates, items that share all codes but the last get different ones. */
function separated({ codes, last, centres }: Leveled, { duplicates }: CodeSpec): Codes {
  if (duplicates === "last") return codes;
  const room = centres.length / last.dim;
  for (const group of groupsOf(codes, (path) => path.slice(0, -1))) {
    if (new Set(group.map((item) => codes[item].at(-1))).size === group.length) continue;
    if (group.length > room) {
      throw new DataError(
        `Cannot make codes with duplicates=free: at most ${room} items may share all codes but ` +
          `the last, got ${group.length}; duplicates=last takes any number`,
      );
    }
    const free = assign(last, Int32Array.from(group), centres, 1);
    group.forEach((item, i) => codes[item].splice(-1, 1, free[i]));
  }
  return codes;
}

/** Codes that are drawn: a random order of the items, dealt out to the codes in turn. */
function randomCodes(n: number, spec: CodeSpec): Codes {
  if (spec.duplicates === "free") checkRoom(n, spec);
  const order = permutation(foldIn(keyOf(spec.seed), 0xc0de5), n);
  return Array.from(order, (place) => {
    let rest = place;
    return spec.sizes.map((size) => {
      const code = rest % size;
      rest = Math.floor(rest / size);
      return code;
    });
  });
}

/** Where duplicates take free codes, there must be enough. */
function checkRoom(n: number, spec: CodeSpec): void {
  const room = spec.sizes.reduce((product, size) => product * size, 1);
  if (room >= n) return;
  throw new DataError(
    `Cannot make codes ${formatSpec(spec)}: there must be a code for each of ${n} items, got ` +
      `${room}; duplicates=last takes any number`,
  );
}

/** How often each item occurs in training. */
function usesOf({ items, training }: CodeData): Int32Array {
  const uses = new Int32Array(items.length);
  for (const sequence of training) {
    for (let i = sequence.context; i < sequence.items.length; i++) uses[sequence.items[i]]++;
  }
  return uses;
}

/**
 * Numbers the children of each node by how often their items are used, the most used first, so that
 * a number means something similar below every node.
 */
function numberByUse(codes: Codes, uses: Int32Array): void {
  const depth = codes[0].length;
  // From the last level, as groups are those of the numbers before.
  for (let level = depth - 1; level >= 0; level--) {
    for (const group of groupsOf(codes, (path) => path.slice(0, level))) {
      const totals = new Map<number, number>();
      for (const item of group) {
        const code = codes[item][level];
        totals.set(code, (totals.get(code) ?? 0) + uses[item]);
      }
      const order = [...totals].sort(([a, x], [b, y]) => y - x || a - b).map(([code]) => code);
      const numberOf = new Map(order.map((code, number) => [code, number]));
      for (const item of group) codes[item][level] = numberOf.get(codes[item][level]) as number;
    }
  }
}

/**
 * Adds a last token that counts the items with the same codes, if there are such items: 0 for the
 * one that is used most.
 */
function addLastTokens(codes: Codes, uses: Int32Array): void {
  const groups = groupsOf(codes, (path) => path);
  if (groups.length === codes.length) return;
  for (const group of groups) {
    group.sort((a, b) => uses[b] - uses[a] || a - b).forEach((item, i) => codes[item].push(i));
  }
}

/** Numbers the nodes of each level, in the order of their paths, instead of a node's children. */
function makeTokensOwn(codes: Codes): void {
  const order = [...codes.keys()].sort((a, b) => comparePaths(codes[a], codes[b]));
  for (let level = codes[0].length - 1; level > 0; level--) { // the paths before stay as they are
    let number = 0;
    const numbers = order.map((item, i) => {
      const before = codes[order[Math.max(0, i - 1)]];
      const isSame = codes[item].slice(0, level + 1).every((code, l) => code === before[l]);
      return isSame ? number : ++number;
    });
    order.forEach((item, i) => codes[item][level] = numbers[i]);
  }
}

function comparePaths(a: readonly number[], b: readonly number[]): number {
  const level = a.findIndex((code, level) => code !== b[level]);
  return level < 0 ? 0 : a[level] - b[level];
}

/** The items with the same key, in their order. */
function groupsOf(codes: Codes, keyOf: (path: number[]) => number[]): number[][] {
  return [...Map.groupBy(codes.keys(), (item) => keyOf(codes[item]).join()).values()];
}
