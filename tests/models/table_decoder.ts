/**
 * A decoder whose logits are rows of a table, chosen by a hash of everything the model has read:
 * the history and the path. A row that is told the wrong slots, the wrong user or the wrong depth
 * reads another row.
 *
 * @module
 */
import { defineKernel } from "../../core/kernel.ts";
import { foldIn, keyOf, normal, uniform } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Decoder, Prefilled, StepRows } from "../../models/decode/decoder.ts";
import type { PathLogits } from "../../models/decode/host_log_probs.ts";
import { take } from "../../ops/take.ts";

/** The number of rows of a table. */
const STATES = 101;

/** The state after one more token. */
const next = (state: number, token: number): number => (state * 31 + token + 1) % STATES;

const NEXT_WGSL =
  `fn next(state: i32, token: i32) -> i32 { return (state * 31 + token + 1) % ${STATES}; }`;

/** The state of each user after the history. */
const readHistories = defineKernel({
  name: "readHistories",
  buffers: { tokens: "read int", lengths: "read int", states: "write int" },
  params: { U: "u32", T: "u32" },
  cpu({ tokens, lengths, states }, { U, T }): void {
    for (let u = 0; u < U; u++) {
      states[u] = tokens.subarray(u * T, u * T + lengths[u]).reduce(next, 0);
    }
  },
  invocations: ({ U }) => U,
  wgsl: `
${NEXT_WGSL}
fn kernel(u: u32) {
  var state = 0;
  for (var t = 0u; t < u32(lengths[u]); t++) { state = next(state, tokens[u * p.T + t]); }
  states[u] = state;
}`,
  cases: () => [],
});

/** The state of each prefix after its own token, read along its slots in `fed`. */
const readPaths = defineKernel({
  name: "readPaths",
  buffers: {
    histories: "read int",
    tokens: "read int",
    users: "read int",
    depths: "read int",
    slots: "read int",
    fed: "update int",
    states: "write int",
  },
  params: { R: "u32", L: "u32", room: "u32" },
  cpu({ histories, tokens, users, depths, slots, fed, states }, { R, L, room }): void {
    for (let r = 0; r < R; r++) {
      let state = histories[users[r]];
      for (let j = 0; j < depths[r]; j++) state = next(state, fed[slots[r * L + j]]);
      states[r] = next(state, tokens[r]);
      const own = slots[r * L + depths[r]];
      if (own >= 0 && own < room) fed[own] = tokens[r];
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
${NEXT_WGSL}
fn kernel(r: u32) {
  var state = histories[users[r]];
  let depth = u32(depths[r]);
  for (var j = 0u; j < depth; j++) { state = next(state, fed[slots[r * p.L + j]]); }
  states[r] = next(state, tokens[r]);
  let own = slots[r * p.L + depth];
  if (own >= 0 && own < i32(p.room)) { fed[own] = tokens[r]; }
}`,
  cases: () => [],
});

interface Cache {
  readonly histories: Tensor;
  readonly fed: Tensor;
}

/** Logits of any kind: a number for each of the table's entries. */
export type Entries = (index: number) => number;

/** Continuous logits: ties do not occur. */
export function smooth(seed: number, size: number, scale = 3): Entries {
  const values = normal(foldIn(keyOf(seed), 1), STATES * size);
  return (i) => scale * values[i];
}

/** Logits of 0, 1 and 2: ties are everywhere. */
export function coarse(seed: number, size: number): Entries {
  const values = uniform(foldIn(keyOf(seed), 2), STATES * size);
  return (i) => Math.floor(3 * values[i]);
}

/**
 * See above. The table lives on the device, as float; on the host as it is there after rounding.
 */
export class TableDecoder implements Decoder<Cache> {
  readonly vocabSize: number;
  /** How often step() was called, while programs were recorded. */
  stepCalls = 0;
  readonly #table: Tensor;
  readonly #host: Float64Array;

  constructor(device: Tensor["device"], vocabSize: number, entries: Entries) {
    this.vocabSize = vocabSize;
    const round = device.float === "float32" ? Math.fround : Number;
    this.#host = Float64Array.from({ length: STATES * vocabSize }, (_, i) => round(entries(i)));
    this.#table = device.tensor(this.#host, [STATES, vocabSize]);
  }

  prefill(tokens: Tensor, lengths: Tensor, slots: number): Prefilled<Cache> {
    const [U, T] = tokens.shape;
    const { device } = tokens;
    const histories = device.empty([U], "int32");
    device.run(readHistories, { tokens, lengths, states: histories }, { U, T });
    const fed = device.tensor(new Int32Array(slots));
    return { logits: take(this.#table, histories), cache: { histories, fed } };
  }

  step({ histories, fed }: Cache, { tokens, users, depths, slots }: StepRows): Tensor {
    this.stepCalls++;
    const [R, L] = slots.shape;
    const states = tokens.device.empty([R], "int32");
    tokens.device.run(
      readPaths,
      { histories, tokens, users, depths, slots, fed, states },
      { R, L, room: fed.size },
    );
    return take(this.#table, states);
  }

  /** The same model on the host, after a history. */
  logitsAfter(history: readonly number[]): PathLogits {
    const start = history.reduce(next, 0);
    return (path) => {
      const row = path.reduce(next, start) * this.vocabSize;
      return this.#host.subarray(row, row + this.vocabSize);
    };
  }
}
