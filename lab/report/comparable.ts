/**
 * Which runs may stand in one report: runs that differ in their variant and their seed only.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { DataError } from "../../core/errors.ts";
import { lossFlagNames } from "../../models/losses/index.ts";
import type { BaselineResults, RunResult } from "../compare/run_result.ts";
import type { Recipe } from "../train/recipe.ts";

/** A run and where it was read: its folder, or another name for messages. */
export type SourcedRun = { readonly source: string; readonly run: RunResult };

/** The fields of a recipe in which variants may differ. The others, but the seed, are shared. */
export const OWN: readonly (keyof Recipe)[] = ["loss", "lossModule", ...lossFlagNames];

/** The seeds, ascending, that a variant lacks and others have. */
export type MissingSeeds = { readonly variant: string; readonly seeds: readonly number[] };

/**
 * Each run once. A run may be given twice, as by folders that overlap, if both say the same.
 *
 * @throws {DataError} if there is no run, a run has two different results, or the runs differ in
 * data or recipe.
 */
export function comparable(given: readonly SourcedRun[]): RunResult[] {
  if (given.length === 0) throw new DataError("Cannot compare: there must be a run, got none");
  const kept = new Map<string, SourcedRun>();
  const siblings = new Map<string, SourcedRun>();
  for (const next of given) {
    const { variant, recipe: { seed } } = next.run;
    const name = `${variant} of seed ${seed}`;
    const same = kept.get(name);
    if (same === undefined) kept.set(name, next);
    else if (!isDeepStrictEqual(same.run, next.run)) {
      checkCodes(next, same);
      refuse(next, same, `they must be the same results of ${name}`, "different ones");
    }
  }
  for (const next of kept.values()) {
    const { variant } = next.run;
    const sibling = siblings.get(variant);
    if (sibling === undefined) siblings.set(variant, next);
    else checkRecipes(next, sibling, [], `runs of ${variant} must have one`);
    checkRecipes(next, given[0], OWN, "they must have one");
    checkData(next, given[0]);
  }
  return [...kept.values()].map(({ run }) => run);
}

/** Refuses two runs whose recipes differ in more than the seed and the fields of `own`. */
function checkRecipes(
  a: SourcedRun,
  b: SourcedRun,
  own: readonly string[],
  requirement: string,
): void {
  checkCodes(a, b);
  const recipes = [a, b].map(({ run }) => new Map(Object.entries(run.recipe)));
  for (const field of new Set(recipes.flatMap((recipe) => [...recipe.keys()]))) {
    const [x, y] = recipes.map((recipe) => recipe.get(field));
    if (field === "seed" || own.includes(field) || isDeepStrictEqual(x, y)) continue;
    const values = `${short(x)} and ${short(y)}`;
    if (field === "digest") refuse(a, b, "they must be of the same data", `digests ${values}`);
    refuse(a, b, `${requirement} ${field}`, values);
  }
}

/** Refuses two runs whose items are written with different codes. */
function checkCodes(a: SourcedRun, b: SourcedRun): void {
  const [x, y] = [a, b].map(({ run }) => run.recipe.reading.codes ?? "semantic");
  if (x !== y) refuse(a, b, "they must have the same --codes", `${x} and ${y}`);
}

/** Refuses two runs that were not judged on the same users in the same way. */
function checkData(a: SourcedRun, b: SourcedRun): void {
  const check = (requirement: string, of: (run: RunResult) => unknown): void => {
    const [x, y] = [of(a.run), of(b.run)];
    if (x !== y) refuse(a, b, requirement, `${x} and ${y}`);
  };
  check("they must be judged on the same users", ({ test }) => test.users);
  check("both or none must exclude the history when judged", (run) => run.judging.excludeHistory);
  check("they must have the same steps", ({ test }) => test.beams[0].reached.length);
}

/**
 * Checks that baselines are of the data of the runs.
 *
 * @throws {DataError} if they are not.
 */
export function checkBaselinesOf(
  runs: readonly RunResult[],
  { digest, userOf = [], baselines }: BaselineResults,
  source: string,
): void {
  const { recipe, test: { users } } = runs[0];
  const check = (holds: boolean, requirement: string, actual: string | number): void => {
    if (!holds) throw new DataError(`Cannot use ${source}: ${requirement}, got ${actual}`);
  };
  const isLong = [0, users].includes(userOf.length);
  check(digest === recipe.digest, `its digest must be that of the runs, ${recipe.digest}`, digest);
  check(isLong, `userOf must name the user of the runs' ${users} cases`, userOf.length);
  for (const { name, ranks: { length } } of baselines) {
    check(length === users, `${name} must rank the ${users} users of the runs`, length);
  }
}

/** The seeds that each variant lacks and others have. */
export function missingSeeds(runs: readonly RunResult[]): MissingSeeds[] {
  const all = [...new Set(runs.map(({ recipe }) => recipe.seed))].sort((a, b) => a - b);
  return [...new Set(runs.map(({ variant }) => variant))].flatMap((variant) => {
    const own = runs.filter((run) => run.variant === variant).map(({ recipe }) => recipe.seed);
    const seeds = all.filter((seed) => !own.includes(seed));
    return seeds.length === 0 ? [] : [{ variant, seeds }];
  });
}

function refuse(a: SourcedRun, b: SourcedRun, requirement: string, actual: string): never {
  throw new DataError(`Cannot compare ${a.source} and ${b.source}: ${requirement}, got ${actual}`);
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? "none";
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
