/**
 * Explains the searches of users of a trained run.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { type ExactOptions, exactRanks, type RankQuestion } from "../../models/decode/exact.ts";
import { type Dataset, type EvaluationCase, evaluationCases } from "../data/dataset.ts";
import { type OpenModel, openModel, readSavedRun } from "../train/models.ts";
import { explain, type Explanation } from "./explanation.ts";
import { type Attribution, pathSteps } from "./pruning.ts";
import { type BeamVerdict, judgeCases, type JudgeOptions } from "./verdicts.ts";

/** Options of {@link explainUser} and {@link prunedUsers}. */
export interface ExplainOptions {
  /** The folder of a run, as train.ts writes it below `--out`. */
  readonly checkpoint: string;
  /** The data set that it was trained on: `synthetic`, or a folder. */
  readonly data: string;
  /** The beam width B. Default that of the run. */
  readonly beam?: number;
  /** Whether the items that the model sees are taken out of the catalogue. */
  readonly excludeHistory?: boolean;
  /** Called with the name of a stage, what is done of it, and its total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** How many places of the exact ranking are looked at: few first, which is cheaper. */
const DEPTHS = [25, 100, 1000];
/** How many users are judged between two reports of progress. */
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
  const { dataset, recipe, normalization } = await readSavedRun(
    checkpoint,
    options.data,
    onProgress,
  );
  const over = { normalization, tau: recipe.tau };
  const shared = { ...over, beam: options.beam ?? recipe.beam };
  const kase = userOf(evaluationCases(dataset, "test", recipe.history), options.user, dataset);
  using model = await openModel(cpu(), checkpoint, dataset, over, reading(options));
  const { trie } = model.trie;
  const excluded = excludeHistory ? kase.history : [];
  const prompt = dataset.prompt(kase.history);
  const leaf = trie.leafOf[kase.target];
  using search = new BeamSearch(model.decoder, model.trie, { ...shared, trace: true, batch: 1 });
  const [found] = await search.search([prompt], [excluded]);
  const [logits] = await model.forcing.logits([prompt], [leaf]);
  let exactRank = -1;
  if (!excluded.includes(kase.target)) {
    const blocked = new Set(trie.blockedNodes(excluded));
    const path = pathSteps(trie, leaf, logits, { ...shared, blocked });
    const question = { history: prompt, leaf, excluded, logProb: path[path.length - 1].score };
    exactRank = await exactRankOf(model, question, over, onProgress);
  }
  return explain({
    name: `${checkpoint}, trained with ${recipe.loss}`,
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
  const { checkpoint, data, excludeHistory, onProgress } = options;
  const { dataset, recipe, normalization } = await readSavedRun(checkpoint, data, onProgress);
  const { beam = recipe.beam } = options;
  const over = { normalization, tau: recipe.tau };
  const cases = evaluationCases(dataset, "test", recipe.history);
  using model = await openModel(cpu(), checkpoint, dataset, over, reading(options));
  const setting: JudgeOptions = {
    decoder: model.decoder,
    teacherForced: (histories, leaves) => model.forcing.logits(histories, leaves),
    trie: model.trie,
    dataset,
    beams: [beam],
    excludeHistory,
    ...over,
  };
  using search = new BeamSearch(model.decoder, model.trie, { beam, ...over });
  const pruned: PrunedUser[] = [];
  for (let at = 0; at < cases.length; at += CHUNK) {
    const users = cases.slice(at, at + CHUNK);
    const verdicts = await judgeCases(users, [search], setting);
    verdicts.forEach(({ beams: [{ cause, lostAt, exactRank }] }, u) => {
      if (cause === undefined) return;
      const { id: user, target } = users[u];
      pruned.push({ user, target: dataset.items[target], step: lostAt, cause, exactRank });
    });
    onProgress?.("searching", at + users.length, cases.length);
  }
  return pruned;
}

/** Reports the bytes of the model that are read. */
function reading(
  { checkpoint, onProgress }: ExplainOptions,
): (done: number, total: number) => void {
  return (done, total) => onProgress?.(`reading ${checkpoint}`, done, total);
}

/** The test case of a user. */
function userOf(cases: readonly EvaluationCase[], user: string, dataset: Dataset): EvaluationCase {
  const own = cases.filter(({ id }) => id === user || id.startsWith(`${user}#`));
  if (own.length === 1) return own[0];
  const listed = (cases: readonly EvaluationCase[]): string =>
    cases.slice(0, IDS).map(({ id }) => `"${id}"`).join(", ");
  throw new ArgumentError(
    `Cannot explain user "${user}" of ${dataset.name}: it must be one of ` +
      (own.length > 1
        ? `its ${own.length} test rows, such as ${listed(own)}, got the user`
        : `${cases.length} test users, such as ${listed(cases)}, got an unknown one`),
  );
}

/** The target's place in the exact ranking, from 0, or -1. */
async function exactRankOf(
  { decoder, trie }: OpenModel,
  question: RankQuestion,
  options: ExactOptions,
  onProgress: ExplainOptions["onProgress"],
): Promise<number> {
  let rank = -1;
  for (let i = 0; rank < 0 && i < DEPTHS.length; i++) {
    onProgress?.("ranking", i, DEPTHS.length);
    const k = Math.min(DEPTHS[i], trie.trie.leafCount);
    [rank] = await exactRanks(decoder, trie, [question], k, options);
  }
  onProgress?.("ranking", DEPTHS.length, DEPTHS.length);
  return rank;
}
