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
import { type Tree, treeLeaves } from "../../core/tree.ts";
import { readTree, toHuggingFace, writeTree } from "../../models/checkpoint.ts";
import { configToJson, type SpecialTokens } from "../../models/checkpoint_config.ts";
import { isRecord, type JsonObject } from "../../models/json.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type SafeTensors,
} from "../../models/safetensors.ts";
import type { Transformer } from "../../models/transformer.ts";
import {
  appendLine,
  checkFinite,
  isPresent,
  isTemporary,
  makeFolder,
  quietly,
  readIfPresent,
  syncFile,
  writeFileAtomic,
} from "../files.ts";
import { FolderLock } from "./folder_lock.ts";
import { writeAdapter, writeModel } from "./model_folder.ts";
import { checkRecipe, fromJson, type Recipe, toJson } from "./recipe.ts";
import type { Trainer, TrainerTensors, TrainReport } from "./trainer.ts";

const METRICS = "metrics.jsonl";
const STATE = "state.safetensors";
/** Changes whenever the layout of the state does. */
const FORMAT = "beargrad run 2";
/** The parameters of the best epoch have names that begin so. */
const BEST = "best.";

/** A report of the loss, as `metrics.jsonl` holds it. There `lr` is `rate`. */
export interface MetricsLine extends Pick<TrainReport, "step" | "epoch" | "loss" | "lr"> {
  /** Target tokens a second since the report before. */
  readonly tokensPerSecond: number;
}

/** What is saved of a trainer. */
export interface SavedModel {
  /** The configuration of the decoder and, if an adapter is trained, its settings. */
  readonly model: Pick<Transformer, "config"> & Partial<Pick<Transformer, "lora">>;
  /** The tokens that config.json names. */
  readonly tokens?: SpecialTokens;
  /** The tensors that change. */
  readonly tensors: TrainerTensors;
}

/** How far a run has come. */
export interface RunProgress {
  /** Steps taken. */
  readonly step: number;
  /** Epochs finished. */
  readonly epoch: number;
  /** Seconds spent training. */
  readonly seconds: number;
  /** The validation so far, if the run stops by it. */
  readonly validation?: readonly ValidationPoint[];
}

/** Validation after an epoch. */
export interface ValidationPoint {
  /** Epochs trained. */
  readonly epoch: number;
  /** HR@10 of beam search. */
  readonly hr: number;
  /** NDCG@10 of beam search, which decides the best epoch. */
  readonly ndcg: number;
  /** Seconds that it took. */
  readonly seconds: number;
}

/** A run as its folder holds it. */
export interface SavedState extends RunProgress {
  /** Everything that decided what the run computed. */
  readonly recipe: Readonly<Record<string, unknown>>;
  /**
   * The tensors by path: `params.`, `first.` or `second.` and the path in that tree; `state` of the
   * loss.
   */
  readonly tensors: SafeTensors;
  /** The parameters of the best epoch so far by path, if the run stops by validation. */
  readonly best?: SafeTensors;
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

/** Whether a folder holds the state of a run. */
export function isSaved(folder: string): boolean {
  return isPresent(join(folder, STATE));
}

/**
 * Saves a run; a missing folder is made. One read-back. A crash at any moment leaves a folder that
 * resumes from this save or from the one before. `best` are the parameters for others to use.
 * Default: the present ones.
 *
 * @throws {NonFiniteError} if a number is NaN or infinite; then nothing is written.
 * @throws {DataError} if the system refuses to write.
 */
export async function saveRun(
  folder: string,
  { model: { config, lora }, tokens, tensors: changing }: SavedModel,
  recipe: Partial<Recipe>,
  progress: RunProgress,
  best?: SafeTensors,
): Promise<void> {
  const kept = best && Object.entries(best).map(([path, tensor]) => [BEST + path, tensor]);
  const tensors: SafeTensors = {
    ...await readTree(namedTensors(changing)),
    ...(kept && Object.fromEntries(kept)),
  };
  checkFinite(folder, tensors);
  const weights = best ?? under("params.", tensors);
  const metadata = {
    format: FORMAT,
    step: `${progress.step}`,
    epoch: `${progress.epoch}`,
    seconds: `${progress.seconds}`,
    recipe: JSON.stringify(toJson(recipe)),
    ...(progress.validation && { validation: JSON.stringify(progress.validation) }),
  };
  if (lora) writeAdapter(folder, config, lora, weights, recipe.model);
  else writeModel(folder, configToJson(config, tokens), toHuggingFace(weights, config));
  writeFileAtomic(join(folder, STATE), encodeSafetensors(tensors, metadata));
}

/** Tensors under their names in the file. */
function namedTensors({ params, m, v, state }: TrainerTensors): Tree {
  return { params, first: m, second: v, ...(state && { state }) };
}

/** The tensors whose paths begin with `prefix`, without it. */
function under(prefix: string, tensors: SafeTensors): SafeTensors {
  const own = Object.entries(tensors).filter(([path]) => path.startsWith(prefix));
  return Object.fromEntries(own.map(([path, tensor]) => [path.slice(prefix.length), tensor]));
}

const countText = v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number), v.safeInteger());
const timeText = v.pipe(v.string(), v.regex(/\d/), v.transform(Number), v.finite(), v.minValue(0));
const recipeText = v.pipe(v.string(), v.parseJson(), v.custom<JsonObject>(isRecord));
const validationText = v.pipe(
  v.string(),
  v.parseJson(),
  v.array(v.object({ epoch: v.number(), hr: v.number(), ndcg: v.number(), seconds: v.number() })),
);

/**
 * Loads the last complete save of a run.
 *
 * @throws {CheckpointError} if there is none, or it is malformed.
 * @throws {DataError} if the system refuses to read.
 */
export function loadRun(folder: string): SavedState {
  const path = join(folder, STATE);
  const bytes = readIfPresent(path);
  if (bytes === undefined) {
    throw new CheckpointError(
      `Cannot load ${folder}: the folder of a run must hold ${STATE}, got none`,
    );
  }
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  const field = <T>(name: string, requirement: string, schema: v.GenericSchema<unknown, T>): T => {
    const text = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
    const { success, output } = v.safeParse(schema, text);
    if (success) return output;
    throw new CheckpointError(
      `Cannot read ${path}: its ${name} must be ${requirement}, got ${text ?? "none"}`,
    );
  };
  field("format", `"${FORMAT}"`, v.literal(FORMAT));
  const best = under(BEST, tensors);
  return {
    step: field("step", "a count", countText),
    epoch: field("epoch", "a count", countText),
    seconds: field("seconds", "a time", timeText),
    recipe: fromJson(field("recipe", "a JSON object", recipeText)),
    tensors: Object.fromEntries(
      Object.entries(tensors).filter(([path]) => !path.startsWith(BEST)),
    ),
    ...(Object.hasOwn(metadata, "validation") && {
      validation: field("validation", "a list of validations", validationText),
    }),
    ...(Object.keys(best).length > 0 && { best }),
  };
}

/**
 * Writes the tensors of a saved run into those of a run of the same recipe.
 *
 * @throws {CheckpointError} if they do not fit, or were saved in another float type; then nothing
 * is written.
 */
export function restoreRun(folder: string, tensors: SafeTensors, into: TrainerTensors): void {
  const source = join(folder, STATE);
  const wanted = treeLeaves(into.params)[0].device.float === "float64" ? "F64" : "F32";
  for (const [path, { dtype }] of Object.entries(tensors)) {
    if (dtype === wanted) continue;
    throw new CheckpointError(
      `Cannot load ${source}: ${path} must be ${wanted} as on the device, got ${dtype}`,
    );
  }
  writeTree(namedTensors(into), tensors, source);
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
