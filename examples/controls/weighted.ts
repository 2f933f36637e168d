/**
 * What the controls of `bear` share: its released form with other weights. Each of them is a loss
 * for `--losses`, as in `deno task compare --losses msl,bear,examples/controls/focal.ts`.
 *
 * @module
 */
import { add, cast, greaterEqual, type Loss, type LossOptions, mul, neg, sigmoid } from "beargrad";
import { div, stopGradient, sub, type Targets, type Tensor, trieLogProb } from "beargrad";
import { weightedMean } from "beargrad";

/** The target tokens of a batch, each tensor (N). */
export interface Tokens extends Targets {
  /** log p, among siblings. */
  readonly logProb: Tensor;
  /** log beta, that of the B-th best sibling. */
  readonly logBeta: Tensor;
  /** 1 where there are siblings, else 0. */
  readonly open: Tensor;
}

/**
 * The mean of -log p over the tokens with siblings, with weights that `weigh` gives and nothing
 * flows through. With weights that differ it bounds nothing: pruned tokens may have the smallest.
 */
export function weighted({ beam = 10, tau }: LossOptions, weigh: (tokens: Tokens) => Tensor): Loss {
  return (logits, targets) => {
    const { trie, nodes, labels } = targets;
    const distribution = { normalization: "children", beam, tau } as const;
    const { logProb, logBeta, choices } = trieLogProb(logits, trie, nodes, labels, distribution);
    const open = cast(greaterEqual(choices, 2), "float");
    const w = weigh({ ...targets, logProb, logBeta, open });
    return neg(weightedMean(logProb, stopGradient(mul(open, w))));
  };
}

/** 1 + lambda sigma((log p - c) / xi): bear's weight if c is log beta. */
export function rising(
  { xi = 1, lambda = 1 }: LossOptions,
  logProb: Tensor,
  c: Tensor | number,
): Tensor {
  return add(1, mul(lambda, sigmoid(div(sub(logProb, c), xi))));
}
