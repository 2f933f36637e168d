/**
 * Data sets of item titles: a folder with `id2name4Rec.json` (item id -> title), `train.csv` or `train_10000.csv`, and
 * `test.csv` (user_id, item_ids, timestamp), each row a window over a user's items whose last id is the target.
 *
 * @module
 */
import { basename, resolve } from "node:path";
import { ArgumentError } from "../../core/errors.ts";
import { refuseFile } from "../folder_files.ts";
import type { Template } from "../text/template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { chain, inTimeOrder } from "./chains.ts";
import type { Dataset, EvaluationCase, Skipped, TrainingSequence } from "./dataset.ts";
import { readRows, readTitles, type Row, type TrainFile, trainFileOf } from "./title_files.ts";
import { titleTokens } from "./title_tokens.ts";

/** What {@link loadTitles} is told. */
export interface TitleOptions {
  /** What turns titles into tokens. */
  readonly tokenizer: Tokenizer;
  /** The prompt, for a model that has one; unless told a model reads titles one after the other. */
  readonly template?: Template;
  /**
   * `all` (unless told): a user's windows are joined to one sequence, and every item of it is a target (with a prompt, all
   * but the first). `last`: as the rows are, the last item of each.
   */
  readonly targets?: "all" | "last";
  /**
   * `compact`: the tokens that occur are numbered anew, 0 begins a sequence and 1 ends a title. `model`: tokens keep the
   * tokenizer's ids, and its own ones begin and end. Unless told `model` with a prompt, else `compact`.
   */
  readonly vocabulary?: "compact" | "model";
  /** The most tokens of a title, without the one that ends it; those beyond are cut. 40 unless told. */
  readonly maxTokens?: number;
  /** How many of the last training rows, by time, are the validation cases instead; 0 unless told. */
  readonly holdOut?: number;
  /** The file with training rows; `train.csv` unless told, or `train_10000.csv` where that is the only one. */
  readonly train?: TrainFile;
  /** Told what is being done, and how much of it. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/**
 * Loads a data set of item titles. HTML entities in titles are decoded; items with equal titles share a leaf. Ids without a
 * title are left out of histories, and rows whose target has none, or without history, are left out; all are counted.
 *
 * Held-out rows are the last of the training file by time. They and their targets are gone from training: what is left are
 * the rows before them. `known("validation")` are the sequences of what is left, `known("test")` those of all training rows.
 *
 * @throws {DataError} if a file is missing or malformed (one line: file, line, column, value), titles cannot be tokenised
 * alike everywhere, or nothing is left to train on or to judge by.
 * @throws {ArgumentError} if an option is out of range.
 *
 * @example
 * ```ts ignore
 * import { loadTitles, loadTokenizer } from "beargrad/lab";
 *
 * const dataset = loadTitles("data/office-titles", { tokenizer: await loadTokenizer("r50k") });
 * console.log(dataset.titles![0], dataset.paths[0], dataset.training.length);
 * ```
 */
export function loadTitles(folder: string, options: TitleOptions): Dataset {
  const { tokenizer, template, targets = "all", maxTokens = 40, holdOut = 0 } = options;
  const { vocabulary = template === undefined ? "compact" : "model", onProgress } = options;
  checkCount("maxTokens", maxTokens, 1);
  checkCount("holdOut", holdOut, 0);

  const trainFile = trainFileOf(folder, options.train);
  const named = [...readTitles(folder)];
  onProgress?.("reading files", 1, 3);
  const trainRows = readRows(folder, trainFile);
  onProgress?.("reading files", 2, 3);
  const test = readRows(folder, "test.csv");
  onProgress?.("reading files", 3, 3);

  const catalogue = named.filter(([, title]) => title !== "");
  const [ids, titles] = [catalogue.map(([id]) => id), catalogue.map(([, title]) => title)];
  if (ids.length === 0) {
    refuseFile(folder, "id2name4Rec.json", "the catalogue must have titles", "none");
  }
  const rows = inTimeOrder(trainRows);
  const fit = rows.slice(0, Math.max(0, rows.length - holdOut));
  const heldOut = rows.slice(fit.length);

  const known = new Catalogued(ids);
  const sequences = known.sequences(fit);
  const before = holdOut > 0 ? known.sequences(rows) : sequences;
  const training: TrainingSequence[] = targets === "last"
    ? known.cases(fit).map(({ history, target }) => ({
      items: [...history, target],
      context: history.length,
    }))
    : sequences.map((items) => ({ items, context: template === undefined ? 0 : 1 }))
      .filter(({ items, context }) => items.length > context);
  const validation = known.cases(heldOut);
  const judged = known.cases(test);
  if (training.length === 0) {
    refuseFile(
      folder,
      trainFile,
      "it must leave items to train on",
      `${rows.length} rows, none of use`,
    );
  }
  if (judged.length === 0) {
    refuseFile(
      folder,
      "test.csv",
      "it must leave rows to judge by",
      `${test.length} rows, none of use`,
    );
  }
  const { cut, alike, collisions, ...written } = titleTokens({ folder, ids, titles }, {
    tokenizer,
    template,
    vocabulary,
    maxTokens,
    onProgress: (done, total) => onProgress?.("tokenising titles", done, total),
  });
  const skipped: Skipped[] = [
    { what: "titles without text", count: named.filter(([, title]) => title === "").length },
    { what: "ids in rows that have no title", count: known.withoutTitle([...rows, ...test]) },
    { what: "rows whose target has no title, or without history", count: rowsLost() },
    { what: `titles cut at ${maxTokens} tokens`, count: cut },
    { what: "titles that the tokenizer does not tell from another", count: alike },
    { what: "titles like another because they were cut", count: collisions },
  ];
  return {
    name: basename(resolve(folder)),
    items: ids,
    titles,
    ...written,
    ...(template !== undefined && { promptPerTarget: true }),
    training,
    validation,
    test: judged,
    known: (split) => (split === "test" ? before : sequences),
    skipped: skipped.filter(({ count }) => count > 0),
  };

  function rowsLost(): number {
    const used = validation.length + judged.length + (targets === "last" ? training.length : 0);
    return heldOut.length + test.length + (targets === "last" ? fit.length : 0) - used;
  }
}

/** Rows as item indices. */
class Catalogued {
  readonly #itemOf: ReadonlyMap<string, number>;

  constructor(ids: readonly string[]) {
    this.#itemOf = new Map(ids.map((id, item) => [id, item]));
  }

  /** The indices of the ids that have one. */
  #items(ids: readonly string[]): number[] {
    return ids.flatMap((id) => this.#itemOf.get(id) ?? []);
  }

  /** Each user's sequence. Rows are joined by their ids, those without a title included, so that none tears a sequence. */
  sequences(rows: readonly Row[]): number[][] {
    return chain(rows).map((ids) => this.#items(ids)).filter((items) => items.length > 0);
  }

  /** The rows whose target has a title and whose history is not empty, named by user and line. */
  cases(rows: readonly Row[]): EvaluationCase[] {
    return rows.flatMap(({ user, line, ids }) => {
      const target = this.#itemOf.get(ids.at(-1) ?? "");
      const history = this.#items(ids.slice(0, -1));
      return target === undefined || history.length === 0
        ? []
        : [{ id: `${user}#${line}`, user, history, target }];
    });
  }

  /** How many ids of some rows have no index. */
  withoutTitle(rows: readonly Row[]): number {
    return rows.reduce(
      (sum, { ids }) => sum + ids.filter((id) => !this.#itemOf.has(id)).length,
      0,
    );
  }
}

function checkCount(name: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least)) return;
  throw new ArgumentError(
    `Cannot load titles with ${name} ${value}: it must be an integer of at least ${least}, got ${value}`,
  );
}
