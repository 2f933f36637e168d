/**
 * Exact search: of all prefixes the best are expanded until the list is complete.
 *
 * @module
 */
import { capture, type Captured, type HostTensor, type StepInputs } from "../../core/capture.ts";
import { leadingRows } from "../../core/device.ts";
import { ArgumentError } from "../../core/errors.ts";
import { type Device, Tensor } from "../../core/tensor.ts";
import { NO_NODE, UNUSABLE } from "../../kernels/beam_pool.ts";
import { zeros } from "../../ops/fill.ts";
import { checkDistribution, type Normalization } from "../../ops/trie_log_prob.ts";
import {
  type BatchInputs,
  byLength,
  checkUsers,
  checkVocabulary,
  longestOf,
  MAX_LOGITS,
  padBatch,
  powerOfTwo,
  RecordedShapes,
  roomFor,
  unusableLogits,
} from "./beam_host.ts";
import { ChildScores } from "./child_scores.ts";
import { leavesBelow, modelCalls } from "./choices.ts";
import { allLogits, type Decoder } from "./decoder.ts";
import { OpenPrefixes, type OpenPrefixesOptions } from "./open_prefixes.ts";
import type { Prefix } from "./ranked.ts";
import type { SearchResult } from "./results.ts";
import type { DeviceTrie } from "./trie.ts";

/** Options of {@link BestFirstSearch}. */
export interface BestFirstOptions {
  /** The length of the list, from 1. */
  readonly k: number;
  /** The most rows of the model for a user, see `SearchResult.rows`. Default no limit. */
  readonly budget?: number;
  /** What to normalise over. Default "children". */
  readonly normalization?: Normalization;
  /** The temperature, at least 1e-8. Default 1. */
  readonly tau?: number;
  /** The most users that go through the model at once. Default 64. */
  readonly batch?: number;
}

/** The most rows that go through the model in one call. */
const MAX_ROWS = 1024;

/** The fewest rows of a recorded program. Others have a power of 4 times as many. */
const MIN_ROWS = 64;

/** The most entries of a pool. */
const MAX_POOL = 2 ** 22;

/** The slots for generated tokens of a user, on average, and of a batch. */
const [USER_SLOTS, BATCH_SLOTS] = [64, 1024];

/** Scores of children: pool (U, F), and the number of each row's, or UNUSABLE. */
type Pools = { readonly pool: Tensor; readonly count: Tensor };

/** The inputs of a round: R rows, the first `count` of them needed. */
type RoundInputs = {
  readonly tokens: HostTensor;
  readonly users: HostTensor;
  readonly depths: HostTensor;
  readonly slots: HostTensor;
  readonly count: HostTensor;
  readonly nodes: HostTensor;
  readonly scores: HostTensor;
  readonly place: HostTensor;
  readonly blocked: HostTensor;
};

/** The programs for a shape of inputs. */
interface Programs extends Disposable {
  /** Reads the histories and scores the root's children. */
  readonly begin: Captured<BatchInputs, Pools & { readonly cache: readonly Tensor[] }>;
  /** Scores the children of a round's prefixes, which have at most F each. */
  round(F: number): Captured<RoundInputs, Pools>;
}

/** A user of a batch. */
interface User {
  /** Its number in the batch. */
  readonly index: number;
  readonly blocked: ReadonlySet<number>;
  readonly prefixes: OpenPrefixes;
  /** Node -> the slot of its token. */
  readonly slots: Map<number, number>;
}

/** A prefix to feed, and the slot that its token goes to, or -1. */
interface Row extends Prefix {
  readonly user: User;
  readonly slot: number;
}

/**
 * The exact best `k` items of the catalogue for every user, at the lowest price in rows of the
 * model: it expands the prefixes that score at least the k-th best item, which every exact method
 * must do that does not look ahead, and no others (docs/theory.md, T16).
 *
 * In each round the users of a batch go through the model together. Of each it takes the prefixes
 * that are needed whatever the rest will turn out to be, see {@link OpenPrefixes}; the best open
 * prefix is always one of them. A user is done when the k-th item found scores above all prefixes
 * that are open. So the list is certified, and `bestPruned` is below its last item. Ties go to the
 * lexicographically smaller path. Scores, exclusions and the normalisations are those of
 * {@link BeamSearch}.
 *
 * The users of a batch share the memory for keys and values of generated tokens. Where it is used
 * up, some users wait and begin anew; their `rows` then count what was fed twice, the budget does
 * not.
 *
 * With a `budget` a user may end before; then the items that score above `bestPruned` are the exact
 * best, and the rest of the list is what was found.
 */
export class BestFirstSearch implements Disposable {
  readonly #decoder: Decoder;
  readonly #trie: DeviceTrie;
  readonly #device: Device;
  readonly #children: ChildScores;
  readonly #shared: OpenPrefixesOptions;
  readonly #batch: number;
  readonly #maxRows: number;
  /** The most generated tokens of a prefix that the model reads. */
  readonly #length: number;
  /** Whether the token of a node is read by later rows, for each node. */
  readonly #kept: Uint8Array;
  /** The most slots that a user can fill. */
  readonly #slots: number;
  readonly #programs = new Map<string, Programs>();
  readonly #recorded = new RecordedShapes(() => this.dispose());
  /** Ends with the last search so far: the rounds of two searches must not mix. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Prepares searches. The first search of each input shape records programs.
   *
   * @throws {ArgumentError} if k, budget or batch is not a positive integer, tau is below 1e-8, or
   * the trie has a token outside the decoder's vocabulary.
   */
  constructor(decoder: Decoder, trie: DeviceTrie, options: BestFirstOptions) {
    const { k, budget = Infinity, normalization = "children", tau = 1, batch = 64 } = options;
    for (const [name, value] of Object.entries({ k, budget, batch })) {
      if ((Number.isInteger(value) && value >= 1) || (name === "budget" && value === Infinity)) {
        continue;
      }
      throw new ArgumentError(`Cannot search: ${name} must be a positive integer, got ${value}`);
    }
    checkDistribution("search", normalization, tau);
    checkVocabulary(decoder, trie);
    const { steps, calls } = modelCalls(trie, normalization);
    this.#decoder = decoder;
    this.#trie = trie;
    this.#device = trie.table.device;
    this.#children = new ChildScores(trie, { normalization, tau });
    this.#shared = { trie: trie.trie, calls, leaves: leavesBelow(trie.trie), k, budget };
    this.#length = Math.max(steps - 1, 1);
    const room = normalization === "children"
      ? Infinity
      : Math.max(1, Math.floor(MAX_LOGITS / decoder.vocabSize));
    this.#maxRows = Math.min(MAX_ROWS, room);
    const roots = Math.max(1, Math.floor(MAX_POOL / trie.trie.fanOuts[0]));
    this.#batch = Math.min(batch, room, roots);
    this.#kept = new Uint8Array(trie.nodeCount);
    for (let node = 1; node < trie.nodeCount; node++) {
      if (calls(node)) this.#kept[trie.trie.parents[node]] = 1;
    }
    this.#kept[0] = 0; // its logits come with the history
    this.#slots = Math.min(this.#kept.reduce((sum, kept) => sum + kept, 0), budget);
  }

  /**
   * Searches for every user. `histories[i]` are the tokens that the model reads before the item;
   * `excluded[i]` are the items taken out of the catalogue for that user.
   *
   * @throws {ArgumentError} if a history is empty or has a token outside the vocabulary, an
   * excluded item is not in the catalogue, `excluded` differs from `histories` in length, or an
   * argument has the wrong type.
   * @throws {NonFiniteError} if a logit that is normalised over is NaN or infinite.
   */
  async search(
    histories: readonly (readonly number[])[],
    excluded?: readonly Iterable<number>[],
  ): Promise<SearchResult[]> {
    checkUsers(histories, excluded, this.#decoder);
    const found = this.#last.then(() => this.#searchAll(histories, excluded));
    this.#last = found.catch(() => {}); // the caller gets the error; the next search must still run
    return await found;
  }

  /** Frees the memory of the recorded programs. */
  dispose(): void {
    for (const programs of this.#programs.values()) programs[Symbol.dispose]();
    this.#programs.clear();
    this.#recorded.clear();
  }

  /** The same as {@link BestFirstSearch.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #searchAll(
    histories: readonly (readonly number[])[],
    excluded: readonly Iterable<number>[] | undefined,
  ): Promise<SearchResult[]> {
    const order = byLength(histories);
    const longest = longestOf(histories);
    const results = new Array<SearchResult>(histories.length);
    for (let at = 0; at < order.length; at += this.#batch) {
      const batch = order.slice(at, at + this.#batch);
      const users = batch.map((i) => histories[i]);
      const out = batch.map((i) => new Set(excluded?.[i]));
      const found = await this.#searchBatch(users, out, longest);
      batch.forEach((i, n) => results[i] = found[n]);
    }
    return results;
  }

  async #searchBatch(
    histories: readonly (readonly number[])[],
    excluded: readonly ReadonlySet<number>[],
    longest: number,
  ): Promise<SearchResult[]> {
    const { trie } = this.#trie;
    const blocked = excluded.map((items) => trie.blockedNodes(items));
    const U = Math.min(this.#batch, powerOfTwo(histories.length));
    const most = roomFor(this.#decoder, this.#length);
    const inputs = padBatch(histories, blocked, U, longest, most);
    this.#recorded.makeRoom(inputs);
    const programs = this.#programsFor(inputs);
    const { pool, count } = programs.begin(inputs);
    const [pools, counts] = await this.#device.read([pool, count]);
    const F = pools.length / U;
    const users = histories.map((_, index): User => {
      if (counts[index] === UNUSABLE) throw unusableLogits(index);
      const prefixes = new OpenPrefixes(this.#shared, excluded[index]);
      return { index, blocked: new Set(blocked[index]), prefixes, slots: new Map() };
    });
    const start = ({ index, prefixes }: User): void => {
      prefixes.add(0, pools, index * F);
      prefixes.sort();
    };
    users.forEach(start);
    const free = Array.from({ length: this.#slotsFor(U) }, (_, slot) => slot);
    const release = ({ slots }: User): void => {
      for (const slot of slots.values()) free.push(slot);
      slots.clear();
    };
    const isOpen = ({ prefixes }: User): boolean => !prefixes.isDone;
    let active = users.filter(isOpen);
    const waiting: User[] = [];
    while (active.length > 0) {
      const rows = active.flatMap((user) => this.#take(user, free));
      if (rows.length === 0) { // the slots are enough for the first: the last one waits for them
        const last = active.pop() as User;
        release(last);
        last.prefixes.reset();
        start(last);
        waiting.push(last);
        continue;
      }
      await this.#round(programs, rows);
      for (const { prefixes } of active) prefixes.sort();
      const open = active.filter(isOpen);
      if (open.length < active.length) {
        for (const user of active) if (!isOpen(user)) release(user);
        open.push(...waiting.splice(0));
      }
      active = open;
    }
    return users.map(({ prefixes }) => prefixes.result());
  }

  /** How many slots a batch of U users shares: enough for any one of them. */
  #slotsFor(U: number): number {
    const some = Math.max(U * USER_SLOTS, BATCH_SLOTS, this.#slots);
    return Math.max(1, Math.min(U * this.#slots, some));
  }

  /**
   * The prefixes that a user feeds next, or none without slots for all: what a budget leaves
   * unfinished must not depend on the other users.
   */
  #take(user: User, free: number[]): Row[] {
    const needed = user.prefixes.needed();
    const isKept = ({ node }: Prefix): boolean => this.#kept[node] === 1;
    if (needed.filter(isKept).length > free.length) return [];
    user.prefixes.expand(needed.length);
    return needed.map((prefix) => {
      const slot = isKept(prefix) ? free.pop() as number : -1;
      if (slot >= 0) user.slots.set(prefix.node, slot);
      return { ...prefix, user, slot };
    });
  }

  /** Feeds rows and adds their children. */
  async #round(programs: Programs, rows: readonly Row[]): Promise<void> {
    const { trie } = this.#trie;
    for (let at = 0; at < rows.length;) {
      const fans = rows.slice(at, at + this.#maxRows).map(({ node }) => trie.childCount(node));
      const F = powerOfTwo(Math.max(...fans));
      const fed = rows.slice(at, at + Math.min(fans.length, Math.max(1, Math.floor(MAX_POOL / F))));
      const { pool, count } = programs.round(F)(this.#inputsOf(fed));
      const [pools, counts] = await this.#device.read([pool, count]);
      fed.forEach(({ user, node }, r) => {
        if (counts[r] === UNUSABLE) throw unusableLogits(user.index);
        user.prefixes.add(node, pools, r * F);
      });
      at += fed.length;
    }
  }

  /** What the model is fed, padded so that few shapes occur. */
  #inputsOf(rows: readonly Row[]): RoundInputs {
    const { trie } = this.#trie;
    const L = this.#length;
    let R = MIN_ROWS;
    while (R < rows.length) R *= 4;
    R = Math.min(R, this.#maxRows);
    const blocked = rows.map(({ user, node }) =>
      user.blocked.size === 0 ? [] : trie.nodesUnder(node).filter((n) => user.blocked.has(n))
    );
    const E = powerOfTwo(Math.max(...blocked.map((list) => list.length)));
    const ints = (fill: number): Int32Array => new Int32Array(R).fill(fill);
    const [tokens, users, depths, nodes, place] = [ints(0), ints(0), ints(0), ints(-1), ints(-1)];
    const slots = new Int32Array(R * L).fill(-1);
    const scores = new Float64Array(R);
    const lists = new Int32Array(R * E).fill(NO_NODE);
    rows.forEach(({ user, node, score, slot }, r) => {
      tokens[r] = trie.tokens[node];
      users[r] = user.index;
      depths[r] = trie.depths[node] - 1;
      nodes[r] = node;
      place[r] = r;
      scores[r] = score;
      lists.set(blocked[r], r * E);
      slots[r * L + depths[r]] = slot;
      for (let up = trie.parents[node]; up > 0; up = trie.parents[up]) {
        slots[r * L + trie.depths[up] - 1] = user.slots.get(up) as number;
      }
    });
    const by = (data: Int32Array | Float64Array): HostTensor => ({ data, shape: [R] });
    return {
      tokens: by(tokens),
      users: by(users),
      depths: by(depths),
      slots: { data: slots, shape: [R, L] },
      count: { data: Int32Array.of(rows.length), shape: [1] },
      nodes: by(nodes),
      scores: by(scores),
      place: by(place),
      blocked: { data: lists, shape: [R, E] },
    };
  }

  #programsFor({ tokens, blocked }: BatchInputs): Programs {
    const shape = `${tokens.shape} ${blocked.shape}`;
    let programs = this.#programs.get(shape);
    if (programs === undefined) this.#programs.set(shape, programs = this.#record());
    return programs;
  }

  #record(): Programs {
    const device = this.#device;
    const rounds = new Map<number, Captured<RoundInputs, Pools>>();
    let cache: unknown;
    const begin = capture(device, (inputs: StepInputs<BatchInputs>) => {
      const { tokens, lengths, start, blocked } = inputs;
      const U = start.size;
      const found = this.#decoder.prefill(tokens, lengths, this.#slotsFor(U));
      cache = found.cache;
      const place = device.tensor(Int32Array.from({ length: U }, (_, u) => u));
      const rows = { nodes: start, scores: zeros(device, [U]), place, blocked };
      const F = this.#trie.trie.fanOuts[0];
      const { pool, count } = this.#children.poolOf({ ...rows, logits: found.logits }, F);
      return { pool, count, cache: tensorsIn(cache) }; // so that they outlive the program
    });
    const round = (F: number) =>
      capture(device, (inputs: StepInputs<RoundInputs>) => {
        const { nodes, scores, place, blocked, ...rows } = inputs;
        const logits = this.#decoder.step(cache, rows);
        const needed = this.#children.gathers(logits, F)
          ? logits
          : leadingRows(rows.count, nodes.size, () => allLogits(logits));
        const given = { nodes, scores, logits: needed, place, blocked };
        const { pool, count } = this.#children.poolOf(given, F);
        return { pool, count };
      });
    return {
      begin,
      round(F): Captured<RoundInputs, Pools> {
        let found = rounds.get(F);
        if (found === undefined) rounds.set(F, found = round(F));
        return found;
      },
      [Symbol.dispose](): void {
        for (const program of rounds.values()) program.dispose();
        begin.dispose();
      },
    };
  }
}

/** The tensors that are reachable from a value of any form. `seen` are the objects on the way. */
function tensorsIn(value: unknown, seen = new Set<unknown>()): Tensor[] {
  if (typeof value !== "object" || value === null || seen.has(value)) return [];
  seen.add(value);
  if (value instanceof Tensor) return [value];
  if (ArrayBuffer.isView(value)) return [];
  const isIterable = value instanceof Map || value instanceof Set;
  const parts: unknown[] = isIterable ? [...value] : Object.values(value);
  return parts.flatMap((part) => tensorsIn(part, seen));
}
