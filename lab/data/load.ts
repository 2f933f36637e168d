/**
 * The data set that options name, of whatever kind.
 *
 * @module
 */
import { isPresent } from "../files.ts";
import { refuse } from "../usage.ts";
import { loadTemplate } from "../text/template.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { join } from "node:path";
import { type Codes, withCodes } from "./codes.ts";
import type { Dataset } from "./dataset.ts";
import { joinValidation } from "./join_validation.ts";
import { limitDataset } from "./limit.ts";
import { loadSemanticIds } from "./semantic_ids.ts";
import { synthetic } from "./synthetic.ts";
import { isTitleFolder } from "./title_files.ts";
import { loadTitles } from "./titles.ts";

/** How data are read. */
export interface Reading {
  /** What titles become tokens with: `r50k`, or a folder with a tokenizer.json; the model's own, or `r50k`, unless told. */
  readonly tokenizer?: string;
  /** A file with the prompt that a history of titles is put into. */
  readonly prompt?: string;
  /** Which items of a sequence of titles are predicted; `all` unless told. */
  readonly targets?: "all" | "last";
  /** How many of the last training rows of titles, by time, are validation cases instead. */
  readonly holdOut?: number;
  /** Only the first so many items of the catalogue. */
  readonly limitItems?: number;
  /** Only the first so many users. */
  readonly limitUsers?: number;
  /** What items are written as; `semantic` unless told. */
  readonly codes?: Codes;
  /** Whether the validation targets are training targets too. */
  readonly joinValidation?: boolean;
}

/** Told what is being done, and how much of it. */
export type ReadingProgress = (what: string, done: number, total: number) => void;

/**
 * The data set of a name, `synthetic`, or of a folder: item titles where there is an id2name4Rec.json, else semantic ids.
 * With the folder of a pretrained `model`, titles are read with its tokenizer and keep its token ids, unless a tokenizer is
 * named.
 *
 * @throws {UsageError} if the data have no titles and what only titles need is told, or if one token an item is asked for
 * with a prompt or a model, which need text.
 * @throws {DataError} if a file is missing, malformed or contradicts another.
 *
 * @example
 * ```ts
 * import { loadDataset } from "beargrad/lab";
 *
 * const dataset = await loadDataset("synthetic", { limitUsers: 100 });
 * console.log(dataset.test.length); // 100
 * ```
 */
export async function loadDataset(
  data: string,
  reading: Reading = {},
  model?: string,
  onProgress?: ReadingProgress,
): Promise<Dataset> {
  const { limitItems: items, limitUsers: users, codes = "semantic", prompt } = reading;
  const text = prompt !== undefined ? "--prompt" : model !== undefined ? "--model" : undefined;
  if (codes === "item" && text !== undefined) {
    refuse("--codes item", "it must come without what reads text", text);
  }
  const dataset = data !== "synthetic" && isTitleFolder(data)
    ? await loadText(data, reading, model, onProgress)
    : withoutText(data, reading);
  const limited = limitDataset(dataset, { items, users });
  return withCodes(reading.joinValidation ? joinValidation(limited) : limited, codes);
}

async function loadText(
  folder: string,
  { tokenizer, prompt, targets, holdOut }: Reading,
  model: string | undefined,
  onProgress: ReadingProgress | undefined,
): Promise<Dataset> {
  const own = model !== undefined && isPresent(join(model, "tokenizer.json"));
  const which = tokenizer ?? (own ? model : "r50k");
  return loadTitles(folder, {
    tokenizer: await loadTokenizer(which),
    template: prompt === undefined ? undefined : loadTemplate(prompt),
    // Without a prompt, ids that a model was trained with here are those of the same data read with r50k.
    vocabulary: prompt !== undefined || (model !== undefined && which !== "r50k")
      ? "model"
      : "compact",
    ...{ targets, holdOut, onProgress },
  });
}

function withoutText(data: string, reading: Reading): Dataset {
  for (const name of ["tokenizer", "prompt", "targets", "holdOut"] as const) {
    if (reading[name] === undefined) continue;
    const flag = name === "holdOut" ? "hold-out" : name;
    refuse(`--${flag}`, "--data must be a folder of titles, with an id2name4Rec.json", data);
  }
  return data === "synthetic" ? synthetic() : loadSemanticIds(data);
}
