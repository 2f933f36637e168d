/**
 * What an experiment leaves in its `--out` folder: a folder for each run, and `summary.json`.
 *
 * @module
 */
import { join } from "node:path";
import { CheckpointError } from "../../core/errors.ts";
import { oneLine, repeatedKey } from "../../models/json.ts";
import { isObject, parseJson } from "./checkpoint.ts";
import { isPresent, makeFolder, readIfPresent, writeFileAtomic } from "../files.ts";
import { FolderLock } from "./folder_lock.ts";
import type { Recipe } from "./recipe.ts";
import { RunFolder } from "./run_folder.ts";
import type { RunSummary, Summary } from "./summary.ts";

/** Of the layout of `summary.json`. */
const VERSION: Summary["version"] = 2;

/** The name of a run, and of its folder: `bear-seed0`. */
export function runName({ loss, seed }: { readonly loss: string; readonly seed: number }): string {
  return `${loss}-seed${seed}`;
}

/** The folder of an experiment, locked until it is disposed. */
export class RunFolders implements Disposable {
  readonly #summary: string;
  readonly #runs = new Map<string, RunFolder>();
  readonly #earlier: readonly RunSummary[];
  readonly #open: DisposableStack;

  /**
   * Opens the folder and locks it: an empty or new one, or, to resume, one that is there. `note` is called with what resuming finds
   * nothing of.
   *
   * @throws {CheckpointError} if it holds runs and `resume` is false, is not there and `resume` is true, holds a run of another
   * recipe, or a `summary.json` that cannot be added to.
   * @throws {DataError} if another process writes there, or the system refuses.
   */
  constructor(
    folder: string,
    recipes: readonly Recipe[],
    resume: boolean,
    note?: (text: string) => void,
  ) {
    if (resume && !isPresent(folder)) {
      throw new CheckpointError(`Cannot resume from ${folder}: the folder must exist, got none`);
    }
    makeFolder(folder);
    using open = new DisposableStack();
    open.use(new FolderLock(folder));
    const isStarted = (recipe: Recipe): boolean =>
      RunFolder.isStarted(join(folder, runName(recipe)));
    const [present, absent] = [true, false].map((started) =>
      recipes.filter((recipe) => isStarted(recipe) === started).map(runName)
    );
    if (present.length > 0 && !resume) {
      throw new CheckpointError(
        `Cannot start in ${folder}: it must not hold these runs already, got ${
          present.join(", ")
        }; go on with --resume, or name another --out`,
      );
    }
    this.#summary = join(folder, "summary.json");
    this.#earlier = readSummary(this.#summary); // before anything is trained
    for (const recipe of recipes) {
      const name = runName(recipe);
      this.#runs.set(name, open.use(new RunFolder(join(folder, name), recipe)));
    }
    if (resume) {
      for (const name of absent) note?.(`${name} starts afresh: it was not saved before`);
    }
    this.#open = open.move();
  }

  /** Gives the folder free for other processes. */
  [Symbol.dispose](): void {
    this.#open.dispose();
  }

  /** The folder of a run. */
  of(recipe: Recipe): RunFolder {
    return this.#runs.get(runName(recipe)) as RunFolder;
  }

  /** Writes `summary.json`. Runs of earlier experiments in the same folder stay in it. */
  writeSummary(summary: Summary): void {
    const known = new Set(summary.runs.map(runName));
    const others = this.#earlier.filter((run) => !known.has(runName(run)));
    const all = { ...summary, runs: [...others, ...summary.runs] };
    writeFileAtomic(this.#summary, `${JSON.stringify(all, null, 2)}\n`);
  }
}

/** The runs of a summary; none where there is no file. What cannot be read is refused: it would be overwritten. */
function readSummary(path: string): readonly RunSummary[] {
  const bytes = readIfPresent(path);
  if (bytes === undefined) return [];
  const text = new TextDecoder().decode(bytes);
  const found = parseJson(text);
  const twice = found === undefined ? undefined : repeatedKey(text);
  const isRun = (run: unknown): boolean =>
    isObject(run) && typeof run.loss === "string" && typeof run.seed === "number";
  if (isObject(found) && found.version === VERSION && twice === undefined) {
    const { runs } = found;
    if (Array.isArray(runs) && runs.every(isRun)) return runs;
  }
  const got = isObject(found) && found.version !== VERSION
    ? `version ${oneLine(JSON.stringify(found.version) ?? "none")}`
    : twice === undefined
    ? "something else"
    : `the key ${oneLine(twice)} twice`;
  throw new CheckpointError(
    `Cannot add to ${path}: it must be a summary of version ${VERSION}, got ${got}; ` +
      "move it away, or name another --out",
  );
}
