/**
 * Run folders. `config.json` and `model.safetensors` hold the model as Hugging Face lays it out, for others to use; where
 * only an adapter is trained, `adapter_config.json` and `adapter_model.safetensors` hold it as PEFT lays it out instead.
 * `state.safetensors` holds everything that going on needs of what is trained, in the device's exact float type. It is one
 * file, renamed into place in one step after the other two: a run resumes from the last one that was complete.
 *
 * @module
 */
import { join } from "node:path";
import { CheckpointError } from "../../core/errors.ts";
import { type Tree, treeLeaves } from "../../core/tree.ts";
import { readTree, toHuggingFace, writeTree } from "../../models/checkpoint.ts";
import { configToJson, type SpecialTokens } from "../../models/checkpoint_config.ts";
import type { LoraConfig } from "../../models/lora.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type SafeTensors,
} from "../../models/safetensors.ts";
import type { TransformerConfig } from "../../models/transformer.ts";
import { writeAdapter } from "./adapter_folder.ts";
import { checkFinite, makeFolder, readIfPresent, writeFileAtomic } from "../files.ts";

const STATE = "state.safetensors";
/** Changed whenever the state's layout is. */
const FORMAT = "beargrad run 2";

/** The model of a run. */
export interface RunModel {
  /** Its configuration. */
  readonly config: TransformerConfig;
  /** The settings of its adapter, where that is what is trained. */
  readonly lora?: LoraConfig;
  /** The name or the folder of the model that the adapter adapts. */
  readonly base?: string;
  /** The tokens that its config.json names. */
  readonly tokens?: SpecialTokens;
}

/** What changes in a run as it goes, on the device: the weights, AdamW's moments of them, and what the loss carries. */
export interface RunTensors {
  /** The weights of a transformer or of an adapter, whichever is trained. */
  readonly params: Tree;
  /** The first moments. */
  readonly m: Tree;
  /** The second moments. */
  readonly v: Tree;
  /** The state of the loss, where it has one. */
  readonly state?: Tree;
}

/** How far a run has come. */
export interface RunProgress {
  /** Steps taken. */
  readonly step: number;
  /** Epochs finished. */
  readonly epoch: number;
  /** Seconds spent training. */
  readonly seconds: number;
  /** The validation so far, where the run stops by it. */
  readonly validation?: readonly ValidationPoint[];
}

/** Validation after an epoch. */
export interface ValidationPoint {
  /** Epochs trained. */
  readonly epoch: number;
  /** HR@10 of beam search. */
  readonly hr: number;
  /** Its NDCG@10: what the best epoch is chosen by. */
  readonly ndcg: number;
  /** Seconds that it took. */
  readonly seconds: number;
}

/** A run as its folder keeps it. */
export interface SavedRun extends RunProgress {
  /** The folder. */
  readonly folder: string;
  /** Everything that decided what the run computed. */
  readonly recipe: Readonly<Record<string, unknown>>;
  /** The tensors by path: `params.`, `first.` and `second.` and the path in that tree; `state` where the loss has one. */
  readonly tensors: SafeTensors;
  /** The parameters of the best epoch so far by path, where the run stops by validation. */
  readonly best?: SafeTensors;
}

/**
 * Saves a run; its folder is made if need be. One read-back. A crash at any moment leaves a folder that resumes from this
 * save or from the one before. `best` are the parameters of the best epoch so far, which are what is written for others to
 * use; the present ones unless told.
 *
 * @throws {NonFiniteError} if a number to be saved is NaN or infinite; then nothing is written.
 * @throws {DataError} if the system refuses to write.
 */
export async function saveRun(
  folder: string,
  { config, lora, base, tokens: special }: RunModel,
  recipe: object,
  progress: RunProgress,
  changing: RunTensors,
  best?: SafeTensors,
): Promise<void> {
  const tensors = { ...await readTree(treeOf(changing)), ...prefixed("best.", best) };
  checkFinite(folder, tensors);
  const weights = best ?? under("params.", tensors);
  const metadata = {
    format: FORMAT,
    step: `${progress.step}`,
    epoch: `${progress.epoch}`,
    seconds: `${progress.seconds}`,
    recipe: JSON.stringify(recipe),
    ...(progress.validation && { validation: JSON.stringify(progress.validation) }),
  };
  if (lora) writeAdapter(folder, config, lora, weights, base);
  else writeModel(folder, configToJson(config, special), toHuggingFace(weights, config));
  writeFileAtomic(join(folder, STATE), encodeSafetensors(tensors, metadata));
}

/** The tensors whose paths begin with `prefix`, without it. */
function under(prefix: string, tensors: SafeTensors): SafeTensors {
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([path]) => path.startsWith(prefix))
      .map(([path, tensor]) => [path.slice(prefix.length), tensor]),
  );
}

function prefixed(prefix: string, tensors: SafeTensors = {}): SafeTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([path, tensor]) => [prefix + path, tensor]),
  );
}

/** All of it under its names in the file, without what is not there. */
function treeOf({ params, m, v, state }: RunTensors): Tree {
  return { params, first: m, second: v, ...(state && { state }) };
}

function writeModel(folder: string, config: object, weights: SafeTensors): void {
  const tensors = encodeSafetensors(weights, { format: "pt" });
  makeFolder(folder);
  const json = JSON.stringify(config, undefined, 2);
  writeFileAtomic(join(folder, "config.json"), `${json}\n`);
  writeFileAtomic(join(folder, "model.safetensors"), tensors);
}

/**
 * Loads the last complete save of a run.
 *
 * @throws {CheckpointError} if there is none, or it is malformed.
 * @throws {DataError} if the system refuses to read.
 */
export function loadRun(folder: string): SavedRun {
  const path = join(folder, STATE);
  const bytes = readIfPresent(path);
  if (bytes === undefined) {
    throw new CheckpointError(
      `Cannot load ${folder}: the folder of a run must hold ${STATE}, got none`,
    );
  }
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  const field = (name: string, requirement: string, holds: (text: string) => boolean): string => {
    const text = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
    if (text !== undefined && holds(text)) return text;
    throw new CheckpointError(
      `Cannot read ${path}: its ${name} must be ${requirement}, got ${text ?? "none"}`,
    );
  };
  field("format", `"${FORMAT}"`, (text) => text === FORMAT);
  const count = (name: string): number =>
    Number(field(name, "a count", (text) => /^\d+$/.test(text) && Number.isSafeInteger(+text)));
  const best = under("best.", tensors);
  const validation = Object.hasOwn(metadata, "validation")
    ? parseJson(field("validation", "a list of validations", isValidation)) as ValidationPoint[]
    : undefined;
  return {
    folder,
    step: count("step"),
    epoch: count("epoch"),
    seconds: Number(
      field("seconds", "a time", (text) => /\d/.test(text) && +text >= 0 && +text < Infinity),
    ),
    recipe: JSON.parse(field("recipe", "a JSON object", (text) => isObject(parseJson(text)))),
    tensors: Object.fromEntries(
      Object.entries(tensors).filter(([path]) => !path.startsWith("best.")),
    ),
    ...(validation && { validation }),
    ...(Object.keys(best).length > 0 && { best }),
  };
}

function isValidation(text: string): boolean {
  const points = parseJson(text);
  return Array.isArray(points) && points.every((point) =>
    isObject(point) &&
    ["epoch", "hr", "ndcg", "seconds"].every((key) => Number.isFinite(point[key]))
  );
}

/** The value of a JSON text, undefined for any other. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Puts the tensors of a saved run back to where a run of the same recipe keeps them.
 *
 * @throws {CheckpointError} if they do not fit, or were saved in another float type; then nothing has been written.
 */
export function restoreRun({ folder, tensors }: SavedRun, into: RunTensors): void {
  const source = join(folder, STATE);
  const wanted = treeLeaves(into.params)[0].device.float === "float64" ? "F64" : "F32";
  const other = Object.entries(tensors).find(([, { dtype }]) => dtype !== wanted);
  if (other !== undefined) {
    throw new CheckpointError(
      `Cannot load ${source}: ${other[0]} must be ${wanted} as on the device, got ${
        other[1].dtype
      }`,
    );
  }
  writeTree(treeOf(into), tensors, source);
}

/**
 * Makes sure that a saved run is one of the given recipe.
 *
 * @throws {CheckpointError} naming the first field that differs, and both values.
 */
export function checkRecipe(
  { folder, recipe: saved }: Pick<SavedRun, "folder" | "recipe">,
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
  if (isObject(a) && isObject(b)) {
    for (const key of new Set([...Object.keys(b), ...Object.keys(a)])) {
      const inner = firstDifference(a[key], b[key], path === "" ? key : `${path}.${key}`);
      if (inner !== undefined) return inner;
    }
    return undefined;
  }
  if (a === b) return undefined;
  return [path, JSON.stringify(a) ?? "none", JSON.stringify(b) ?? "none"];
}

/** Whether a JSON value has fields. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
