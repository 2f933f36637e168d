/**
 * Training batches. A sequence of items is cut into windows, a window becomes one row of tokens,
 * and rows of similar length are stacked into batches. There is no mask over the vocabulary: each
 * position carries a trie node, whose children are the candidates.
 *
 * @module
 */
import type { HostTensor } from "../../core/capture.ts";
import { ArgumentError } from "../../core/errors.ts";
import { foldIn, keyOf, permutation } from "../../core/random.ts";
import type { Trie } from "../../models/decode/trie.ts";
import { BOS, type Dataset, type TrainingSequence } from "./dataset.ts";

/**
 * A row of T tokens, and D tokens to predict at each position. D is 1, but with one input token an
 * item it is the length of the longest path: a position then predicts a whole item.
 */
export interface Window {
  /** (T): the input, without what follows the position of the last target. */
  readonly tokens: Int32Array;
  /** (T D): the trie node whose children are the candidates; -1 where there is no target. */
  readonly nodes: Int32Array;
  /** (T D): the token to predict; 0 where there is no target. */
  readonly labels: Int32Array;
  /** The number of tokens to predict. */
  readonly targets: number;
}

/** B rows of T tokens, and N places of them that predict a token, and padding. */
export interface Batch {
  /** int32 (B, T). */
  readonly tokens: HostTensor;
  /**
   * int32 (B, T (D - 1)), if D is above 1: the tokens that are read after each position to predict
   * the rest of its item. They are branches of the row; positions that follow do not read them.
   */
  readonly chains?: HostTensor;
  /**
   * int32 (N): the places, in the order of targets, before the padding. Those below B T are
   * positions of the rows, and the others tokens of chains.
   */
  readonly rows: HostTensor;
  /** int32 (N): the trie node at each position; -1 for padding. */
  readonly nodes: HostTensor;
  /** int32 (N): the token to predict at each position. */
  readonly labels: HostTensor;
  /** The number of positions with a target. */
  readonly targets: number;
}

/** Options of {@link makeBatches}. */
export interface BatchOptions {
  /** Rows in a batch, B. */
  readonly batch: number;
  /** The seed of the run. */
  readonly seed: number;
  /** The epoch, from 0. Each has another order. */
  readonly epoch: number;
}

/** The share of padding that is allowed before another length is added. */
const MAX_PADDING = 0.25;
/** The most different lengths. Each one needs a captured program. */
const MAX_LENGTHS = 6;
/** Lengths are multiples of this. */
const LENGTH_STEP = 4;
/** The number of positions N is a multiple of this. */
const ROW_STEP = 16;

/**
 * Cuts all training sequences into windows of at most `historyLength + 1` items. Each window begins
 * with the last item of the one before, as context, so that every target of a sequence is predicted
 * exactly once. Where each target has its own prompt, each has its own window. `onProgress` is
 * called with the number of sequences done and the total.
 *
 * @throws {ArgumentError} if `historyLength` is not a positive integer.
 */
export function makeWindows(
  dataset: Dataset,
  trie: Trie,
  historyLength: number,
  onProgress?: (done: number, total: number) => void,
): Window[] {
  if (!Number.isInteger(historyLength) || historyLength < 1) {
    throw new ArgumentError(
      `Cannot cut training windows: historyLength must be a positive integer, got ${historyLength}`,
    );
  }
  return dataset.training.flatMap((sequence, i) => {
    const pieces = (dataset.promptPerTarget ? onePerTarget : cut)(sequence, historyLength);
    const windows = pieces.map((piece) => windowOf(dataset, trie, piece));
    onProgress?.(i + 1, dataset.training.length);
    return windows;
  });
}

/**
 * Cuts a sequence into pieces that overlap by one item. The first has at most `historyLength`
 * context.
 */
function cut({ items, context }: TrainingSequence, historyLength: number): TrainingSequence[] {
  const first = Math.max(0, context - historyLength);
  const windows: TrainingSequence[] = [];
  for (let at = first; at === first || at < items.length - 1; at += historyLength) {
    windows.push({
      items: items.slice(at, at + historyLength + 1),
      context: at === first ? context - first : 1,
    });
  }
  return windows;
}

/** Cuts a sequence into pieces of one target each, with at most `historyLength` items before it. */
function onePerTarget(
  { items, context }: TrainingSequence,
  historyLength: number,
): TrainingSequence[] {
  return items.slice(context).map((_, i) => {
    const from = Math.max(0, context + i - historyLength);
    return { items: items.slice(from, context + i + 1), context: context + i - from };
  });
}

/** The row of a window: the prompt of its context, then the tokens of its targets. */
function windowOf(dataset: Dataset, trie: Trie, sequence: TrainingSequence): Window {
  if (dataset.itemInput !== undefined) return itemWindowOf(dataset, trie, sequence);
  const { items, context } = sequence;
  const prompt = dataset.prompt(items.slice(0, context));
  const paths = items.slice(context).map((item) => dataset.paths[item]);
  const targets = paths.reduce((sum, path) => sum + path.length, 0);
  const length = prompt.length + targets - 1;
  const tokens = new Int32Array(length);
  const nodes = new Int32Array(length).fill(-1);
  const labels = new Int32Array(length);
  tokens.set(prompt);
  let position = prompt.length - 1;
  for (const path of paths) {
    let node = 0;
    for (const token of path) {
      nodes[position] = node;
      labels[position] = token;
      node = trie.child(node, token);
      position++;
      if (position < length) tokens[position] = token;
    }
  }
  return { tokens, nodes, labels, targets };
}

/** The same with one input token an item. */
function itemWindowOf(
  { paths, prompt }: Dataset,
  trie: Trie,
  { items, context }: TrainingSequence,
): Window {
  const D = trie.maxDepth;
  const first = prompt([]).length - 1; // the position that predicts item 0
  const tokens = Int32Array.from(prompt(items.slice(0, -1)));
  const nodes = new Int32Array(tokens.length * D).fill(-1);
  const labels = new Int32Array(tokens.length * D);
  let targets = 0;
  for (let i = context; i < items.length; i++) {
    let node = 0;
    for (const [j, token] of paths[items[i]].entries()) {
      nodes[(first + i) * D + j] = node;
      labels[(first + i) * D + j] = token;
      node = trie.child(node, token);
      targets++;
    }
  }
  return { tokens, nodes, labels, targets };
}

/**
 * Stacks windows into the batches of one epoch, in an order that depends on seed and epoch alone. A
 * run has few shapes: rows are padded to a few lengths, the last batch of a length is filled with
 * empty rows, and for each length one number of positions N is enough for nearly all batches.
 *
 * @throws {ArgumentError} if `batch` is not a positive integer or there are no windows.
 */
export function makeBatches(windows: readonly Window[], options: BatchOptions): Batch[] {
  const { batch, seed, epoch } = options;
  if (!Number.isInteger(batch) || batch < 1) {
    throw new ArgumentError(
      `Cannot make batches: the batch size must be a positive integer, got ${batch}`,
    );
  }
  if (windows.length === 0) {
    throw new ArgumentError("Cannot make batches: there must be windows, got none");
  }
  const key = foldIn(foldIn(keyOf(seed), 0xba7c), epoch);
  const lengths = paddedLengths(windows.map((window) => window.tokens.length));
  const lengthOf = (window: Window): number =>
    lengths.find((length) => length >= window.tokens.length) as number;
  const capacities = new Map(lengths.map((length) => {
    const targets = windows.filter((w) => lengthOf(w) === length).map((w) => w.targets);
    return [length, capacitiesFor(targets, batch, batch * length * depthOf(windows[0]))];
  }));
  const filling = new Map<number, Window[]>(lengths.map((length) => [length, []]));
  const batches: Batch[] = [];
  const finish = (rows: readonly Window[], length: number): void => {
    batches.push(stack(rows, batch, length, capacities.get(length) as readonly number[]));
  };
  for (const index of permutation(foldIn(key, 0), windows.length)) {
    const window = windows[index];
    const length = lengthOf(window);
    const rows = filling.get(length) as Window[];
    rows.push(window);
    if (rows.length === batch) finish(rows.splice(0), length);
  }
  for (const [length, rows] of filling) {
    if (rows.length > 0) finish(rows, length);
  }
  return [...permutation(foldIn(key, 1), batches.length)].map((i) => batches[i]);
}

/**
 * The lengths that rows are padded to, in ascending order: the fewest lengths that keep padding
 * within a quarter, or else the largest number allowed, and among these the lengths with the least
 * padding.
 */
export function paddedLengths(lengths: readonly number[]): number[] {
  const counts = new Map<number, number>();
  let real = 0;
  for (const length of lengths) {
    const rounded = Math.ceil(length / LENGTH_STEP) * LENGTH_STEP;
    counts.set(rounded, (counts.get(rounded) ?? 0) + 1);
    real += length;
  }
  const sizes = [...counts.keys()].sort((a, b) => a - b);
  const rows = [0]; // rows[j]: the number of rows with one of the j shortest lengths
  for (const size of sizes) rows.push(rows[rows.length - 1] + (counts.get(size) as number));

  // best[j]: the fewest positions for the rows of the j shortest lengths, and the chosen lengths.
  let best = sizes.map((size, j) => ({ positions: rows[j + 1] * size, chosen: [size] }));
  best.unshift({ positions: 0, chosen: [] });
  for (let n = 2; n <= Math.min(MAX_LENGTHS, sizes.length); n++) {
    if (1 - real / best[sizes.length].positions <= MAX_PADDING) break;
    best = best.map((sofar, j) => {
      for (let i = 1; i < j; i++) {
        const positions = best[i].positions + (rows[j] - rows[i]) * sizes[j - 1];
        if (positions < sofar.positions) {
          sofar = { positions, chosen: [...best[i].chosen, sizes[j - 1]] };
        }
      }
      return sofar;
    });
  }
  return best[sizes.length].chosen;
}

/** The number of tokens to predict at each position, D. */
function depthOf({ tokens, nodes }: Window): number {
  return nodes.length / tokens.length;
}

/**
 * The possible numbers of places N of a batch of B rows that has `places`, in ascending order. The
 * last one is always enough. The first one is four standard deviations above the mean, so it nearly
 * always is.
 */
function capacitiesFor(targets: readonly number[], B: number, places: number): number[] {
  const rounded = (n: number): number => Math.min(places, Math.ceil(n / ROW_STEP) * ROW_STEP);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const mean = sum(targets) / targets.length;
  const variance = sum(targets.map((n) => (n - mean) ** 2)) / targets.length;
  const most = rounded(sum(targets.toSorted((a, b) => b - a).slice(0, B)));
  const usual = rounded(B * mean + 4 * Math.sqrt(B * variance));
  return usual < most ? [usual, most] : [most];
}

function stack(
  windows: readonly Window[],
  B: number,
  T: number,
  capacities: readonly number[],
): Batch {
  const D = depthOf(windows[0]);
  const tokens = new Int32Array(B * T).fill(BOS);
  const chains = new Int32Array(B * T * (D - 1)).fill(BOS);
  const targets = windows.reduce((sum, window) => sum + window.targets, 0);
  const N = capacities.find((capacity) => capacity >= targets) as number;
  const rows = new Int32Array(N);
  const nodes = new Int32Array(N).fill(-1);
  const labels = new Int32Array(N);
  let n = 0;
  const add = (position: number, node: number, label: number): void => {
    rows[n] = position;
    nodes[n] = node;
    labels[n++] = label;
  };
  for (let b = 0; b < B; b++) {
    const window = windows[b];
    if (window) tokens.set(window.tokens, b * T);
    for (let i = 0; i < T * D; i++) {
      const [position, j] = [b * T + Math.floor(i / D), i % D];
      const place = j === 0 ? position : B * T + position * (D - 1) + j - 1;
      const [node, label] = [window?.nodes[i] ?? -1, window?.labels[i] ?? 0];
      if (j < D - 1) chains[position * (D - 1) + j] = label;
      if (node >= 0 || N === B * T * D) add(place, node, label);
    }
  }
  return {
    tokens: { data: tokens, shape: [B, T] },
    ...(D > 1 && { chains: { data: chains, shape: [B, T * (D - 1)] } }),
    rows: { data: rows, shape: [N] },
    nodes: { data: nodes, shape: [N] },
    labels: { data: labels, shape: [N] },
    targets,
  };
}
