/**
 * What a report needs of an evaluation: outcomes of every user, and counts by step.
 *
 * @module
 */
import type { Device } from "../../core/device.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import { margins } from "../analysis/pruning.ts";
import { type Dataset, evaluationCases } from "../data/dataset.ts";
import type { Evaluation } from "../evaluate/evaluate.ts";
import type { Recipe } from "../train/recipe.ts";
import { TeacherForcing } from "../evaluate/teacher_forcing.ts";
import { trainableModel } from "../train/trainable_model.ts";
import type { BeamVerdict, Verdict } from "../analysis/verdicts.ts";
import type { BeamOutcome, Histogram, SearchSetting, TestResult } from "./run_result.ts";

/** Bins of a histogram of margins, half a nat each, and where the first begins. A bin holds its upper end: 0 is no violation. */
const [BINS, WIDTH, FIRST] = [48, 0.5, -12];

/** The margins of an untrained model are looked at for so many users. */
const UNTRAINED_USERS = 1000;

/** Where a token is on a target's path: how many siblings, and its margin. */
interface Step {
  readonly choices: number;
  readonly margin: number;
}

/** Paths of targets as steps, one list a user. */
type Paths = readonly (readonly Step[])[];

/**
 * The outcomes of an evaluation. `before` has, by beam, the paths of the first users as an untrained model saw them; `steps` is the
 * depth of the trie.
 */
export function outcomesOf(
  { users, absent, beams, verdicts }: Evaluation,
  before: readonly Paths[],
  steps: number,
): TestResult {
  return {
    users,
    absent,
    beams: beams.map(({ beam }, b) =>
      outcomeOf(beam, verdicts, verdicts.map((verdict) => verdict.beams[b]), before[b], steps)
    ),
  };
}

function outcomeOf(
  beam: number,
  verdicts: readonly Verdict[],
  found: readonly BeamVerdict[],
  before: Paths,
  steps: number,
): BeamOutcome {
  const paths: Paths = found.map(({ margins }, i) =>
    margins.map((margin, t) => ({ margin, choices: verdicts[i].choices?.[t] ?? 0 }))
  );
  const byStep = (holds: (step: Step) => boolean): number[] =>
    countSteps(paths, steps, (step) => holds(step));
  const lost = (cause: BeamVerdict["cause"]): number[] =>
    Array.from(
      { length: steps },
      (_, t) => found.filter((one) => one.cause === cause && one.lostAt === t + 1).length,
    );
  const certified = (kind: BeamVerdict["certificate"]): number =>
    found.filter((one) => one.certificate === kind).length;
  return {
    beam,
    ranks: found.map(({ rank }) => rank),
    exactRanks: found.map(({ exactRank }) => exactRank),
    lostAt: found.map(({ lostAt }) => lostAt),
    pruned: {
      violation: lost("violation"),
      displacement: lost("displacement"),
      length: lost("length"),
      tie: lost("tie"),
    },
    reached: byStep(() => true),
    violated: byStep(({ margin }) => margin > 0),
    vacuous: byStep(({ choices }) => choices <= beam),
    margins: { before: histograms(before, steps), after: histograms(paths, steps) },
    certificates: {
      retrieved: certified("retrieved"),
      pruned: certified("pruned"),
      undecided: certified("undecided"),
    },
    exactLists: found.filter((one) => one.certified).length,
  };
}

function countSteps(paths: Paths, steps: number, holds: (step: Step) => boolean): number[] {
  return Array.from(
    { length: steps },
    (_, t) => paths.filter((path) => path.length > t && holds(path[t])).length,
  );
}

function histograms(paths: Paths, steps: number): Histogram[] {
  return Array.from({ length: steps }, (_, t) => {
    const counts = new Array<number>(BINS).fill(0);
    for (const path of paths) {
      if (path.length <= t || path[t].choices < 2) continue;
      const bin = Math.ceil((path[t].margin - FIRST) / WIDTH) - 1;
      counts[Math.min(Math.max(bin, 0), BINS - 1)]++;
    }
    return counts;
  });
}

/** By beam, the paths of the first test targets as a search by the recipe's model sees them before it is trained. */
export async function untrainedPaths(
  device: Device,
  dataset: Dataset,
  trie: DeviceTrie,
  recipe: Recipe,
  search: SearchSetting,
  beams: readonly number[],
  onProgress: (done: number, total: number) => void,
): Promise<Paths[]> {
  using _scope = device.arena();
  const { model, params, weights } = await trainableModel(device, dataset, recipe);
  using forcing = new TeacherForcing(device, model, weights(params), trie, search);
  const cases = evaluationCases(dataset, "test", recipe.history, UNTRAINED_USERS);
  const leaves = cases.map(({ target }) => trie.trie.leafOf[target]);
  const histories = cases.map(({ history }) => dataset.prompt(history));
  const said = await forcing.logits(
    histories,
    leaves,
    (done) => onProgress(done, leaves.length),
  );
  return beams.map((beam) =>
    leaves.map((leaf, u) => margins(trie.trie, leaf, said[u], { ...search, beam }))
  );
}
