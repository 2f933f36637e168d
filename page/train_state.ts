/**
 * Training as the page sees it: what is set, what comes in, and the models that come of it.
 *
 * @module
 */
import { batch, computed, effect, signal } from "@preact/signals";
import { createWorker, type WorkerClient } from "./client.ts";
import {
  type DataSource,
  defaultSettings,
  type DeviceInfo,
  type LossPoint,
  type TrainSettings,
  type ValidationPoint,
  type WorkerEvent,
} from "./protocol.ts";
import { addModel, attempt, freeId, model, modelInfo, ofTheseData, source } from "./state.ts";

export const settings = signal<TrainSettings>(defaultSettings);
export const phase = signal<"idle" | "starting" | "running" | "paused" | "stopping">("idle");
export const trainDevice = signal<DeviceInfo | undefined>(undefined);
export const lossPoints = signal<readonly LossPoint[]>([]);
export const validationPoints = signal<readonly ValidationPoint[]>([]);
/** The model that each loss of the run trains. */
export const names = signal<ReadonlyMap<string, string>>(new Map());
/** How many epochs each model that was trained here has seen. */
export const epochsOf = signal<ReadonlyMap<string, number>>(new Map());
/** The settings of the run whose curves are shown. */
export const trained = signal<TrainSettings>(defaultSettings);

/** Users per second, as heard last. */
export const speed = computed(() => lossPoints.value[lossPoints.value.length - 1]?.usersPerSecond);

/** A curve has no more points. */
const MOST_POINTS = 400;

let trainer: WorkerClient | undefined;
let waiting: LossPoint[] = [];
/** The data of the run. */
let trainedOn: DataSource | undefined;

/** Changes some settings. */
export function set(change: Partial<TrainSettings>): void {
  settings.value = { ...settings.value, ...change };
}

/** The worker that trains, with the data that are open now. */
async function open(): Promise<WorkerClient> {
  if (trainer === undefined) {
    trainer = createWorker();
    trainer.onEvent(hear);
    trainDevice.value = await trainer.call("open", "auto");
  }
  trainedOn = source.value;
  await trainer.call("data", trainedOn);
  return trainer;
}

/** Trains until all is done or it is stopped. The models are there after each epoch. */
export async function train(): Promise<void> {
  batch(() => {
    phase.value = "starting";
    trained.value = settings.value;
    lossPoints.value = [];
    validationPoints.value = [];
  });
  names.value = new Map(trained.value.losses.map((loss) => [loss, freeId(loss)]));
  epochsOf.value = new Map([...epochsOf.value].filter(([id]) => modelInfo(id) !== undefined));
  await attempt(undefined, async () => {
    try {
      const worker = await open();
      if (trainedOn !== source.value) return;
      phase.value = "running";
      await worker.call("train", trained.value);
    } catch (error) { // its device may be lost: the next training opens another
      trainer?.terminate();
      trainer = undefined;
      throw error;
    }
  });
  phase.value = "idle";
}

/** Pauses or goes on. */
export async function pause(): Promise<void> {
  const isPaused = phase.value === "paused";
  await attempt(undefined, async () => {
    await trainer?.call(isPaused ? "resume" : "pause");
    phase.value = isPaused ? "running" : "paused";
  });
}

/** Stops; the models of the last epoch stay. */
export async function stop(): Promise<void> {
  phase.value = "stopping";
  await attempt(undefined, async () => await trainer?.call("stop"));
}

/** Other data end the run, and its models are closed. */
effect(() => {
  if (source.value === trainedOn) return;
  if (["running", "paused"].includes(phase.peek())) void stop();
  names.value = epochsOf.value = new Map();
});

function hear(event: WorkerEvent): void {
  if (event.kind === "loss") return hearLoss(event.point);
  if (event.kind === "validation") {
    validationPoints.value = [...validationPoints.value, event.point];
  }
  if (event.kind === "snapshot") void keepSnapshot(event);
}

/** Points come faster than the screen: once a frame they are drawn. */
function hearLoss(point: LossPoint): void {
  waiting.push(point);
  if (waiting.length > 1) return;
  requestAnimationFrame(() => {
    lossPoints.value = thinned([...lossPoints.value, ...waiting]);
    waiting = [];
  });
}

function thinned(points: readonly LossPoint[]): readonly LossPoint[] {
  const most = MOST_POINTS * trained.value.losses.length;
  if (points.length < 2 * most) return points;
  const seen = new Map<string, number>();
  return points.filter(({ loss }) => {
    const count = seen.get(loss) ?? 0;
    seen.set(loss, count + 1);
    return count % 2 === 0;
  });
}

async function keepSnapshot(event: WorkerEvent & { kind: "snapshot" }): Promise<void> {
  if (trainedOn !== source.value) return;
  const info = await attempt(
    undefined,
    () =>
      ofTheseData(() =>
        addModel(event.files, "trained", names.value.get(event.loss) ?? event.loss)
      ),
  );
  if (info === undefined) return;
  epochsOf.value = new Map([...epochsOf.value, [info.id, event.epoch]]);
  model.value ??= info.id;
}
