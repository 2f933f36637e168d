/**
 * What a run leaves in its folder: a checkpoint and `metrics.jsonl`.
 *
 * @module
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { SafeTensors } from "../../models/safetensors.ts";
import {
  checkRecipe,
  loadRun,
  restoreRun,
  type RunProgress,
  type SavedRun,
  saveRun,
} from "./checkpoint.ts";
import { appendLine, isPresent, isTemporary, makeFolder, quietly, syncFile } from "../files.ts";
import { FolderLock } from "./folder_lock.ts";
import { type MetricsLine, truncateMetrics } from "./metrics_file.ts";
import type { Recipe } from "./recipe.ts";
import type { Trainer } from "./trainer.ts";

/** How far a run is, and what it found to be best. */
export type RunState = Omit<RunProgress, "step"> & { readonly best?: SafeTensors };

/** The folder of a run, locked until it is disposed: one process at a time may write there. */
export class RunFolder implements Disposable {
  /** Where it is. */
  readonly path: string;
  readonly #recipe: Recipe;
  readonly #lock: FolderLock;
  #saved: SavedRun | undefined;

  /**
   * Opens the folder of a run, which is made if need be, and locks it. What it holds is checked at once: the last save must be of this
   * recipe.
   *
   * @throws {CheckpointError} if it holds a malformed run or one of another recipe.
   * @throws {DataError} if another process writes there, or the system refuses.
   */
  constructor(path: string, recipe: Recipe) {
    this.path = path;
    this.#recipe = recipe;
    makeFolder(path);
    this.#lock = new FolderLock(path);
    try {
      for (const name of readdirSync(path)) {
        if (isTemporary(name)) quietly(() => rmSync(join(path, name)));
      }
      if (!RunFolder.isStarted(path)) return;
      this.#saved = loadRun(path);
      checkRecipe(this.#saved, recipe);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Gives the folder free for other processes. */
  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }

  /** Whether a folder holds a checkpoint. */
  static isStarted(path: string): boolean {
    return isPresent(join(path, "state.safetensors"));
  }

  /** Where its `metrics.jsonl` is. */
  get metrics(): string {
    return join(this.path, "metrics.jsonl");
  }

  /** Puts a run back to where it was saved, if it was, and drops what it wrote later. `note` is called with what is worth saying. */
  restore(trainer: Trainer, note?: (text: string) => void): RunState | undefined {
    const saved = this.#saved;
    const step = saved?.step ?? 0;
    const { isTorn, lastStep } = truncateMetrics(this.metrics, step);
    if (isTorn) note?.(`lost the end of the last line of ${this.metrics}, which is dropped`);
    if (lastStep < step) {
      note?.(`lost the lines of ${this.metrics} after step ${lastStep}; it was saved at ${step}`);
    }
    if (saved === undefined) return undefined;
    note?.(`goes on after epoch ${saved.epoch} of ${this.#recipe.epochs}`);
    restoreRun(saved, trainer.tensors);
    trainer.epoch = saved.epoch;
    const { epoch, seconds, validation, best } = saved;
    this.#saved = undefined; // its tensors are on the device
    return { epoch, seconds, validation, best };
  }

  /** Saves a run between two epochs. */
  async save(trainer: Trainer, { epoch, seconds, validation, best }: RunState): Promise<void> {
    const { stepsPerEpoch, model: { config, lora }, tensors, tokens } = trainer;
    const progress = { epoch, step: epoch * stepsPerEpoch, seconds, validation };
    const run = { config, lora, base: this.#recipe.model, tokens };
    syncFile(this.metrics); // the state must not be ahead of it
    await saveRun(this.path, run, this.#recipe, progress, tensors, best);
  }

  /** Appends a line to `metrics.jsonl`. */
  writeMetrics(line: MetricsLine): void {
    appendLine(this.metrics, JSON.stringify(line));
  }
}
