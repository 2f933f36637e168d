/**
 * What the page and its workers say to each other: plain data, by structured clone. The page has no
 * model. A worker answers calls; while it works it sends events.
 *
 * Two workers run the same file. One explores: it answers searches at once. One trains. They have a
 * device each, so that a search never waits for a step. Trained weights go from one to the other as
 * the files of a run.
 *
 * @module
 */
import type { LossOptions, Normalization } from "beargrad";
import type { DeviceReport, Explanation, GradientWeight } from "beargrad/lab";

/** Files by their path within the folder that they were dropped with. */
export type Files = ReadonlyMap<string, Uint8Array>;

/** Where data come from: the built-in shop, or files. */
export type DataSource =
  | { readonly kind: "synthetic" }
  | { readonly kind: "files"; readonly name: string; readonly files: Files };

/** The device of a worker. */
export interface DeviceInfo {
  readonly kind: "cpu" | "webgpu";
  readonly adapter: string;
  /** Why it is not what one would want, such as one thread on a page without isolation. */
  readonly notes: readonly string[];
}

/** A data set that is open. */
export interface DataInfo {
  readonly name: string;
  readonly items: number;
  readonly users: number;
  readonly vocabulary: number;
  /** The tokens of the longest item. */
  readonly steps: number;
  readonly hasTitles: boolean;
  /** What was left out, in words. */
  readonly skipped: readonly string[];
}

/** Data that were opened, with the test users in order. */
export interface OpenedData {
  readonly info: DataInfo;
  readonly users: readonly UserInfo[];
}

/** What runs are trained with. Everything else has the default of `deno run train.ts`. */
export interface TrainSettings {
  readonly losses: readonly string[];
  readonly flags: LossOptions;
  readonly layers: number;
  readonly dim: number;
  readonly heads: number;
  readonly ffn: number;
  readonly lr: number;
  readonly epochs: number;
  readonly batch: number;
  readonly seed: number;
  readonly dropout: number;
}

/** Settings that train usable models of the built-in shop in less than half a minute. */
export const defaultSettings: TrainSettings = {
  losses: ["msl", "bear"],
  flags: {},
  layers: 1,
  dim: 64,
  heads: 2,
  ffn: 128,
  lr: 0.006,
  epochs: 6,
  batch: 32,
  seed: 0,
  dropout: 0.1,
};

/** The models that come with the page. */
export interface Examples {
  /** The files of each run, for `addModel`. */
  readonly runs: readonly { readonly id: string; readonly files: Files }[];
  /** A user whose item a search loses, and a slightly wider one finds. */
  readonly opening: { readonly model: string; readonly user: string };
}

/** A loss, and the numbers that it is made with. */
export interface LossInfo {
  readonly name: string;
  readonly normalization: Normalization;
  readonly flags: readonly {
    readonly name: keyof LossOptions;
    readonly kind: "integer" | "real";
    readonly default: number;
    readonly least: number;
    readonly most?: number;
    readonly help: string;
  }[];
}

/** A model that can be searched. */
export interface ModelInfo {
  /** Unique: `msl`, `msl 2`. */
  readonly id: string;
  readonly loss: string;
  readonly origin: "example" | "trained" | "dropped";
  readonly parameters: number;
  /** The search that its loss is made for. */
  readonly search: Pick<SearchSettings, "beam" | "normalization" | "tau">;
}

/**
 * How a user is searched. An item that is taken out counts as if the catalogue never had it: what
 * is left of a node's children shares its probability, under "children".
 */
export interface SearchSettings {
  readonly beam: number;
  readonly tau: number;
  readonly normalization: Normalization;
  /** Whether the user's history is taken out of the catalogue. */
  readonly excludeHistory: boolean;
  /** More items that are taken out, by index. */
  readonly excluded: readonly number[];
  /** Only items that begin with these tokens are left, as if all others were excluded. */
  readonly forced: readonly number[];
}

/** A test user. */
export interface UserInfo {
  readonly id: string;
  /** Its place among the test cases. */
  readonly index: number;
  readonly target: string;
  /** Present if its target is among the exact B best and was not returned. */
  readonly lost?: {
    /** From 1. */
    readonly step: number;
    readonly cause: string;
    /** From 0. */
    readonly exactRank: number;
    /** As in {@link BeamView}. */
    readonly neededBeam?: number;
  };
}

/** A prefix in the pool of a step. */
export interface Entry {
  /** The trie node; unique in a step. */
  readonly node: number;
  /** The node of its parent in the step before; its own where an item has ended. */
  readonly parent: number;
  /** The last token's text; empty where an item has ended and holds its place. */
  readonly text: string;
  /** The last token. */
  readonly token: number;
  /** log p of the last token given the prefix. */
  readonly logProb: number;
  /** log pi of the whole prefix. */
  readonly score: number;
  readonly kept: boolean;
  readonly onTarget: boolean;
  /** Its place among the children of its parent, from 0, and how many they are. */
  readonly place: number;
  readonly siblings: number;
  /** How many items of the catalogue begin with it. */
  readonly items: number;
  /** The items of a leaf, or the first one or two. */
  readonly names: readonly string[];
}

/** A step of a search. */
export interface StepView {
  /** From 1. */
  readonly step: number;
  /** Best first: all that are kept, the best that are dropped, and those around the target's. */
  readonly entries: readonly Entry[];
  /** Place in the pool of each entry, from 0. */
  readonly ranks: readonly number[];
  readonly poolSize: number;
  /** theta, the score of the B-th best; absent if all are kept. */
  readonly theta?: number;
}

/** An item of a list. */
export interface Listed {
  readonly item: number;
  readonly name: string;
  readonly logProb: number;
  readonly isTarget: boolean;
}

/** A user's search, as the page draws it. */
export interface BeamView {
  readonly model: string;
  readonly user: UserInfo;
  readonly search: SearchSettings;
  /** The items that the model reads, oldest first. */
  readonly history: readonly { readonly item: number; readonly name: string }[];
  readonly target: {
    readonly item: number;
    readonly name: string;
    readonly path: readonly number[];
  };
  readonly steps: readonly StepView[];
  /** What beam search returned. */
  readonly returned: readonly Listed[];
  /** The exact ranking, at least as long, and with the target if it is among the first 100. */
  readonly exact: readonly Listed[];
  /** Step by step what became of the target, and what proves it (T2, T4, T6). */
  readonly explanation: Explanation;
  /** How many of the returned are certified to be the exact first ones (T9). */
  readonly certified: number;
  /** The smallest beam, up to 200, that returns the target; absent if none is known to. */
  readonly neededBeam?: number;
  readonly milliseconds: number;
}

/** What a model retrieves from the test users, by `evaluate`. */
export interface Scores {
  readonly model: string;
  readonly users: number;
  readonly beam: number;
  readonly hr10: number;
  readonly ndcg10: number;
  readonly exactHr10: number;
  /** Of the targets in the exact top B, the share that beam search lost. */
  readonly pruningRate: number;
  readonly pruned: number;
  readonly inExactTop: number;
}

/** A point of the curves of a training run. */
export interface LossPoint {
  readonly loss: string;
  readonly step: number;
  readonly steps: number;
  readonly value: number;
  readonly usersPerSecond: number;
}
export interface ValidationPoint {
  readonly loss: string;
  readonly epoch: number;
  readonly hr10: number;
  readonly ndcg10: number;
}

/** The calls of a worker: arguments and result. */
export interface Calls {
  /** Opens the device. The first call. Default one thread a core, at most 8. */
  open(choice: "auto" | "cpu" | "webgpu", threads?: number): DeviceInfo;
  /** Opens data. The models before it are closed. */
  data(source: DataSource): OpenedData;
  /** All losses. */
  losses(): readonly LossInfo[];
  /** The models that come with the page, for the built-in data, from the folder at a URL. */
  examples(url: string): Examples;
  /** Adds a model from the files of a run, or replaces the one of this id. */
  addModel(files: Files, origin: ModelInfo["origin"], id: string): ModelInfo;
  removeModel(id: string): void;
  /** Trains; resolves when all epochs are done or `stop` was called. */
  train(settings: TrainSettings): void;
  pause(): void;
  resume(): void;
  stop(): void;
  /**
   * The first test users, at most `most`, whose item the search loses, looked for chunk by chunk.
   * Looks at the whole catalogue, without `excluded` and `forced`. A later call ends it, and so
   * does the removal of the model: it then resolves with what it has found.
   */
  lostUsers(model: string, search: SearchSettings, most: number): readonly UserInfo[];
  /** Searches one user. */
  search(model: string, user: string, search: SearchSettings): BeamView;
  /** Judges a model on the first `users` test users. */
  evaluate(model: string, search: SearchSettings, users: number): Scores;
  /** The gradient weight of a loss by margin. */
  weights(loss: string, flags: LossOptions): readonly GradientWeight[];
  /** The files of a model's run, for a download. */
  files(model: string): Files;
  /** Figures of the device: conformance, products, steps, decoding. Nothing else may run. */
  measure(): DeviceReport;
}

/** What a worker sends while it works. */
export type WorkerEvent =
  | { readonly kind: "loss"; readonly point: LossPoint }
  | { readonly kind: "validation"; readonly point: ValidationPoint }
  /** After an epoch, or at a stop within one: the files of the run, which is then searched. */
  | {
    readonly kind: "snapshot";
    readonly loss: string;
    readonly epoch: number;
    readonly files: Files;
  }
  | {
    readonly kind: "progress";
    readonly what: string;
    readonly done: number;
    readonly total: number;
  };

/** An error as it crosses: the project's own message, unless it is a bug. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  /** Whether the project did not expect it. */
  readonly isBug: boolean;
}

type Method = keyof Calls;

/** From the page to a worker. */
export interface Request<M extends Method = Method> {
  readonly id: number;
  readonly method: M;
  readonly args: Parameters<Calls[M]>;
}

/** From a worker to the page. */
export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: Failure }
  | { readonly event: WorkerEvent };
