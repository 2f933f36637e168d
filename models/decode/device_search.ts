/**
 * The device's part of beam search: all steps of a batch. It reads and writes nothing on the host,
 * so it runs inside `capture`.
 *
 * @module
 */
import type { StepInputs } from "../../core/capture.ts";
import { leadingRows } from "../../core/device.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { advanceBeams } from "../../kernels/beam_advance.ts";
import { dropBelow } from "../../kernels/beam_pool.ts";
import { activeRows, feedRows } from "../../kernels/beam_rows.ts";
import { zeros } from "../../ops/fill.ts";
import { topK } from "../../ops/top_k.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { BatchInputs, FlooredInputs, StepRecord } from "./beam_host.ts";
import { ChildScores } from "./child_scores.ts";
import { modelCalls } from "./choices.ts";
import { allLogits, type Decoder, type Logits } from "./decoder.ts";
import type { DeviceTrie } from "./trie.ts";

/** Options of {@link DeviceSearch}. */
export interface DeviceSearchOptions {
  /** Rows per user. */
  readonly rows: number;
  /** What to normalise over. */
  readonly normalization: Normalization;
  /** The temperature. */
  readonly tau: number;
  /** Whether to return the pool of each step. */
  readonly trace: boolean;
}

/** The prefixes that are alive: W rows per user, ascending nodes, -1 last. */
interface Frontier {
  readonly nodes: Tensor;
  readonly scores: Tensor;
}

/** The next frontier, the tokens that its rows feed, and the rows that they extend. */
interface Beams extends Frontier {
  readonly tokens: Tensor;
  readonly parents: Tensor;
}

/** What the model was asked and said. */
interface Answers {
  readonly logits: Logits;
  /** For each row of the frontier its place in the logits, -1 without logits. */
  readonly place: Tensor;
  /** By place: the slots of the prefix, (., L). */
  readonly slots: Tensor;
}

/** All steps of a batch, on the device. */
export type BatchSteps = {
  readonly steps: readonly StepRecord<Tensor>[];
  readonly pools: readonly Tensor[];
};

/** Searches for a batch of users at a time. */
export class DeviceSearch {
  readonly #decoder: Decoder;
  readonly #trie: DeviceTrie;
  readonly #device: Device;
  readonly #options: DeviceSearchOptions;
  readonly #children: ChildScores;
  /** The number of steps that run. Later ones have no choice left. */
  readonly #steps: number;
  /** The model is called at a node only if this much is ahead: 1 any token, 2 a choice. */
  readonly #least: 1 | 2;
  /** Whether the other rows are left out of the call. Only the cpu is faster with it. */
  readonly #skips: boolean;

  /** Searches with a decoder over a trie. */
  constructor(decoder: Decoder, trie: DeviceTrie, options: DeviceSearchOptions) {
    this.#decoder = decoder;
    this.#trie = trie;
    this.#device = trie.table.device;
    this.#options = options;
    this.#children = new ChildScores(trie, options);
    ({ steps: this.#steps, least: this.#least } = modelCalls(trie, options.normalization));
    this.#skips = this.#device.kind === "cpu";
  }

  /** The most rows of a user that the model is called for at depth t. */
  #askedAt(t: number): number {
    const { rows } = this.#options;
    return this.#skips ? Math.min(rows, this.#trie.aheadSizes[this.#least - 1][t]) : rows;
  }

  /** Runs a batch, and returns what the host reads back. */
  run(
    { tokens, lengths, start, blocked, floors }:
      & StepInputs<BatchInputs>
      & Partial<StepInputs<FlooredInputs>>,
  ): BatchSteps {
    const device = this.#device;
    const [U] = start.shape;
    const B = this.#options.rows;
    const L = Math.max(this.#steps - 1, 1); // generated tokens that the model reads
    let room = 0;
    for (let t = 1; t < this.#steps; t++) room += U * this.#askedAt(t);
    const { logits, cache } = this.#decoder.prefill(tokens, lengths, Math.max(room, 1));
    let answers: Answers = {
      logits,
      place: this.#inOrder(U),
      slots: zeros(device, [U, L], "int32"),
    };
    let frontier: Frontier = { nodes: start, scores: zeros(device, [U]) };
    let taken = 0; // slots
    const steps: StepRecord<Tensor>[] = [];
    const pools: Tensor[] = [];
    for (let step = 0; step < this.#steps; step++) {
      const F = this.#trie.trie.fanOuts[step];
      const rows = { ...frontier, ...answers, blocked };
      const { pool, mass, count } = this.#children.poolOf(rows, F);
      if (floors) device.run(dropBelow, { floors, pool }, { U, N: pool.shape[1] });
      const best = topK(pool, Math.min(B + 1, pool.shape[1]));
      const next = this.#select(best, frontier, pool, U);
      if (step + 1 < this.#steps) {
        answers = this.#ask(cache, step, next, answers, taken);
        taken += answers.slots.shape[0];
      }
      frontier = next;
      steps.push({ nodes: next.nodes, scores: next.scores, best: best.values, mass, count });
      if (this.#options.trace) pools.push(pool);
    }
    return { steps, pools };
  }

  /**
   * Feeds token number `step` of the rows with enough ahead, or of all. Their nodes are at depth
   * step + 1, their slots from `first` on.
   */
  #ask(
    cache: unknown,
    step: number,
    { nodes, tokens, parents }: Beams,
    before: Answers,
    first: number,
  ): Answers {
    const device = this.#device;
    const { ahead, trie } = this.#trie;
    const R = nodes.size;
    const B = this.#options.rows;
    const A = (R / B) * this.#askedAt(step + 1); // the most rows that are fed
    const L = before.slots.shape[1];
    const ints = (shape: Shape): Tensor => device.empty(shape, "int32", "rows of the model");
    let order: Tensor, place: Tensor, count: Tensor;
    if (this.#skips) {
      [order, place, count] = [ints([R]), ints([R]), ints([1])];
      device.run(activeRows, { nodes, ahead, order, place, count }, { R, least: this.#least });
    } else {
      order = place = this.#inOrder(R);
      count = device.tensor(Int32Array.of(R));
    }
    const [fed, users, slots] = [ints([A]), ints([A]), ints([A, L])];
    device.run(
      feedRows,
      { order, tokens, parents, place: before.place, before: before.slots, fed, users, slots },
      { R: A, B, L, step, first },
    );
    const depths = device.tensor(new Int32Array(A).fill(step));
    const logits = this.#decoder.step(cache, { tokens: fed, users, depths, slots, count });
    const few = this.#children.gathers(logits, trie.fanOuts[step + 1]);
    const needed = few ? logits : leadingRows(count, A, () => allLogits(logits));
    return { logits: needed, place, slots };
  }

  /** 0, 1, ... */
  #inOrder(size: number): Tensor {
    return this.#device.tensor(Int32Array.from({ length: size }, (_, r) => r));
  }

  /** The next beams, each (U B). */
  #select(
    { values, indices: positions }: { readonly values: Tensor; readonly indices: Tensor },
    { nodes: before }: Frontier,
    pool: Tensor,
    U: number,
  ): Beams {
    const device = this.#device;
    const { trie, table } = this.#trie;
    const B = this.#options.rows;
    const W = before.size / U;
    const rows = (dtype: "int32" | "float32" | "float64"): Tensor =>
      device.empty([U * B], dtype, "beams");
    const [nodes, tokens, parents] = [rows("int32"), rows("int32"), rows("int32")];
    const scores = rows(device.float);
    device.run(
      advanceBeams,
      { values, positions, table, before, nodes, scores, tokens, parents },
      { U, B, K: values.shape[1], W, F: pool.shape[1] / W, edges: trie.nodeCount - 1 },
    );
    return { nodes, scores, tokens, parents };
  }
}
