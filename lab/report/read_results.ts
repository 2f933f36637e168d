/**
 * Reads the folders of comparisons. The schemas are those of the types in
 * `lab/compare/run_result.ts`.
 *
 * @module
 */
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import * as v from "valibot";
import { DataError } from "../../core/errors.ts";
import { SEARCHES } from "../analysis/searches.ts";
import { modelTheorems, type TheoremId } from "../analysis/user_theorems.ts";
import {
  type BaselineResults,
  BASELINES,
  type BeamOutcome,
  BINS,
  type FailedRun,
  FAILURE,
  RESULT,
  type RunResult,
} from "../compare/run_result.ts";
import { SEARCH_METHODS } from "../../models/decode/open_search.ts";
import { fileError, isPresent } from "../files.ts";
import { anyRecord, loadJson, readJson } from "../read_file.ts";
import { fromJson, type Recipe } from "../train/recipe.ts";
import { checkBaselinesOf, comparable, type SourcedRun } from "./comparable.ts";
import { sum } from "./statistics.ts";

/** A report has a row for each epoch. */
const MOST_EPOCHS = 1_000_000;

const finite = v.pipe(v.number(), v.finite("it must be finite"));
const integer = v.pipe(v.number(), v.safeInteger("it must be a whole number"));
const notNegative = v.pipe(finite, v.minValue(0, "it must be at least 0"));
const count = v.pipe(integer, v.minValue(0, "it must be at least 0"));
const positive = v.pipe(integer, v.minValue(1, "it must be at least 1"));
const rank = v.pipe(integer, v.minValue(-1, "it must be at least -1"));
const name = v.pipe(v.string(), v.nonEmpty("it must not be empty"));
const counts = v.array(count);
const histogram = v.pipe(counts, v.length(BINS, `it must have ${BINS} entries`));
const version = v.literal(1);

const recipe = v.pipe(
  v.looseObject({
    ...v.entriesFromList(["data", "digest", "loss"], name),
    ...v.entriesFromList(["xi", "lambda", "tau", "dropout", "rate", "decay"], finite),
    ...v.entriesFromList(["seed", "warmup"], count),
    ...v.entriesFromList(["layers", "dim", "heads", "kvHeads", "ffn"], positive),
    ...v.entriesFromList(["beam", "history", "batch"], positive),
    epochs: v.pipe(positive, v.maxValue(MOST_EPOCHS, `it must be at most ${MOST_EPOCHS}`)),
    reading: v.looseObject({}),
    device: v.picklist(["cpu", "webgpu"]),
  }),
  v.transform((json) => fromJson(json) as unknown as Recipe),
);

const beamOutcome = v.object({
  beam: positive,
  ranks: v.array(rank),
  exactRanks: v.array(rank),
  ...v.entriesFromList(["lostAt", "reached", "violated", "vacuous"], counts),
  pruned: v.object(v.entriesFromList(["violation", "displacement", "length", "tie"], counts)),
  margins: v.object(v.entriesFromList(["before", "after"], v.array(histogram))),
  certificates: v.object(v.entriesFromList(["retrieved", "pruned", "undecided"], count)),
  exactLists: count,
});

const codeLevel = v.object({
  ...v.entriesFromList(["tokens", "nodes", "parents"], positive),
  ...v.entriesFromList(["perplexity", "siblings"], notNegative),
  children: v.object(v.entriesFromList(["min", "median", "max"], positive)),
  wide: count,
  together: v.optional(notNegative),
});

/** Theorems that a run was not checked on have no instances. */
const theoremCounts = v.object(
  v.entriesFromList(
    Object.keys(modelTheorems) as TheoremId[],
    v.optional(
      v.object(v.entriesFromList(["instances", "holds", "undecided", "violations"], count)),
      { instances: 0, holds: 0, undecided: 0, violations: 0 },
    ),
  ),
);

/** `result.json`. */
const runResult = fitting<RunResult>(
  v.object({
    version,
    variant: name,
    command: v.optional(name),
    recipe,
    adapter: v.string(),
    data: v.object({ name, users: count, items: count, sequences: v.optional(name) }),
    codes: v.optional(v.pipe(v.array(codeLevel), v.nonEmpty("it must not be empty"))),
    parameters: count,
    epochs: positive,
    bestEpoch: positive,
    steps: positive,
    seconds: v.object(v.entriesFromList(["training", "validation", "judging"], notNegative)),
    tokensPerSecond: notNegative,
    curve: v.array(v.object({ step: count, epoch: notNegative, loss: finite })),
    validation: v.array(
      v.object({ epoch: positive, hr: finite, ndcg: finite, seconds: notNegative }),
    ),
    judging: v.object({
      beams: v.array(positive),
      excludeHistory: v.boolean(),
      search: v.optional(v.object({
        normalization: v.picklist(["children", "vocabulary"]),
        tau: v.pipe(finite, v.gtValue(0, "it must be above 0")),
        method: v.optional(v.picklist(SEARCHES)),
        budget: v.optional(positive),
        lengthPenalty: v.optional(finite),
      })),
    }),
    test: v.object({
      users: positive,
      absent: count,
      beams: v.pipe(v.array(beamOutcome), v.nonEmpty("it must not be empty")),
    }),
    costs: v.optional(v.object({
      cases: positive,
      searches: v.array(v.object({
        method: v.picklist(SEARCH_METHODS),
        beam: v.optional(positive),
        ranks: v.array(rank),
        certified: count,
        ...v.entriesFromList(["rows", "milliseconds"], notNegative),
      })),
      widths: v.array(v.nullable(positive)),
    })),
    gradient: v.optional(v.array(v.object({ margin: finite, weight: finite }))),
    verification: v.optional(v.object({ users: count, counts: theoremCounts })),
  }),
  misfitsOfRun,
);

/** `failed.json`. */
const failure = v.object({ version, recipe: anyRecord, reason: v.string() });

/** `baselines.json`. */
const baselineResults = fitting<BaselineResults>(
  v.object({
    version,
    digest: name,
    userOf: v.optional(counts),
    baselines: v.array(v.object({ name, ranks: v.array(rank) })),
  }),
  misfitsOfBaselines,
);

/** A schema whose parts must fit each other, too. Only the first misfit is reported. */
function fitting<T>(
  schema: v.GenericSchema<unknown, T>,
  misfits: (given: T) => Generator<Misfit>,
): v.GenericSchema<unknown, T> {
  return v.pipe(
    schema,
    v.rawCheck(({ dataset, addIssue }) => {
      const [misfit] = dataset.typed ? misfits(dataset.value) : [];
      if (misfit === undefined) return;
      const [place, message, actual] = misfit;
      const [first, ...rest] = place.split(".").map((key) => (
        { type: "unknown", origin: "value", input: undefined, key, value: undefined } as const
      ));
      addIssue({ message, received: `${actual}`, path: [first, ...rest] });
    }),
  );
}

/** What folders hold. */
export type Results = {
  /** The runs, each once. */
  readonly runs: readonly RunResult[];
  /** The rankings that need no training, if a folder has them. */
  readonly baselines: BaselineResults | undefined;
  /** Folders of runs that are not finished, and folders in which no run has begun. */
  readonly unfinished: readonly string[];
  /** Runs that cannot be finished. */
  readonly failed: readonly FailedRun[];
};

/**
 * The runs of some folders, `FOLDER/RUN/result.json`, and their baselines, `FOLDER/baselines.json`,
 * as one comparison. A folder also stands for the comparisons in it, such as those with several
 * kinds of codes.
 *
 * @throws {DataError} if there is no finished run, a file is missing or malformed, or the runs
 * cannot be compared.
 */
export function readResults(given: readonly string[]): Results {
  const folders = given.flatMap((folder) => {
    const inner = foldersIn(folder).filter(isComparison);
    return inner.length > 0 && runsIn(folder).length === 0 ? inner : [folder, ...inner];
  });
  const runs = comparable(readRuns(folders));
  const failed: FailedRun[] = [];
  const unfinished = folders.filter((folder) => runsIn(folder).length === 0);
  for (const run of folders.flatMap(runsIn).filter((run) => !isPresent(join(run, RESULT)))) {
    const reason = readFailure(run)?.reason;
    if (reason === undefined) unfinished.push(run);
    else failed.push({ name: folders.length > 1 ? run : basename(run), reason });
  }
  const found = folders.flatMap((folder) => {
    const baselines = readBaselines(folder);
    return baselines === undefined ? [] : [{ file: join(folder, BASELINES), baselines }];
  });
  for (const { file, baselines } of found) {
    checkBaselinesOf(runs, baselines, file);
    const { digest } = found[0].baselines; // which is another one if the codes are
    if (isDeepStrictEqual({ ...baselines, digest }, found[0].baselines)) continue;
    throw new DataError(
      `Cannot use ${file}: it must be the same as ${found[0].file}, got other rankings`,
    );
  }
  return { runs, baselines: found[0]?.baselines, unfinished, failed };
}

/**
 * The finished runs in some folders, each with its own folder. Some of the folders may have none.
 *
 * @throws {DataError} if there are none in all of them, or one is malformed.
 */
export function readRuns(folders: readonly string[]): SourcedRun[] {
  const runs = folders.flatMap(runsIn)
    .filter((source) => isPresent(join(source, RESULT)))
    .map((source) => ({ source, run: readResult(source) }));
  if (runs.length > 0) return runs;
  throw new DataError(
    `Cannot report on ${folders.join(", ")}: there must be finished runs, RUN/${RESULT}, got none`,
  );
}

/** The folders of runs in the folder of a comparison. */
function runsIn(folder: string): string[] {
  return foldersIn(folder).filter((inner) => !isComparison(inner));
}

/** Whether a folder has finished runs or, as that of a first shard, their baselines. */
function isComparison(folder: string): boolean {
  return isPresent(join(folder, BASELINES)) ||
    foldersIn(folder).some((run) => isPresent(join(run, RESULT)));
}

/** The folders in a folder, and links to folders, sorted. Other links are skipped. */
function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) =>
        entry.isDirectory() || (entry.isSymbolicLink() && isFolder(join(folder, entry.name)))
      )
      .map(({ name }) => join(folder, name)).sort();
  } catch (error) {
    throw fileError("read", folder, error);
  }
}

function isFolder(link: string): boolean {
  try {
    return statSync(link).isDirectory();
  } catch {
    return false; // the link is broken or circular
  }
}

/**
 * The result in the folder of a run.
 *
 * @throws {DataError} if it is missing or malformed.
 */
export function readResult(folder: string): RunResult {
  return loadJson(folder, RESULT, runResult);
}

/**
 * Why the run of a folder cannot be finished, and its recipe; undefined if no file says so.
 *
 * @throws {DataError} if the file is malformed.
 */
export function readFailure(
  folder: string,
): { readonly recipe: Readonly<Record<string, unknown>>; readonly reason: string } | undefined {
  return readJson(folder, FAILURE, failure);
}

/**
 * The baselines in the folder of a comparison, if it has any.
 *
 * @throws {DataError} if they are malformed.
 */
export function readBaselines(folder: string): BaselineResults | undefined {
  return readJson(folder, BASELINES, baselineResults);
}

/** What does not fit: its place, what it must be, and what it is. */
type Misfit = readonly [place: string, requirement: string, actual: number | string];

/** What does not fit in a run. */
function* misfitsOfRun({ test, costs, epochs, bestEpoch, recipe }: RunResult): Generator<Misfit> {
  const { users, absent, beams } = test;
  yield* atMost("test.absent", absent, users);
  yield* atMost("epochs", epochs, recipe.epochs);
  yield* atMost("bestEpoch", bestEpoch, epochs);
  if (costs !== undefined) {
    const { cases, searches, widths } = costs;
    yield* atMost("costs.cases", cases, users);
    yield* list("costs.widths", widths, cases);
    for (const [i, { ranks, certified }] of searches.entries()) {
      yield* list(`costs.searches.${i}.ranks`, ranks, cases);
      yield* atMost(`costs.searches.${i}.certified`, certified, cases);
    }
  }
  for (const [i, outcome] of beams.entries()) {
    const at = `test.beams.${i}`;
    const above = i === 0 ? 0 : beams[i - 1].beam;
    if (outcome.beam <= above) yield [`${at}.beam`, `it must be above ${above}`, outcome.beam];
    yield* misfitsOfOutcome(outcome, at, users, beams[0].reached.length);
  }
}

function* misfitsOfOutcome(
  { beam, ranks, exactRanks, pruned, reached, margins, certificates, ...outcome }: BeamOutcome,
  at: string,
  users: number,
  steps: number,
): Generator<Misfit> {
  yield* list(`${at}.ranks`, ranks, users, () => beam - 1);
  yield* list(`${at}.exactRanks`, exactRanks, users, () => beam - 1);
  yield* list(`${at}.lostAt`, outcome.lostAt, users, () => steps);
  yield* list(`${at}.reached`, reached, steps, () => users);
  yield* list(`${at}.violated`, outcome.violated, steps, (t) => reached[t]);
  yield* list(`${at}.vacuous`, outcome.vacuous, steps, (t) => reached[t]);
  for (const [name, lists] of Object.entries({ margins, pruned })) {
    for (const [key, one] of Object.entries(lists)) yield* list(`${at}.${name}.${key}`, one, steps);
  }
  const lost = ranks.filter((rank, user) => rank < 0 && exactRanks[user] >= 0).length;
  const counted = sum(Object.values(pruned).flat());
  if (counted !== lost) {
    yield [`${at}.pruned`, `it must count the ${lost} targets that the search lost`, counted];
  }
  const certified = sum(Object.values(certificates));
  if (certified > users) yield [`${at}.certificates`, `they must be of ${users} users`, certified];
  yield* atMost(`${at}.exactLists`, outcome.exactLists, users);
}

/** What does not fit in baselines. */
function* misfitsOfBaselines({ baselines, userOf }: BaselineResults): Generator<Misfit> {
  const cases = baselines[0]?.ranks.length ?? userOf?.length ?? 0;
  if (userOf !== undefined) {
    let users = 0; // so far: each user is one of these, or the next
    yield* list("userOf", userOf, cases, (i) => {
      const bound = users;
      users = Math.max(users, userOf[i] + 1);
      return bound;
    });
  }
  for (const [i, { name, ranks }] of baselines.entries()) {
    yield* list(`baselines.${i}.ranks`, ranks, cases);
    const isTwice = baselines.slice(0, i).some((other) => other.name === name);
    if (isTwice) yield [`baselines.${i}.name`, "it must occur once", `${name} twice`];
  }
}

function* atMost(place: string, actual: number, most: number): Generator<Misfit> {
  if (actual > most) yield [place, `it must be at most ${most}`, actual];
}

/** A list must have some length, and its numbers must not be above their bounds. */
function* list(
  place: string,
  values: readonly unknown[],
  length: number,
  mostAt: (i: number) => number = () => Infinity,
): Generator<Misfit> {
  if (values.length !== length) yield [place, `it must have ${length} entries`, values.length];
  const bounds = values.map((_, i) => mostAt(i));
  const i = values.findIndex((value, i) => (value as number) > bounds[i]);
  if (i >= 0) yield* atMost(`${place}.${i}`, values[i] as number, bounds[i]);
}
