/**
 * The list that a trained run recommends after a history: by a search, with titles,
 * probabilities, and how much of the list is proved to be the exact one.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { Device } from "../../core/tensor.ts";
import { userOf } from "../analysis/explain_user.ts";
import type { NamedItem } from "../analysis/explanation.ts";
import {
  type ListSearch,
  type ListSearchOptions,
  openListSearch,
  type SearchChoice,
} from "../analysis/searches.ts";
import { type EvaluationCase, evaluationCases } from "../data/dataset.ts";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { openModel, readSavedRun, type SavedRun, type SearchableModel } from "../train/models.ts";
import { turn } from "../turn.ts";

/** Options of {@link openRun}. */
export interface OpenRunOptions {
  /** The device, which the run then owns. Default a cpu device of float32 with one thread. */
  readonly device?: Device;
  /** Called with the name of a stage, what is done of it, and its total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** A saved run whose model is on a device. Disposing it frees the device. */
export interface OpenRun extends SavedRun, Disposable {
  /** The path of its folder. */
  readonly checkpoint: string;
  /** Its model. */
  readonly model: SearchableModel;
  /** The index of each item by its id. */
  readonly itemOf: ReadonlyMap<string, number>;
  /** A search. It is made once, so that later calls replay what it recorded. */
  searchOf(options: ListSearchOptions): ListSearch;
}

/** Options of {@link recommend}. */
export interface RecommendOptions {
  /** How to search. Default a beam. */
  readonly search?: SearchChoice;
  /** The beam width B, the first one of adaptive. Default that of the run. */
  readonly beam?: number;
  /** The length of the list, at most B for beam and huggingface. Default B. */
  readonly top?: number;
  /** Whether the items that the model sees are taken out of the catalogue. Default false. */
  readonly excludeHistory?: boolean;
}

/** One place of a list. */
export interface RecommendedItem {
  /** Its item, or all that share its codes, without excluded ones. */
  readonly items: readonly NamedItem[];
  /** Whether other items of the catalogue have the same codes. */
  readonly isShared: boolean;
  /** log P, under the normalisation and temperature of the run. */
  readonly logProb: number;
}

/** A list. */
export interface Recommendation {
  /** The id of the test user, if the list is for one. */
  readonly user?: string;
  /** What the model read, oldest first. */
  readonly history: readonly NamedItem[];
  /** The item that the split holds out, if the list is for a test user. */
  readonly target?: NamedItem;
  /** The codes of the model, as `--codes` names them, if they are not the data's own. */
  readonly codes?: string;
  /** How it was searched for. */
  readonly search: SearchChoice;
  /** The beam width B. */
  readonly beam: number;
  /** How many generated tokens the model was fed. */
  readonly rows: number;
  /** The list, best first. A small catalogue gives fewer than asked for, as may a budget. */
  readonly list: readonly RecommendedItem[];
  /**
   * The best score that the search left behind before its last step; -Infinity if there was none.
   * Places that score above it are the exact ones (docs/theory.md, T9), save by Hugging Face's
   * rules, which may rank in another order.
   */
  readonly bestPruned: number;
  /** How many places from the first are proved to be the exact ones. */
  readonly certified: number;
}

/** How many users are searched between two reports of progress. */
const CHUNK = 256;

/**
 * Opens the run in a folder, for any number of lists. `data` is what it was trained on:
 * `synthetic`, or a folder.
 *
 * @throws {CheckpointError} if there is no such run, it is malformed, or it was trained on another
 * data set.
 * @throws {DataError} if the data cannot be read.
 *
 * @example
 * ```ts ignore
 * import { openRun, recommend } from "beargrad/lab";
 *
 * using run = await openRun("runs/first/bear-seed0", "data/office");
 * const { list, certified } = await recommend(run, ["3", "15"], { top: 5 });
 * console.log(list.map(({ items: [{ id, title }] }) => `${id} ${title}`), certified);
 * ```
 */
export async function openRun(
  checkpoint: string | Folder,
  data: string | Folder,
  { device, onProgress }: OpenRunOptions = {},
): Promise<OpenRun> {
  const saved = await readSavedRun(checkpoint, data, onProgress);
  const { dataset, recipe: { tau }, normalization } = saved;
  const { path } = folderAt(checkpoint);
  const over = { normalization, tau };
  const model = await openModel(device ?? cpu(), checkpoint, dataset, over, (done, total) => {
    onProgress?.(`reading ${path}`, done, total);
  });
  const searches = new Map<string, ListSearch>();
  return {
    ...saved,
    checkpoint: path,
    model,
    itemOf: new Map(dataset.items.map((id, item) => [id, item])),
    searchOf(options): ListSearch {
      const key = JSON.stringify(options);
      const search = searches.get(key) ??
        openListSearch(model.decoder, model.trie, { ...over, ...options });
      searches.set(key, search);
      return search;
    },
    [Symbol.dispose]: () => {
      for (const search of searches.values()) search[Symbol.dispose]();
      model[Symbol.dispose]();
    },
  };
}

/**
 * The list after a history: ids of items, oldest first, of which the model reads the last ones, as
 * many as in training.
 *
 * @throws {ArgumentError} if the history is empty or has an unknown id, or `beam` or `top` is not
 * possible.
 */
export async function recommend(
  run: OpenRun,
  history: readonly string[],
  options: RecommendOptions = {},
): Promise<Recommendation> {
  const { dataset, recipe } = run;
  const items = history.map((id) => run.itemOf.get(id) ?? -1);
  const unknown = items.indexOf(-1);
  if (history.length === 0 || unknown >= 0) {
    throw new ArgumentError(
      `Cannot recommend from ${dataset.name}: the history must have ids of its ` +
        `${dataset.items.length} items, such as "${dataset.items[0]}", got ` +
        (history.length === 0 ? "none" : `"${history[unknown]}"`),
    );
  }
  const [found] = await searchFor(run, [{ history: items.slice(-recipe.history) }], options);
  return found;
}

/**
 * The list of one test user, with the item that the split holds out. In titles, where a user may
 * have several rows, `user` is `id` or `id#line`.
 *
 * @throws {ArgumentError} if there is no such user, or as {@link recommend}.
 */
export async function recommendUser(
  run: OpenRun,
  user: string,
  options: RecommendOptions = {},
): Promise<Recommendation> {
  const { dataset, recipe } = run;
  const cases = evaluationCases(dataset, "test", recipe.history);
  const [found] = await searchFor(run, [userOf(cases, user, dataset, "recommend to")], options);
  return found;
}

/**
 * The lists of all test users, in the data's order, some at a time.
 *
 * @throws {ArgumentError} as {@link recommend}.
 */
export async function* recommendAll(
  run: OpenRun,
  options: RecommendOptions = {},
): AsyncGenerator<readonly Recommendation[]> {
  const cases = evaluationCases(run.dataset, "test", run.recipe.history);
  for (let at = 0; at < cases.length; at += CHUNK) {
    yield await searchFor(run, cases.slice(at, at + CHUNK), options);
    await turn(); // for Ctrl-C
  }
}

/**
 * A list as one object of JSON, in the plain shape that `audit` reads. A place whose codes several
 * items have is an array of ids.
 */
export function listToJson(found: Recommendation): object {
  const { user, history, target, codes, list, bestPruned, certified, search, beam, rows } = found;
  return {
    ...(user !== undefined && { user }),
    history: history.map(({ id }) => id),
    ...(target && { target: target.id }),
    ...(codes !== undefined && { codes }),
    items: list.map(({ items, isShared }) => isShared ? items.map(({ id }) => id) : items[0].id),
    logProbs: list.map(({ logProb }) => logProb),
    bestPruned: bestPruned === -Infinity ? null : bestPruned,
    certified,
    search: search.method,
    ...(search.budget !== undefined && { budget: search.budget }),
    ...(search.lengthPenalty !== undefined && { lengthPenalty: search.lengthPenalty }),
    beam,
    rows,
  };
}

/** Who is searched for: a test user, or a history alone. */
type Query = Pick<EvaluationCase, "history"> & Partial<EvaluationCase>;

async function searchFor(
  run: OpenRun,
  queries: readonly Query[],
  options: RecommendOptions,
): Promise<Recommendation[]> {
  const { search: choice = { method: "beam" }, excludeHistory = false } = options;
  const { beam = run.recipe.beam, top = beam } = options;
  const search = run.searchOf({ ...choice, beam, top }); // which checks all but this:
  const isBeam = choice.method === "beam" || choice.method === "huggingface";
  if (isBeam && !(Number.isInteger(top) && top >= 1 && top <= beam)) {
    throw new ArgumentError(
      `Cannot recommend: top must be an integer from 1 to the beam width ${beam}, got ${top}`,
    );
  }
  const { dataset, model: { trie: { trie } } } = run;
  const named = (item: number): NamedItem => ({
    id: dataset.items[item],
    ...(dataset.titles && { title: dataset.titles[item] }),
  });
  const results = await search.search(
    queries.map(({ history }) => dataset.prompt(history)),
    queries.map(({ history }) => excludeHistory ? history : []),
  );
  return results.map((result, q): Recommendation => {
    const { id: user, history, target } = queries[q];
    return {
      ...(user !== undefined && { user }),
      history: history.map(named),
      ...(target !== undefined && { target: named(target) }),
      ...(dataset.codes !== undefined && { codes: dataset.codes }),
      search: choice,
      beam,
      rows: result.rows,
      list: result.ranking.map(({ leaf, items, logProb }) => ({
        items: items.map(named),
        isShared: trie.itemsAt(leaf).length > 1,
        logProb,
      })),
      bestPruned: result.bestPruned,
      certified: result.certified,
    };
  });
}
