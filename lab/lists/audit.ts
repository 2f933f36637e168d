/**
 * Checks generated lists against the catalogue and the split that they are about, and counts HR and
 * NDCG again.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Device } from "../../core/tensor.ts";
import { prunedCases, type PrunedUser } from "../analysis/explain_user.ts";
import {
  type Dataset,
  distinctPaths,
  type EvaluationCase,
  evaluationCases,
} from "../data/dataset.ts";
import { loadDataset, type Reading } from "../data/load.ts";
import { type Baseline, cooccurrence, popularity } from "../evaluate/baselines.ts";
import { evaluateBaseline } from "../evaluate/evaluate.ts";
import { hitRate, ndcg, share } from "../evaluate/metrics.ts";
import { splitPath } from "../files.ts";
import type { Folder } from "../folder.ts";
import { Bootstrap, type CaseValues } from "../report/resampling.ts";
import type { Estimate } from "../report/statistics.ts";
import { Cases, Catalogue } from "./catalogue.ts";
import { type ClaimedMetric, readClaims } from "./claims.ts";
import { type Entry, type ListRow, readLists, type Shape } from "./read_lists.ts";
import { type OpenRun, openRun } from "./recommend.ts";

/** What is wrong with lists, in the order of reports, with what is counted. */
export const FAULTS = {
  "unknown item": "places whose item is not in the catalogue",
  "repeated item": "places whose item stands higher up in the list, or twice in the place",
  "ambiguous item": "places that several items share by their codes or titles",
  "history item": "places whose item is in the user's history",
  "short list": "lists with fewer than K items",
  "other history": "lists whose history is not the end of the user's",
  "unknown user": "lists for nobody among the test users",
  "repeated user": "lists for a user who had one before",
  "missing user": "test users without a list",
  "unknown target": "targets that are not in the catalogue",
  "other target": "targets that are not the user's",
  "false certificate": "lists that claim more exact places than their numbers prove",
  "other metric": "claimed metrics that these lists do not have",
} as const;

/** One of {@link FAULTS}. */
export type FaultName = keyof typeof FAULTS;

/** Where a fault was found. */
export interface FaultExample {
  /** The line of the file, if it is about a list. */
  readonly line?: number;
  /** The user's id, if it is known. */
  readonly user?: string;
  /** What was found. */
  readonly what: string;
}

/** A fault. */
export interface Fault {
  /** Its name. */
  readonly name: FaultName;
  /** How often it occurs. */
  readonly count: number;
  /** The first few occurrences. */
  readonly examples: readonly FaultExample[];
}

/** The scores of some lists, with 95 % bootstrap intervals over users. */
export interface AuditScores {
  /** Whose lists: `lists`, or the name of a baseline. */
  readonly name: string;
  /** HR@k by k. */
  readonly hr: Readonly<Record<number, Estimate>>;
  /** NDCG@k by k. */
  readonly ndcg: Readonly<Record<number, Estimate>>;
}

/** A claimed metric and what the lists have. */
export interface CheckedClaim extends ClaimedMetric {
  /** What the lists have. */
  readonly counted: number;
}

/** What {@link auditLists} finds. */
export interface Audit {
  /** The file of lists. */
  readonly lists: string;
  /** Its shape. */
  readonly shape: Shape["name"];
  /** The data set's name. */
  readonly data: string;
  /** The number of items in the catalogue. */
  readonly items: number;
  /** The number of test users, or of test cases where a user has several. */
  readonly users: number;
  /** The number of lists in the file. */
  readonly count: number;
  /** How many test users have a list. They are those that are judged. */
  readonly judged: number;
  /** The list lengths k. */
  readonly ks: readonly number[];
  /** The faults that were found, in the order of {@link FAULTS}. */
  readonly faults: readonly Fault[];
  /** Items of the history in lists, where they are no fault. */
  readonly fromHistory?: Fault;
  /** HR and NDCG of the lists and of baselines, on the users that have a list; none without any. */
  readonly scores: readonly AuditScores[];
  /** The scores of the lists if missing users are misses. Only if some are missing, not all. */
  readonly overAll?: AuditScores;
  /** Claimed metrics, if there are any. */
  readonly claims: readonly CheckedClaim[];
  /** What log-probabilities in the file prove. Only if there are any. */
  readonly certified?: {
    /** The number of lists with log-probabilities. */
    readonly lists: number;
    /** How many of them are the exact ones down to the largest k. */
    readonly exact: number;
    /** The share of all their places down to the largest k that are the exact ones. */
    readonly places: number;
  };
  /** What a search with the run's model finds. Only with a run. */
  readonly search?: {
    /** The folder of the run. */
    readonly checkpoint: string;
    /** The beam width. */
    readonly beam: number;
    /** The judged users whose target is among the exact B best and is pruned, and why. */
    readonly pruned: readonly PrunedUser[];
    /** How many of these targets the lists do not have either. */
    readonly missed: number;
  };
}

/** Options of {@link auditLists}. */
export interface AuditOptions {
  /** The file of lists: JSONL, or a JSON array. */
  readonly lists: string;
  /** The data that the lists are about: `synthetic`, or a folder. */
  readonly data: string | Folder;
  /** How the data are read. With `checkpoint` they are read as for the run. */
  readonly reading?: Reading;
  /** The list lengths k, ascending. Default 5 and 10. A list with fewer than the last is short. */
  readonly ks?: readonly number[];
  /** Whether items of the history in a list are a fault. Default false: they are counted. */
  readonly excludeHistory?: boolean;
  /** A file with the metrics that are claimed of the lists. */
  readonly claims?: string;
  /** The folder of the run that made the lists. Its model searches again. */
  readonly checkpoint?: string;
  /** The beam width of that search. Default that of the run. */
  readonly beam?: number;
  /** The device of that search, which is disposed at the end. Default a cpu device of float32. */
  readonly device?: Device;
  /** Called with the name of a stage, what is done of it, and its total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** The most examples of a fault. */
const EXAMPLES = 3;

/** Claims may differ by this much: half a unit of the fourth decimal. */
const TOLERANCE = 5e-5;

/** Log-probabilities of float32 add up to 1 within this. */
const ROUNDING = 1e-5;

/**
 * Checks the lists of a file. Places whose item does not exist, or stands higher up, stay places:
 * they are misses. A list's second place for an item changes nothing, as only the first one counts.
 * Of a user's lists the first one counts.
 *
 * HR and NDCG are over the users that have a list, with intervals of 2,000 resamples of users.
 *
 * @throws {DataError} if a file cannot be read or is malformed, with its line.
 * @throws {CheckpointError} if there is no such run, or it was trained on another data set.
 * @throws {ArgumentError} if `ks` are not ascending positive integers.
 *
 * @example
 * ```ts ignore
 * import { auditLists, renderAudit } from "beargrad/lab";
 *
 * const found = await auditLists({ lists: "lists.jsonl", data: "data/office" });
 * console.log(renderAudit(found), found.faults.length);
 * ```
 */
export async function auditLists(options: AuditOptions): Promise<Audit> {
  const { lists, data, reading, ks = [5, 10], checkpoint, excludeHistory = false, onProgress } =
    options;
  const isAscending = ks.every((k, i) => Number.isInteger(k) && k > (ks[i - 1] ?? 0));
  if (ks.length === 0 || !isAscending) {
    throw new ArgumentError(
      `Cannot audit ${lists}: ks must be ascending positive integers, got [${ks}]`,
    );
  }
  const claimed = options.claims === undefined ? [] : readClaims(...splitPath(options.claims));
  using run = checkpoint === undefined
    ? undefined
    : await openRun(checkpoint, data, { device: options.device, onProgress });
  const dataset = run?.dataset ??
    await loadDataset(data, { ...reading, codesOptional: true }, undefined, onProgress);
  const checked = checkLists(dataset, { ...options, ks });

  const { ranks } = checked;
  const judged = [...ranks.keys()].filter((at) => ranks[at] !== undefined);
  const cases = evaluationCases(dataset, "test", run?.recipe.history ?? Infinity);
  const scores = scoresOf(dataset, cases, checked, { ks, excludeHistory, onProgress });
  const own = judged.map((at) => ranks[at] as number);
  const claims = claimed.map((claim): CheckedClaim => ({
    ...claim,
    counted: (claim.metric === "HR" ? hitRate : ndcg)(own, claim.k),
  }));
  const { faults } = checked;
  for (const { metric, k, value, counted } of claims) {
    if (Math.abs(value - counted) <= TOLERANCE) continue;
    const short = k > checked.longest ? `; no list has more than ${checked.longest} items` : "";
    const what = `${metric}@${k} ${value}, not ${counted.toFixed(4)}${short}`;
    faults.add("other metric", { what });
  }
  const search = run && await searchAgain(run, { ...options, excludeHistory }, judged, ranks);
  const { fromHistory, rest } = faults.split(excludeHistory);
  return {
    lists,
    shape: checked.shape,
    data: dataset.name,
    items: dataset.items.length,
    users: dataset.test.length,
    count: checked.count,
    judged: judged.length,
    ks,
    faults: rest,
    ...(fromHistory && { fromHistory }),
    ...scores,
    claims,
    ...(checked.certified.lists > 0 && { certified: checked.certified }),
    ...(search && { search }),
  };
}

/** Faults as they are found. */
class Faults {
  readonly #found = new Map<FaultName, { count: number; examples: FaultExample[] }>();

  add(name: FaultName, example: FaultExample): void {
    const found = this.#found.get(name) ?? { count: 0, examples: [] };
    if (++found.count <= EXAMPLES) found.examples.push(example);
    this.#found.set(name, found);
  }

  /** The faults, and apart from them items of the history where these may be listed. */
  split(excludeHistory: boolean): { readonly rest: Fault[]; readonly fromHistory?: Fault } {
    const names = Object.keys(FAULTS) as FaultName[];
    const all = names.flatMap((name): Fault[] => {
      const found = this.#found.get(name);
      return found === undefined ? [] : [{ name, ...found }];
    });
    const isAllowed = ({ name }: Fault): boolean => name === "history item" && !excludeHistory;
    return { rest: all.filter((one) => !isAllowed(one)), fromHistory: all.find(isAllowed) };
  }
}

/** What the lists alone say. */
interface Checked {
  readonly shape: Shape["name"];
  readonly count: number;
  /** The most places of a list. */
  readonly longest: number;
  /** The place of each test case's target, from 0, or -1; undefined without a list. */
  readonly ranks: readonly (number | undefined)[];
  readonly faults: Faults;
  readonly certified: NonNullable<Audit["certified"]>;
}

function checkLists(
  dataset: Dataset,
  { lists, ks, onProgress }: AuditOptions & { readonly ks: readonly number[] },
): Checked {
  const catalogue = new Catalogue(dataset);
  const cases = new Cases(dataset.test, catalogue);
  const ranks = new Array<number | undefined>(dataset.test.length).fill(undefined);
  const faults = new Faults();
  const certified = { lists: 0, exact: 0, places: 0 };
  let longest = 0;
  let places = 0; // of lists with log-probabilities, down to the largest k
  const most = ks[ks.length - 1];
  const whole = Math.min(most, distinctPaths(dataset)); // a list can have no more places
  let name: Shape["name"] = "plain";
  let count = 0;
  const rows = readLists(...splitPath(lists), (done, total) => {
    const all = Math.ceil(total / 1e6);
    onProgress?.(`MB of ${lists}`, done === total ? all : Math.floor(done / 1e6), all);
  });
  for (const { shape, row } of rows) {
    name = shape.name;
    const { naming } = shape;
    const at = cases.indexOf(row, count++, naming, (at) => ranks[at] !== undefined);
    const kase: EvaluationCase | undefined = dataset.test[at];
    const user = kase?.id ?? row.user;
    const add = (fault: FaultName, what: string): void =>
      faults.add(fault, { line: row.line, ...(user !== undefined && { user }), what });

    const isCoded = row.codes === undefined || row.codes === dataset.codes;
    const found = checkItems(row, kase, { catalogue, shape, isCoded }, add);
    longest = Math.max(longest, row.items.length);
    if (row.items.length < most) add("short list", `${row.items.length} items`);
    const proven = provenCount(row, found);
    if (proven !== undefined) {
      const length = Math.min(most, row.items.length);
      certified.lists++;
      if (proven >= whole) certified.exact++;
      certified.places += Math.min(proven, length);
      places += length;
    }
    if (row.certified !== undefined && row.certified > (proven ?? 0)) {
      add("false certificate", `${row.certified} places claimed, ${proven ?? 0} proved`);
    }
    const targets = row.target === undefined ? undefined : catalogue.itemsOf(row.target, naming);
    if (targets?.length === 0) add("unknown target", quoted(row.target as string));
    if (kase === undefined) {
      add("unknown user", whoIs(row, count - 1));
      continue;
    }
    if (targets && targets.length > 0 && !targets.includes(kase.target)) {
      add(
        "other target",
        `${quoted(row.target as string)}, not ${quoted(dataset.items[kase.target])}`,
      );
    }
    if (row.history !== undefined && !cases.fits(row.history, at, naming)) {
      add("other history", `a history of ${row.history.length} items`);
    }
    if (ranks[at] !== undefined) add("repeated user", "again");
    ranks[at] ??= found.findIndex((items) => items.includes(kase.target));
  }
  ranks.forEach((rank, at) => {
    if (rank === undefined) faults.add("missing user", { user: dataset.test[at].id, what: "" });
  });
  certified.places = share(certified.places, places);
  return { shape: name, count, longest, ranks, faults, certified };
}

/** Who a list that is for no test user says that it is for. */
function whoIs({ user, history }: ListRow, index: number): string {
  if (user !== undefined) return quoted(user);
  return history === undefined ? `list ${index + 1} of the file` : "nobody has its history";
}

/**
 * The items of each place of a list, and the faults of these. `isCoded` says whether the codes of
 * the catalogue are those of the list's model.
 */
function checkItems(
  row: ListRow,
  kase: EvaluationCase | undefined,
  { catalogue, shape, isCoded }: {
    readonly catalogue: Catalogue;
    readonly shape: Shape;
    readonly isCoded: boolean;
  },
  add: (fault: FaultName, what: string) => void,
): (readonly number[])[] {
  // The model may have read less than the data have.
  const history = row.history?.flatMap((name) => catalogue.itemsOf(name, shape.naming)) ??
    kase?.history ?? [];
  const seen = new Set<number>();
  return row.items.map((entry, place) => {
    const at = `place ${place + 1}: ${quoted(entry)}`;
    const items = catalogue.itemsOf(entry, shape.naming);
    if (items.length === 0) add("unknown item", at);
    else if (items.some((item) => seen.has(item)) || new Set(items).size < items.length) {
      add("repeated item", at);
    } else if (typeof entry === "string") {
      const others = new Set([...items, ...(isCoded ? catalogue.alike(items[0]) : [])]).size;
      if (others > 1) add("ambiguous item", `${at} is one of ${others} alike`);
    }
    if (items.length > 0 && items.every((item) => history.includes(item))) add("history item", at);
    for (const item of items) seen.add(item);
    return items;
  });
}

/**
 * How many places from the first are provably the exact ones, from log-probabilities of different
 * items under one distribution; undefined without these. Nothing that is not in the list scores
 * more than the best that was pruned (T9), nor more than what the list leaves of the probability.
 */
function provenCount(
  { logProbs, bestPruned = Infinity }: ListRow,
  found: readonly (readonly number[])[],
): number | undefined {
  if (logProbs === undefined || logProbs.length === 0) return undefined;
  const items = found.flat();
  const isDistinct = new Set(items).size === items.length && found.every((one) => one.length > 0);
  if (!isDistinct) return undefined;
  const rest = 1 - logProbs.reduce((sum, x) => sum + Math.exp(x), 0);
  if (rest < -ROUNDING) return 0; // these are no probabilities
  const bound = Math.min(bestPruned, Math.log(Math.max(rest, 0) + ROUNDING));
  const isBelow = (x: number, i: number): boolean =>
    x <= bound || logProbs.slice(i + 1).some((later) => later > x);
  const end = logProbs.findIndex(isBelow);
  return end < 0 ? logProbs.length : end;
}

/** HR and NDCG of the lists and of the baselines. */
function scoresOf(
  dataset: Dataset,
  cases: readonly EvaluationCase[],
  { ranks }: Checked,
  { ks, excludeHistory, onProgress }:
    & Required<Pick<AuditOptions, "ks" | "excludeHistory">>
    & Pick<AuditOptions, "onProgress">,
): Pick<Audit, "scores" | "overAll"> {
  const judged = [...ranks.keys()].filter((at) => ranks[at] !== undefined);
  if (judged.length === 0) return { scores: [] };
  const own = judged.map((at) => ranks[at] as number);
  const on = judged.map((at) => cases[at]);
  const rankers: readonly Baseline[] = [
    popularity(dataset, "test", { excludeHistory }),
    cooccurrence(dataset, "test", { excludeHistory }),
  ];
  const baselines = rankers.map((ranker, i) => ({
    name: ranker.name,
    ranks: evaluateBaseline(ranker, on, ks, (done) => {
      const judged = Math.floor((i * on.length + done) / rankers.length);
      onProgress?.("judging baselines", judged, on.length);
    }).ranks,
  }));
  const scores = estimates([{ name: "lists", ranks: own }, ...baselines], on, ks);
  if (judged.length === ranks.length) return { scores };
  const [overAll] = estimates(
    [{ name: "all users, missing ones as misses", ranks: ranks.map((rank) => rank ?? -1) }],
    cases,
    ks,
  );
  return { scores, overAll };
}

/** HR and NDCG with intervals, all in the same resamples of users. */
function estimates(
  rankings: readonly { readonly name: string; readonly ranks: readonly number[] }[],
  cases: readonly EvaluationCase[],
  ks: readonly number[],
): AuditScores[] {
  const users = new Map<string, number>();
  const userOf = cases.map(({ id, user = id }) => {
    if (!users.has(user)) users.set(user, users.size);
    return users.get(user) as number;
  });
  const valuesOf = (ranks: readonly number[], k: number, gain: (rank: number) => number) => {
    const hits = [...ranks.keys()].filter((i) => ranks[i] >= 0 && ranks[i] < k);
    return { cases: Int32Array.from(hits), values: Float64Array.from(hits, (i) => gain(ranks[i])) };
  };
  const series = rankings.map(({ ranks }) => ({
    hr: ks.map((k): CaseValues => valuesOf(ranks, k, () => 1)),
    ndcg: ks.map((k): CaseValues => valuesOf(ranks, k, (rank) => 1 / Math.log2(rank + 2))),
  }));
  const bootstrap = new Bootstrap(series.flatMap(({ hr, ndcg }) => [...hr, ...ndcg]), {
    cases: cases.length,
    userOf,
  });
  const byK = (values: readonly CaseValues[], exact: (k: number) => number) =>
    Object.fromEntries(ks.map((k, i): [number, Estimate] => [
      k,
      { ...bootstrap.mean([values[i]]), value: exact(k) },
    ]));
  return rankings.map(({ name, ranks }, r) => ({
    name,
    hr: byK(series[r].hr, (k) => hitRate(ranks, k)),
    ndcg: byK(series[r].ndcg, (k) => ndcg(ranks, k)),
  }));
}

/** Searches again for the users that have a list. */
async function searchAgain(
  { checkpoint, model, recipe, dataset }: OpenRun,
  { beam = recipe.beam, excludeHistory, onProgress }: AuditOptions,
  judged: readonly number[],
  ranks: Checked["ranks"],
): Promise<NonNullable<Audit["search"]>> {
  const cases = evaluationCases(dataset, "test", recipe.history);
  const on = judged.map((at) => cases[at]);
  const pruned: PrunedUser[] = [];
  for await (const part of prunedCases(model, dataset, on, { beam, excludeHistory })) {
    pruned.push(...part.pruned);
    onProgress?.("searching", part.done, on.length);
  }
  const places = new Map(judged.map((at) => [cases[at].id, ranks[at]]));
  const missed = pruned.filter(({ user }) => places.get(user) === -1).length;
  return { checkpoint, beam, pruned, missed };
}

function quoted(entry: Entry): string {
  return JSON.stringify(entry);
}
