/**
 * Reads the folders that comparisons leave behind.
 *
 * @module
 */
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import * as v from "valibot";
import { DataError } from "../../core/errors.ts";
import {
  type BaselineResults,
  BASELINES,
  type FailedRun,
  FAILURE,
  RESULT,
  type RunResult,
} from "../compare/run_result.ts";
import { fileError, isPresent } from "../files.ts";
import { anyRecord, readJson, refuseFile } from "../read_file.ts";
import { checkBaselinesOf, comparable, type SourcedRun } from "./comparable.ts";
import {
  baselineResults,
  checkBaselines,
  checkRun,
  type Complain,
  runResult,
} from "./result_schema.ts";

/** What folders hold. */
export interface Results {
  /** The runs, each once. */
  readonly runs: readonly RunResult[];
  /** The baselines, if there are any. */
  readonly baselines: BaselineResults | undefined;
  /** Folders of runs that are not finished. */
  readonly unfinished: readonly string[];
  /** Runs that cannot be finished. */
  readonly failed: readonly FailedRun[];
}

/**
 * The runs of some folders, `FOLDER/RUN/result.json`, and their baselines, `FOLDER/baselines.json`, as of one comparison.
 *
 * @throws {DataError} if a folder holds no finished run, a file is missing or malformed, or runs cannot be compared.
 */
export function readResults(folders: readonly string[]): Results {
  const runs = comparable(folders.flatMap(readRuns));
  const failed: FailedRun[] = [];
  const unfinished: string[] = [];
  for (const run of folders.flatMap(foldersIn).filter((run) => !isPresent(join(run, RESULT)))) {
    const failure = readFailure(run);
    if (failure === undefined) unfinished.push(run);
    else failed.push({ name: basename(run), reason: failure.reason });
  }
  let baselines: BaselineResults | undefined;
  let first = "";
  for (const folder of folders) {
    const next = readBaselines(folder);
    if (next === undefined) continue;
    checkBaselinesOf(runs, next, join(folder, BASELINES));
    if (baselines !== undefined && !isDeepStrictEqual(baselines, next)) {
      throw new DataError(
        `Cannot use ${join(folder, BASELINES)}: it must say what ${first} says, got something else`,
      );
    }
    if (baselines === undefined) first = join(folder, BASELINES);
    baselines ??= next;
  }
  return { runs, baselines, unfinished, failed };
}

/**
 * The finished runs in a folder, and where each is.
 *
 * @throws {DataError} if there are none, or one is malformed.
 */
export function readRuns(folder: string): SourcedRun[] {
  const runs = foldersIn(folder)
    .filter((source) => isPresent(join(source, RESULT)))
    .map((source): SourcedRun => ({ source, run: readRun(source) }));
  if (runs.length > 0) return runs;
  throw new DataError(
    `Cannot report on ${folder}: it must hold finished runs, RUN/${RESULT}, got none`,
  );
}

/** The folders in a folder, links to folders among them, in an order that does not depend on the system. Other links are skipped. */
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
    return false; // it leads nowhere, or in a circle
  }
}

/**
 * The result in a run's folder.
 *
 * @throws {DataError} if it is missing or malformed.
 */
export function readRun(folder: string): RunResult {
  const found = readJson(folder, RESULT, runResult);
  const complain = complaint(folder, RESULT);
  if (found === undefined) {
    return refuseFile(folder, RESULT, "the file must be there", "no such file");
  }
  const run = found as unknown as RunResult; // the schema leaves names of losses open
  checkRun(run, complain);
  return run;
}

const Failure = v.object({ version: v.literal(1), recipe: anyRecord, reason: v.string() });

/**
 * Why the run of a folder cannot be finished, and its recipe; undefined where nothing says so.
 *
 * @throws {DataError} if the file is malformed.
 */
export function readFailure(folder: string): v.InferOutput<typeof Failure> | undefined {
  return readJson(folder, FAILURE, Failure);
}

/**
 * The baselines in a comparison's folder, if it has any.
 *
 * @throws {DataError} if they are malformed.
 */
export function readBaselines(folder: string): BaselineResults | undefined {
  const found = readJson(folder, BASELINES, baselineResults);
  if (found !== undefined) checkBaselines(found, complaint(folder, BASELINES));
  return found;
}

function complaint(folder: string, file: string): Complain {
  return (place, ...what) => refuseFile(folder, `${file} at "${place}"`, ...what);
}
