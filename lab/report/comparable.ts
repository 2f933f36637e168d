/**
 * Which runs may stand in one report: those that differ in nothing but their variant and their seed.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { DataError } from "../../core/errors.ts";
import type { BaselineResults, RunResult } from "../compare/run_result.ts";
import { lossFlagNames } from "../../models/losses/index.ts";
import type { Recipe } from "../train/recipe.ts";

/** A run and where it was read, for messages. */
export interface SourcedRun {
  /** Its folder, or what else names it. */
  readonly source: string;
  /** The run. */
  readonly run: RunResult;
}

/** What a variant may have of its own. All else of a recipe is the same for all, but for the seed. */
export const OWN: readonly (keyof Recipe)[] = [
  "loss",
  "lossModule",
  ...lossFlagNames,
];

/** Of a variant, the seeds that others have been trained with and it has not. */
export interface MissingSeeds {
  /** Its name. */
  readonly variant: string;
  /** Ascending. */
  readonly seeds: readonly number[];
}

/**
 * Each run once. The same run may be given twice, as by folders that overlap, if it says the same.
 *
 * @throws {DataError} if there is none, a run is given twice with different results, or they differ in data or recipe.
 */
export function comparable(given: readonly SourcedRun[]): RunResult[] {
  if (given.length === 0) throw new DataError("Cannot compare: there must be a run, got none");
  const kept = new Map<string, SourcedRun>();
  for (const next of given) {
    const { variant, recipe: { seed } } = next.run;
    const name = `${variant} of seed ${seed}`;
    const same = kept.get(name);
    if (same === undefined) kept.set(name, next);
    else if (!isDeepStrictEqual(same.run, next.run)) {
      refuse(next, same, `they must be the same results of ${name}`, "different ones");
    }
  }
  const all = [...kept.values()];
  const byVariant = new Map<string, SourcedRun>();
  for (const next of all) {
    const sibling = byVariant.get(next.run.variant);
    if (sibling !== undefined) checkRecipes(next, sibling, []);
    else byVariant.set(next.run.variant, next);
    checkRecipes(next, all[0], OWN);
    checkData(next, all[0]);
  }
  return all.map(({ run }) => run);
}

/** Refuses two runs whose recipes differ in more than the seed and some fields. */
function checkRecipes(a: SourcedRun, b: SourcedRun, own: readonly string[]): void {
  const recipes = [a, b].map(({ run }) => run.recipe as unknown as Record<string, unknown>);
  const fields = new Set(recipes.flatMap((recipe) => Object.keys(recipe)));
  for (const field of fields) {
    if (["seed", ...own].includes(field)) continue;
    const [x, y] = recipes.map((recipe) => recipe[field]);
    if (isDeepStrictEqual(x, y)) continue;
    const values = `${short(x)} and ${short(y)}`;
    const { variant } = a.run;
    if (field === "digest") refuse(a, b, "they must be of the same data", `digests ${values}`);
    const requirement = own.length === 0
      ? `runs of ${variant} must have one ${field}`
      : `they must have one ${field}`;
    refuse(a, b, requirement, values);
  }
}

/** Refuses two runs that were not judged on the same users. */
function checkData(a: SourcedRun, b: SourcedRun): void {
  const [users, others] = [a.run.test.users, b.run.test.users];
  if (users !== others) {
    refuse(a, b, "they must be judged on the same users", `${users} and ${others}`);
  }
  const excludes = a.run.judging.excludeHistory;
  if (excludes !== b.run.judging.excludeHistory) {
    const values = excludes ? "one does and one does not" : "one does not and one does";
    refuse(a, b, "both or none must exclude the history when judged", values);
  }
  const [steps, most] = [a.run, b.run].map(({ test }) => test.beams[0].reached.length);
  if (steps !== most) refuse(a, b, "they must have the same steps", `${steps} and ${most}`);
}

/** @throws {DataError} if baselines are of other data than the runs. */
export function checkBaselinesOf(
  runs: readonly RunResult[],
  baselines: BaselineResults,
  source: string,
): void {
  const { recipe: { digest }, test: { users } } = runs[0];
  if (baselines.digest !== digest) {
    throw new DataError(
      `Cannot use ${source}: its digest must be that of the runs, ${digest}, got ${baselines.digest}`,
    );
  }
  const { userOf = [] } = baselines;
  if (userOf.length > 0 && userOf.length !== users) {
    throw new DataError(
      `Cannot use ${source}: userOf must name the user of the runs' ${users} cases, got ${userOf.length}`,
    );
  }
  for (const { name, ranks } of baselines.baselines) {
    if (ranks.length !== users) {
      throw new DataError(
        `Cannot use ${source}: ${name} must rank the ${users} users of the runs, got ${ranks.length}`,
      );
    }
  }
}

/** The seeds that some variant was trained with and others were not. */
export function missingSeeds(runs: readonly RunResult[]): MissingSeeds[] {
  const all = [...new Set(runs.map(({ recipe }) => recipe.seed))].sort((a, b) => a - b);
  return [...new Set(runs.map(({ variant }) => variant))].flatMap((variant) => {
    const own = runs.filter((run) => run.variant === variant).map(({ recipe }) => recipe.seed);
    const seeds = all.filter((seed) => !own.includes(seed));
    return seeds.length === 0 ? [] : [{ variant, seeds }];
  });
}

function refuse(a: SourcedRun, b: SourcedRun, requirement: string, actual: string): never {
  throw new DataError(
    `Cannot compare ${a.source} and ${b.source}: ${requirement}, got ${actual}`,
  );
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? "none";
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
