/**
 * Which runs may stand in one report: runs of the same users and targets, judged in the same way.
 * Where their codes or their settings of training differ, their variants say so.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { DataError } from "../../core/errors.ts";
import { formatSpec, parseSpec } from "../codes/spec.ts";
import { lossFlagNames, lossFlags } from "../../models/losses/index.ts";
import type { BaselineResults, RunResult } from "../compare/run_result.ts";
import type { Recipe } from "../train/recipe.ts";

/** A run and where it was read: its folder, or another name for messages. */
export type SourcedRun = { readonly source: string; readonly run: RunResult };

/** The names of fields of a recipe. */
export type Fields = readonly (keyof Recipe)[];

/** The fields of a recipe that belong to its loss. */
export const LOSS_SETTINGS: Fields = ["loss", "lossModule", ...lossFlagNames];

/** The fields of a recipe in which runs may differ if their variants name them. */
const TRAINING_SETTINGS: Fields = [
  ...["lr", "dropout", "decay", "epochs", "warmup", "batch", "accumulate", "history"] as const,
  ...["layers", "dim", "heads", "kvHeads", "ffn", "model", "lora"] as const,
];

/** The fields of how data are read that say how items are written and read. */
const OF_CODES = ["codes", "index", "input"] as const;

/** The seeds, ascending, that a variant lacks and others have. */
export type MissingSeeds = { readonly variant: string; readonly seeds: readonly number[] };

/** How the items of a run are written and read. */
export function codesOf({ recipe: { reading: { codes, index, input } } }: RunResult): string {
  const written = [withoutDefaults(codes), index].filter((name) => name !== undefined)
    .join(" of ") || "the data's codes";
  return input === undefined ? written : `${written} with input ${input}`;
}

/** A recipe without its digest and how items are written and read. */
export function withoutCodes(
  {
    digest: _digest,
    reading: { codes: _codes, index: _index, input: _input, ...reading },
    ...rest
  }: Recipe,
): Record<string, unknown> {
  return { ...rest, reading };
}

/** Codes without options that have their defaults. */
function withoutDefaults(codes: string | undefined): string | undefined {
  return codes?.includes(":") ? formatSpec(parseSpec(codes)) : codes;
}

/** Whether runs differ in how their items are written. */
export function hasSeveralCodes(runs: readonly RunResult[]): boolean {
  return new Set(runs.map(codesOf)).size > 1;
}

/** The settings of variants: those of losses, and those of training that differ between runs. */
export function settingsOf(runs: readonly RunResult[]): Fields {
  return [...LOSS_SETTINGS, ...differing(runs, TRAINING_SETTINGS)];
}

/** The fields in which the recipes of runs differ. */
function differing<F extends keyof Recipe>(
  runs: readonly RunResult[],
  fields: readonly F[],
): readonly F[] {
  return fields.filter((field) =>
    runs.some(({ recipe }) => !isDeepStrictEqual(recipe[field], runs[0].recipe[field]))
  );
}

/**
 * Runs whose variants say how items are written and how they were trained, as in
 * "msl codes=hierarchical:64x16 dropout=0.3", where that differs between runs. Settings of a loss
 * are named where runs of one variant differ in them.
 */
export function namedBySettings(runs: readonly RunResult[]): RunResult[] {
  const codes = OF_CODES.filter((field) =>
    new Set(runs.map(({ recipe }) => recipe.reading[field])).size > 1
  );
  const shared = differing(runs, TRAINING_SETTINGS);
  const byVariant = Map.groupBy(runs, ({ variant }) => variant);
  const models = distinctEnds(runs.flatMap(({ recipe: { model } }) => model ?? []));
  const valueOf = ({ model, lora, ...recipe }: Recipe, field: keyof Recipe): unknown => {
    if (field === "model") return model && models.get(model);
    return field === "lora" ? lora?.targets : recipe[field];
  };
  return runs.map((run) => {
    const { variant, recipe } = run;
    const own = differing(byVariant.get(variant) ?? [], lossFlagNames);
    const labels = [
      ...codes.map((field) => [field, withoutDefaults(recipe.reading[field])]),
      ...own.map((field) => [lossFlags[field].symbol ?? field, recipe[field]]),
      ...shared.map((field) => [field, valueOf(recipe, field)]),
    ].filter(([, value]) => value !== undefined).map(([name, value]) => `${name}=${value}`);
    const words = variant.split(" ");
    const added = labels.filter((label) => !words.includes(label)); // others have been named before
    return added.length === 0 ? run : { ...run, variant: [variant, ...added].join(" ") };
  });
}

/** The ends of paths that tell them apart: "read/x" and "other/x" of "a/read/x" and "a/other/x". */
function distinctEnds(paths: readonly string[]): Map<string, string> {
  const split = paths.map((path) => path.split(/[\\/]/));
  const shortest = Math.min(...split.map(({ length }) => length));
  const [first = []] = split;
  const shared = first.findIndex((part, i) =>
    i + 1 === shortest || split.some((path) => path[i] !== part)
  );
  return new Map(paths.map((path, i) => [path, split[i].slice(shared).join("/")]));
}

/**
 * Each run once, named by its codes and settings where these differ. A run may be given twice, as
 * by folders that overlap, if both say the same.
 *
 * @throws {DataError} if there is no run, a run has two different results, or the runs differ in
 * data, device, or in how they were validated or judged.
 */
export function comparable(sourced: readonly SourcedRun[]): RunResult[] {
  if (sourced.length === 0) throw new DataError("Cannot compare: there must be a run, got none");
  const runs = namedBySettings(sourced.map(({ run }) => run));
  const given = sourced.map(({ source }, i): SourcedRun => ({ source, run: runs[i] }));
  const kept = new Map<string, SourcedRun>();
  const siblings = new Map<string, SourcedRun>();
  for (const next of given) {
    const { variant, recipe: { seed } } = next.run;
    const name = `${variant} of seed ${seed}`;
    const same = kept.get(name);
    if (same === undefined) kept.set(name, next);
    else if (!isDeepStrictEqual(same.run, next.run)) {
      checkData(next, same);
      refuse(next, same, `they must be the same results of ${name}`, "different ones");
    }
  }
  for (const next of kept.values()) {
    const { variant } = next.run;
    const sibling = siblings.get(variant);
    if (sibling === undefined) siblings.set(variant, next);
    else checkRecipes(next, sibling, [], `runs of ${variant} must have one`);
    checkRecipes(next, given[0], [...LOSS_SETTINGS, ...TRAINING_SETTINGS], "they must have one");
    checkData(next, given[0]);
  }
  return [...kept.values()].map(({ run }) => run);
}

/** Refuses two runs whose recipes differ in more than codes, seed and the fields of `own`. */
function checkRecipes(
  a: SourcedRun,
  b: SourcedRun,
  own: readonly string[],
  requirement: string,
): void {
  const isCodedAlike = codesOf(a.run) === codesOf(b.run);
  const recipes = [a, b].map(({ run: { recipe } }) => {
    const { digest } = recipe;
    return new Map(Object.entries({ ...withoutCodes(recipe), ...(isCodedAlike && { digest }) }));
  });
  for (const field of new Set(recipes.flatMap((recipe) => [...recipe.keys()]))) {
    const [x, y] = recipes.map((recipe) => recipe.get(field));
    if (field === "seed" || own.includes(field) || isDeepStrictEqual(x, y)) continue;
    const values = `${short(x)} and ${short(y)}`;
    if (field === "digest") {
      refuse(a, b, "they must be of the same data and codes", `digests ${values}`);
    }
    refuse(a, b, `${requirement} ${field}`, values);
  }
  if (!isCodedAlike) checkSequences(a, b);
}

/** Refuses two runs of different codes that are not known to be of the same users and targets. */
function checkSequences(a: SourcedRun, b: SourcedRun): void {
  const [x, y] = [a, b].map(({ run }) => run.data.sequences);
  const old = x === undefined ? a : y === undefined ? b : undefined;
  if (old !== undefined) {
    const remedy =
      "remove the result.json of such runs and repeat their commands, which judge the " +
      "models again without training";
    const actual = `none in ${old.source}, which an earlier version wrote; ${remedy}`;
    refuse(a, b, "runs with different codes must have a digest of their users and targets", actual);
  }
  if (x !== y) {
    refuse(a, b, "they must be of the same users and targets", `digests "${x}" and "${y}"`);
  }
}

/** Refuses two runs that were not judged on the same users in the same way. */
function checkData(a: SourcedRun, b: SourcedRun): void {
  const check = (requirement: string, of: (run: RunResult) => unknown): void => {
    const [x, y] = [of(a.run), of(b.run)];
    if (x !== y) refuse(a, b, requirement, `${x} and ${y}`);
  };
  check("they must be judged on the same users", ({ test }) => test.users);
  check("both or none must exclude the history when judged", (run) => run.judging.excludeHistory);
  if (codesOf(a.run) !== codesOf(b.run)) return;
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
  const { test: { users } } = runs[0];
  const digests = [...new Set(runs.map(({ recipe }) => recipe.digest))];
  const check = (holds: boolean, requirement: string, actual: string | number): void => {
    if (!holds) throw new DataError(`Cannot use ${source}: ${requirement}, got ${actual}`);
  };
  const isLong = [0, users].includes(userOf.length);
  const isOfRuns = digests.includes(digest);
  check(isOfRuns, `its digest must be that of the runs, ${digests.join(" or ")}`, digest);
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
