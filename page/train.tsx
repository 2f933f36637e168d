/**
 * Training: what to train, and its curves while they grow.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { FlagSliders, Term } from "./controls.tsx";
import { Curves, type Series } from "./curves.tsx";
import { downloadFiles, readPicked } from "./files.ts";
import type { ModelInfo, Scores, TrainSettings } from "./protocol.ts";
import {
  attempt,
  data,
  explorer,
  knobs,
  losses,
  model,
  modelInfo,
  models,
  ofTheseData,
  openBuiltIn,
  openFiles,
  removeModel,
  searchOf,
  second,
  source,
} from "./state.ts";
import {
  epochsOf,
  lossPoints,
  names,
  pause,
  phase,
  set,
  settings,
  speed,
  stop,
  train,
  trainDevice,
  trained,
  validationPoints,
} from "./train_state.ts";
import { colourOf, doingOf, flagsOf, grouped } from "./words.ts";

/** The section. */
export function Train(): JSX.Element {
  return (
    <section class="train" id="train" aria-labelledby="train-title">
      <h2 id="train-title">Train your own</h2>
      <p class="lead">
        The same model, trained by several losses side by side, on your machine. After each epoch
        its search can be seen above.
      </p>
      <div class="train-grid">
        <form onSubmit={(e) => e.preventDefault()}>
          <DataField />
          <LossField />
          <SizeField />
          <FlagField />
        </form>
        <div class="watch">
          <Run />
          <LossCurves />
          <ValidationCurves />
          <ModelTable />
        </div>
      </div>
    </section>
  );
}

function DataField(): JSX.Element {
  const id = useId();
  const open = data.value;
  const isOwn = source.value.kind === "files";
  const name = isOwn ? open?.name : "Built-in shop";
  return (
    <fieldset>
      <legend>Data</legend>
      <p class="data-name">
        <b class="clip" title={name}>{name}</b>
        <span class="quiet">
          {open && `${grouped(open.items)} items, ${grouped(open.users)} users, ` +
              `up to ${open.steps} words`}
          {open && open.skipped.length > 0 && `; left out: ${open.skipped.join("; ")}`}
        </span>
      </p>
      <div class="row">
        <input
          id={id}
          class="visually-hidden"
          type="file"
          multiple
          {...{ webkitdirectory: true }}
          onChange={(e) => pick(e.currentTarget)}
        />
        <label class="button" for={id}>Open a folder…</label>
        {isOwn && (
          <button type="button" onClick={() => attempt("Opening", openBuiltIn)}>
            Built-in shop
          </button>
        )}
        <span class="quiet">or drop data or a model anywhere on the page</span>
      </div>
    </fieldset>
  );
}

async function pick(input: HTMLInputElement): Promise<void> {
  if (input.files === null || input.files.length === 0) return;
  const picked = await readPicked(input.files);
  input.value = "";
  await openFiles(picked);
}

function LossField(): JSX.Element {
  const { losses: chosen } = settings.value;
  const all = losses.value.map(({ name }) => name);
  const toggle = (name: string): void =>
    set({ losses: all.filter((other) => chosen.includes(other) !== (other === name)) });
  return (
    <fieldset class="losses">
      <legend>Losses</legend>
      {all.map((name) => (
        <label key={name} class="check" style={{ "--series": colourOf(name) }}>
          <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} />
          <span>
            <b>{name}</b> <span class="quiet">{doingOf(name)}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

type Size = "layers" | "dim" | "epochs" | "lr" | "seed";

/** The numbers of a run: what they are called, the least and the most. */
const SIZES: readonly (readonly [Size, string, number, number, number | "any"])[] = [
  ["layers", "layers", 1, 8, 1],
  ["dim", "channels", 8, 512, 8],
  ["epochs", "epochs", 1, 50, 1],
  ["lr", "learning rate", 0.0005, 0.05, "any"],
  ["seed", "seed", 0, 9999, 1],
];

function SizeField(): JSX.Element {
  const change = (name: Size, input: HTMLInputElement): void => {
    const typed = input.valueAsNumber;
    if (!input.checkValidity() || Number.isNaN(typed)) input.value = `${settings.value[name]}`;
    else set(name === "dim" ? sizesOf(typed) : { [name]: typed });
  };
  return (
    <fieldset class="fields">
      <legend>Model and run</legend>
      {SIZES.map(([name, label, min, max, step]) => (
        <label key={name} class="quiet">
          {label}
          <input
            type="number"
            value={settings.value[name]}
            {...{ min, max, step }}
            onChange={(e) => change(name, e.currentTarget)}
          />
        </label>
      ))}
    </fieldset>
  );
}

/** Heads of 32 channels, or one; a feed-forward layer of twice the channels. */
function sizesOf(dim: number): Partial<TrainSettings> {
  return { dim, heads: dim % 32 === 0 ? dim / 32 : 1, ffn: 2 * dim };
}

function FlagField(): JSX.Element {
  const { losses: chosen, flags } = settings.value;
  return (
    <fieldset class="sliders">
      <legend>Settings of these losses</legend>
      <FlagSliders
        flags={flagsOf(losses.value, chosen)}
        values={flags}
        onInput={(values) => set({ flags: values })}
      />
    </fieldset>
  );
}

const PHASES = {
  idle: "",
  starting: "opening the device",
  running: "training",
  paused: "paused",
  stopping: "stopping",
};

/** The buttons of a run, and how far it is. */
function Run(): JSX.Element {
  const now = phase.value;
  const isOn = now === "running" || now === "paused";
  const last = trained.value.losses.map((loss) =>
    lossPoints.value.findLast((p) => p.loss === loss)
  );
  const share = last.reduce((sum, p) => sum + (p ? p.step / p.steps : 0), 0) / last.length;
  return (
    <div class="run">
      <div class="row">
        <button
          type="button"
          class="main"
          disabled={now !== "idle" || settings.value.losses.length === 0 || !data.value}
          onClick={train}
        >
          Train
        </button>
        <button type="button" disabled={!isOn} onClick={pause}>
          {now === "paused" ? "Resume" : "Pause"}
        </button>
        <button type="button" disabled={!isOn} onClick={stop}>Stop</button>
      </div>
      <progress value={share} max={1} aria-label="Training" />
      <p class="quiet">
        <span role="status">{now === "idle" && share === 1 ? "done" : PHASES[now]}</span>
        {speed.value !== undefined && now === "running" && (
          <span class="number">
            {` on ${trainDevice.value?.adapter}, ${
              grouped(Math.round(speed.value))
            } users per second`}
          </span>
        )}
      </p>
    </div>
  );
}

function LossCurves(): JSX.Element {
  const points = lossPoints.value;
  const values = points.map((p) => p.value).filter(Number.isFinite);
  const { losses: chosen, epochs } = trained.value;
  return (
    <Curves
      title="What each loss minimises, smoothed"
      xLabel="epoch"
      tick={wholeOnly}
      empty="The curves grow here."
      x={[0, epochs]}
      y={values.length === 0 ? [0, 6] : [Math.min(...values), Math.max(...values)]}
      series={chosen.map((loss): Series => ({
        key: loss,
        name: loss,
        colour: colourOf(loss),
        points: smoothed(points.filter((p) => p.loss === loss)).map(
          ([share, value]) => [share * epochs, value],
        ),
      }))}
    />
  );
}

function wholeOnly(x: number): string {
  return Number.isInteger(x) ? String(x) : "";
}

/** A running mean over some 15 points, by the share of the run. */
function smoothed(points: typeof lossPoints.value): (readonly [number, number])[] {
  let mean = points[0]?.value ?? 0;
  return points.map(({ step, steps, value }, i) => {
    mean += (value - mean) / Math.min(i + 1, 15);
    return [step / steps, mean] as const;
  });
}

function ValidationCurves(): JSX.Element {
  const points = validationPoints.value;
  const { losses: chosen, epochs } = trained.value;
  const lineOf = (loss: string, metric: "hr10" | "ndcg10"): Series => ({
    key: `${loss} ${metric}`,
    name: metric === "hr10" ? loss : "",
    colour: colourOf(loss),
    points: points.filter((p) => p.loss === loss).map((p) => [p.epoch, p[metric]]),
    dashed: metric === "ndcg10",
  });
  return (
    <Curves
      title="Validation: HR@10, and NDCG@10 dashed"
      caption={
        <>
          Validation: <Term name="HR@10" />, and <Term name="NDCG@10" /> dashed
        </>
      }
      xLabel="epoch"
      tick={wholeOnly}
      x={[0, epochs]}
      y={[0, Math.max(0.1, ...points.map((p) => p.hr10))]}
      series={chosen.flatMap((loss) => [lineOf(loss, "hr10"), lineOf(loss, "ndcg10")])}
    />
  );
}

/** How many test users a model is evaluated on. */
const EVALUATED = 300;

function ModelTable(): JSX.Element {
  /** By model and search: after an epoch a model is another one. */
  const scores = useSignal<ReadonlyMap<ModelInfo, Readonly<Record<string, Scores>>>>(new Map());
  const whole = { ...knobs.value, excluded: [], forced: [] };
  const evaluate = async (): Promise<void> => {
    for (const info of models.value) {
      if (!models.value.includes(info)) continue;
      const search = searchOf(info, whole);
      const found = await attempt(
        `Evaluating ${info.id}`,
        () => ofTheseData(() => explorer.call("evaluate", info.id, search, EVALUATED)),
      );
      if (found === undefined) return;
      scores.value = new Map([...scores.value, [info, { [JSON.stringify(search)]: found }]]);
    }
  };
  const waiting = [...names.value].filter(([, id]) =>
    modelInfo(id) === undefined && !epochsOf.value.has(id)
  );
  return (
    <div class="table">
      <table>
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col">
              <Term name="HR@10" />, beam
            </th>
            <th scope="col">
              <Term name="HR@10" />, <Term name="exact">exact</Term>
            </th>
            <th scope="col">
              <Term name="pruning rate">pruned</Term>
            </th>
            <th scope="col">
              <span class="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {models.value.map((m) => (
            <ModelRow
              key={m.id}
              info={m}
              scores={scores.value.get(m)?.[JSON.stringify(searchOf(m, whole))]}
            />
          ))}
          {phase.value !== "idle" && waiting.map(([loss, id]) => (
            <tr key={id}>
              <ModelName id={id} loss={loss} note="before its first epoch" />
              <td colspan={4} />
            </tr>
          ))}
        </tbody>
      </table>
      <button type="button" disabled={models.value.length === 0} onClick={evaluate}>
        Evaluate on {EVALUATED} test users, B = {knobs.value.beam}
      </button>
    </div>
  );
}

const ORIGINS = { example: "comes with the page", trained: "trained here", dropped: "dropped" };

function ModelRow(
  { info, scores }: { info: ModelInfo; scores: Scores | undefined },
): JSX.Element {
  const { id, loss, origin } = info;
  const epoch = epochsOf.value.get(id);
  const actions = [["Show", show], ["Download", save], ["Remove", removeModel]] as const;
  return (
    <tr>
      <ModelName id={id} loss={loss} note={ORIGINS[origin] + (epoch ? `, epoch ${epoch}` : "")} />
      <td>{percent(scores?.hr10)}</td>
      <td>{percent(scores?.exactHr10)}</td>
      <td>{scores && `${scores.pruned} of ${scores.inExactTop}`}</td>
      <td>
        {actions.map(([name, act]) => (
          <button
            key={name}
            type="button"
            class="plain"
            aria-label={`${name} ${id}`}
            onClick={() => act(id)}
          >
            {name}
          </button>
        ))}
      </td>
    </tr>
  );
}

function ModelName({ id, loss, note }: { id: string; loss: string; note: string }): JSX.Element {
  return (
    <th scope="row" style={{ "--series": colourOf(loss) }}>
      <i class="key" /> {id} <span class="quiet">{note}</span>
    </th>
  );
}

function percent(share: number | undefined): string {
  return share === undefined ? "" : `${(100 * share).toFixed(1)} %`;
}

function show(id: string): void {
  if (second.value === id) second.value = undefined;
  model.value = id;
  document.getElementById("beam")?.scrollIntoView();
}

async function save(id: string): Promise<void> {
  await attempt(`Packing ${id}`, async () => downloadFiles(id, await explorer.call("files", id)));
}
