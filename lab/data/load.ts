/**
 * Loads a data set of any kind, as options name it.
 *
 * @module
 */
import { UsageError } from "../../core/errors.ts";
import { folderAt, placeOf } from "../files.ts";
import type { Folder } from "../folder.ts";
import { loadTemplate } from "../text/template.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import type { Dataset, ItemInput } from "./dataset.ts";
import { type CodedOptions, withMadeCodes } from "../codes/coded_dataset.ts";
import { parseSpec } from "../codes/spec.ts";
import { isPlainCodes, joinValidation, limitDataset, withCodes, withItemInput } from "./derived.ts";
import { findFormat } from "./formats.ts";
import { type InteractionOptions, loadInteractions } from "./interaction_dataset.ts";
import { loadSemanticIds } from "./semantic_ids.ts";
import { loadSplitRows } from "./split_rows.ts";
import { synthetic } from "./synthetic.ts";
import { loadTitles, type TitleOptions } from "./titles.ts";

/** How a data set is read. */
export interface Reading extends Pick<TitleOptions, "targets" | "holdOut">, InteractionOptions {
  /**
   * The tokenizer of titles: `r50k`, or a folder with a tokenizer.json. Default the model's own, if
   * it has one, else `r50k`.
   */
  readonly tokenizer?: string;
  /** A file with the prompt around a history of titles. */
  readonly prompt?: string;
  /** The file of codes: its path in the folder, its name, or `X` of `X.index.json`. */
  readonly index?: string;
  /** Only the first items of the catalogue. */
  readonly limitItems?: number;
  /** Only the first users. */
  readonly limitUsers?: number;
  /**
   * How items are written: `semantic`, `item`, `random`, or how to make codes, such as
   * `hierarchical:64x16`; see `makeCodes`. Default `semantic`.
   */
  readonly codes?: string;
  /**
   * What a model reads of an item of the history: its tokens, or one position with an embedding of
   * its own and the sum of those of its tokens, after which the tokens of the next item are
   * predicted in turn (`items`) or at once (`items-parallel`). Default `tokens`.
   */
  readonly input?: "tokens" | ItemInput;
  /** Whether the validation targets are training targets as well. */
  readonly joinValidation?: boolean;
}

/** How a data set is read now. */
export interface LoadOptions extends Reading, Pick<CodedOptions, "keptCodes" | "openDevice"> {
  /** Whether data without codes are read with one token an item, if `codes` asks for none. */
  readonly codesOptional?: boolean;
}

/** Called with what is being done, how much of it is done, and the total. */
export type ReadingProgress = (what: string, done: number, total: number) => void;

/**
 * Loads a data set: `synthetic`, or a folder or one file of it, by its path or in memory. The names
 * of the files say which kind of data they are:
 *
 * - semantic ids: `index.json` and `inter.json`, or `X.index.json` and `X.inter.json`, or
 *   `sequential_data.txt` beside a file of codes;
 * - semantic ids with given splits: `train.csv`, `valid.csv`, `test.csv` and `info.txt`, or folders
 *   of these names;
 * - sequences without codes, which need `codes`: `inter.json` or `sequential_data.txt` alone;
 * - titles: `id2name4Rec.json`, `train.csv` and `test.csv`;
 * - interactions, which need `codes`: `X.inter`, `ratings.csv`, `u.data` or `ratings.dat`, or any
 *   file of rows, of which `columns` may be needed.
 *
 * With the folder of a pretrained `model`, titles are read with the model's tokenizer and keep its
 * token ids, unless `reading` names a tokenizer.
 *
 * @throws {UsageError} if the data have no titles or no codes and an option needs them, if `index`
 * names no file of codes, if `codes` is malformed or needs vectors without ids for items that have
 * no order, or if a prompt or a model needs text and `codes` is neither `semantic` nor `random` or
 * `input` is not `tokens`.
 * @throws {DataError} if a file is missing, malformed or contradicts another.
 *
 * @example
 * ```ts
 * import { loadDataset } from "beargrad/lab";
 *
 * const dataset = await loadDataset("synthetic", { limitUsers: 100, codes: "random" });
 * console.log(dataset.test.length); // 100
 * ```
 */
export async function loadDataset(
  data: string | Folder,
  reading: LoadOptions = {},
  model?: string | Folder,
  onProgress?: ReadingProgress,
): Promise<Dataset> {
  const { limitItems: items, limitUsers: users, codes = "semantic", prompt } = reading;
  const { input = "tokens", keptCodes, openDevice } = reading;
  const text = prompt !== undefined ? "--prompt" : model !== undefined ? "--model" : undefined;
  if (codes !== "semantic" && codes !== "random" && text !== undefined) {
    throw new UsageError(
      `Cannot use --codes ${codes}: it must come without ${text}, got both`,
    );
  }
  if (input !== "tokens" && text !== undefined) {
    throw new UsageError(
      `Cannot use --input ${input}: it must come without ${text}, got both`,
    );
  }
  const dataset = data === "synthetic"
    ? loadSynthetic(reading)
    : await loadFiles(data, reading, model, onProgress);
  const limited = limitDataset(dataset, { items, users });
  const whole = reading.joinValidation ? joinValidation(limited) : limited;
  const coded = isPlainCodes(codes)
    ? withCodes(whole, codes)
    : await withMadeCodes(whole, codes, { keptCodes, openDevice, onProgress });
  return input === "tokens" ? coded : withItemInput(coded, input);
}

function loadSynthetic(reading: Reading): Dataset {
  refuseTextOptions(reading, "synthetic");
  refuseOptions(reading, INTERACTION_OPTIONS, INTERACTIONS, "synthetic");
  refuseOptions(reading, ["index"], "have files of codes", "synthetic");
  return synthetic();
}

async function loadFiles(
  data: string | Folder,
  reading: LoadOptions,
  model: string | Folder | undefined,
  onProgress: ReadingProgress | undefined,
): Promise<Dataset> {
  const { folder, file } = placeOf(data);
  const { index, columns, codesOptional } = reading;
  const { codes = codesOptional ? "item" : "semantic" } = reading; // where the data have none
  const format = findFormat(folder, { file, index, columns });
  if (format.kind === "interactions") {
    refuseTextOptions(reading, folder.path);
    refuseWithoutCodes(folder, format.file, codes);
    refuseWithoutIds(folder, format.file, codes);
    const what = `reading ${format.file}, MiB`;
    return loadInteractions(folder, format.file, reading, (done, total) => {
      onProgress?.(what, Math.ceil(done / 2 ** 20), Math.ceil(total / 2 ** 20));
    });
  }
  refuseOptions(reading, INTERACTION_OPTIONS, INTERACTIONS, folder.path);
  if (format.kind === "titles") return await loadText(folder, reading, model, onProgress);
  refuseTextOptions(reading, folder.path);
  if (format.kind === "split rows") return loadSplitRows(folder, format.files);
  if (format.files.codes === undefined) {
    const orElse = "an index.json beside it must have codes, or ";
    refuseWithoutCodes(folder, format.files.users, codes, orElse);
    refuseWithoutIds(folder, format.files.users, codes);
  }
  return loadSemanticIds(folder, format.files);
}

/** Refuses data without codes, unless others are asked for. */
function refuseWithoutCodes(folder: Folder, file: string, codes: string, orElse = ""): void {
  if (codes !== "semantic" && codes !== "random") return;
  throw new UsageError(
    `Cannot load ${folder.pathOf(file)}, which has no codes: ${orElse}--codes must be item or ` +
      `made ones such as hierarchical:64x16, got ${codes}`,
  );
}

/** Refuses vectors without ids for items whose order no file of the user's has. */
function refuseWithoutIds(folder: Folder, file: string, codes: string): void {
  if (isPlainCodes(codes)) return;
  const rows = parseSpec(codes).from.find(({ kind, place }) =>
    kind === "file" && !place.endsWith(".csv")
  );
  if (rows === undefined) return;
  throw new UsageError(
    `Cannot use --codes ${codes}: the items of ${folder.pathOf(file)} have no order that rows of ` +
      `vectors could follow, so vectors must be in a .csv file with ids, got ${rows.place}`,
  );
}

async function loadText(
  folder: Folder,
  { tokenizer, prompt, targets, holdOut }: Reading,
  model: string | Folder | undefined,
  onProgress: ReadingProgress | undefined,
): Promise<Dataset> {
  const own = model !== undefined && folderAt(model).has("tokenizer.json");
  const which = tokenizer ?? (own ? model : "r50k");
  // A model without a tokenizer was trained here, with the compact ids of the same titles in r50k.
  const isModels = prompt !== undefined || (model !== undefined && which !== "r50k");
  return loadTitles(folder, {
    tokenizer: await loadTokenizer(which),
    template: prompt === undefined ? undefined : loadTemplate(prompt),
    vocabulary: isModels ? "model" : "compact",
    targets,
    holdOut,
    onProgress,
  });
}

/** Refuses what only titles need. */
function refuseTextOptions(reading: Reading, data: string): void {
  const requirement = "be a folder of titles, with an id2name4Rec.json";
  refuseOptions(reading, ["tokenizer", "prompt", "targets", "holdOut"], requirement, data);
}

const INTERACTIONS = "have interactions such as ratings.csv";

const INTERACTION_OPTIONS: readonly (keyof InteractionOptions)[] = [
  "columns",
  "minRating",
  "duplicates",
  "kCore",
  "split",
  "skipBadRows",
];

/** Refuses options that the data must meet a requirement for. */
function refuseOptions(
  reading: Reading,
  options: readonly (keyof Reading)[],
  requirement: string,
  data: string,
): void {
  const given = options.find((name) => reading[name] !== undefined && reading[name] !== false);
  if (given === undefined) return;
  const flag = given.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new UsageError(`Cannot use --${flag}: --data must ${requirement}, got ${data}`);
}
