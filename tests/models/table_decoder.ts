/**
 * A decoder whose logits are rows of a table, chosen by a hash of everything the model has read:
 * the history and the path. A row that is told the wrong ancestors, the wrong user or the wrong
 * step reads another row.
 *
 * @module
 */
import { defineKernel } from "../../core/kernel.ts";
import { foldIn, keyOf, normal, uniform } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Decoder, Prefilled } from "../../models/decode/decoder.ts";
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

/** The state of each beam after its own token, read along its ancestors in `fed` (L, R). */
const readPaths = defineKernel({
  name: "readPaths",
  buffers: {
    users: "read int",
    tokens: "read int",
    ancestors: "read int",
    fed: "update int",
    states: "write int",
  },
  params: { R: "u32", B: "u32", L: "u32", step: "u32" },
  cpu({ users, tokens, ancestors, fed, states }, { R, B, L, step }): void {
    for (let r = 0; r < R; r++) {
      let state = users[Math.floor(r / B)];
      for (let j = 0; j < step; j++) state = next(state, fed[j * R + ancestors[r * L + j]]);
      states[r] = next(state, tokens[r]);
      fed[step * R + r] = tokens[r];
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
${NEXT_WGSL}
fn kernel(r: u32) {
  var state = users[r / p.B];
  for (var j = 0u; j < p.step; j++) {
    state = next(state, fed[j * p.R + u32(ancestors[r * p.L + j])]);
  }
  states[r] = next(state, tokens[r]);
  fed[p.step * p.R + r] = tokens[r];
}`,
  cases: () => [],
});

interface Cache {
  readonly users: Tensor;
  readonly fed: Tensor;
  readonly R: number;
  readonly B: number;
  readonly L: number;
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

  prefill(tokens: Tensor, lengths: Tensor, beam: number, steps: number): Prefilled<Cache> {
    const [U, T] = tokens.shape;
    const { device } = tokens;
    const users = device.empty([U], "int32");
    device.run(readHistories, { tokens, lengths, states: users }, { U, T });
    const R = U * beam;
    const fed = device.tensor(new Int32Array(steps * R));
    return { logits: take(this.#table, users), cache: { users, fed, R, B: beam, L: steps } };
  }

  step({ users, fed, R, B, L }: Cache, step: number, tokens: Tensor, ancestors: Tensor): Tensor {
    this.stepCalls++;
    const states = tokens.device.empty([R], "int32");
    tokens.device.run(readPaths, { users, tokens, ancestors, fed, states }, { R, B, L, step });
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
