/**
 * What a finished run of a comparison leaves in its folder, `result.json`: all that reports are made of.
 *
 * @module
 */
import type { PruningCause } from "../analysis/pruning.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { ValidationPoint } from "../train/run_state.ts";
import type { TheoremCounts } from "../analysis/user_theorems.ts";
import type { GradientWeight } from "../train/loss_probe.ts";
import { type Recipe, toJson } from "../train/recipe.ts";

/** The name of the file. */
export const RESULT = "result.json";

/** The name of the file that a run leaves instead if its loss or its weights became NaN or infinite. */
export const FAILURE = "failed.json";

export type { FailedRun } from "../train/run.ts";

/** The name of the file with what needs no training, in the folder of a comparison. */
export const BASELINES = "baselines.json";

/** A finished run. */
export interface RunResult {
  /** The version of this layout. */
  readonly version: 1;
  /** What tells its recipe, without the seed, from the others of the comparison: "bear", or "bear B=5 xi=2". */
  readonly variant: string;
  /** The command that trained and judged it, where there was one. */
  readonly command?: string;
  /** Everything that decided what it computed. */
  readonly recipe: Recipe;
  /** The device's adapter. */
  readonly adapter: string;
  /** The data set. */
  readonly data: { readonly name: string; readonly users: number; readonly items: number };
  /** Numbers that were trained. */
  readonly parameters: number;
  /** Epochs trained. */
  readonly epochs: number;
  /** The epoch, from 1, whose weights were judged: the best in validation, the last where there is none. */
  readonly bestEpoch: number;
  /** Steps trained. */
  readonly steps: number;
  /** Seconds. */
  readonly seconds: {
    readonly training: number;
    readonly validation: number;
    readonly judging: number;
  };
  /** Target tokens a second in training. */
  readonly tokensPerSecond: number;
  /** The loss as it fell: at each look its mean since the look before. */
  readonly curve: readonly {
    readonly step: number;
    readonly epoch: number;
    readonly loss: number;
  }[];
  /** Validation after epochs, from 1; none where the data have no validation cases. */
  readonly validation: readonly ValidationPoint[];
  /** How the test cases were searched. */
  readonly judging: Judging;
  /** The verdict on the test cases. */
  readonly test: TestResult;
  /** How a loss out of a module weighs tokens by their margins: a report does not run modules. */
  readonly gradient?: readonly GradientWeight[];
  /** What `verify` counts on the first users, where it was asked. */
  readonly verification?: { readonly users: number; readonly counts: TheoremCounts };
}

/** The text of `result.json`. */
export function resultText(result: RunResult): string {
  return `${JSON.stringify({ ...result, recipe: toJson(result.recipe) })}\n`;
}

/** What a search makes probabilities of logits by. */
export interface SearchSetting {
  /** What they are over. */
  readonly normalization: Normalization;
  /** The temperature. */
  readonly tau: number;
}

/** How test cases were searched. */
export interface Judging {
  /** Widths of the beam, ascending. */
  readonly beams: readonly number[];
  /** Whether the history was taken out of the catalogue. */
  readonly excludeHistory: boolean;
  /** The search, where it is not the one that the model was trained for: the run is then another one's model, judged again. */
  readonly search?: SearchSetting;
}

/** The verdict on all test cases, in the data set's order. */
export interface TestResult {
  /** Users. */
  readonly users: number;
  /** Targets that exclusion took out of the catalogue. */
  readonly absent: number;
  /** By beam width of the search, ascending. */
  readonly beams: readonly BeamOutcome[];
}

/** What a search of one width retrieves and prunes. Arrays by step have entry t - 1 for step t. */
export interface BeamOutcome {
  /** The width B. */
  readonly beam: number;
  /** The place of each user's target in the returned list, from 0, or -1. */
  readonly ranks: readonly number[];
  /** Its place in the exact top B, or -1. */
  readonly exactRanks: readonly number[];
  /** The step (from 1) that lost its prefix, or 0. */
  readonly lostAt: readonly number[];
  /** By cause and step, how many targets of the exact top B were pruned. */
  readonly pruned: Readonly<Record<Exclude<PruningCause, "absent">, readonly number[]>>;
  /** By step, how many targets have a token there. */
  readonly reached: readonly number[];
  /** By step, how many have a margin above 0 there. */
  readonly violated: readonly number[];
  /** By step, how many have at most B siblings there, so that no margin can be above 0. */
  readonly vacuous: readonly number[];
  /** By step, the margins log beta - log p of the targets with more than one sibling. */
  readonly margins: { readonly before: readonly Histogram[]; readonly after: readonly Histogram[] };
  /** What one teacher-forced pass certifies of the targets (docs/theory.md: T6, T2). */
  readonly certificates: {
    readonly retrieved: number;
    readonly pruned: number;
    readonly undecided: number;
  };
  /** How many users' lists (of 10, or B if that is less) are provably exact (T9). */
  readonly exactLists: number;
}

/**
 * Counts of margins: entry i is for (-12 + i / 2, -12 + (i + 1) / 2] nats, 48 bins, so that violations, margins above 0, begin with
 * entry 24. What lies outside is counted in the first and the last.
 */
export type Histogram = readonly number[];

/** What the rankings that need no training retrieve of the same cases: `baselines.json` of a comparison. */
export interface BaselineResults {
  /** The version of this layout. */
  readonly version: 1;
  /** That of the runs' recipes. */
  readonly digest: string;
  /** Each case's user, from 0 in the order of their first cases; absent where every user has one case. */
  readonly userOf?: readonly number[];
  /** By name, the place of each user's target among the first 10, from 0, or -1. */
  readonly baselines: readonly { readonly name: string; readonly ranks: readonly number[] }[];
}
