/**
 * Faults in losses of tokens, and in what the error of logits is said to be.
 *
 * @module
 */
import { bear, type BearOptions } from "../../../models/losses/bear.ts";
import { msl } from "../../../models/losses/msl.ts";
import { sft } from "../../../models/losses/sft.ts";
import type { TokenBatch } from "../s1_s6_token_losses.ts";
import { errorOf, type Perturbed } from "../t11_r7_rounding.ts";
import type { Fault } from "./fault.ts";

/** The parts of T11: two hypotheses, and what must never be exceeded. */
const ROUNDING_PARTS = ["a margin", "a clear verdict", "a gap", "clear gaps"] as const;

/** Mistakes in what the error of the logits is said to be. */
export const roundingFaults: readonly Fault<Perturbed>[] = [
  {
    name: "the error is said to be half of what it is",
    caughtBy: ROUNDING_PARTS.map((part) => `T11: ${part}`),
    plant: (world) => ({ ...world, error: world.error / 2 }),
  },
  {
    name: "the error is that of probabilities, not of logits",
    caughtBy: ["T11: a margin"],
    plant: (world) => ({ ...world, error: world.error * world.tau }),
  },
  {
    name: "the error is measured at every second node",
    caughtBy: ["T11: a margin", "T11: a gap"],
    plant: ({ before, after, ...world }) => {
      const some = after.map((z, v) => v % 2 ? z : before[v]);
      return { ...world, before, after, error: errorOf({ before, after: some }) };
    },
  },
];

/** A loss of tokens that is not what it is called. */
function tokenLoss(
  name: string,
  caughtBy: readonly string[],
  wrong: (batch: TokenBatch) => Partial<TokenBatch["losses"]>,
): Fault<TokenBatch> {
  const plant = (batch: TokenBatch): TokenBatch => ({
    ...batch,
    losses: { ...batch.losses, ...wrong(batch) },
  });
  return { name, caughtBy, plant };
}

const parts = (id: string): readonly string[] =>
  ["the value", "the bound", "the gradient"].map((part) => `${id}: ${part}`);

/** Losses of tokens that are not what they are called. */
export const lossFaults: readonly Fault<TokenBatch>[] = [
  tokenLoss("sft over valid children", ["S1: the value", "S1: the gradient"], () => ({
    sft: (options) => msl(options),
  })),
  tokenLoss("sft with the mean for the sum", parts("S1"), () => ({
    sft: (options) => sft({ ...options, reduction: "mean" }),
  })),
  tokenLoss("msl without its temperature", ["S2: the value", "S2: the gradient"], () => ({
    msl: (options) => msl({ ...options, tau: 1 }),
  })),
  tokenLoss("msl with the mean for the sum", parts("S2"), () => ({
    msl: (options) => msl({ ...options, reduction: "mean" }),
  })),
  tokenLoss("the released form with lambda / xi", ["S3: the value", "S3: the gradient"], (b) => ({
    bear: (options) => bear({ ...options, lambda: b.lambda / b.xi } as BearOptions),
  })),
  tokenLoss("the convex form for the released", parts("S3"), () => ({
    bear: (options) => bear({ ...options, form: "convex" } as BearOptions),
  })),
  tokenLoss("the convex form for the paper's", parts("S4"), () => ({
    bear: (options) => bear({ ...options, form: "convex" } as BearOptions),
  })),
  tokenLoss("the paper's form for the convex", parts("S5"), () => ({
    bear: (options) => bear({ ...options, form: "paper" } as BearOptions),
  })),
  tokenLoss("the convex form for a beam of B + 1", ["S5: the value", "S5: the gradient"], (b) => ({
    bear: (options) => bear({ ...options, beam: b.beam + 1 } as BearOptions),
  })),
  tokenLoss("bear with the mean for the sum", ["S6: some are", "S6: none is"], () => ({
    bear: (options) => bear({ ...options, reduction: "mean" } as BearOptions),
  })),
  tokenLoss("bear with lambda twice", ["S6: all tokens are violated"], () => ({
    bear: (options) => bear({ ...options, lambda: 2 } as BearOptions),
  })),
];
