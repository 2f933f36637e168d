/**
 * The folder of a run. `config.json` and `model.safetensors` hold the model in Hugging Face's
 * layout, for others to use. If only an adapter is trained, `adapter_config.json` and
 * `adapter_model.safetensors` hold it in PEFT's layout instead. `state.safetensors` holds all that
 * resuming needs, in the device's exact float type; it is renamed into place after the other files,
 * so a run resumes from its last complete save. `metrics.jsonl` has a line for each report of the
 * loss.
 *
 * @module
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { CheckpointError } from "../../core/errors.ts";
import type { SafeTensors } from "../../models/safetensors.ts";
import {
  appendLine,
  isTemporary,
  makeFolder,
  quietly,
  readIfPresent,
  syncFile,
  writeFileAtomic,
} from "../files.ts";
import { FolderLock } from "./folder_lock.ts";
import { fromJson, type Recipe, toJson } from "./recipe.ts";
import {
  checkRecipe,
  isSaved,
  loadRun,
  restoreRun,
  type RunProgress,
  type SavedState,
  saveRun,
} from "./run_state.ts";
import type { Trainer } from "./trainer.ts";

const METRICS = "metrics.jsonl";

/** A report of the loss, as `metrics.jsonl` holds it. There `lr` is `rate`. */
export interface MetricsLine {
  /** Steps done. */
  readonly step: number;
  /** The epoch, from 0. */
  readonly epoch: number;
  /** The mean loss since the report before. */
  readonly loss: number;
  /** The learning rate of the last step. */
  readonly lr: number;
  /** Target tokens a second since then. */
  readonly tokensPerSecond: number;
}

/** The folder of a run, locked until it is disposed: one process at a time may write there. */
export class RunFolder implements Disposable {
  /** Its path. */
  readonly path: string;
  readonly #recipe: Recipe;
  readonly #lock: FolderLock;
  #saved: SavedState | undefined;

  /**
   * Opens and locks the folder of a run; a missing one is made. The last save in it must be of this
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
      if (!isSaved(path)) return;
      this.#saved = loadRun(path);
      checkRecipe(this.#saved, recipe);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Unlocks the folder. */
  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }

  /**
   * Puts a run back to its last save, if there is one, and drops the metrics that it wrote later.
   * `note` is called with what is worth a line.
   */
  restore(
    trainer: Trainer,
    note?: (text: string) => void,
  ): Omit<SavedState, "tensors"> | undefined {
    const saved = this.#saved;
    const step = saved?.step ?? 0;
    const path = join(this.path, METRICS);
    const { isTorn, lastStep } = truncateMetrics(path, step);
    if (isTorn) note?.(`lost the end of the last line of ${path}, which is dropped`);
    if (lastStep < step) {
      note?.(`lost the lines of ${path} after step ${lastStep}; it was saved at ${step}`);
    }
    if (saved === undefined) return undefined;
    note?.(`goes on after epoch ${saved.epoch} of ${this.#recipe.epochs}`);
    restoreRun(saved, trainer.tensors);
    trainer.epoch = saved.epoch;
    this.#saved = undefined; // its tensors are on the device
    const { tensors: _, ...rest } = saved;
    return rest;
  }

  /** Saves a run between two epochs. `best` are the parameters of the best epoch so far. */
  async save(
    trainer: Trainer,
    progress: Omit<RunProgress, "step">,
    best?: SafeTensors,
  ): Promise<void> {
    const { stepsPerEpoch, model: { config, lora }, tensors, tokens } = trainer;
    const run = { config, lora, base: this.#recipe.model, tokens };
    const step = progress.epoch * stepsPerEpoch;
    syncFile(join(this.path, METRICS)); // the state must not be ahead of it
    await saveRun(this.path, run, this.#recipe, { ...progress, step }, tensors, best);
  }

  /** Appends a line to `metrics.jsonl`. */
  writeMetrics(line: MetricsLine): void {
    appendLine(join(this.path, METRICS), JSON.stringify(toJson(line)));
  }

  /** The lines of `metrics.jsonl`, see {@link readMetrics}. */
  readMetrics(): MetricsLine[] {
    return readMetrics(join(this.path, METRICS));
  }
}

const metricsText = v.pipe(
  v.string(),
  v.parseJson(),
  v.looseObject({ step: v.number(), epoch: v.number(), loss: v.number() }),
);

/**
 * The lines of a `metrics.jsonl`; none if there is no file. A last line that a crash tore is left
 * out.
 *
 * @throws {CheckpointError} if another line is not a JSON object with step, epoch and loss.
 * @throws {DataError} if the system refuses.
 */
export function readMetrics(path: string): MetricsLine[] {
  return completeLines(textOf(path)).map((line, i) => parseLine(line, path, i + 1));
}

/**
 * Drops the lines that a run wrote after its last save, at `step`, and a torn last line. Returns
 * whether there was a torn one, and the step of the last line that is kept, or 0. A missing file is
 * left missing.
 *
 * @throws {CheckpointError} as {@link readMetrics}; then the file is left alone.
 * @throws {DataError} if the system refuses.
 */
export function truncateMetrics(
  path: string,
  step: number,
): { readonly isTorn: boolean; readonly lastStep: number } {
  const text = textOf(path);
  let lastStep = 0;
  const kept = completeLines(text).filter((line, i) => {
    const at = parseLine(line, path, i + 1).step;
    if (at <= step) lastStep = at;
    return at <= step;
  });
  const out = kept.map((line) => `${line}\n`).join("");
  if (out !== text) writeFileAtomic(path, out);
  return { isTorn: text !== "" && !text.endsWith("\n"), lastStep };
}

function textOf(path: string): string {
  return new TextDecoder().decode(readIfPresent(path));
}

function completeLines(text: string): string[] {
  return text.split("\n").slice(0, -1); // what follows the last line end is empty, or a torn line
}

function parseLine(line: string, path: string, number: number): MetricsLine {
  const { success, output } = v.safeParse(metricsText, line);
  if (success) return fromJson(output) as unknown as MetricsLine;
  throw new CheckpointError(
    `Cannot resume from ${path}: line ${number} must be a JSON object with step, epoch and loss, ` +
      `got ${JSON.stringify(line.slice(0, 60))}`,
  );
}
