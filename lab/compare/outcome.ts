/**
 * What reports need of an evaluation: the outcome for each user, and counts by step.
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import { margins } from "../analysis/pruning.ts";
import type { BeamVerdict } from "../analysis/verdicts.ts";
import { type Dataset, evaluationCases } from "../data/dataset.ts";
import type { Evaluation } from "../evaluate/evaluate.ts";
import { TeacherForcing } from "../evaluate/teacher_forcing.ts";
import type { Recipe } from "../train/recipe.ts";
import { trainableModel } from "../train/models.ts";
import {
  type BeamOutcome,
  binOf,
  BINS,
  type Histogram,
  type JudgedSearch,
  type TestResult,
} from "./run_result.ts";

/** The margins before training are those of this many users. */
const UNTRAINED_USERS = 1000;

/** A token on a target's path: the number of its siblings, itself included, and its margin. */
type Step = { readonly choices: number; readonly margin: number };

/** The path of each user's target. */
type Paths = readonly (readonly Step[])[];

/** What an evaluation was made with. */
export type Evaluated = JudgedSearch & {
  readonly device: Device;
  readonly dataset: Dataset;
  readonly trie: DeviceTrie;
  readonly recipe: Recipe;
  readonly excludeHistory: boolean;
};

/**
 * The outcomes of an evaluation. The model as it was before training is applied to the first users,
 * for its margins; `onProgress` is called with the number of users done and the total.
 */
export async function outcomesOf(
  { users, absent, beams, verdicts }: Evaluation,
  evaluated: Evaluated,
  onProgress: (done: number, total: number) => void,
): Promise<TestResult> {
  const before = await untrainedPaths(evaluated, beams.map(({ beam }) => beam), onProgress);
  const steps = evaluated.trie.trie.maxDepth;
  return {
    users,
    absent,
    beams: beams.map(({ beam }, b) => {
      const found = verdicts.map((verdict) => verdict.beams[b]);
      const after = verdicts.map(({ choices = [] }, u) =>
        choices.map((count, t) => ({ choices: count, margin: found[u].margins[t] }))
      );
      return outcomeOf(beam, steps, found, before[b], after);
    }),
  };
}

function outcomeOf(
  beam: number,
  steps: number,
  found: readonly BeamVerdict[],
  before: Paths,
  after: Paths,
): BeamOutcome {
  const count = (holds: (one: BeamVerdict) => boolean): number => found.filter(holds).length;
  const byStep = (countAt: (t: number) => number): number[] =>
    Array.from({ length: steps }, (_, t) => countAt(t));
  const prunedBy = (cause: BeamVerdict["cause"]): number[] =>
    byStep((t) => count((one) => one.cause === cause && one.lostAt === t + 1));
  const certified = (as: BeamVerdict["certificate"]): number =>
    count((one) => one.certificate === as);
  const stepsWhere = (holds: (step: Step) => boolean): number[] =>
    byStep((t) => after.filter((path) => path.length > t && holds(path[t])).length);
  return {
    beam,
    ranks: found.map(({ rank }) => rank),
    exactRanks: found.map(({ exactRank }) => exactRank),
    lostAt: found.map(({ lostAt }) => lostAt),
    pruned: {
      violation: prunedBy("violation"),
      displacement: prunedBy("displacement"),
      length: prunedBy("length"),
      tie: prunedBy("tie"),
    },
    reached: stepsWhere(() => true),
    violated: stepsWhere(({ margin }) => margin > 0),
    vacuous: stepsWhere(({ choices }) => choices <= beam),
    margins: { before: histograms(before, steps), after: histograms(after, steps) },
    certificates: {
      retrieved: certified("retrieved"),
      pruned: certified("pruned"),
      undecided: certified("undecided"),
    },
    exactLists: count((one) => one.certified),
  };
}

/** By step, the margins of the targets that have siblings there. */
function histograms(paths: Paths, steps: number): Histogram[] {
  return Array.from({ length: steps }, (_, t) => {
    const counts = new Array<number>(BINS).fill(0);
    for (const path of paths) {
      if (path.length <= t || path[t].choices < 2) continue;
      counts[binOf(path[t].margin)]++;
    }
    return counts;
  });
}

/** By beam width, the paths of the first test targets under the model before training. */
async function untrainedPaths(
  { device, dataset, trie, recipe, excludeHistory, normalization, tau }: Evaluated,
  beams: readonly number[],
  onProgress: (done: number, total: number) => void,
): Promise<Paths[]> {
  using _scope = device.arena();
  const { model, params, weights } = await trainableModel(device, dataset, recipe);
  using forcing = new TeacherForcing(device, model, weights(params), trie, { normalization, tau });
  const cases = evaluationCases(dataset, "test", recipe.history, UNTRAINED_USERS);
  const leaves = cases.map(({ target }) => trie.trie.leafOf[target]);
  const logits = await forcing.logits(
    cases.map(({ history }) => dataset.prompt(history)),
    leaves,
    (done) => onProgress(done, leaves.length),
  );
  const excluded = cases.map(({ history }) => excludeHistory ? history : []);
  const blocked = excluded.map((items) => new Set(trie.trie.blockedNodes(items)));
  const isPresent = cases.map(({ target }, u) => !excluded[u].includes(target));
  return beams.map((beam) =>
    leaves.map((leaf, u) => {
      const setting = { beam, normalization, tau, blocked: blocked[u] };
      return isPresent[u] ? margins(trie.trie, leaf, logits[u], setting) : [];
    })
  );
}
