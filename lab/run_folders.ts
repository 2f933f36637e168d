/**
 * What an experiment leaves in its `--out` folder: `metrics.jsonl`, a folder with a checkpoint for each run, and
 * `summary.json`.
 *
 * @module
 */
import { join } from "node:path";
import { CheckpointError } from "../core/errors.ts";
import {
  checkRecipe,
  loadRun,
  restoreRun,
  type SavedRun,
  saveRun,
  truncateMetrics,
} from "./checkpoint.ts";
import { appendLine, isPresent, makeFolder, readIfPresent, writeFileAtomic } from "./files.ts";
import type { Recipe } from "./recipe.ts";
import type { RunSummary, Summary } from "./summary.ts";
import type { Trainer, TrainReport } from "./trainer.ts";

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
  readonly #saved: ReadonlyMap<string, SavedRun>;

  /**
   * Opens the folder: an empty or new one, or, to resume, one that holds at least one of the runs.
   *
   * @throws {CheckpointError} if it holds runs and `resume` is false, holds none and `resume` is true, or holds a run of
   * another recipe.
   * @throws {DataError} if the system refuses.
   */
  constructor(folder: string, recipes: readonly Recipe[], resume: boolean) {
    const present = recipes.filter((recipe) =>
      isPresent(join(folder, runName(recipe), "state.safetensors"))
    );
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
    this.#saved = new Map(present.map((recipe) => {
      const saved = loadRun(join(folder, runName(recipe)));
      checkRecipe(saved, recipe);
      return [runName(recipe), saved];
    }));
    makeFolder(folder);
    const steps = new Map(recipes.map((recipe) => {
      const name = runName(recipe);
      return [name, this.#saved.get(name)?.step ?? 0];
    }));
    truncateMetrics(this.#metrics, steps);
  }

  /** Puts a run back to where it was saved, if it was; returns the seconds it has trained. */
  restore(recipe: Recipe, trainer: Trainer): number {
    const saved = this.#saved.get(runName(recipe));
    if (saved === undefined) return 0;
    restoreRun(saved, trainer.tensors);
    trainer.epoch = saved.epoch;
    return saved.seconds;
  }

  /** Saves a run between two epochs. */
  async save(recipe: Recipe, trainer: Trainer, seconds: number): Promise<void> {
    const { epoch, stepsPerEpoch, model, tensors, tokens } = trainer;
    const progress = { epoch, step: epoch * stepsPerEpoch, seconds };
    const { config, lora } = model;
    const folder = join(this.#folder, runName(recipe));
    const run = { config, lora, base: recipe.model, tokens };
    await saveRun(folder, run, recipe, progress, tensors);
  }

  /** Appends a line to `metrics.jsonl`. */
  writeMetrics(recipe: Recipe, report: TrainReport & { readonly tokensPerSecond: number }): void {
    const { step, epoch, loss, rate, tokensPerSecond } = report;
    const line = { run: runName(recipe), step, epoch, loss, rate, tokensPerSecond };
    appendLine(this.#metrics, JSON.stringify(line));
  }

  /** Writes `summary.json`. Runs of earlier experiments in the same folder stay in it. */
  writeSummary(summary: Summary): void {
    const path = join(this.#folder, "summary.json");
    const known = new Set(summary.runs.map(({ loss, seed }) => runName({ loss, seed })));
    const others = runsIn(readIfPresent(path)).filter((run) => !known.has(runName(run)));
    const all = { ...summary, runs: [...others, ...summary.runs] };
    writeFileAtomic(path, `${JSON.stringify(all, null, 2)}\n`);
  }

  get #metrics(): string {
    return join(this.#folder, "metrics.jsonl");
  }
}
