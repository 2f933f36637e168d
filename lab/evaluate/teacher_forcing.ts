/**
 * Teacher-forced passes: the logits of a model along the tokens of given items.
 *
 * @module
 */
import { capture, type Captured, type HostTensor } from "../../core/capture.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import type { BeamSearchOptions } from "../../models/decode/beam_search.ts";
import { childrenOf, isGatherable } from "../../models/decode/child_scores.ts";
import type { NodeLogits } from "../analysis/pruning.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import type { Transformer, TransformerParams } from "../../models/transformer.ts";
import { mul } from "../../ops/binary.ts";
import { gather } from "../../ops/gather.ts";
import { reshape } from "../../ops/layout.ts";
import { logSumExp } from "../../ops/softmax.ts";
import { take } from "../../ops/take.ts";
import { turn } from "../turn.ts";

type Inputs = {
  readonly tokens: HostTensor; // int32 (U, T)
  readonly rows: HostTensor; // int32 (N): the places in (U T) or (U T heads) that are needed
};

/** Options of {@link TeacherForcing}; `batch` is the number of users in a pass. */
export type TeacherForcingOptions = Pick<BeamSearchOptions, "normalization" | "tau" | "batch">;

/** A node whose logits are needed. */
interface Question {
  /** The index of the user in the batch. */
  readonly user: number;
  /** The number of tokens before the node. */
  readonly step: number;
  readonly node: number;
  /** The number of its children. */
  readonly choices: number;
}

/** Sequence lengths are rounded up to a multiple of this, so that few programs are recorded. */
const ROUND = 16;

/** The most logits that are computed together. */
const MAX_LOGITS = 2 ** 22;

/**
 * Teacher-forced passes of a model, a batch of users at a time. The results are the logits of the
 * children of a path's nodes and, with "vocabulary", the log-sum-exp of all logits. On the device
 * at most 2^22 logits exist at a time, or one row of them if the vocabulary is larger.
 */
export class TeacherForcing implements Disposable {
  readonly #device: Device;
  readonly #model: Transformer;
  readonly #params: TransformerParams;
  readonly #trie: DeviceTrie;
  readonly #options: Required<TeacherForcingOptions>;
  readonly #run: Captured<Inputs, { hidden: Tensor }>;
  /** The recorded shape. Only one is kept, because each holds the memory of a whole batch. */
  #recorded = "";

  /** Prepares passes of a model along the paths of a trie. */
  constructor(
    device: Device,
    model: Transformer,
    params: TransformerParams,
    trie: DeviceTrie,
    { normalization = "children", tau = 1, batch = 64 }: TeacherForcingOptions = {},
  ) {
    this.#device = device;
    this.#model = model;
    this.#params = params;
    this.#trie = trie;
    this.#options = { normalization, tau, batch };
    const { dim, codeHeads } = model.config;
    this.#run = capture(device, ({ tokens, rows }) => {
      const hidden = reshape(model.hidden(params, tokens), [-1, dim]); // (U T, C)
      const states = codeHeads ? reshape(model.codeStates(params, hidden), [-1, dim]) : hidden;
      return { hidden: take(states, rows) }; // (N, C)
    });
  }

  /**
   * The logits along the paths to `leaves[u]` after the tokens `histories[u]`. Entry [u][t] is for
   * the node after t tokens. With "children", nodes with one child have no logits.
   */
  async logits(
    histories: readonly (readonly number[])[],
    leaves: readonly number[],
    onProgress?: (done: number) => void,
  ): Promise<NodeLogits[][]> {
    const { trie } = this.#trie;
    const everywhere = this.#options.normalization === "vocabulary";
    const asked = leaves.map((leaf) => questionsOf(this.#trie, leaf, everywhere));
    const out = leaves.map((leaf) =>
      Array.from({ length: trie.depths[leaf] }, (): NodeLogits => ({ children: [] }))
    );
    const fed = histories.map((h, i) => h.length + (asked[i].at(-1)?.step ?? 0));
    const order = [...histories.keys()].sort((a, b) => fed[b] - fed[a] || a - b);
    for (let at = 0; at < order.length; at += this.#options.batch) {
      onProgress?.(at);
      await turn(); // for Ctrl-C
      const users = order.slice(at, at + this.#options.batch);
      const questions = users.flatMap((i, user) => asked[i].map((q) => ({ ...q, user })))
        .sort((a, b) => b.choices - a.choices);
      if (questions.length === 0) continue;
      const hidden = this.#hidden(
        users.map((i) => [...histories[i], ...trie.pathOf(leaves[i])].slice(0, fed[i])),
        questions.map(({ user, step }) => ({
          user,
          last: histories[users[user]].length - 1,
          step,
        })),
      );
      for await (const [{ user, step }, answer] of this.#answers(hidden, questions)) {
        out[users[user]][step] = answer;
      }
    }
    onProgress?.(order.length);
    return out;
  }

  /** Frees the recorded pass. */
  [Symbol.dispose](): void {
    this.#run.dispose();
  }

  /** The hidden states (N, C) at some places of sequences of tokens, followed by padding. */
  #hidden(
    sequences: readonly (readonly number[])[],
    places: readonly {
      readonly user: number;
      readonly last: number; // the position of the last token of the history
      readonly step: number; // how many tokens are fed after it
    }[],
  ): Tensor {
    const { batch } = this.#options;
    const longest = sequences.reduce((most, { length }) => Math.max(most, length), 0);
    // Rounding must not exceed the model's longest sequence.
    const T = Math.max(
      longest,
      Math.min(Math.ceil(longest / ROUND) * ROUND, this.#model.config.maxLength),
    );
    const tokens = new Int32Array(batch * T);
    sequences.forEach((sequence, u) => tokens.set(sequence, u * T));
    const rows = new Int32Array(2 ** Math.ceil(Math.log2(places.length)));
    const { codeHeads: heads } = this.#model.config;
    rows.set(
      places.map(({ user, last, step }) =>
        heads ? (user * T + last) * heads + step : user * T + last + step
      ),
    );
    const shape = `${T} ${rows.length}`;
    if (shape !== this.#recorded) this.#run.dispose();
    this.#recorded = shape;
    const { hidden } = this.#run({
      tokens: { data: tokens, shape: [batch, T] },
      rows: { data: rows, shape: [rows.length] },
    });
    return hidden;
  }

  /** Answers questions, the nodes with most children first. Row n of `hidden` is for question n. */
  async *#answers(
    hidden: Tensor,
    questions: readonly Question[],
  ): AsyncGenerator<[Question, NodeLogits]> {
    const head = this.#params.head ?? this.#params.embed;
    const whole = this.#options.normalization === "vocabulary" || !isGatherable({ hidden, head });
    for (let at = 0; at < questions.length;) {
      const F = questions[at].choices;
      const room = Math.floor(MAX_LOGITS / (whole ? Math.max(F, this.#model.config.vocabSize) : F));
      const part = questions.slice(at, at + Math.max(1, room));
      using _scope = this.#device.arena();
      const place = this.#device.tensor(Int32Array.from(part, (_, n) => at + n));
      const nodes = Int32Array.from(part, ({ node }) => node);
      const [logits, logSums] = await this.#device.read(
        whole
          ? this.#wholeRows(take(hidden, place), part, F)
          : [childrenOf({ hidden, head }, this.#trie, this.#device.tensor(nodes), place, F)],
      );
      for (let n = 0; n < part.length; n++) {
        yield [part[n], {
          children: Float64Array.from(logits.subarray(n * F, n * F + part[n].choices)),
          ...(logSums && { logSumExp: logSums[n] }),
        }];
      }
      at += part.length;
    }
  }

  /** Computes the logits of the whole vocabulary: those of children, and the log-sum-exps. */
  #wholeRows(hidden: Tensor, part: readonly Question[], F: number): Tensor[] {
    const { normalization, tau } = this.#options;
    const logits = this.#model.logits(this.#params, hidden); // (n, V)
    const tokens = new Int32Array(part.length * F);
    part.forEach(({ node }, n) => tokens.set(this.#trie.trie.tokensUnder(node), n * F));
    const children = gather(logits, this.#device.tensor(tokens, [part.length, F]));
    if (normalization === "children") return [children];
    return [children, logSumExp(tau === 1 ? logits : mul(logits, 1 / tau))];
  }
}

/** The nodes of the path to a leaf whose logits are needed, root first. */
function questionsOf({ trie }: DeviceTrie, leaf: number, everywhere: boolean): Question[] {
  const questions: Question[] = [];
  for (let node = trie.parents[leaf]; node >= 0; node = trie.parents[node]) {
    const choices = trie.childCount(node);
    if (!everywhere && choices === 1) continue;
    questions.push({ user: 0, step: trie.depths[node], node, choices });
  }
  return questions.reverse();
}
