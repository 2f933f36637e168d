/**
 * Data and models that are open, and their searches.
 *
 * @module
 */
import {
  ArgumentError,
  type BeamResult,
  BeamSearch,
  type BeamStep,
  type Device,
  type DeviceTrie,
  exactTopK,
  losses,
  type LossOptions,
  type Normalization,
  type RankedItem,
  Transformer,
  TransformerDecoder,
  type TransformerParams,
  treeLeaves,
  Trie,
} from "beargrad";
import {
  type Dataset,
  evaluate,
  evaluationCases,
  explain,
  gradientWeights,
  type GradientWeight,
  loadDataset,
  openDevice,
  synthetic,
  TeacherForcing,
} from "beargrad/lab";
import { certifiedCount } from "beargrad/theory";
import { Cache } from "./cache.ts";
import type {
  BeamView,
  DataInfo,
  DataSource,
  DeviceInfo,
  Entry,
  Examples,
  Files,
  Listed,
  LossInfo,
  ModelInfo,
  Scores,
  SearchSettings,
  StepView,
  TrainSettings,
  UserInfo,
  WorkerEvent,
} from "./protocol.ts";
import { openRun } from "./runs.ts";
import { Training } from "./training.ts";

/** The exact ranking is at least so long. */
const RANKED = 100;
/** The widest beam that is tried to retrieve a target. */
const WIDEST = 200;
/** The most leaves of a catalogue that is searched as a whole. */
const WHOLE = 2048;
/** How many of the best prefixes that a step drops are drawn. */
const DROPPED = 12;
/** How many items of a prefix are named. */
const NAMED = 2;
/** Users between two looks at whether a newer call has come. */
const CHUNK = 64;
/** How many searches of a model are kept. */
const KEPT = 24;

type Over = Pick<SearchSettings, "normalization" | "tau">;

/** A user with the items that a model sees. */
type Case = ReturnType<typeof evaluationCases>[number];

/** A model that is open. */
interface OpenModel extends Disposable {
  readonly info: ModelInfo;
  readonly files: Files;
  readonly decoder: TransformerDecoder;
  readonly cases: readonly Case[];
  /** A traced search of one user. */
  search(beam: number, over: Over): BeamSearch;
  /** Teacher-forced passes. */
  forcing(over: Over): TeacherForcing;
}

/** What a search as wide as possible knows of a user. */
interface Whole {
  readonly found: BeamResult;
  /** The exact ranking. */
  readonly ranking: readonly RankedItem[];
}

/** The data that are open. */
interface OpenData {
  readonly dataset: Dataset;
  readonly trie: DeviceTrie;
  readonly models: Map<string, OpenModel>;
}

/** Answers the calls of the page. What takes long is done in turns, one call at a time. */
export class Explorer {
  readonly #send: (event: WorkerEvent) => void;
  readonly #wholes = new Cache<Whole>(16, () => {});
  #device: Device | undefined;
  #data: OpenData | undefined;
  #training: Training | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #scan = 0;

  constructor(send: (event: WorkerEvent) => void) {
    this.#send = send;
  }

  async open(choice: "auto" | "cpu" | "webgpu", threads?: number): Promise<DeviceInfo> {
    const notes: string[] = [];
    this.#device = await openDevice(choice, threads, (note) => notes.push(note));
    const { kind, adapter } = this.#device;
    return { kind, adapter, notes };
  }

  data(source: DataSource): Promise<DataInfo> {
    return this.#turn(async () => {
      const dataset = source.kind === "synthetic"
        ? synthetic()
        : await loadDataset(source.name, {}, undefined);
      for (const model of this.#data?.models.values() ?? []) model[Symbol.dispose]();
      this.#data?.trie.dispose();
      this.#wholes.clear();
      const trie = new Trie(dataset.paths);
      this.#data = { dataset, trie: trie.upload(this.#opened), models: new Map() };
      return {
        name: dataset.name,
        items: dataset.items.length,
        users: dataset.test.length,
        vocabulary: dataset.tokens.length,
        steps: trie.maxDepth,
        hasTitles: dataset.titles !== undefined,
        skipped: dataset.skipped.map(({ what, count }) => `${count} ${what}`),
      };
    });
  }

  losses(): readonly LossInfo[] {
    return losses.map(({ name, normalization, flags }) => ({
      name,
      normalization,
      flags: Object.entries(flags).map(([name, { kind, least, most, help, ...flag }]) => ({
        name: name as keyof LossOptions,
        kind,
        default: flag.default,
        least,
        most,
        help,
      })),
    }));
  }

  async examples(url: string): Promise<Examples> {
    const get = async (path: string): Promise<Response> => {
      const response = await fetch(new URL(path, url));
      if (response.ok) return response;
      throw new Error(`Cannot load the examples: ${path} must be there, got ${response.status}`);
    };
    const index = await (await get("index.json")).json() as ExampleIndex;
    const runs = await Promise.all(index.runs.map(async ({ id, files }) => ({
      id,
      files: new Map(
        await Promise.all(files.map(async (file): Promise<[string, Uint8Array]> => [
          file,
          new Uint8Array(await (await get(`${id}/${file}`)).arrayBuffer()),
        ])),
      ),
    })));
    return { runs, opening: index.opening };
  }

  addModel(files: Files, origin: ModelInfo["origin"], id?: string): Promise<ModelInfo> {
    return this.#turn(async () => {
      const { dataset, trie, models } = this.#openedData;
      const device = this.#opened;
      const run = await openRun(
        device,
        files,
        (loss) => losses.find(({ name }) => name === loss)?.normalization ?? "children",
      );
      const { model, params, recipe, normalization, epochs } = run;
      const unique = id ?? uniqueName(recipe.loss, models);
      this.#forget(unique);
      const info: ModelInfo = {
        id: unique,
        loss: recipe.loss,
        origin,
        parameters: treeLeaves(params).reduce((sum, { size }) => sum + size, 0),
        epochs,
        search: { beam: recipe.beam, normalization, tau: recipe.tau },
      };
      models.set(unique, opened(device, trie, info, files, model, params, {
        cases: evaluationCases(dataset, "test", recipe.history),
      }));
      return info;
    });
  }

  removeModel(id: string): void {
    this.#forget(id);
  }

  train(settings: TrainSettings): Promise<readonly Files[]> {
    const { dataset, trie } = this.#openedData;
    this.#training = new Training(this.#opened, dataset, trie, settings, this.#send);
    return this.#turn(() => this.#training!.run());
  }

  pause(): void {
    this.#training?.pause();
  }

  resume(): void {
    this.#training?.resume();
  }

  stop(): void {
    this.#training?.stop();
  }

  async users(
    id: string,
    search: SearchSettings,
    lost: boolean,
    most: number,
  ): Promise<readonly UserInfo[]> {
    const scan = ++this.#scan;
    const model = this.#model(id);
    const { dataset } = this.#openedData;
    const infos = model.cases.map((kase, index) => userInfo(dataset, kase, index));
    if (!lost) return infos.slice(0, most);
    const found: UserInfo[] = [];
    for (let at = 0; at < infos.length && found.length < most; at += CHUNK) {
      if (scan !== this.#scan) break;
      found.push(...await this.#turn(() => this.#lostUsers(model, search, at)));
      const done = Math.min(infos.length, at + CHUNK);
      this.#send({ kind: "progress", what: "users", done, total: infos.length });
    }
    return found.slice(0, most);
  }

  search(id: string, user: string, search: SearchSettings): Promise<BeamView> {
    return this.#turn(() => this.#view(this.#model(id), user, search));
  }

  evaluate(id: string, search: SearchSettings, users: number): Promise<Scores> {
    return this.#turn(async () => {
      const model = this.#model(id);
      const { beam } = search;
      const { beams: [one], users: count } = await this.#judge(model, search, 0, users);
      return {
        model: id,
        users: count,
        beam,
        hr10: one.hr[10],
        ndcg10: one.ndcg[10],
        exactHr10: one.exact.hr[10],
        pruningRate: one.pruningRate,
        pruned: one.pruned,
        inExactTop: one.inExactTop,
      };
    });
  }

  weights(loss: string, flags: LossOptions): Promise<readonly GradientWeight[]> {
    const found = losses.find(({ name }) => name === loss);
    if (!found) {
      throw new ArgumentError(`Cannot weigh a loss: it must have a known name, got ${loss}`);
    }
    return gradientWeights(found.make(flags), flags.beam ?? 10);
  }

  files(id: string): Files {
    return this.#model(id).files;
  }

  measure(): unknown {
    throw new Error("Not yet");
  }

  /** Runs something when what came before is done. */
  #turn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => {});
    return result;
  }

  get #opened(): Device {
    if (this.#device) return this.#device;
    throw new Error("The first call must be open");
  }

  get #openedData(): OpenData {
    if (this.#data) return this.#data;
    throw new Error("Data must be open");
  }

  #model(id: string): OpenModel {
    const found = this.#openedData.models.get(id);
    if (found) return found;
    throw new ArgumentError(`Cannot search ${id}: it must be a model that is open, got none`);
  }

  #forget(id: string): void {
    const { models } = this.#openedData;
    models.get(id)?.[Symbol.dispose]();
    models.delete(id);
    this.#wholes.clear();
  }

  /** Judges some test users, from the one with index `from`. */
  #judge(model: OpenModel, search: SearchSettings, from: number, count: number) {
    const { dataset, trie } = this.#openedData;
    const { beam, normalization, tau, excludeHistory } = search;
    const forcing = model.forcing(search);
    const cases = model.cases.slice(from, from + count);
    return evaluate({
      decoder: model.decoder,
      teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
      trie,
      dataset: { ...dataset, test: cases },
      split: "test",
      historyLength: Infinity,
      beams: [beam],
      ks: [10],
      normalization,
      tau,
      excludeHistory,
    });
  }

  async #lostUsers(model: OpenModel, search: SearchSettings, from: number): Promise<UserInfo[]> {
    const { dataset } = this.#openedData;
    const { verdicts } = await this.#judge(model, search, from, CHUNK);
    const lost: UserInfo[] = [];
    for (const [i, { beams: [{ cause, lostAt, exactRank }] }] of verdicts.entries()) {
      if (cause === undefined) continue;
      const kase = model.cases[from + i];
      const { neededBeam } = await this.#whole(model, kase, search, excludedOf(search, kase));
      const lostAs = { step: lostAt, cause, exactRank, neededBeam };
      lost.push({ ...userInfo(dataset, kase, from + i), lost: lostAs });
    }
    return lost;
  }

  /** What a search as wide as possible finds, and the smallest beam that finds the target. */
  async #whole(
    model: OpenModel,
    kase: Case,
    search: SearchSettings,
    excluded: readonly number[],
  ): Promise<Whole & { readonly neededBeam?: number }> {
    const { dataset, trie } = this.#openedData;
    const { normalization, tau, beam } = search;
    const length = Math.min(Math.max(beam, RANKED), trie.trie.leafCount);
    const key = JSON.stringify([model.info.id, kase.id, normalization, tau, excluded]);
    let whole = this.#wholes.get(key);
    if (whole === undefined || (whole.ranking.length < length && whole.found.bestPruned > -Infinity)) {
      const width = Math.min(trie.trie.leafCount, WHOLE);
      const prompt = dataset.prompt(kase.history);
      const [found] = await model.search(width, search).search([prompt], [excluded]);
      const certain = found.ranking.filter(({ logProb }) => logProb > found.bestPruned);
      const [ranking] = found.bestPruned === -Infinity || certain.length >= length
        ? [certain]
        : await exactTopK(model.decoder, trie, [prompt], length, {
          normalization,
          tau,
          excluded: [excluded],
        });
      whole = { found, ranking };
      this.#wholes.set(key, whole);
    }
    const neededBeam = smallestBeam(trie.trie, whole.found.steps, trie.trie.leafOf[kase.target]);
    return { ...whole, neededBeam: excluded.includes(kase.target) ? undefined : neededBeam };
  }

  async #view(model: OpenModel, user: string, search: SearchSettings): Promise<BeamView> {
    const began = performance.now();
    const { dataset, trie: { trie } } = this.#openedData;
    const index = model.cases.findIndex(({ id }) => id === user);
    if (index < 0) {
      throw new ArgumentError(
        `Cannot search user "${user}" of ${dataset.name}: it must be one of ` +
          `${model.cases.length} test users, got an unknown one`,
      );
    }
    const kase = model.cases[index];
    const { beam, normalization, tau } = search;
    const excluded = [...excludedOf(search, kase), ...notForced(dataset, search.forced)];
    const leaf = trie.leafOf[kase.target];
    const prompt = dataset.prompt(kase.history);
    const [found] = await model.search(beam, search).search([prompt], [excluded]);
    const [logits] = await model.forcing(search).logits([prompt], [leaf]);
    const { ranking, neededBeam } = await this.#whole(model, kase, search, excluded);
    const isExcluded = excluded.includes(kase.target);
    const exactRank = isExcluded ? -1 : ranking.findIndex((item) => item.leaf === leaf);
    const explanation = explain({
      name: model.info.id,
      dataset,
      trie,
      kase,
      found,
      model: logits,
      beam,
      normalization,
      tau,
      excluded,
      exactRank,
      ranked: ranking.length,
    });
    const listed = ({ leaf: node, items, logProb }: RankedItem): Listed => ({
      item: items[0],
      name: nameOf(dataset, node === leaf ? kase.target : items[0]),
      logProb,
      isTarget: node === leaf && !isExcluded,
    });
    const wanted = Math.max(beam, exactRank < RANKED ? exactRank + 1 : 0);
    const { lost } = explanation;
    return {
      model: model.info.id,
      user: {
        ...userInfo(dataset, kase, index),
        ...(lost && exactRank >= 0 && exactRank < beam && {
          lost: { step: lost.step, cause: lost.cause, exactRank, neededBeam },
        }),
      },
      search,
      history: kase.history.map((item) => ({ item, name: nameOf(dataset, item) })),
      target: {
        item: kase.target,
        name: nameOf(dataset, kase.target),
        path: dataset.paths[kase.target],
      },
      steps: found.steps.map((step, i) =>
        stepView(dataset, trie, new Set(excluded), found.steps, i, isExcluded ? -1 : leaf)
      ),
      returned: found.ranking.map(listed),
      exact: ranking.slice(0, wanted).map(listed),
      explanation,
      certified: certifiedCount(found),
      ...(neededBeam !== undefined && { neededBeam }),
      milliseconds: performance.now() - began,
    };
  }
}

/** `example/index.json`, as the build writes it. */
export interface ExampleIndex {
  readonly runs: readonly { readonly id: string; readonly files: readonly string[] }[];
  readonly opening: Examples["opening"];
}

function opened(
  device: Device,
  trie: DeviceTrie,
  info: ModelInfo,
  files: Files,
  model: Transformer,
  params: TransformerParams,
  { cases }: Pick<OpenModel, "cases">,
): OpenModel {
  const decoder = new TransformerDecoder(model, params);
  const searches = new Cache<BeamSearch>(KEPT, (search) => search.dispose());
  const forcings = new Cache<TeacherForcing>(KEPT, (forcing) => forcing[Symbol.dispose]());
  const keyOf = ({ normalization, tau }: Over): string => `${normalization} ${tau}`;
  return {
    info,
    files,
    decoder,
    cases,
    search: (beam, { normalization, tau }) =>
      searches.of(
        `${beam} ${keyOf({ normalization, tau })}`,
        () => new BeamSearch(decoder, trie, { beam, normalization, tau, trace: true, batch: 1 }),
      ),
    forcing: ({ normalization, tau }) =>
      forcings.of(
        keyOf({ normalization, tau }),
        () => new TeacherForcing(device, model, params, trie, { normalization, tau, batch: 1 }),
      ),
    [Symbol.dispose]: () => {
      searches.clear();
      forcings.clear();
      for (const tensor of treeLeaves(params)) tensor.dispose();
    },
  };
}

/** A name that no model has yet: `msl`, `msl 2`. */
function uniqueName(loss: string, models: ReadonlyMap<string, unknown>): string {
  for (let n = 1;; n++) {
    const name = n === 1 ? loss : `${loss} ${n}`;
    if (!models.has(name)) return name;
  }
}

function nameOf({ titles, items }: Dataset, item: number): string {
  return titles?.[item] ?? items[item];
}

function userInfo(dataset: Dataset, { id, target }: Case, index: number): UserInfo {
  return { id, index, target: nameOf(dataset, target) };
}

/** The items that a user's search takes out of the catalogue, without those that are not forced. */
function excludedOf({ excludeHistory, excluded }: SearchSettings, { history }: Case): number[] {
  return [...new Set([...excluded, ...(excludeHistory ? history : [])])];
}

/** The items that do not begin with some tokens. */
function notForced({ paths }: Dataset, forced: readonly number[]): number[] {
  if (forced.length === 0) return [];
  return paths.flatMap((path, item) => forced.every((token, t) => path[t] === token) ? [] : [item]);
}

/**
 * The smallest beam that keeps every prefix of a leaf, of those up to 200; undefined if there is
 * none, or it takes prefixes whose children the wide search did not score. A wider beam may lose the
 * leaf again (docs/theory.md), so all are tried in turn. Beams are simulated on the
 * scores of the wide search, which has ranked the children of all prefixes that it kept.
 */
export function smallestBeam(
  trie: Trie,
  steps: readonly BeamStep[],
  leaf: number,
): number | undefined {
  const isWhole = steps.every(({ bestPruned }) => bestPruned === -Infinity);
  const scored = isWhole ? [] : steps.map(({ nodes }) => new Set(nodes));
  const keptAt = new Int32Array(trie.nodeCount).fill(-1); // node -> the last beam and step
  const own = steps.map((_, t) => trie.prefixOf(leaf, t + 1));
  /** Whether a beam retrieves the leaf. */
  const retrieves = (beam: number): boolean => {
    const mark = beam * (steps.length + 1);
    keptAt[0] = mark;
    for (const [t, { pool }] of steps.entries()) {
      let kept = 0;
      for (const node of pool?.nodes ?? []) {
        const parent = trie.depths[node] > t ? trie.parents[node] : node;
        if (keptAt[parent] !== mark + t) continue;
        if (t > 0 && !isWhole && !scored[t - 1].has(parent)) return false;
        keptAt[node] = mark + t + 1;
        if (++kept === beam) break;
      }
      if (keptAt[own[t]] !== mark + t + 1) return false;
    }
    return true;
  };
  for (let beam = 1; beam <= WIDEST; beam++) if (retrieves(beam)) return beam;
}

/** A step of a search, for the page. */
function stepView(
  { tokens, ...dataset }: Dataset,
  trie: Trie,
  excluded: ReadonlySet<number>,
  steps: readonly BeamStep[],
  i: number,
  leaf: number,
): StepView {
  const { pool, threshold, nodes, poolSize } = steps[i];
  if (pool === undefined) throw new Error("Searches must be traced");
  const before = new Map<number, number>();
  if (i === 0) before.set(0, 0);
  else steps[i - 1].nodes.forEach((node, k) => before.set(node, steps[i - 1].scores[k]));
  const parentOf = (node: number): number => trie.depths[node] > i ? trie.parents[node] : node;
  const siblings = new Map<number, number>();
  const places = Array.from(pool.nodes, (node) => {
    const parent = parentOf(node);
    const place = siblings.get(parent) ?? 0;
    siblings.set(parent, place + 1);
    return place;
  });
  const kept = new Set(nodes);
  const own = leaf < 0 ? -1 : trie.prefixOf(leaf, i + 1);
  const target = pool.nodes.indexOf(own);
  const ranks = [...pool.nodes.keys()].filter((rank) =>
    kept.has(pool.nodes[rank]) || rank < nodes.length + DROPPED ||
    (target >= 0 && Math.abs(rank - target) <= 1)
  );
  const entries = ranks.map((rank): Entry => {
    const node = pool.nodes[rank];
    const parent = parentOf(node);
    const token = trie.tokens[node];
    const score = pool.scores[rank];
    const ended = parent === node;
    const items = itemsUnder(trie, node).filter((item) => !excluded.has(item));
    return {
      node,
      parent,
      text: ended ? "" : tokens[token],
      token,
      logProb: score - (before.get(parent) ?? NaN),
      score,
      kept: kept.has(node),
      onTarget: rank === target,
      place: places[rank],
      siblings: siblings.get(parent) ?? 1,
      items: items.length,
      names: [...items.slice(0, NAMED)].map((item) =>
        dataset.titles?.[item] ?? dataset.items[item]
      ),
    };
  });
  return {
    step: i + 1,
    entries,
    ranks,
    poolSize,
    ...(threshold > -Infinity && poolSize > nodes.length && { theta: threshold }),
  };
}

/** The items of a subtree, whose nodes have consecutive numbers. */
function itemsUnder({ depths, nodeCount, leafOffsets, leafItems }: Trie, node: number): Int32Array {
  let end = node + 1;
  while (end < nodeCount && depths[end] > depths[node]) end++;
  return leafItems.slice(leafOffsets[node], leafOffsets[end]).sort();
}
