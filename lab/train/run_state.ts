/**
 * `state.safetensors` of a run: all that resuming needs, in the device's exact float type.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { CheckpointError } from "../../core/errors.ts";
import { type Tree, treeLeaves } from "../../core/tree.ts";
import { readTree, toHuggingFace, writeTree } from "../../models/checkpoint.ts";
import { configToJson, type SpecialTokens } from "../../models/checkpoint_config.ts";
import { isRecord, type JsonObject } from "../../models/json.ts";
import type { LoraConfig } from "../../models/lora.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type SafeTensors,
} from "../../models/safetensors.ts";
import type { TransformerConfig } from "../../models/transformer.ts";
import { checkFinite, isPresent, readIfPresent, writeFileAtomic } from "../files.ts";
import { writeAdapter, writeModel } from "./model_folder.ts";
import { fromJson, toJson } from "./recipe.ts";
import type { TrainerTensors } from "./trainer.ts";

const STATE = "state.safetensors";
/** Changes whenever the layout of the state does. */
const FORMAT = "beargrad run 2";

/** The model of a run. */
export interface RunModel {
  /** Its configuration. */
  readonly config: TransformerConfig;
  /** The settings of the adapter, if that is what is trained. */
  readonly lora?: LoraConfig;
  /** The name or the folder of the model that the adapter adapts. */
  readonly base?: string;
  /** The tokens that its config.json names. */
  readonly tokens?: SpecialTokens;
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
  /** The folder. */
  readonly folder: string;
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
  { config, lora, base, tokens: special }: RunModel,
  recipe: object,
  progress: RunProgress,
  changing: TrainerTensors,
  best?: SafeTensors,
): Promise<void> {
  const tensors = { ...await readTree(savedTree(changing)), ...prefixed("best.", best) };
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
  if (lora) writeAdapter(folder, config, lora, weights, base);
  else writeModel(folder, configToJson(config, special), toHuggingFace(weights, config));
  writeFileAtomic(join(folder, STATE), encodeSafetensors(tensors, metadata));
}

/** The changing tensors under their names in the file. */
function savedTree({ params, m, v, state }: TrainerTensors): Tree {
  return { params, first: m, second: v, ...(state && { state }) };
}

/** The tensors whose paths begin with `prefix`, without it. */
function under(prefix: string, tensors: SafeTensors): SafeTensors {
  const own = Object.entries(tensors).filter(([path]) => path.startsWith(prefix));
  return Object.fromEntries(own.map(([path, tensor]) => [path.slice(prefix.length), tensor]));
}

function prefixed(prefix: string, tensors: SafeTensors = {}): SafeTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([path, tensor]) => [prefix + path, tensor]),
  );
}

const countText = v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number), v.safeInteger());
const timeText = v.pipe(
  v.string(),
  v.regex(/\d/),
  v.transform(Number),
  v.finite(),
  v.minValue(0),
);
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
  const best = under("best.", tensors);
  return {
    folder,
    step: field("step", "a count", countText),
    epoch: field("epoch", "a count", countText),
    seconds: field("seconds", "a time", timeText),
    recipe: fromJson(field("recipe", "a JSON object", recipeText)),
    tensors: Object.fromEntries(
      Object.entries(tensors).filter(([path]) => !path.startsWith("best.")),
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
export function restoreRun({ folder, tensors }: SavedState, into: TrainerTensors): void {
  const source = join(folder, STATE);
  const wanted = treeLeaves(into.params)[0].device.float === "float64" ? "F64" : "F32";
  for (const [path, { dtype }] of Object.entries(tensors)) {
    if (dtype === wanted) continue;
    throw new CheckpointError(
      `Cannot load ${source}: ${path} must be ${wanted} as on the device, got ${dtype}`,
    );
  }
  writeTree(savedTree(into), tensors, source);
}

/**
 * Checks that a saved run is one of the given recipe.
 *
 * @throws {CheckpointError} naming the first field that differs, and both values.
 */
export function checkRecipe(
  { folder, recipe: saved }: { readonly folder: string; readonly recipe: object },
  recipe: object,
): void {
  const asked = JSON.parse(JSON.stringify(recipe));
  const difference = firstDifference(saved, asked, "");
  if (difference === undefined) return;
  const [path, was, is] = difference;
  const field = path === "digest" ? "the data's digest" : path;
  throw new CheckpointError(
    `Cannot resume ${folder}: ${field} must be that of its checkpoint, ${was}, got ${is}`,
  );
}

/** The path of the first difference between two JSON values, and what each has there. */
function firstDifference(
  a: unknown,
  b: unknown,
  path: string,
): [path: string, a: string, b: string] | undefined {
  if (!isNested(a) || !isNested(b)) {
    return a === b ? undefined : [path, JSON.stringify(a) ?? "none", JSON.stringify(b) ?? "none"];
  }
  for (const key of new Set([...Object.keys(b), ...Object.keys(a)])) {
    const inner = firstDifference(a[key], b[key], path === "" ? key : `${path}.${key}`);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

function isNested(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
