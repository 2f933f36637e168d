/**
 * Masked softmax loss at a temperature that follows the model.
 *
 * @module
 */
import { Tensor } from "../../core/tensor.ts";
import { blend } from "../../kernels/accumulate.ts";
import { add, clamp, div, maximum, mul, sub } from "../../ops/binary.ts";
import { childPlaces } from "../../ops/child_logits.ts";
import { equal } from "../../ops/compare.ts";
import { gather } from "../../ops/gather.ts";
import { reshape } from "../../ops/layout.ts";
import type { Logits } from "../../ops/logits.ts";
import { linear } from "../../ops/matmul.ts";
import { mean, sum } from "../../ops/reduce.ts";
import { cast, stopGradient, where } from "../../ops/select.ts";
import { take } from "../../ops/take.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg, sqrt, square } from "../../ops/unary.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import { type Loss, type LossDefinition, meanOverTargets, type Targets } from "./loss.ts";

/** The probability of the label that the temperature aims at. */
const ETA = 0.25;
/** The range of the temperature. It starts at the lower end. */
const [LEAST, MOST] = [1.5, 5] as const;
/** The share of a step's temperature in the running one. */
const TAKE = 0.05;

/**
 * MSL with its adaptive temperature (B. Wang et al., arXiv:2504.04178), tau (-log p), where p is
 * the probability of the label among its siblings at temperature tau. The logits of the batch's
 * first tokens are modelled as normal: mu+ is the mean logit of the labels, mu- and s^2 are mean
 * and variance of the logits of all N_1 first tokens, d = mu+ - mu-, and C = log(N_1 / 4). The
 * temperature at which p would be 1/4 is
 *
 *     (d + sqrt(max(0, d^2 - 2 C s^2))) / (2 C), clamped to [1.5, 5];
 *
 * the running temperature is 0.95 of its last value and 0.05 of this, and starts at 1.5. If N_1 is
 * at most 4, the formula has no solution and the step's temperature is 5. The running temperature
 * is the state of the loss: it is written in place and belongs in checkpoints. Without a state,
 * each step is a first one.
 *
 * - Normalisation: the children of the label's trie node.
 * - Temperature: the running one, detached. A search has its own, as in the authors' code: the one
 *   that it is called with, default 1, not the last one of training. At another temperature the
 *   children of a node keep their order but the scores of paths do not, so lists differ.
 * - Reduction: the mean over target tokens.
 * - Bound: -log p / log(B + 1) is at least 1[margin > 0], and so is tau times that, as tau is above
 *   1.
 * - Gradient weight: (1 - p at tau) / (1 - p at 1) relative to msl, the same for the siblings,
 *   whatever the margin.
 *
 * @example
 * ```ts
 * import { cpu, mslAts, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0], [1], [2], [3]]).upload(device);
 * const nodes = device.tensor(new Int32Array([0]));
 * const labels = device.tensor(new Int32Array([2]));
 * const state = device.tensor([1.5]);
 * const loss = mslAts()(device.tensor([[0, 0, 0, 0]]), { trie, nodes, labels, state });
 * console.log(await loss.item(), await state.item()); // 1.675 log 4, and 1.675 = 0.95 1.5 + 0.05 5
 * ```
 */
export function mslAts(): Loss {
  return (logits, targets) => {
    const { trie, nodes, labels, state } = targets;
    const tau = runningTemperature(stepTemperature(logits, targets), state); // a scalar
    const scaled = scale(logits, div(1, tau));
    const options = { normalization: "children" } as const;
    const { logProb, choices } = trieLogProb(scaled, trie, nodes, labels, options);
    return mul(tau, meanOverTargets(neg(logProb), choices));
  };
}

/** {@link mslAts} as a value of `--loss`. */
export const mslAtsLoss: LossDefinition<"msl-ats", never> = {
  name: "msl-ats",
  normalization: "children",
  needs: { state: [LEAST] },
  flags: {},
  make: () => mslAts(),
};

/** The temperature that a batch asks for, a scalar. */
function stepTemperature(logits: Logits, { trie, nodes, labels }: Targets): Tensor {
  const tokens = trie.trie.tokensUnder(0);
  const C = Math.log(tokens.length * ETA);
  const isFirst = equal(nodes, 0); // (N)
  const first = cast(isFirst, "float");
  const z = firstLogits(logits, tokens); // (N, N_1)
  const place = childPlaces(trie, where(isFirst, nodes, -1), labels);
  const own = reshape(gather(z, reshape(place, [-1, 1])), [-1]); // (N): the label's
  const average = weightedMean(mean(z, 1), first);
  const biased = weightedMean(mean(square(sub(z, average)), 1), first);
  const count = mul(sum(first), tokens.length);
  const variance = mul(biased, div(count, maximum(sub(count, 1), 1)));
  const d = sub(weightedMean(own, first), average);
  if (C <= 0) return add(mul(0, d), MOST);
  const root = sqrt(maximum(sub(square(d), mul(2 * C, variance)), 0));
  return clamp(div(add(d, root), 2 * C), LEAST, MOST);
}

/** The logits of first tokens, detached: (N, N_1). */
function firstLogits(logits: Logits, tokens: Int32Array): Tensor {
  if (logits instanceof Tensor) {
    const [N] = logits.shape;
    const index = new Int32Array(N * tokens.length);
    for (let n = 0; n < N; n++) index.set(tokens, n * tokens.length);
    return gather(stopGradient(logits), logits.device.tensor(index, [N, tokens.length]));
  }
  const hidden = stopGradient(logits.hidden);
  const head = take(stopGradient(logits.head), hidden.device.tensor(tokens));
  return linear(hidden, head);
}

/** The running temperature after a step, a scalar; updates the state. */
function runningTemperature(asked: Tensor, state: Tensor | undefined): Tensor {
  const { device } = asked;
  if (state === undefined) return add((1 - TAKE) * LEAST, mul(TAKE, asked));
  device.run(blend, { total: state, x: asked, mix: device.tensor([1 - TAKE, TAKE]) }, { n: 1 });
  return reshape(state, []);
}

function scale(logits: Logits, by: Tensor): Logits {
  if (logits instanceof Tensor) return mul(logits, by);
  return { hidden: mul(logits.hidden, by), head: logits.head };
}
