/**
 * The host's part of beam search: the inputs of a batch, and the results of its users.
 *
 * @module
 */
import type { HostTensor } from "../../core/capture.ts";
import type { TypedArray } from "../../core/dtype.ts";
import { ArgumentError, nameOf, NonFiniteError } from "../../core/errors.ts";
import { NO_NODE, UNUSABLE } from "../../kernels/beam_pool.ts";
import { ABSENT } from "../../kernels/masked.ts";
import type { Decoder } from "./decoder.ts";
import { finalOrder, logSumExp, rankedItem } from "./ranked.ts";
import type { BeamResult, BeamStep } from "./results.ts";
import type { Trie } from "./trie.ts";

/** The most logits of a step under "vocabulary"; a batch has fewer users if it would need more. */
export const MAX_LOGITS = 2 ** 25;

/** Inputs of U users: histories padded to T tokens, blocked nodes padded to E. */
export type BatchInputs = {
  /** (U, T), int32. */
  readonly tokens: HostTensor;
  /** (U), int32. */
  readonly lengths: HostTensor;
  /**
   * The node that each user starts from: (U), int32; the root, or -1 if nothing is left to find.
   */
  readonly start: HostTensor;
  /** (U, E), int32, ascending. */
  readonly blocked: HostTensor;
};

/** The same with floors (U): an entry with a smaller score is dropped. */
export type FlooredInputs = BatchInputs & { readonly floors: HostTensor };

/** A step of a batch, with B rows per user, W rows per user before it, and pools of W F entries. */
export type StepRecord<T> = {
  /** (U B), ascending within a user, -1 last. */
  readonly nodes: T;
  /** (U B), in the order of the nodes. */
  readonly scores: T;
  /** The best scores of each pool, at most B + 1: (U, K), descending. */
  readonly best: T;
  /** The log of the total probability of each row's entries: (U W). */
  readonly mass: T;
  /** The number of entries of each row, or UNUSABLE: (U W). */
  readonly count: T;
};

/** The steps of a batch on the host. */
export interface BatchRecord {
  /** The steps that ran on the device. */
  readonly steps: readonly StepRecord<TypedArray>[];
  /** The pool (U, W F) of each step, if the search is traced; else empty. */
  readonly pools: readonly TypedArray[];
}

/** A user's place in a batch. */
export interface UserContext {
  /** The trie of the catalogue. */
  readonly trie: Trie;
  /** The user's index in the batch. */
  readonly user: number;
  /** Users in the batch. */
  readonly users: number;
  /** The beam width. */
  readonly beam: number;
  /** Rows per user. */
  readonly rows: number;
  /** Items taken out of the catalogue. */
  readonly excluded: ReadonlySet<number>;
  /** The ranking goes by log P / length^lengthPenalty. */
  readonly lengthPenalty: number;
  /** Whether there are floors. */
  readonly floored: boolean;
  /** Whether the model is called at a node, for each node. */
  readonly calls: (node: number) => boolean;
}

/**
 * Checks histories and exclusions.
 *
 * @throws {ArgumentError} if a history is not an array, is empty, or has tokens outside the
 * vocabulary, or there are not as many exclusions, each an iterable.
 */
export function checkUsers(
  histories: readonly (readonly number[])[],
  excluded: readonly Iterable<number>[] | undefined,
  { vocabSize, inputSize = vocabSize }: Pick<Decoder, "vocabSize" | "inputSize">,
): void {
  if (!Array.isArray(histories)) {
    throw new ArgumentError(
      `Cannot search: histories must be an array of arrays, got ${nameOf(histories)}`,
    );
  }
  for (const [user, history] of histories.entries()) {
    if (!Array.isArray(history)) {
      throw new ArgumentError(
        `Cannot search: a history must be an array of tokens, got ${
          nameOf(history)
        } for user ${user}`,
      );
    }
    if (history.length === 0) {
      throw new ArgumentError(
        `Cannot search: a history must have at least one token, got none for user ${user}`,
      );
    }
    const bad = history.findIndex((t) => !(Number.isInteger(t) && t >= 0 && t < inputSize));
    if (bad >= 0) {
      throw new ArgumentError(
        `Cannot search: history tokens must be 0 to ${inputSize - 1}, got ${
          nameOf(history[bad])
        } for user ${user}`,
      );
    }
  }
  checkAsMany("exclusions", excluded, histories);
  for (const [user, items] of excluded?.entries() ?? []) {
    if (typeof items?.[Symbol.iterator] === "function") continue;
    throw new ArgumentError(
      `Cannot search: excluded items must be in an array or a set, got ${
        nameOf(items)
      } for user ${user}`,
    );
  }
}

/**
 * Checks that a model knows the tokens of a trie.
 *
 * @throws {ArgumentError} if the trie has a token outside the decoder's vocabulary.
 */
export function checkVocabulary(
  { vocabSize }: { readonly vocabSize: number },
  { maxToken }: { readonly maxToken: number },
): void {
  if (maxToken < vocabSize) return;
  throw new ArgumentError(
    `Cannot search: the trie's tokens must be below ${vocabSize}, got ${maxToken}`,
  );
}

/**
 * Checks a list that may be left out.
 *
 * @throws {ArgumentError} if there is a list, but not with one entry for each history.
 */
export function checkAsMany(
  name: string,
  list: readonly unknown[] | undefined,
  histories: readonly unknown[],
): void {
  if (list === undefined || (Array.isArray(list) && list.length === histories.length)) return;
  throw new ArgumentError(
    `Cannot search: there must be as many ${name} as histories, ${histories.length}, got ${
      Array.isArray(list) ? list.length : nameOf(list)
    }`,
  );
}

/** The length of the longest history. */
export function longestOf(histories: readonly (readonly number[])[]): number {
  return histories.reduce((longest, { length }) => Math.max(longest, length), 0);
}

/** The most tokens that a history can have if the model reads `generated` tokens after it. */
export function roomFor({ maxLength = Infinity }: Decoder, generated: number): number {
  return maxLength - generated;
}

/** The smallest power of two from `n` up. */
export function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(n, 1)));
}

/**
 * Users by the length of their history, longest first: users of a batch are padded to the same
 * length.
 */
export function byLength(histories: readonly (readonly number[])[]): number[] {
  return [...histories.keys()].sort((a, b) => histories[b].length - histories[a].length || a - b);
}

/** How far apart the lengths are that histories are padded to, so that few shapes occur. */
const STRIDE = 8;

/**
 * The length that a batch is padded to: `longest`, rounded up to 8 k or 8 k + 1, minus the largest
 * multiple of STRIDE that still leaves room for `length` tokens. So few shapes occur.
 */
function paddedLength(length: number, longest: number): number {
  const top = longest % STRIDE === 1 ? longest : STRIDE * Math.ceil(longest / STRIDE);
  return top - STRIDE * Math.floor((top - length) / STRIDE);
}

/**
 * The inputs of a batch of `users`; users beyond the histories are padding and find nothing.
 * `longest` is the length of the longest history of all batches. Padding adds no tokens beyond
 * `most`, the model's limit. E is padded to a power of two.
 */
export function padBatch(
  histories: readonly (readonly number[])[],
  blocked: readonly Int32Array[],
  users: number,
  longest: number,
  most: number,
): BatchInputs {
  const own = longestOf(histories);
  const T = Math.max(own, Math.min(paddedLength(own, longest), most));
  const E = powerOfTwo(Math.max(...blocked.map((b) => b.length)));
  const tokens = new Int32Array(users * T);
  const lengths = new Int32Array(users).fill(1);
  const start = new Int32Array(users).fill(-1);
  const nodes = new Int32Array(users * E).fill(NO_NODE);
  histories.forEach((history, u) => {
    tokens.set(history, u * T);
    nodes.set(blocked[u], u * E);
    lengths[u] = history.length;
    start[u] = blocked[u][0] === 0 ? -1 : 0; // the root is blocked if no item is left
  });
  return {
    tokens: { data: tokens, shape: [users, T] },
    lengths: { data: lengths, shape: [users] },
    start: { data: start, shape: [users] },
    blocked: { data: nodes, shape: [users, E] },
  };
}

/**
 * Reads a user's result. Steps that did not run on the device have no choice and are added here.
 */
export function readResult(record: BatchRecord, context: UserContext): BeamResult {
  const { trie, excluded, lengthPenalty, calls } = context;
  const steps = record.steps.map((step, t) => {
    const before = t === 0 ? Int32Array.of(0) : rowsOf(record.steps[t - 1].nodes, context);
    const pool = record.pools.at(t);
    return readStep(step, context, pool && readPool(pool, before, context));
  });
  let rows = 0;
  for (const { nodes } of steps.slice(0, -1)) rows += nodes.filter(calls).length;
  while (steps.length < trie.maxDepth) steps.push(forcedStep(steps[steps.length - 1], context));
  const { nodes, scores } = steps[steps.length - 1];
  return {
    ranking: Array.from(nodes, (leaf, i) => rankedItem(trie, leaf, scores[i], excluded))
      .sort(finalOrder(trie, lengthPenalty)),
    steps,
    bestPruned: Math.max(...steps.map((s) => s.bestPruned)),
    rows,
  };
}

function readStep(
  step: StepRecord<TypedArray>,
  context: UserContext,
  pool: Entries | undefined,
): BeamStep {
  const { rows, beam, floored } = context;
  const mass = rowsOf(step.mass, context);
  const counts = rowsOf(step.count, context);
  const kept = bestFirst(rowsOf(step.nodes, context), rowsOf(step.scores, context));
  let poolSize = 0;
  for (let w = 0; w < counts.length; w++) poolSize += counts[w];
  const none = poolSize > 0 && kept.nodes.length === 0;
  if (counts.includes(UNUSABLE) || (none && !floored)) throw unusableLogits(context.user);
  const next = rowsOf(step.best, context).at(rows) ?? ABSENT;
  return {
    ...kept,
    poolSize,
    threshold: kept.scores.at(beam - 1) ?? -Infinity,
    logMass: logSumExp(mass, ABSENT),
    bestPruned: next > ABSENT ? next : -Infinity,
    ...(pool && { pool }),
  };
}

/** The error for a user of a batch whose logits cannot be used. */
export function unusableLogits(user: number): NonFiniteError {
  return new NonFiniteError(
    `Cannot search: the model's logits must be finite and far below ${-ABSENT} in size, ` +
      `got others for user ${user} of a batch`,
  );
}

interface Entries {
  readonly nodes: Int32Array;
  readonly scores: Float64Array;
}

/** The entries of a user's pool, whose rows are the children of `before`. */
function readPool(pool: TypedArray, before: TypedArray, context: UserContext): Entries {
  const { trie } = context;
  const scores = rowsOf(pool, context);
  const F = scores.length / before.length;
  const nodes = new Int32Array(scores.length).fill(-1);
  before.forEach((node, w) => {
    if (node < 0) return;
    nodes.set(trie.childCount(node) === 0 ? [node] : trie.nodesUnder(node), w * F);
  });
  return bestFirst(nodes, scores);
}

/**
 * The step after one that leaves no node a choice: each prefix gets its next token, scores stay.
 */
function forcedStep(step: BeamStep, { trie }: UserContext): BeamStep {
  const { scores, threshold } = step;
  const nodes = step.nodes.map((node) =>
    trie.childCount(node) === 0 ? node : trie.nodesUnder(node)[0]
  );
  return {
    nodes,
    scores,
    poolSize: nodes.length,
    threshold,
    logMass: logSumExp(scores),
    bestPruned: -Infinity,
    ...(step.pool && { pool: { nodes, scores } }),
  };
}

/** A user's part of a tensor. */
function rowsOf(values: TypedArray, { user, users }: UserContext): TypedArray {
  const size = values.length / users;
  return values.subarray(user * size, (user + 1) * size);
}

/** The entries that are present, by score descending, then node ascending. */
function bestFirst(nodes: TypedArray, scores: TypedArray): Entries {
  const order: number[] = [];
  for (let i = 0; i < nodes.length; i++) if (nodes[i] >= 0 && scores[i] > ABSENT) order.push(i);
  order.sort((a, b) => scores[b] - scores[a] || nodes[a] - nodes[b]);
  const best = { nodes: new Int32Array(order.length), scores: new Float64Array(order.length) };
  order.forEach((i, place) => {
    best.nodes[place] = nodes[i];
    best.scores[place] = scores[i];
  });
  return best;
}

/** The most history tokens of all recorded programs together, such as 64 users with 512 tokens. */
const MAX_RECORDED = 2 ** 15;

/** Counts the history tokens of recorded programs, each of which holds the memory of a batch. */
export class RecordedShapes {
  readonly #sizes = new Map<string, number>();
  readonly #dispose: () => void;

  /** `dispose` frees all programs, and clears this. */
  constructor(dispose: () => void) {
    this.#dispose = dispose;
  }

  /** Frees all programs if these inputs need one more and that would be too many. */
  makeRoom({ tokens, blocked }: BatchInputs): void {
    const shape = `${tokens.shape} ${blocked.shape}`;
    if (this.#sizes.has(shape)) return;
    const size = tokens.data.length;
    const held = this.#sizes.values().reduce((sum, other) => sum + other, size);
    if (held > MAX_RECORDED) this.#dispose();
    this.#sizes.set(shape, size);
  }

  /** Forgets all, once the programs are freed. */
  clear(): void {
    this.#sizes.clear();
  }
}
