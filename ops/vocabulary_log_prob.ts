import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import { NOTHING, vocabularyBackward, vocabularyForward } from "../kernels/vocabulary_log_prob.ts";
import { add } from "./binary.ts";
import { indices, sample } from "./cases.ts";
import { runCopy } from "./launch.ts";
import { matmul } from "./matmul.ts";
import { take } from "./take.ts";

/** Options of {@link vocabularyLogProb}. */
export interface VocabularyLogProbOptions {
  /** The temperature that divides the logits. */
  readonly tau: number;
  /** The number of tokens whose logits are computed at a time. */
  readonly chunk: number;
  /** Whether both gradients are needed. They are then computed together. */
  readonly both: boolean;
}

/**
 * The log-probability of each label in the whole vocabulary: hidden (N, C), head (V, C), labels
 * int32 (N), out (N). The logits hidden head^T are computed a chunk of the vocabulary at a time,
 * for the forward and again for the backward. The head may be float16; then it has no gradient.
 *
 * @throws {ShapeError} if head has no rows, or labels are not (N).
 */
export const vocabularyLogProb: Op<
  [hidden: Tensor, head: Tensor, labels: Tensor, options: VocabularyLogProbOptions],
  Tensor
> = defineOp({
  name: "vocabularyLogProb",
  inputs: { hidden: "float", head: "weights", labels: "int", options: "options" },
  forward(
    hidden: Tensor,
    head: Tensor,
    labels: Tensor,
    { tau, chunk }: VocabularyLogProbOptions,
  ): { out: Tensor; saved: { saved: Tensor } } {
    const { device, dtype } = hidden;
    const N = hidden.shape[0];
    if (labels.rank !== 1 || labels.size !== N || head.shape[0] === 0) {
      throw new ShapeError(
        `Cannot apply vocabularyLogProb: head must have rows and labels must be (${N}), got ` +
          `${formatShape(head.shape)} and ${formatShape(labels.shape)}`,
      );
    }
    const nothing = new Float64Array(3 * N).map((_, i) => NOTHING[i % 3]);
    let saved = device.tensor(nothing, [N, 3]);
    let out = saved;
    eachChunk(hidden, head, chunk, ({ logits, first, W }) => {
      const before = saved;
      saved = device.empty([N, 3], dtype, "vocabularyLogProb");
      out = device.empty([N], dtype, "vocabularyLogProb");
      const buffers = { logits, labels, before, after: saved, logProb: out };
      device.run(vocabularyForward, buffers, { N, W, first, tau });
    });
    return { out, saved: { saved } };
  },
  backward(dout, { saved }, [hidden, head, labels, { tau, chunk, both }]): InputGradients {
    const { device, dtype } = hidden;
    const [N, C] = hidden.shape;
    const gradients = (ofHidden: boolean, ofHead: boolean): readonly [Tensor, Tensor] => {
      let dhidden: Tensor | undefined;
      const dhead = ofHead ? device.empty(head.shape, dtype, "vocabularyLogProb gradient") : hidden;
      eachChunk(hidden, head, chunk, ({ logits, part, first, W }) => {
        const dlogits = device.empty([N, W], dtype, "vocabularyLogProb gradient");
        const buffers = { dlogProb: dout, logits, labels, saved, dlogits };
        device.run(vocabularyBackward, buffers, { N, W, first, tau });
        if (ofHidden) { // dhidden = dz head
          const [sofar, share] = [dhidden, matmul(dlogits, part)];
          dhidden = sofar ? add(sofar, share) : share;
          if (sofar) [sofar, share].forEach((tensor) => tensor.dispose());
        }
        if (ofHead) { // dhead = dz^T hidden
          const rows = matmul(dlogits, hidden, { transposeA: true });
          const from = { at: 0, strides: [C, 1] };
          const to = { at: first * C, strides: [C, 1] };
          runCopy([W, C], rows, from, dhead, to);
          rows.dispose();
        }
        dlogits.dispose();
      });
      return [dhidden as Tensor, dhead];
    };
    let together: readonly [Tensor, Tensor] | undefined;
    const one = (which: 0 | 1): Tensor => {
      if (!both) return gradients(which === 0, which === 1)[which];
      together ??= gradients(true, true);
      return together[which];
    };
    return [() => one(0), () => one(1), null];
  },
  cases: () =>
    [false, true].map((both) => ({
      name: both ? "both gradients together" : "a gradient at a time",
      args: (d) => [
        sample(d, [5, 4], 1, -2, 2),
        sample(d, [11, 4], 2, -2, 2),
        indices(d, [5], 3, 11),
        { tau: 0.8, chunk: 4, both },
      ],
    })),
});

/** The logits of a chunk of tokens. */
interface Chunk {
  /** (N, W). */
  readonly logits: Tensor;
  /** Their rows of the head, (W, C). */
  readonly part: Tensor;
  /** The first token. */
  readonly first: number;
  /** The number of tokens. */
  readonly W: number;
}

/** Computes the logits of one chunk after the other. Their memory is freed after `body`. */
function eachChunk(
  hidden: Tensor,
  head: Tensor,
  chunk: number,
  body: (chunk: Chunk) => void,
): void {
  const V = head.shape[0];
  for (let first = 0; first < V; first += chunk) {
    const W = Math.min(chunk, V - first);
    const ids = hidden.device.tensor(Int32Array.from({ length: W }, (_, i) => first + i));
    const part = take(head, ids);
    const logits = matmul(hidden, part, { transposeB: true });
    body({ logits, part, first, W });
    for (const tensor of [logits, part]) tensor.dispose();
  }
}
