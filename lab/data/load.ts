/**
 * Loads a data set of any kind, as options name it.
 *
 * @module
 */
import { UsageError } from "../../core/errors.ts";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { loadTemplate } from "../text/template.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import type { Dataset } from "./dataset.ts";
import { type CodedOptions, withMadeCodes } from "../codes/coded_dataset.ts";
import { isPlainCodes, joinValidation, limitDataset, withCodes } from "./derived.ts";
import { loadSemanticIds } from "./semantic_ids.ts";
import { synthetic } from "./synthetic.ts";
import { isTitleFolder } from "./title_files.ts";
import { loadTitles, type TitleOptions } from "./titles.ts";

/** How a data set is read. */
export interface Reading extends Pick<TitleOptions, "targets" | "holdOut"> {
  /**
   * The tokenizer of titles: `r50k`, or a folder with a tokenizer.json. Default the model's own, if
   * it has one, else `r50k`.
   */
  readonly tokenizer?: string;
  /** A file with the prompt around a history of titles. */
  readonly prompt?: string;
  /** Only the first items of the catalogue. */
  readonly limitItems?: number;
  /** Only the first users. */
  readonly limitUsers?: number;
  /**
   * How items are written: `semantic`, `item`, `random`, or how to make codes, such as
   * `hierarchical:64x16`; see `makeCodes`. Default `semantic`.
   */
  readonly codes?: string;
  /** Whether the validation targets are training targets as well. */
  readonly joinValidation?: boolean;
}

/** How a data set is read now. */
export interface LoadOptions extends Reading, Pick<CodedOptions, "keptCodes" | "openDevice"> {}

/** Called with what is being done, how much of it is done, and the total. */
export type ReadingProgress = (what: string, done: number, total: number) => void;

/**
 * Loads a data set: `synthetic`, or a folder, by its path or in memory. A folder with an
 * id2name4Rec.json has item titles, other folders have semantic ids. With the folder of a
 * pretrained `model`, titles are read with the model's tokenizer and keep its token ids, unless
 * `reading` names a tokenizer.
 *
 * @throws {UsageError} if the data have no titles and an option needs them, if `codes` is malformed,
 * or if it is neither `semantic` nor `random` and a prompt or a model needs text.
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
  const { keptCodes, openDevice } = reading;
  const text = prompt !== undefined ? "--prompt" : model !== undefined ? "--model" : undefined;
  if (codes !== "semantic" && codes !== "random" && text !== undefined) {
    throw new UsageError(
      `Cannot use --codes ${codes}: it must come without what reads text, got ${text}`,
    );
  }
  const dataset = data !== "synthetic" && isTitleFolder(data)
    ? await loadText(data, reading, model, onProgress)
    : loadWithoutText(data, reading);
  const limited = limitDataset(dataset, { items, users });
  const whole = reading.joinValidation ? joinValidation(limited) : limited;
  return isPlainCodes(codes)
    ? withCodes(whole, codes)
    : await withMadeCodes(whole, codes, { keptCodes, openDevice, onProgress });
}

async function loadText(
  folder: string | Folder,
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

function loadWithoutText(data: string | Folder, reading: Reading): Dataset {
  const flags = {
    tokenizer: "tokenizer",
    prompt: "prompt",
    targets: "targets",
    holdOut: "hold-out",
  };
  for (const [name, flag] of Object.entries(flags)) {
    if (reading[name as keyof typeof flags] === undefined) continue;
    throw new UsageError(
      `Cannot use --${flag}: --data must be a folder of titles, with an id2name4Rec.json, ` +
        `got ${data === "synthetic" ? data : folderAt(data).path}`,
    );
  }
  return data === "synthetic" ? synthetic() : loadSemanticIds(data);
}
