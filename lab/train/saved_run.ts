/**
 * What is saved of a run: its model for others to use, and in `state.safetensors` all that resuming
 * and judging it need, in the device's exact float type.
 *
 * @module
 */
import * as v from "valibot";
import { CheckpointError } from "../../core/errors.ts";
import { type Tree, treeLeaves } from "../../core/tree.ts";
import { readTree, toHuggingFace, writeTree } from "../../models/checkpoint.ts";
import { configToJson, type SpecialTokens } from "../../models/checkpoint_config.ts";
import { isRecord, type JsonObject } from "../../models/json.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  openSafetensors,
  type SafeTensors,
} from "../../models/safetensors.ts";
import type { Transformer } from "../../models/transformer.ts";
import { checkFinite, folderAt, writeFiles } from "../files.ts";
import type { Folder } from "../folder.ts";
import { adapterFiles, modelFiles } from "./model_folder.ts";
import { fromJson, type Recipe, toJson } from "./recipe.ts";
import type { TrainerTensors } from "./trainer.ts";

const STATE = "state.safetensors";
/** Changes whenever the layout of the state does. */
const FORMAT = "beargrad run 2";
/** The parameters of the best epoch have names that begin so. */
const BEST = "best.";

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

/** Whether a folder holds the state of a run. */
export function isSaved(folder: string | Folder): boolean {
  return folderAt(folder).has(STATE);
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
  saved: SavedModel,
  recipe: Partial<Recipe>,
  progress: RunProgress,
  best?: SafeTensors,
): Promise<void> {
  const tensors = await readTensors(saved, best);
  checkFinite(folder, tensors);
  writeFiles(folder, filesOf(saved, tensors, recipe, progress, best));
}

/**
 * The files of a run's folder by name, for `explain`, `verify` and others to read when they are
 * written to a folder: `config.json` and `model.safetensors`, or those of an adapter, and
 * `state.safetensors`, which has the recipe. One read-back.
 *
 * @throws {NonFiniteError} if a number is NaN or infinite.
 *
 * @example
 * ```ts ignore
 * import { memoryFolder, openRun, runFiles } from "beargrad/lab";
 *
 * const files = await runFiles(trainer, recipe, { step, epoch: trainer.epoch, seconds });
 * using run = await openRun(memoryFolder("run", files), "synthetic");
 * ```
 */
export async function runFiles(
  saved: SavedModel,
  recipe: Partial<Recipe>,
  progress: RunProgress,
): Promise<Map<string, Uint8Array>> {
  const tensors = await readTensors(saved);
  checkFinite("the run", tensors);
  return new Map(filesOf(saved, tensors, recipe, progress));
}

/** The tensors of a save by their names in the file. */
async function readTensors({ tensors }: SavedModel, best: SafeTensors = {}): Promise<SafeTensors> {
  const kept = Object.entries(best).map(([path, tensor]) => [BEST + path, tensor]);
  return { ...await readTree(namedTensors(tensors)), ...Object.fromEntries(kept) };
}

/** The files of a save, each made when it is asked for. The state is last. */
function* filesOf(
  { model: { config, lora }, tokens }: SavedModel,
  tensors: SafeTensors,
  recipe: Partial<Recipe>,
  progress: RunProgress,
  best?: SafeTensors,
): Generator<[string, Uint8Array]> {
  const weights = best ?? under("params.", tensors);
  yield* lora
    ? adapterFiles(config, lora, weights, recipe.model)
    : modelFiles(configToJson(config, tokens), toHuggingFace(weights, config));
  const metadata = {
    format: FORMAT,
    step: `${progress.step}`,
    epoch: `${progress.epoch}`,
    seconds: `${progress.seconds}`,
    recipe: JSON.stringify(toJson(recipe)),
    ...(progress.validation && { validation: JSON.stringify(progress.validation) }),
  };
  yield [STATE, encodeSafetensors(tensors, metadata)];
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
export function loadRun(folder: string | Folder): SavedState {
  const place = folderAt(folder);
  const path = place.pathOf(STATE);
  const { tensors, metadata } = decodeSafetensors(place.read(STATE) ?? refuseNone(place), path);
  const field = fieldsIn(metadata, path);
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
 * Loads the recipe of a run, without its tensors.
 *
 * @throws {CheckpointError} if there is none, or it is malformed.
 * @throws {DataError} if the system refuses to read.
 */
export function loadRecipe(folder: string | Folder): SavedState["recipe"] {
  const place = folderAt(folder);
  const path = place.pathOf(STATE);
  if (!place.has(STATE)) refuseNone(place);
  const file = place.open(STATE);
  try {
    const field = fieldsIn(openSafetensors(file, path).metadata, path);
    return fromJson(field("recipe", "a JSON object", recipeText));
  } finally {
    file.close();
  }
}

function refuseNone({ path }: Folder): never {
  throw new CheckpointError(
    `Cannot load ${path}: the folder of a run must hold ${STATE}, got none`,
  );
}

/** Reads fields of the metadata of a saved run. */
function fieldsIn(metadata: Readonly<Record<string, string>>, path: string) {
  const field = <T>(name: string, requirement: string, schema: v.GenericSchema<unknown, T>): T => {
    const text = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
    const { success, output } = v.safeParse(schema, text);
    if (success) return output;
    throw new CheckpointError(
      `Cannot read ${path}: its ${name} must be ${requirement}, got ${text ?? "none"}`,
    );
  };
  field("format", `"${FORMAT}"`, v.literal(FORMAT));
  return field;
}

/**
 * Writes the tensors of a saved run into those of a run of the same recipe.
 *
 * @throws {CheckpointError} if they do not fit, or were saved in another float type; then nothing
 * is written.
 */
export function restoreRun(folder: string, tensors: SafeTensors, into: TrainerTensors): void {
  const source = folderAt(folder).pathOf(STATE);
  const wanted = treeLeaves(into.params)[0].device.float === "float64" ? "F64" : "F32";
  for (const [path, { dtype }] of Object.entries(tensors)) {
    if (dtype === wanted) continue;
    throw new CheckpointError(
      `Cannot load ${source}: ${path} must be ${wanted} as on the device, got ${dtype}`,
    );
  }
  writeTree(namedTensors(into), tensors, source);
}
