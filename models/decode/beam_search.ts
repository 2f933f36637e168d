/**
 * Beam search over the catalogue trie, for many users at once. A batch runs on the device as one
 * captured program, and the host reads back once. `reference.ts` is the same search in plain code.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { capture, type Captured, type StepInputs } from "../../core/capture.ts";
import type { TypedArray } from "../../core/dtype.ts";
import { ArgumentError, nameOf } from "../../core/errors.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { MASKED } from "../../kernels/masked.ts";
import { treeLeaves } from "../../core/tree.ts";
import { checkBeam, checkDistribution, type Normalization } from "../../ops/trie_log_prob.ts";
import {
  type BatchInputs,
  type BatchRecord,
  byLength,
  checkAsMany,
  checkUsers,
  checkVocabulary,
  type FlooredInputs,
  longestOf,
  MAX_LOGITS,
  padBatch,
  powerOfTwo,
  readResult,
  RecordedShapes,
  roomFor,
} from "./beam_host.ts";
import { modelCalls } from "./choices.ts";
import type { Decoder } from "./decoder.ts";
import { type BatchSteps, DeviceSearch } from "./device_search.ts";
import { searchOnHost } from "./host_search.ts";
import type { BeamResult } from "./results.ts";
import { resolveSemantics, SEARCH_OPTIONS, type SemanticsOptions } from "./semantics.ts";
import type { DeviceTrie } from "./trie.ts";

/** Options of {@link BeamSearch}. */
export interface BeamSearchOptions extends SemanticsOptions {
  /** The number of prefixes that each step keeps, B, from 1. It may exceed the catalogue. */
  readonly beam: number;
  /** What to normalise over. Default "children". */
  readonly normalization?: Normalization;
  /** The temperature, at least 1e-8. Default 1. */
  readonly tau?: number;
  /** Whether results contain the whole pool of each step. Default false. */
  readonly trace?: boolean;
  /** The most users that go through the model at once. Default 64. */
  readonly batch?: number;
}

/**
 * Beam search with a model and a trie.
 *
 * A beam of width B keeps the B best prefixes at each step. Finished items keep their score and go
 * on competing. Ties go to the lexicographically smaller path, on every device. Scores add up in
 * the device's float type. An excluded item counts as if the trie had been built without it. Under
 * "children" a node with one child gives it probability 1, so the model is not called any more once
 * no node has a choice left.
 *
 * The pool of a step takes U * B * F floats of device memory for U users, F being the largest
 * number of children of a node at that depth.
 *
 * This is the absorbing semantics. With `semantics: "huggingface"` the model runs on the device and
 * the rest on the host, with one read-back per step, and results always contain pools. It is slower
 * and meant for comparisons. {@link Semantics} has its rules.
 *
 * @example
 * ```ts
 * import { BeamSearch, cpu, type Decoder, full, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[1, 2], [1, 3], [4, 2]]).upload(device);
 * const uniform: Decoder<null> = { // a model; see TransformerDecoder for a real one
 *   vocabSize: 5,
 *   prefill: (tokens) => ({ logits: full(device, [tokens.shape[0], 5], 0), cache: null }),
 *   step: (_cache, { tokens }) => full(device, [tokens.size, 5], 0),
 * };
 * using search = new BeamSearch(uniform, trie, { beam: 2 });
 * const [user] = await search.search([[0, 4]], [[1]]); // item 1 is out of stock
 * console.log(user.ranking.map((r) => r.items)); // [[0], [2]]
 * ```
 */
export class BeamSearch implements Disposable {
  readonly #decoder: Decoder;
  readonly #trie: DeviceTrie;
  readonly #device: Device;
  readonly #options: Required<Omit<BeamSearchOptions, "endToken">>;
  /** Rows per user. No step keeps more prefixes than the trie has leaves. */
  readonly #rows: number;
  readonly #program: Captured<BatchInputs, BatchSteps>;
  readonly #floored: Captured<FlooredInputs, BatchSteps>;
  readonly #recorded = new RecordedShapes(() => this.dispose());

  /**
   * Prepares searches. The first search of each input shape records a program.
   *
   * @throws {ArgumentError} if beam or batch is not a positive integer, tau is below 1e-8, the trie
   * does not fit the semantics, or it has a token outside the decoder's vocabulary.
   */
  constructor(decoder: Decoder, trie: DeviceTrie, options: BeamSearchOptions) {
    checkOptions("search", options, SEARCH_OPTIONS);
    const { beam, normalization = "children", tau = 1, trace = false, batch = 64 } = options;
    checkBeam("search", beam);
    checkDistribution("search", normalization, tau);
    if (!(Number.isInteger(batch) && batch >= 1)) {
      throw new ArgumentError(`Cannot search: batch must be a positive integer, got ${batch}`);
    }
    checkVocabulary(decoder, trie);
    this.#decoder = decoder;
    this.#trie = trie;
    this.#device = trie.table.device;
    const declared = resolveSemantics(trie.trie, options);
    this.#rows = Math.min(beam, trie.trie.leafCount);
    const room = normalization === "children"
      ? batch
      : Math.max(1, Math.floor(MAX_LOGITS / (this.#rows * decoder.vocabSize)));
    this.#options = {
      beam,
      normalization,
      tau,
      trace,
      batch: Math.min(batch, room),
      ...declared,
    };
    const search = new DeviceSearch(decoder, trie, { rows: this.#rows, normalization, tau, trace });
    this.#program = capture(
      this.#device,
      (inputs: StepInputs<BatchInputs>) => search.run(inputs),
    );
    this.#floored = capture(
      this.#device,
      (inputs: StepInputs<FlooredInputs>) => search.run(inputs),
    );
  }

  /**
   * Searches for every user. `histories[i]` are the tokens that the model reads before the item;
   * `excluded[i]` are the items taken out of the catalogue for that user. A user without any item
   * left gets an empty ranking. With `floors`, a prefix whose log-probability is below its user's
   * floor is dropped as if it did not exist; `bestPruned` does not count it.
   *
   * @throws {ArgumentError} if a history is empty or has a token outside the vocabulary, an
   * excluded item is not in the catalogue, `excluded` or `floors` differs from `histories` in
   * length, a floor is NaN, an argument has the wrong type, or floors are combined with Hugging
   * Face's rules.
   * @throws {NonFiniteError} if a logit that is normalised over is NaN or infinite.
   */
  async search(
    histories: readonly (readonly number[])[],
    excluded?: readonly Iterable<number>[],
    floors?: readonly number[],
  ): Promise<BeamResult[]> {
    checkUsers(histories, excluded, this.#decoder);
    checkAsMany("floors", floors, histories);
    const bad = floors?.findIndex((floor) => typeof floor !== "number" || Number.isNaN(floor)) ??
      -1;
    if (floors && bad >= 0) {
      throw new ArgumentError(
        `Cannot search: floors must be numbers, got ${nameOf(floors[bad])} for user ${bad}`,
      );
    }
    if (floors && this.#options.semantics === "huggingface") {
      throw new ArgumentError(
        "Cannot search: score floors need absorbing semantics, got huggingface",
      );
    }
    const order = byLength(histories);
    const longest = longestOf(histories);
    const results = new Array<BeamResult>(histories.length);
    for (let at = 0; at < order.length; at += this.#options.batch) {
      const batch = order.slice(at, at + this.#options.batch);
      const users = batch.map((i) => histories[i]);
      const out = batch.map((i) => new Set(excluded?.[i]));
      const found = this.#options.semantics === "huggingface"
        ? await searchOnHost(this.#decoder, this.#trie, users, out, {
          ...this.#options,
          rows: this.#rows,
        })
        : await this.#searchBatch(users, out, longest, floors && batch.map((i) => floors[i]));
      batch.forEach((i, n) => results[i] = found[n]);
    }
    return results;
  }

  /** Frees the memory of the recorded programs. */
  dispose(): void {
    this.#program.dispose();
    this.#floored.dispose();
    this.#recorded.clear();
  }

  /** The same as {@link BeamSearch.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #searchBatch(
    histories: readonly (readonly number[])[],
    excluded: readonly ReadonlySet<number>[],
    longest: number,
    floors?: readonly number[],
  ): Promise<BeamResult[]> {
    const { trie } = this.#trie;
    const blocked = excluded.map((items) => trie.blockedNodes(items));
    const U = Math.min(this.#options.batch, powerOfTwo(histories.length));
    const { calls, steps } = modelCalls(this.#trie, this.#options.normalization);
    const most = roomFor(this.#decoder, steps - 1);
    const inputs = padBatch(histories, blocked, U, longest, most);
    this.#recorded.makeRoom(inputs);
    const record = await readBack(
      this.#device,
      floors === undefined
        ? this.#program(inputs)
        : this.#floored({ ...inputs, floors: { data: padFloors(floors, U), shape: [U] } }),
    );
    const { beam, lengthPenalty } = this.#options;
    const floored = floors !== undefined;
    const shared = { trie, users: U, beam, rows: this.#rows, lengthPenalty, floored, calls };
    return histories.map((_, user) =>
      readResult(record, { ...shared, user, excluded: excluded[user] })
    );
  }
}

/** Floors as the device reads them, for U users. */
function padFloors(floors: readonly number[], U: number): Float64Array {
  const padded = new Float64Array(U).fill(MASKED);
  floors.forEach((floor, u) => padded[u] = Math.max(MASKED, floor));
  return padded;
}

/** Copies a batch to the host, in one read-back. */
async function readBack(device: Device, { steps, pools }: BatchSteps): Promise<BatchRecord> {
  const tensors = [...steps.flatMap((step) => treeLeaves(step)), ...pools];
  const arrays = await device.read(tensors);
  const read = new Map(tensors.map((tensor, i) => [tensor, arrays[i]]));
  const host = (tensor: Tensor): TypedArray => read.get(tensor) as TypedArray;
  return {
    steps: steps.map(({ nodes, scores, best, mass, count }) => ({
      nodes: host(nodes),
      scores: host(scores),
      best: host(best),
      mass: host(mass),
      count: host(count),
    })),
    pools: pools.map(host),
  };
}
