/**
 * Data and models that are open, and their searches.
 *
 * @module
 */
import {
  ArgumentError,
  type BeamResult,
  type Device,
  type DeviceTrie,
  exactTopK,
  losses,
  lossNamed,
  type LossOptions,
  type RankedItem,
  Transformer,
  treeLeaves,
  Trie,
} from "beargrad";
import {
  type Dataset,
  type DeviceReport,
  evaluate,
  evaluationCases,
  explain,
  type GradientWeight,
  gradientWeights,
  loadDataset,
  loadModel,
  measureDevice,
  memoryFolder,
  openDevice,
  optionsOf,
  prunedCases,
  type PrunedUser,
  readRun,
} from "beargrad/lab";
import { certifiedCount } from "beargrad/theory";
import { nameOf, stepView } from "./beam_steps.ts";
import { Cache } from "./cache.ts";
import { type Case, type OpenModel, openModel } from "./open_model.ts";
import type {
  BeamView,
  DataInfo,
  DataSource,
  DeviceInfo,
  Examples,
  Files,
  Listed,
  LossInfo,
  ModelInfo,
  OpenedData,
  Scores,
  SearchSettings,
  TrainSettings,
  UserInfo,
  WorkerEvent,
} from "./protocol.ts";
import { smallestBeam } from "./smallest_beam.ts";
import { Training } from "./training.ts";

/** The exact ranking is at least so long. */
const RANKED = 100;
/** The most leaves of a catalogue that is searched as a whole. */
const WHOLE = 2048;
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

  data(source: DataSource): Promise<OpenedData> {
    return this.#turn(async () => {
      const dataset = await loadDataset(
        source.kind === "synthetic" ? "synthetic" : memoryFolder(source.name, source.files),
      );
      const trie = new Trie(dataset.paths).upload(this.#opened);
      for (const model of this.#data?.models.values() ?? []) model[Symbol.dispose]();
      this.#data?.trie.dispose();
      this.#wholes.clear();
      this.#data = { dataset, trie, models: new Map() };
      const users = dataset.test.map((kase, index) => userInfo(dataset, kase, index));
      return { info: dataInfo(dataset, trie.trie), users };
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

  addModel(files: Files, origin: ModelInfo["origin"], id: string): Promise<ModelInfo> {
    return this.#turn(async () => {
      const { dataset, trie, models } = this.#openedData;
      const folder = memoryFolder(id, files);
      const { recipe, normalization } = readRun(folder, dataset);
      const { config, params } = await loadModel(this.#opened, folder);
      const info: ModelInfo = {
        id,
        loss: recipe.loss,
        origin,
        parameters: treeLeaves(params).reduce((sum, { size }) => sum + size, 0),
        search: { beam: recipe.beam, normalization, tau: recipe.tau },
      };
      this.#forget(models.get(id));
      const cases = evaluationCases(dataset, "test", recipe.history);
      const model = new Transformer(this.#opened, config);
      models.set(id, openModel(model, params, trie, { info, files, cases }));
      return info;
    });
  }

  removeModel(id: string): Promise<void> {
    const { models } = this.#openedData;
    const model = models.get(id);
    models.delete(id);
    return this.#turn(() => this.#forget(model)); // a search may be using it
  }

  train(settings: TrainSettings): Promise<void> {
    const { dataset, trie } = this.#openedData;
    const training = new Training(this.#send);
    this.#training = training;
    return this.#turn(() => training.run(this.#opened, dataset, trie, settings));
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

  async lostUsers(
    id: string,
    search: SearchSettings,
    most: number,
  ): Promise<readonly UserInfo[]> {
    const scan = ++this.#scan;
    const { dataset } = this.#openedData;
    const model = this.#model(id);
    const indexOf = new Map(model.cases.map((kase, index) => [kase.id, index]));
    const total = model.cases.length;
    const found: UserInfo[] = [];
    const looked = prunedCases(model.many(search), dataset, model.cases, search);
    const isWanted = (): boolean => scan === this.#scan && this.#data?.models.get(id) === model;
    /** Runs something in a turn, unless the model is gone by then. */
    const ifWanted = <T>(run: () => Promise<T>): Promise<T | undefined> =>
      this.#turn(async () => isWanted() ? await run() : undefined);
    while (found.length < most) {
      const next = await ifWanted(() => looked.next());
      if (next === undefined || next.done) break;
      for (const user of next.value.pruned) {
        const index = indexOf.get(user.user) as number;
        const lost = await ifWanted(() => this.#lostUser(model, search, index, user));
        if (lost === undefined) break;
        found.push(lost);
      }
      this.#send({ kind: "progress", what: "users", done: next.value.done, total });
    }
    await looked.return(undefined);
    return found.slice(0, most);
  }

  search(id: string, user: string, search: SearchSettings): Promise<BeamView> {
    return this.#turn(() => this.#view(this.#model(id), user, search));
  }

  evaluate(id: string, search: SearchSettings, users: number): Promise<Scores> {
    return this.#turn(async () => {
      const { info, cases, ...model } = this.#model(id);
      const { dataset } = this.#openedData;
      const { beam, excludeHistory } = search;
      const { decoder, forcing, trie, normalization, tau } = model.many(search);
      const judged = await evaluate({
        decoder,
        teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
        trie,
        dataset: { ...dataset, test: cases },
        split: "test",
        beams: [beam],
        historyLength: Infinity, // the cases are cut already
        limitUsers: users,
        normalization,
        tau,
        excludeHistory,
        onProgress: (done, total) => this.#send({ kind: "progress", what: "users", done, total }),
      });
      const [{ hr, ndcg, exact, pruningRate, pruned, inExactTop }] = judged.beams;
      return {
        model: info.id,
        users: judged.users,
        beam,
        hr10: hr[10],
        ndcg10: ndcg[10],
        exactHr10: exact.hr[10],
        pruningRate,
        pruned,
        inExactTop,
      };
    });
  }

  weights(loss: string, flags: LossOptions): Promise<readonly GradientWeight[]> {
    return gradientWeights(lossNamed(loss).make(flags), optionsOf(flags).beam);
  }

  files(id: string): Files {
    return this.#model(id).files;
  }

  measure(): Promise<DeviceReport> {
    return this.#turn(async () => {
      const device = this.#opened;
      const reference = device.kind === "webgpu" ? await openDevice("cpu") : undefined;
      try {
        return await measureDevice(device, {
          reference,
          onProgress: (done, total, what) => this.#send({ kind: "progress", what, done, total }),
        });
      } finally {
        reference?.dispose();
      }
    });
  }

  /** Runs something when what came before is done. */
  #turn<T>(run: () => T | Promise<T>): Promise<T> {
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

  /** Frees a model. In a turn only. */
  #forget(model: OpenModel | undefined): void {
    model?.[Symbol.dispose]();
    this.#wholes.clear();
  }

  async #lostUser(
    model: OpenModel,
    search: SearchSettings,
    index: number,
    { step, cause, exactRank }: PrunedUser,
  ): Promise<UserInfo> {
    const kase = model.cases[index];
    const excluded = search.excludeHistory ? kase.history : [];
    const { neededBeam } = await this.#whole(model, kase, search, excluded);
    const lost = { step, cause, exactRank, neededBeam };
    return { ...userInfo(this.#openedData.dataset, kase, index), lost };
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
    if (
      whole === undefined || (whole.ranking.length < length && whole.found.bestPruned > -Infinity)
    ) {
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
    const whole = await this.#whole(model, kase, search, excluded);
    const { ranking, neededBeam } = whole;
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
      steps: found.steps.map((_, i) =>
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

function dataInfo(dataset: Dataset, { maxDepth }: Trie): DataInfo {
  return {
    name: dataset.name,
    items: dataset.items.length,
    users: dataset.test.length,
    vocabulary: dataset.tokens.length,
    steps: maxDepth,
    hasTitles: dataset.titles !== undefined,
    skipped: dataset.skipped.map(({ what, count }) => `${count} ${what}`),
  };
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
