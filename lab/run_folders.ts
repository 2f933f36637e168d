/**
 * What an experiment leaves in its `--out` folder: a folder for each run, and `summary.json`.
 *
 * @module
 */
import { join } from "node:path";
import { CheckpointError } from "../core/errors.ts";
import { makeFolder, readIfPresent, writeFileAtomic } from "./files.ts";
import type { Recipe } from "./recipe.ts";
import { RunFolder } from "./run_folder.ts";
import type { RunSummary, Summary } from "./summary.ts";

/** The name of a run, and of its folder: `bear-seed0`. */
export function runName({ loss, seed }: { readonly loss: string; readonly seed: number }): string {
  return `${loss}-seed${seed}`;
}

/** The runs of a summary as it is on disk; none where it is missing or of another layout. */
function runsIn(bytes: Uint8Array | undefined): readonly RunSummary[] {
  if (bytes === undefined) return [];
  try {
    const { version, runs } = JSON.parse(new TextDecoder().decode(bytes));
    return version === 2 && Array.isArray(runs) ? runs : [];
  } catch {
    return [];
  }
}

/** The folder of an experiment. */
export class RunFolders {
  readonly #folder: string;
  readonly #runs: ReadonlyMap<string, RunFolder>;

  /**
   * Opens the folder: an empty or new one, or, to resume, one that holds at least one of the runs.
   *
   * @throws {CheckpointError} if it holds runs and `resume` is false, holds none and `resume` is true, or holds a run of
   * another recipe.
   * @throws {DataError} if the system refuses.
   */
  constructor(folder: string, recipes: readonly Recipe[], resume: boolean) {
    const present = recipes.filter((recipe) => RunFolder.isStarted(join(folder, runName(recipe))));
    if (present.length > 0 && !resume) {
      throw new CheckpointError(
        `Cannot start in ${folder}: it must not hold these runs already, got ${
          present.map(runName).join(", ")
        }; go on with --resume, or name another --out`,
      );
    }
    if (present.length === 0 && resume) {
      throw new CheckpointError(
        `Cannot resume from ${folder}: it must hold a checkpoint of ${
          recipes.map(runName).join(", ")
        }, got none`,
      );
    }
    this.#folder = folder;
    this.#runs = new Map(recipes.map((recipe) => {
      const name = runName(recipe);
      return [name, new RunFolder(join(folder, name), recipe)];
    }));
    makeFolder(folder);
  }

  /** The folder of a run. */
  of(recipe: Recipe): RunFolder {
    return this.#runs.get(runName(recipe)) as RunFolder;
  }

  /** Writes `summary.json`. Runs of earlier experiments in the same folder stay in it. */
  writeSummary(summary: Summary): void {
    const path = join(this.#folder, "summary.json");
    const known = new Set(summary.runs.map(({ loss, seed }) => runName({ loss, seed })));
    const others = runsIn(readIfPresent(path)).filter((run) => !known.has(runName(run)));
    const all = { ...summary, runs: [...others, ...summary.runs] };
    writeFileAtomic(path, `${JSON.stringify(all, null, 2)}\n`);
  }
}
