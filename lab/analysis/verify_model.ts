/**
 * The theorems of docs/theory.md on a trained model: its own probabilities, its own users, the
 * searches as they run.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { type Dataset, type EvaluationCase, evaluationCases } from "../data/dataset.ts";
import { folderAt } from "../files.ts";
import { type BeamEvaluation, evaluate, type Evaluation } from "../evaluate/evaluate.ts";
import { openModel, readSavedRun, type SearchableModel } from "../train/models.ts";
import {
  type Budget,
  certifiedCount,
  certifyPath,
  LevelCounts,
  type PathCertificate,
} from "./certificates.ts";
import type { ExplainOptions } from "./explain_user.ts";
import { OnePass } from "./one_pass.ts";
import {
  margins,
  marginsOf,
  type NodeLogits,
  type PathStep,
  pathSteps,
  type SearchSetting,
} from "./pruning.ts";
import {
  countTheorems,
  modelTheorems,
  type TheoremCount,
  type TheoremId,
  userEvidence,
  type UserFacts,
} from "./user_theorems.ts";

/** Options of {@link verifyModel}. */
export interface VerifyModelOptions extends Pick<ExplainOptions, "checkpoint" | "data" | "beam"> {
  /** The first so many users only. Default all. */
  readonly limitUsers?: number;
  /** Called with the number of users done and the total. Each is half done after the theorems. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A theorem and what became of its instances. */
export interface VerifiedTheorem extends TheoremCount {
  /** Its id. */
  readonly id: TheoremId;
  /** Its statement in one line. */
  readonly statement: string;
}

/** How many users got a certificate, and of how many the search did what it says. */
export interface VerdictCount {
  /** The number of users. */
  readonly users: number;
  /** The users whose search confirms the certificate. */
  readonly confirmed: number;
}

/** What {@link verifyModel} finds. Shares are of targets or of users. */
export interface ModelVerification
  extends
    SearchSetting,
    Pick<BeamEvaluation, "inExactTop" | "causes" | "survival">,
    Pick<Evaluation, "users" | "absent"> {
  /** The folder of the run. */
  readonly checkpoint: string;
  /** The data set's name. */
  readonly data: string;
  /** The number of items in the catalogue. */
  readonly items: number;
  /** The loss that the model was trained with. */
  readonly loss: string;
  /** The budget: the largest difference of a logit on the targets' paths from the reference's. */
  readonly eps: number;
  /** The theorems. */
  readonly theorems: readonly VerifiedTheorem[];
  /** The violations of all theorems; must be 0. */
  readonly violations: number;
  /** What one teacher-forced pass says of the targets. */
  readonly verdicts: {
    /** Certified retrieved by T4. */
    readonly retrievedByMass: VerdictCount;
    /** Certified retrieved by T6 and not by T4. */
    readonly retrievedByCount: VerdictCount;
    /** Certified pruned by T2: entry t - 1 is step t. */
    readonly prunedAtStep: readonly VerdictCount[];
    /** Certified pruned by T2' and not by T2. */
    readonly prunedByForce: VerdictCount;
    /**
     * Not certified, and never to be by such a pass: of two models that agree with it, one returns
     * the target and one does not. `confirmed` are the targets that the search returned.
     */
    readonly undecidable: VerdictCount;
    /** The open targets that no such model was found to lose. */
    readonly mayBeCertified: number;
    /** The others; `confirmed` are the targets that the search returned. */
    readonly undecided: VerdictCount;
  };
  /** What the exact ranking says of the targets, with the pools of the search. */
  readonly ranked: {
    /** The targets that are known to be in the exact top B. */
    readonly users: number;
    /** How many of them the search returned. */
    readonly returned: number;
    /** How many of them T3, T13 and T13' prove to be returned. */
    readonly proved: Readonly<Record<"T3" | "T13" | "T13'", number>>;
  };
  /** By width: the share of users whose list of length B it certifies, by T15. */
  readonly widths: readonly { readonly beam: number; readonly lists: number }[];
  /** The share of users whose whole list is certified to be the exact one (T9). */
  readonly exactLists: number;
  /** The mean share of a list that is certified. */
  readonly exactItems: number;
  /** The share of targets retrieved. */
  readonly retrieved: number;
  /** For each step, the share of targets whose margin is above 0. */
  readonly violated: readonly number[];
  /** For each step, the share of targets at whose node no margin can be above 0 (R8). */
  readonly vacuous: readonly number[];
  /** The seconds that it took. */
  readonly seconds: number;
}

/** The width of the search that says what is in the levels. */
const widthOf = (beam: number): number => Math.max(4 * beam, 32);

/** How many users go through the models between two reports of progress. */
const CHUNK = 64;

/**
 * Checks the theorems about beams and T11 on a trained model: for every test user, what its own
 * probabilities demand, against what beam search does.
 *
 * The searches run on a float32 cpu device. The probabilities along the target's path come from a
 * float64 reference with the same weights. The budget eps is the largest difference between the two
 * along the targets' paths: in the logit of a child, or, under "vocabulary", in tau times the
 * log-sum-exp of all logits. The gap of two prefixes of t tokens may differ by 2 t eps / tau (T11),
 * plus 2^-19 of the score (of 1 if that is more) for float32's own arithmetic. An instance that is
 * decided by less is undecided.
 *
 * The ranks of prefixes in their levels (T3) are counted in a beam search of width max(4 B, 32);
 * where that does not settle a rank, the instance is undecided.
 *
 * @throws {CheckpointError} if there is no such run, it is malformed, or it was trained on another
 * data set.
 * @throws {DataError} if the data cannot be read.
 * @throws {ArgumentError} if `beam` or `limitUsers` is not a positive integer.
 *
 * @example
 * ```ts ignore
 * import { renderModelVerification, verifyModel } from "beargrad/lab";
 *
 * const found = await verifyModel({ checkpoint: "runs/first/bear-seed0", data: "data/office" });
 * console.log(renderModelVerification(found), found.violations);
 * ```
 */
export async function verifyModel(options: VerifyModelOptions): Promise<ModelVerification> {
  const began = performance.now();
  const { checkpoint, data, limitUsers } = options;
  if (limitUsers !== undefined && !(Number.isInteger(limitUsers) && limitUsers >= 1)) {
    throw new ArgumentError(
      `Cannot verify a model: limitUsers must be a positive integer, got ${limitUsers}`,
    );
  }
  const { recipe, dataset, normalization } = await readSavedRun(checkpoint, data);
  const { tau, history } = recipe;
  const beam = options.beam ?? recipe.beam;
  const cases = evaluationCases(dataset, "test", history, limitUsers);
  const report = (halves: number): void =>
    options.onProgress?.(Math.floor(halves / 2), cases.length);

  const over = { normalization, tau };
  using device = await openModel(cpu(), checkpoint, dataset, over);
  using reference = await openModel(cpu({ float: "float64" }), checkpoint, dataset, over);
  const facts = await gather(cases, dataset, device, reference, { beam, ...over }, report);
  const evaluation = await evaluate({
    decoder: device.decoder,
    teacherForced: (histories, leaves) => device.forcing.logits(histories, leaves),
    trie: device.trie,
    dataset,
    split: "test",
    beams: [beam],
    historyLength: history,
    ...over,
    limitUsers,
    onProgress: (done) => report(cases.length + done),
  });

  const eps = facts.reduce((most, user) => Math.max(most, ...user.logitErrors), 0);
  const counts = Object.entries(await countTheorems(facts, { eps, tau }));
  const theorems = (counts as [TheoremId, TheoremCount][]).map(([id, count]) => {
    return { id, statement: modelTheorems[id].statement, ...count };
  });
  const needed = facts.map((user) => {
    const list = userEvidence(user, { eps, tau }).widths().find(({ k }) => k === beam);
    return list?.width.most ?? Infinity;
  });
  const listShares = facts.map(({ found }) => certifiedCount(found) / found.ranking.length);
  const { absent, beams: [{ survival, vacuousShare: vacuous, inExactTop, causes }] } = evaluation;
  return {
    checkpoint: folderAt(checkpoint).path,
    data: dataset.name,
    users: facts.length,
    items: dataset.items.length,
    beam,
    loss: recipe.loss,
    normalization,
    tau,
    eps,
    theorems,
    violations: theorems.reduce((sum, { violations }) => sum + violations, 0),
    verdicts: countVerdicts(facts, { eps, tau }),
    ranked: countRanked(facts, { eps, tau }),
    widths: [beam, 2 * beam, widthOf(beam)].map((width) => ({
      beam: width,
      lists: needed.filter((least) => least <= width).length / needed.length,
    })),
    exactLists: listShares.filter((share) => share === 1).length / listShares.length,
    exactItems: listShares.reduce((sum, share) => sum + share, 0) / listShares.length,
    retrieved: survival[survival.length - 1],
    inExactTop,
    causes,
    absent,
    survival,
    violated: survival.map((_, t) => {
      const there = facts.filter(({ margins }) => margins.length > t);
      return there.filter(({ margins }) => margins[t].margin > 0).length / there.length;
    }),
    vacuous,
    seconds: (performance.now() - began) / 1000,
  };
}

/** Runs the models and the searches for all users. */
async function gather(
  cases: readonly EvaluationCase[],
  dataset: Dataset,
  device: SearchableModel,
  reference: SearchableModel,
  options: SearchSetting,
  report: (done: number) => void,
): Promise<UserFacts[]> {
  const { trie } = device.trie;
  const counts = new LevelCounts(trie);
  const { beam } = options;
  const open = ({ decoder, trie }: SearchableModel, width: number): BeamSearch =>
    new BeamSearch(decoder, trie, { ...options, beam: width, trace: true });
  using search = open(device, beam);
  using wider = open(device, widthOf(beam));
  using narrow = open(device, 1);
  using exact = open(reference, beam);
  const facts: UserFacts[] = [];
  for (let at = 0; at < cases.length; at += CHUNK) {
    const users = cases.slice(at, at + CHUNK);
    const histories = users.map(({ history }) => dataset.prompt(history));
    const leaves = users.map(({ target }) => trie.leafOf[target]);
    const ours = await device.forcing.logits(histories, leaves);
    const theirs = await reference.forcing.logits(histories, leaves);
    const found = await search.search(histories);
    const wide = await wider.search(histories);
    const greedy = await narrow.search(histories);
    const expected = await exact.search(histories);
    leaves.forEach((leaf, u) => {
      const path = pathSteps(trie, leaf, theirs[u], options);
      facts.push({
        counts,
        beam,
        normalization: options.normalization,
        leaf,
        path,
        margins: marginsOf(path, beam),
        deviceMargins: margins(trie, leaf, ours[u], options),
        logitErrors: ours[u].map((said, t) => errorOf(said, theirs[u][t], options.tau)),
        found: found[u],
        wide: wide[u],
        greedy: greedy[u],
        reference: expected[u],
      });
    });
    report(facts.length);
  }
  return facts;
}

/** The largest difference at a node: of a child's logit, or of tau times the log-sum-exp of all. */
function errorOf(device: NodeLogits, reference: NodeLogits, tau: number): number {
  const { children, logSumExp: sum = 0 } = reference;
  let most = tau * Math.abs((device.logSumExp ?? 0) - sum);
  for (let k = 0; k < children.length; k++) {
    most = Math.max(most, Math.abs(device.children[k] - children[k]));
  }
  return most;
}

/** What the teacher-forced pass says of each target, and whether the search did it. */
function countVerdicts(
  facts: readonly UserFacts[],
  budget: Budget,
): ModelVerification["verdicts"] {
  const tally = (): { users: number; confirmed: number } => ({ users: 0, confirmed: 0 });
  const [{ counts, beam }] = facts;
  const onePass = new OnePass(counts, beam);
  let mayBeCertified = 0;
  const [retrievedByMass, retrievedByCount, prunedByForce] = [tally(), tally(), tally()];
  const [undecidable, undecided] = [tally(), tally()];
  const prunedAtStep = Array.from({ length: counts.trie.maxDepth }, tally);
  const of = (verdict: PathCertificate, path: readonly PathStep[]): ReturnType<typeof tally> => {
    if (verdict.kind === "retrieved") {
      return verdict.by === "T4" ? retrievedByMass : retrievedByCount;
    }
    if (verdict.kind === "pruned") {
      return verdict.by === "T2" ? prunedAtStep[verdict.step - 1] : prunedByForce;
    }
    const { returned, lost } = onePass.fates(path);
    if (!lost) mayBeCertified++;
    return returned && lost ? undecidable : undecided;
  };
  for (const { path, margins, found, leaf, ...setting } of facts) {
    const verdict = certifyPath(counts, path, margins, setting, budget);
    const count = of(verdict, path);
    const isReturned = found.ranking.some((item) => item.leaf === leaf);
    count.users++;
    if (isReturned === (verdict.kind !== "pruned")) count.confirmed++;
  }
  return {
    ...{ retrievedByMass, retrievedByCount, prunedAtStep, prunedByForce },
    ...{ undecidable, mayBeCertified, undecided },
  };
}

/** What T3, T13 and T13' prove of the targets that are in the exact top B beyond the budget. */
function countRanked(facts: readonly UserFacts[], budget: Budget): ModelVerification["ranked"] {
  const proved = { T3: 0, T13: 0, "T13'": 0 };
  let [users, returned] = [0, 0];
  for (const user of facts) {
    const { ahead, isAmongBestPrefixes, isReturned } = userEvidence(user, budget);
    const known = ahead(user.leaf);
    if (known === undefined || known.items.most >= user.beam) continue;
    const wasted = Math.max(...known.wasted.map(({ most }) => most));
    users++;
    if (isReturned(user.leaf)) returned++;
    if (isAmongBestPrefixes(user.leaf) === true) proved.T3++;
    if (wasted === 0) proved.T13++;
    if (known.items.most + wasted < user.beam) proved["T13'"]++;
  }
  return { users, returned, proved };
}
