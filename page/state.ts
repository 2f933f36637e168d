/**
 * The state of the page, as signals, and what changes it.
 *
 * @module
 */
import type { LossOptions } from "beargrad";
import { batch, computed, effect, signal } from "@preact/signals";
import { type Address, formatAddress, parseAddress } from "./address.ts";
import { createWorker } from "./client.ts";
import { type Dropped, foldersIn } from "./files.ts";
import type {
  BeamView,
  DataInfo,
  DataSource,
  DeviceInfo,
  Failure,
  Files,
  LossInfo,
  ModelInfo,
  SearchSettings,
  UserInfo,
} from "./protocol.ts";

/** What the knobs say. Without a normalisation or tau, a model is searched as it was trained. */
export type Knobs = Pick<SearchSettings, "beam" | "excludeHistory" | "excluded" | "forced"> & {
  readonly normalization?: SearchSettings["normalization"];
  readonly tau?: number;
};

/** The knobs as the page opens. */
export const defaultKnobs: Knobs = { beam: 10, excludeHistory: false, excluded: [], forced: [] };

/** Answers searches. */
export const explorer = createWorker();

export const device = signal<DeviceInfo | undefined>(undefined);
export const data = signal<DataInfo | undefined>(undefined);
/** What `data` was opened from, for the worker that trains. */
export const source = signal<DataSource>({ kind: "synthetic" });
export const losses = signal<readonly LossInfo[]>([]);
export const models = signal<readonly ModelInfo[]>([]);
export const users = signal<readonly UserInfo[]>([]);
export const lostUsers = signal<readonly UserInfo[] | undefined>(undefined);

export const model = signal<string | undefined>(undefined);
/** The model beside it. */
export const second = signal<string | undefined>(undefined);
export const user = signal<string | undefined>(undefined);
export const knobs = signal<Knobs>(defaultKnobs);

/** The losses whose gradients are drawn, and their flags. */
const usuallyWeighed: readonly string[] = ["msl", "bear", "bear-convex"];
export const weighed = signal(usuallyWeighed);
export const weighedFlags = signal<LossOptions>({});

/** The views that are on the page: one, or two for two models. */
export const views = signal<readonly BeamView[]>([]);
/** What the worker is busy with that takes longer than a blink. */
export const busy = signal<string | undefined>(undefined);
/** What went wrong, in the reader's words. */
export const problems = signal<readonly string[]>([]);

/** The user that is shown. */
export const userInfo = computed(() => users.value.find(({ id }) => id === user.value));

/** How a model is searched now. */
export function searchOf(info: ModelInfo, { normalization, tau, ...rest }: Knobs): SearchSettings {
  return {
    ...rest,
    normalization: normalization ?? info.search.normalization,
    tau: tau ?? info.search.tau,
  };
}

/** The model of an id. */
export function modelInfo(id: string | undefined): ModelInfo | undefined {
  return models.value.find((m) => m.id === id);
}

/** Changes some knobs. */
export function turn(change: Partial<Knobs>): void {
  knobs.value = { ...knobs.value, ...change };
}

/** Says what went wrong; what was open stays. */
export function report(error: unknown): void {
  const { message = String(error), isBug = false } = error as Partial<Failure>;
  const text = isBug ? `Something is wrong in the page itself: ${message}` : message;
  if (!problems.value.includes(text)) problems.value = [...problems.value.slice(-2), text];
}

/** Runs `work` and reports its error. While it takes long, `what` is shown. */
export async function attempt<T>(
  what: string | undefined,
  work: () => Promise<T>,
): Promise<T | undefined> {
  const slow = what === undefined ? undefined : setTimeout(() => busy.value = what, 250);
  try {
    return await work();
  } catch (error) {
    report(error);
  } finally {
    clearTimeout(slow);
    if (what !== undefined) busy.value = undefined;
  }
}

/** Opens the page: the device, the built-in data, the models that come with it. */
export async function start(): Promise<void> {
  explorer.onEvent((event) => {
    if (event.kind === "progress" && busy.value !== undefined) {
      busy.value = `${event.what} ${event.done} of ${event.total}`;
    }
  });
  await attempt("Opening", async () => {
    const asked = parseAddress(location.hash);
    device.value = await explorer.call("open", "cpu", 1);
    losses.value = await explorer.call("losses");
    if (await openBuiltIn()) restore(asked);
  });
  effect(() => writeAddress());
  effect(() => {
    wish.value;
    void refresh();
  });
  addEventListener("hashchange", () => restore(parseAddress(location.hash)));
}

/** What the work gives, or undefined if other data were opened meanwhile, whatever became of it. */
export async function ofTheseData<T>(work: () => Promise<T>): Promise<T | undefined> {
  const from = source.value;
  try {
    const result = await work();
    return source.value === from ? result : undefined;
  } catch (error) {
    if (source.value === from) throw error;
  }
}

/**
 * The built-in shop with the models that come with the page. Returns false if other data were
 * opened meanwhile.
 */
export async function openBuiltIn(): Promise<boolean> {
  await openData({ kind: "synthetic" });
  const opening = await ofTheseData(async () => {
    const base = new URL("example/", document.baseURI).href;
    const { runs, opening } = await explorer.call("examples", base);
    for (const { id, files } of runs) await addModel(files, "example", id);
    return opening;
  });
  if (opening === undefined) return false;
  batch(() => {
    model.value = opening.model;
    user.value = opening.user;
  });
  return true;
}

/** Opens data. Models of other data are closed. */
export async function openData(from: DataSource): Promise<void> {
  const { info, users: all } = await explorer.call("data", from);
  batch(() => { // with nothing between the answer and this: the models are closed
    source.value = from;
    data.value = info;
    models.value = [];
    views.value = [];
    lostUsers.value = undefined;
    model.value = second.value = undefined;
    users.value = all;
    user.value = all[0]?.id;
    knobs.value = defaultKnobs;
  });
}

/** Adds a model; one of the same id is replaced. */
export async function addModel(
  files: Files,
  origin: ModelInfo["origin"],
  id: string,
): Promise<ModelInfo> {
  const info = await explorer.call("addModel", files, origin, id);
  const others = models.value.filter((m) => m.id !== info.id);
  const place = models.value.findIndex((m) => m.id === info.id);
  models.value = place < 0 ? [...others, info] : models.value.with(place, info);
  return info;
}

/**
 * Opens what was dropped: data, and runs as models of the data that are then open. What is neither
 * is refused as data.
 */
export async function openFiles(dropped: Dropped): Promise<void> {
  const { name, files } = dropped;
  if (files.size === 0) return report("Cannot read what was dropped: there is no file in it");
  await attempt(`Reading ${name}`, async () => {
    const { data, runs } = foldersIn(dropped);
    if (data.length > 0 || runs.length === 0) {
      await openData({ kind: "files", ...(data[0] ?? dropped) });
    }
    await ofTheseData(async () => {
      for (const run of runs) {
        const info = await addModel(run.files, "dropped", freeId(run.name));
        model.value = info.id;
      }
    });
  });
}

/** Closes a model. */
export async function removeModel(id: string): Promise<void> {
  batch(() => {
    models.value = models.value.filter((m) => m.id !== id);
    if (second.value === id) second.value = undefined;
    if (model.value === id) model.value = models.value[0]?.id;
  });
  await attempt(undefined, () => explorer.call("removeModel", id));
}

/** A name that no model has. */
export function freeId(name: string): string {
  for (let i = 2, free = name;; free = `${name} ${i++}`) {
    if (modelInfo(free) === undefined) return free;
  }
}

/** Shows a user whose item the search loses: the next one of those found. */
export async function showLostUser(): Promise<void> {
  const info = modelInfo(model.value);
  if (info === undefined) return;
  const asked = losing.value;
  const found = lostUsers.value ??
    await attempt(
      "Looking for users whose item is lost:",
      () =>
        ofTheseData(() =>
          explorer.call(
            "lostUsers",
            info.id,
            searchOf(info, { ...knobs.value, forced: [], excluded: [] }),
            24,
          )
        ),
    );
  if (found === undefined || losing.value !== asked || shown.value !== info) return;
  lostUsers.value = found;
  if (found.length === 0) return report("The search loses the item of no user here");
  const place = found.findIndex(({ id }) => id === user.value);
  showUser(found[(place + 1) % found.length].id);
}

/** Shows a user; what was taken out or forced for another one is back. */
export function showUser(id: string): void {
  batch(() => {
    user.value = id;
    turn({ forced: [], excluded: [] });
  });
}

/** The model that is shown. Another one has its id after an epoch. */
const shown = computed(() => modelInfo(model.value));

/** The users that lose their item depend on the model and on these. */
const losing = computed(() => {
  const { beam, normalization, tau, excludeHistory } = knobs.value;
  return JSON.stringify([beam, normalization, tau, excludeHistory]);
});
effect(() => {
  shown.value;
  losing.value;
  lostUsers.value = undefined;
});

/** Runs one piece of work at a time. Of the wishes that come meanwhile the latest is done. */
export function latestOnly(work: () => Promise<void>): () => Promise<void> {
  let isRunning = false;
  let isStale = false;
  return async () => {
    isStale = true;
    if (isRunning) return;
    isRunning = true;
    while (isStale) {
      isStale = false;
      await work();
    }
    isRunning = false;
  };
}

/** Searches what is asked for. The view before it stays until the new one is there. */
const refresh = latestOnly(async () => {
  const { models: asked, user: who, knobs: search } = wish.value;
  if (who === undefined || asked.length === 0) return;
  try {
    const found = await ofTheseData(() =>
      Promise.all(asked.map((m) => explorer.call("search", m.id, who, searchOf(m, search))))
    );
    if (found !== undefined) views.value = found;
  } catch (error) { // a model that is removed meanwhile is missed by nobody
    if (asked.every((m) => models.value.includes(m))) report(error);
  }
});

/** What is searched for. */
const wish = computed(() => ({
  models: [model.value, second.value].flatMap((id) => modelInfo(id) ?? []),
  user: user.value,
  knobs: knobs.value,
}));

/** The address says what is shown. What was dropped is not there after a reload: it is left out. */
function writeAddress(): void {
  const isBuiltIn = source.value.kind === "synthetic";
  const shown = { model: model.value, second: second.value, user: user.value, ...knobs.value };
  const address = formatAddress({
    ...(isBuiltIn ? shown : defaultKnobs),
    losses: weighed.value === usuallyWeighed ? undefined : weighed.value,
    flags: weighedFlags.value,
  } as Address);
  history.replaceState(null, "", address === "" ? location.pathname : `#${address}`);
}

/** Shows what an address says, as far as it is there. */
function restore(address: Partial<Address>): void {
  const { model: first, second: other, user: who, losses: asked, flags, ...search } = address;
  batch(() => {
    if (modelInfo(first)) model.value = first;
    second.value = other === model.value ? undefined : modelInfo(other)?.id;
    if (users.value.some(({ id }) => id === who)) user.value = who;
    const { items = 0, vocabulary = 0 } = data.value ?? {};
    knobs.value = {
      ...defaultKnobs,
      ...search,
      excluded: search.excluded?.filter((item) => item < items) ?? [],
      forced: search.forced?.filter((token) => token < vocabulary) ?? [],
    };
    const known = losses.value.map(({ name }) => name).filter((name) => asked?.includes(name));
    weighed.value = known.length > 0 ? known : usuallyWeighed;
    weighedFlags.value = flags ?? {};
  });
}
