/**
 * Explains the searches of users of a trained run.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { exactRanks, type RankQuestion } from "../../models/decode/exact.ts";
import type { BeamResult } from "../../models/decode/results.ts";
import { type Dataset, type EvaluationCase, evaluationCases } from "../data/dataset.ts";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { openModel, readSavedRun, type SavedRun, type SearchableModel } from "../train/models.ts";
import { turn } from "../turn.ts";
import { explain, type Explanation } from "./explanation.ts";
import { type Attribution, pathSteps } from "./pruning.ts";
import { openListSearch } from "./searches.ts";
import { type BeamVerdict, judgeCases, type JudgeOptions } from "./verdicts.ts";

/** Options of {@link explainUser} and {@link prunedUsers}. */
export interface ExplainOptions extends Pick<ExplainCaseOptions, "onProgress"> {
  /** The folder of a run, as train.ts writes it below `--out`. */
  readonly checkpoint: string | Folder;
  /** The data set that it was trained on: `synthetic`, or a folder. */
  readonly data: string | Folder;
  /** The beam width B. Default that of the run. */
  readonly beam?: number;
  /** Whether the items that the model sees are taken out of the catalogue. */
  readonly excludeHistory?: boolean;
}

/** Options of {@link explainCase}. */
export interface ExplainCaseOptions {
  /** The model's name, and what it was trained with. */
  readonly name: string;
  /** The beam width B. */
  readonly beam: number;
  /** Items taken out of the catalogue. Default none. */
  readonly excluded?: readonly number[];
  /** Called with the name of a stage, what is done of it, and its total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** What {@link explainCase} finds. */
export interface ExplainedCase {
  /** What became of the item that should be found. */
  readonly explanation: Explanation;
  /** The search: the list, and every step with its whole pool. */
  readonly found: BeamResult;
}

/** How many places of the exact ranking are looked at: few first, which is cheaper. */
const DEPTHS = [25, 100, 1000];
/** How many users are judged together. */
const CHUNK = 64;
/** How many ids an error names. */
const IDS = 3;

/**
 * Searches for one test user of a trained model and explains what became of the item that should be
 * found. The search and the probabilities are those of a float32 cpu device. `user` is the id of a
 * test user; in titles, where a user may have several rows, `id` or `id#line`.
 *
 * @throws {CheckpointError} if there is no such run, it is malformed, or it was trained on another
 * data set.
 * @throws {DataError} if the data cannot be read.
 * @throws {ArgumentError} if there is no such user, or `beam` is not a positive integer.
 *
 * @example
 * ```ts ignore
 * import { explainUser, renderExplanation } from "beargrad/lab";
 *
 * const found = await explainUser({ checkpoint: "runs/bear", data: "data/office", user: "7" });
 * console.log(found.lost?.cause, renderExplanation(found));
 * ```
 */
export async function explainUser(
  options: ExplainOptions & { readonly user: string },
): Promise<Explanation> {
  const { checkpoint, excludeHistory = false, onProgress } = options;
  const { dataset, recipe, open } = await openRun(options);
  const kase = userOf(evaluationCases(dataset, "test", recipe.history), options.user, dataset);
  using model = await open();
  const { explanation } = await explainCase(model, dataset, kase, {
    name: `${folderAt(checkpoint).path}, trained with ${recipe.loss}`,
    beam: options.beam ?? recipe.beam,
    excluded: excludeHistory ? kase.history : [],
    onProgress,
  });
  return explanation;
}

/**
 * Searches for one user of an open model and explains what became of the item that should be
 * found. Excluding all items but those that begin with a token forces that token.
 *
 * @throws {ArgumentError} if `beam` is not a positive integer.
 *
 * @example
 * ```ts ignore
 * import { evaluationCases, explainCase, searchableModel } from "beargrad/lab";
 *
 * using model = searchableModel(trainer.model, trainer.weights, trie, { normalization, tau });
 * const [kase] = evaluationCases(dataset, "test", recipe.history, 1);
 * const { explanation, found } = await explainCase(model, dataset, kase, { name: "a", beam: 10 });
 * console.log(explanation.lost?.cause, found.steps[0].pool?.nodes);
 * ```
 */
export async function explainCase(
  model: SearchableModel,
  dataset: Dataset,
  kase: EvaluationCase,
  { name, beam, excluded = [], onProgress }: ExplainCaseOptions,
): Promise<ExplainedCase> {
  const { decoder, forcing, trie: { trie }, normalization, tau } = model;
  const shared = { normalization, tau, beam };
  const prompt = dataset.prompt(kase.history);
  const leaf = trie.leafOf[kase.target];
  using search = new BeamSearch(decoder, model.trie, { ...shared, trace: true, batch: 1 });
  const [found] = await search.search([prompt], [excluded]);
  const [logits] = await forcing.logits([prompt], [leaf]);
  let exactRank = -1;
  if (!excluded.includes(kase.target)) {
    const blocked = new Set(trie.blockedNodes(excluded));
    const path = pathSteps(trie, leaf, logits, { ...shared, blocked });
    const question = { history: prompt, leaf, excluded, logProb: path[path.length - 1].score };
    exactRank = await exactRankOf(model, question, onProgress);
  }
  const explanation = explain({
    name,
    dataset,
    trie,
    kase,
    found,
    model: logits,
    ...shared,
    excluded,
    exactRank,
    ranked: Math.min(DEPTHS[DEPTHS.length - 1], trie.leafCount),
  });
  return { explanation, found };
}

/** A user whose target is among the exact B best and was not returned. */
export interface PrunedUser extends Attribution, Pick<BeamVerdict, "exactRank"> {
  /** The user's id. */
  readonly user: string;
  /** Its target's id. */
  readonly target: string;
}

/**
 * The test users whose target is among the exact B best and was pruned, in the data's order.
 *
 * @throws as {@link explainUser}.
 */
export async function prunedUsers(options: ExplainOptions): Promise<PrunedUser[]> {
  const { excludeHistory, onProgress } = options;
  const { dataset, recipe, open } = await openRun(options);
  const cases = evaluationCases(dataset, "test", recipe.history);
  using model = await open();
  const all: PrunedUser[] = [];
  const search = { beam: options.beam ?? recipe.beam, excludeHistory };
  for await (const { done, pruned } of prunedCases(model, dataset, cases, search)) {
    all.push(...pruned);
    onProgress?.("searching", done, cases.length);
  }
  return all;
}

/**
 * Looks for users of an open model whose target is among the exact B best and was pruned. Yields
 * after every 64 cases what it found among them, and the number of cases done; to stop it, leave
 * the loop.
 *
 * @throws {ArgumentError} if `beam` is not a positive integer.
 *
 * @example
 * ```ts ignore
 * import { evaluationCases, prunedCases } from "beargrad/lab";
 *
 * const cases = evaluationCases(dataset, "test", recipe.history);
 * for await (const { done, pruned } of prunedCases(model, dataset, cases, { beam: 10 })) {
 *   console.log(`${done} of ${cases.length}`, pruned.map(({ user }) => user));
 *   if (pruned.length > 0) break;
 * }
 * ```
 */
export async function* prunedCases(
  { decoder, forcing, trie, normalization, tau }: SearchableModel,
  dataset: Dataset,
  cases: readonly EvaluationCase[],
  { beam, excludeHistory }: { readonly beam: number; readonly excludeHistory?: boolean },
): AsyncGenerator<{ readonly done: number; readonly pruned: readonly PrunedUser[] }> {
  const setting: JudgeOptions = {
    decoder,
    teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
    trie,
    dataset,
    beams: [beam],
    excludeHistory,
    normalization,
    tau,
  };
  using search = openListSearch(decoder, trie, { beam, normalization, tau });
  for (let at = 0; at < cases.length; at += CHUNK) {
    const users = cases.slice(at, at + CHUNK);
    const verdicts = await judgeCases(users, [search], setting);
    const pruned = verdicts.flatMap(
      ({ beams: [{ cause, lostAt, exactRank }] }, u): PrunedUser[] => {
        const { id: user, target } = users[u];
        if (cause === undefined) return [];
        return [{ user, target: dataset.items[target], step: lostAt, cause, exactRank }];
      },
    );
    yield { done: at + users.length, pruned };
    await turn(); // for Ctrl-C
  }
}

/** A saved run, with a function that opens its model on a float32 cpu device. */
async function openRun(
  { checkpoint, data, onProgress }: ExplainOptions,
): Promise<SavedRun & { readonly open: () => Promise<SearchableModel> }> {
  const run = await readSavedRun(checkpoint, data, onProgress);
  const { dataset, recipe: { tau }, normalization } = run;
  const what = `reading ${folderAt(checkpoint).path}`;
  const open = (): Promise<SearchableModel> =>
    openModel(cpu(), checkpoint, dataset, { normalization, tau }, (done, total) => {
      onProgress?.(what, done, total);
    });
  return { ...run, open };
}

/**
 * The test case of a user; in titles `user` is `id` or `id#line`.
 *
 * @throws {ArgumentError} if there is none, or several.
 */
export function userOf(
  cases: readonly EvaluationCase[],
  user: string,
  dataset: Dataset,
  action = "explain",
): EvaluationCase {
  const own = cases.filter(({ id, user: name = id }) => id === user || name === user);
  if (own.length === 1) return own[0];
  const listed = (cases: readonly EvaluationCase[]): string =>
    cases.slice(0, IDS).map(({ id }) => `"${id}"`).join(", ");
  throw new ArgumentError(
    `Cannot ${action} user "${user}" of ${dataset.name}: it must be one of ` +
      (own.length > 1
        ? `its ${own.length} test rows, such as ${listed(own)}, got the user`
        : `${cases.length} test users, such as ${listed(cases)}, got an unknown one`),
  );
}

/** The target's place in the exact ranking, from 0, or -1. */
async function exactRankOf(
  { decoder, trie, normalization, tau }: SearchableModel,
  question: RankQuestion,
  onProgress: ExplainCaseOptions["onProgress"],
): Promise<number> {
  let rank = -1;
  for (let i = 0; rank < 0 && i < DEPTHS.length; i++) {
    onProgress?.("ranking", i, DEPTHS.length);
    const k = Math.min(DEPTHS[i], trie.trie.leafCount);
    [rank] = await exactRanks(decoder, trie, [question], k, { normalization, tau });
  }
  onProgress?.("ranking", DEPTHS.length, DEPTHS.length);
  return rank;
}
