/**
 * The model's logits along given items: what it would have said at each step had it written the item.
 *
 * @module
 */
import { capture, type Captured, type HostTensor } from "../core/capture.ts";
import type { Device } from "../core/device.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Transformer, TransformerParams } from "../models/transformer.ts";
import { reshape } from "../ops/layout.ts";
import { takeRows } from "../ops/take_rows.ts";

type Inputs = {
  readonly tokens: HostTensor; // int32 (U, T)
  readonly rows: HostTensor; // int32 (U L): where in (U T) the logits of each step are read
};

/** Sequence lengths are rounded up to a multiple of this, so that few programs are recorded. */
const ROUND = 8;

/** Teacher-forced passes of a model, a batch of users at a time. */
export class TeacherForcing implements Disposable {
  readonly #batch: number;
  readonly #run: Captured<Inputs, { logits: Tensor }>;
  readonly #vocabSize: number;

  /** `batch` users go through the model together. */
  constructor(device: Device, model: Transformer, params: TransformerParams, batch = 64) {
    this.#batch = batch;
    this.#vocabSize = model.config.vocabSize;
    this.#run = capture(device, ({ tokens, rows }) => {
      const hidden = model.hidden(params, tokens); // (U, T, C)
      const steps = takeRows(reshape(hidden, [-1, model.config.dim]), rows); // (U L, C)
      return { logits: model.logits(params, steps) }; // (U L, V)
    });
  }

  /**
   * For each user the logits of every step of its item: `histories[u]` is the tokens before the item, `paths[u]` its
   * tokens; entry [u][t] has V logits for token t.
   */
  async logits(
    histories: readonly (readonly number[])[],
    paths: readonly (readonly number[])[],
  ): Promise<Float64Array[][]> {
    const out: Float64Array[][] = [];
    const L = Math.max(...paths.map((path) => path.length));
    for (let from = 0; from < histories.length; from += this.#batch) {
      const users = Math.min(this.#batch, histories.length - from);
      const longest = Math.max(
        ...histories.slice(from, from + users).map((h, u) => h.length + paths[from + u].length - 1),
      );
      const T = Math.ceil(longest / ROUND) * ROUND;
      const tokens = new Int32Array(this.#batch * T);
      const rows = new Int32Array(this.#batch * L);
      for (let u = 0; u < users; u++) {
        const history = histories[from + u];
        const path = paths[from + u];
        tokens.set(history, u * T);
        tokens.set(path.slice(0, -1), u * T + history.length);
        for (let t = 0; t < path.length; t++) rows[u * L + t] = u * T + history.length - 1 + t;
      }
      const { logits } = this.#run({
        tokens: { data: tokens, shape: [this.#batch, T] },
        rows: { data: rows, shape: [this.#batch * L] },
      });
      const values = await logits.data();
      const V = this.#vocabSize;
      for (let u = 0; u < users; u++) {
        out.push(paths[from + u].map((_, t) => {
          const at = (u * L + t) * V;
          return Float64Array.from(values.subarray(at, at + V));
        }));
      }
    }
    return out;
  }

  /** Gives the recorded passes back. */
  [Symbol.dispose](): void {
    this.#run.dispose();
  }
}
