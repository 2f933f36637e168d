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
import { join } from "node:path";
import * as v from "valibot";
import { CheckpointError } from "../../core/errors.ts";
import type { SafeTensors } from "../../models/safetensors.ts";
import {
  appendLine,
  makeFolder,
  readIfPresent,
  removeTemporaries,
  syncFile,
  writeFileAtomic,
} from "../files.ts";
import { FolderLock } from "./folder_lock.ts";
import { checkRecipe, fromJson, type Recipe, toJson } from "./recipe.ts";
import {
  isSaved,
  loadRun,
  restoreRun,
  type RunProgress,
  type SavedState,
  saveRun,
} from "./saved_run.ts";
import type { Trainer, TrainReport } from "./trainer.ts";

const METRICS = "metrics.jsonl";

/** A report of the loss, as `metrics.jsonl` holds it. There `lr` is `rate`. */
export interface MetricsLine extends Pick<TrainReport, "step" | "epoch" | "loss" | "lr"> {
  /** Target tokens a second since the report before. */
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
      removeTemporaries(path);
      if (!isSaved(path)) return;
      this.#saved = loadRun(path);
      checkRecipe(path, this.#saved.recipe, recipe);
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
   * Returns the save and the metrics that are left. `note` is called with what is worth a line.
   */
  restore(
    trainer: Trainer,
    note?: (text: string) => void,
  ): Partial<Omit<SavedState, "tensors">> & { readonly curve: readonly MetricsLine[] } {
    const { tensors, ...saved }: Partial<SavedState> = this.#saved ?? {};
    const { step = 0, epoch = 0 } = saved;
    const path = join(this.path, METRICS);
    const { isTorn, curve } = truncateMetrics(path, step);
    const lastStep = curve.at(-1)?.step ?? 0;
    if (isTorn) note?.(`lost the end of the last line of ${path}, which is dropped`);
    if (lastStep < step) {
      note?.(`lost the lines of ${path} after step ${lastStep}; it was saved at ${step}`);
    }
    if (tensors !== undefined) {
      note?.(`goes on after epoch ${epoch} of ${this.#recipe.epochs}`);
      restoreRun(this.path, tensors, trainer.tensors);
      trainer.epoch = epoch;
      this.#saved = undefined; // its tensors are on the device
    }
    return { ...saved, curve };
  }

  /** Saves a run between two epochs. `best` are the parameters of the best epoch so far. */
  async save(
    trainer: Trainer,
    progress: Omit<RunProgress, "step">,
    best?: SafeTensors,
  ): Promise<void> {
    const step = progress.epoch * trainer.stepsPerEpoch;
    syncFile(join(this.path, METRICS)); // the state must not be ahead of it
    await saveRun(this.path, trainer, this.#recipe, { ...progress, step }, best);
  }

  /** Appends a line to `metrics.jsonl`. */
  writeMetrics(line: MetricsLine): void {
    appendLine(join(this.path, METRICS), JSON.stringify(toJson(line)));
  }
}

const metricsText = v.pipe(
  v.string(),
  v.parseJson(),
  v.looseObject({ step: v.number(), epoch: v.number(), loss: v.number() }),
);

/**
 * Drops the lines of a `metrics.jsonl` that a run wrote after its last save, at `step`, and a last
 * line that a crash tore. Returns whether there was a torn one, and the lines that are kept. A
 * missing file is left missing.
 *
 * @throws {CheckpointError} if another line is not a JSON object with step, epoch and loss; then
 * the file is left alone.
 * @throws {DataError} if the system refuses.
 */
export function truncateMetrics(
  path: string,
  step: number,
): { readonly isTorn: boolean; readonly curve: MetricsLine[] } {
  const text = new TextDecoder().decode(readIfPresent(path));
  const complete = text.split("\n").slice(0, -1); // what follows is empty, or a torn line
  const lines = complete.map((line, i) => ({ line, report: parseLine(line, path, i + 1) }));
  const kept = lines.filter(({ report }) => report.step <= step);
  const out = kept.map(({ line }) => `${line}\n`).join("");
  if (out !== text) writeFileAtomic(path, out);
  const isTorn = text !== "" && !text.endsWith("\n");
  return { isTorn, curve: kept.map(({ report }) => report) };
}

function parseLine(line: string, path: string, number: number): MetricsLine {
  const { success, output } = v.safeParse(metricsText, line);
  if (success) return fromJson(output) as unknown as MetricsLine;
  throw new CheckpointError(
    `Cannot resume from ${path}: line ${number} must be a JSON object with step, epoch and loss, ` +
      `got ${JSON.stringify(line.slice(0, 60))}`,
  );
}
