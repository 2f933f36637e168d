/**
 * `result.json`, which a finished run of a comparison leaves in its folder: all that reports are
 * made of.
 *
 * @module
 */
import type { Normalization } from "../../ops/trie_options.ts";
import type { PruningCause } from "../analysis/pruning.ts";
import type { SearchChoice } from "../analysis/searches.ts";
import type { TheoremCounts } from "../analysis/user_theorems.ts";
import type { CodeLevel } from "../codes/describe.ts";
import type { SearchCosts } from "../evaluate/search_costs.ts";
import type { GradientWeight } from "../train/loss_probe.ts";
import { type Recipe, toJson } from "../train/recipe.ts";
import type { ValidationPoint } from "../train/saved_run.ts";

export type { FailedRun } from "../train/run.ts";

/** The file of a finished run. */
export const RESULT = "result.json";

/** The file of a run whose loss or weights became NaN or infinite. */
export const FAILURE = "failed.json";

/** The file of the rankings that need no training, in the folder of a comparison. */
export const BASELINES = "baselines.json";

/** A finished run. */
export interface RunResult {
  /** The version of this layout. */
  readonly version: 1;
  /** What distinguishes its recipe, apart from the seed: `bear`, or `bear B=5 xi=2`. */
  readonly variant: string;
  /** The command that trained and judged it, if there was one. */
  readonly command?: string;
  /** Everything that determined what it computed. */
  readonly recipe: Recipe;
  /** The device's adapter. */
  readonly adapter: string;
  /** The data set. */
  readonly data: {
    readonly name: string;
    readonly users: number;
    readonly items: number;
    /**
     * A digest without codes: runs of the same are compared user by user, whatever their codes.
     * Missing in older results.
     */
    readonly sequences?: string;
  };
  /** What the codes are like, first level first. Missing in older results. */
  readonly codes?: readonly CodeLevel[];
  /** The number of trained parameters. */
  readonly parameters: number;
  /** Epochs trained. */
  readonly epochs: number;
  /**
   * The epoch, from 1, whose weights were judged: the best in validation, or the last without it.
   */
  readonly bestEpoch: number;
  /** Steps trained. */
  readonly steps: number;
  /** Durations in seconds. */
  readonly seconds: {
    readonly training: number;
    readonly validation: number;
    readonly judging: number;
  };
  /** Target tokens a second in training. */
  readonly tokensPerSecond: number;
  /** The loss during training: each point is the mean since the one before. */
  readonly curve: readonly {
    readonly step: number;
    readonly epoch: number;
    readonly loss: number;
  }[];
  /** Validation after each epoch. Empty if the data have no validation cases. */
  readonly validation: readonly ValidationPoint[];
  /** How the test cases were searched. */
  readonly judging: Judging;
  /** The outcome for the test cases. */
  readonly test: TestResult;
  /** What lists cost and how good they are, by the search, if it was measured. */
  readonly costs?: SearchCosts;
  /**
   * The weight of a token by its margin, for a loss out of a module: reports do not run modules.
   */
  readonly gradient?: readonly GradientWeight[];
  /** What `verify` counts on the first users, if it was asked to. */
  readonly verification?: { readonly users: number; readonly counts: TheoremCounts };
}

/** The text of `result.json`. */
export function resultText(result: RunResult): string {
  return `${JSON.stringify({ ...result, recipe: toJson(result.recipe) })}\n`;
}

/** How a search turns logits into probabilities, and how it goes on from there: default a beam. */
export interface JudgedSearch extends Partial<SearchChoice> {
  /** What the probabilities sum to 1 over. */
  readonly normalization: Normalization;
  /** The temperature. */
  readonly tau: number;
}

/** How test cases were searched. */
export interface Judging {
  /** Beam widths, ascending. */
  readonly beams: readonly number[];
  /** Whether the history was taken out of the catalogue. */
  readonly excludeHistory: boolean;
  /** The search, if the model is that of another run, which was judged in another way. */
  readonly search?: JudgedSearch;
}

/** The outcome for all test cases, in the order of the data set. */
export interface TestResult {
  /** The number of users. */
  readonly users: number;
  /** The number of targets that exclusion took out of the catalogue. */
  readonly absent: number;
  /** By beam width of the search, ascending. */
  readonly beams: readonly BeamOutcome[];
}

/** What a search of one width retrieves and prunes. Arrays by step have step t at index t - 1. */
export interface BeamOutcome {
  /** The beam width B. */
  readonly beam: number;
  /** The rank of each user's target in the returned list, from 0, or -1. */
  readonly ranks: readonly number[];
  /** The rank of each user's target in the exact top B, from 0, or -1. */
  readonly exactRanks: readonly number[];
  /** The step, from 1, that pruned the target's prefix, or 0. */
  readonly lostAt: readonly number[];
  /** By cause and step, the number of targets of the exact top B that were pruned. */
  readonly pruned: Readonly<Record<Exclude<PruningCause, "absent">, readonly number[]>>;
  /** By step, the number of targets that have a token there. */
  readonly reached: readonly number[];
  /** By step, the number of targets with a margin above 0. */
  readonly violated: readonly number[];
  /** By step, the number of targets with at most B siblings, so that no margin can be above 0. */
  readonly vacuous: readonly number[];
  /** By step, the margins log beta - log p of the targets with more than one sibling. */
  readonly margins: { readonly before: readonly Histogram[]; readonly after: readonly Histogram[] };
  /** What one teacher-forced pass certifies of the targets (docs/theory.md, T6 and T2). */
  readonly certificates: {
    readonly retrieved: number;
    readonly pruned: number;
    readonly undecided: number;
  };
  /** The number of users whose list, of min(10, B) items, is provably exact (T9). */
  readonly exactLists: number;
}

/**
 * Counts of margins in 48 bins. Bin i is (-12 + i / 2, -12 + (i + 1) / 2] nats, so violations,
 * which are margins above 0, begin with bin 24. Margins outside are counted in the first and the
 * last bin.
 */
export type Histogram = readonly number[];

/** The number of bins of a {@link Histogram}. */
export const BINS = 48;

/** Where a bin of a {@link Histogram} begins, nats. */
export function binStart(bin: number): number {
  return (bin - BINS / 2) / 2;
}

/** The bin of a margin. */
export function binOf(margin: number): number {
  return Math.min(Math.max(Math.ceil(2 * margin) + BINS / 2 - 1, 0), BINS - 1);
}

/** `baselines.json`: what the rankings that need no training retrieve for the same cases. */
export interface BaselineResults {
  /** The version of this layout. */
  readonly version: 1;
  /** The digest of the data, as in the recipes of the runs. */
  readonly digest: string;
  /**
   * The user of each case, numbered from 0 in the order of their first cases. Missing if every user
   * has one case.
   */
  readonly userOf?: readonly number[];
  /** By name, the rank of each user's target among the first 10, from 0, or -1. */
  readonly baselines: readonly { readonly name: string; readonly ranks: readonly number[] }[];
}
