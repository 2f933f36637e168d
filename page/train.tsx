/**
 * Training: what to train, and its curves while they grow.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { Curves, type Series } from "./curves.tsx";
import { downloadFiles, readPicked } from "./files.ts";
import type { ModelInfo, Scores, TrainSettings } from "./protocol.ts";
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
import { Term } from "./term.tsx";
import { colourOf, doingOf, flagsOf, grouped, signs } from "./words.ts";

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
          <div>
            <Buttons />
            <Progress />
          </div>
          <div class="pair">
            <LossCurves />
            <ValidationCurves />
          </div>
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
  return (
    <fieldset>
      <legend>Data</legend>
      <p class="data-name">
        <b class="clip" title={open?.name}>{open?.name ?? "…"}</b>{" "}
        {open !== undefined && (
          <span class="quiet">
            {grouped(open.items)} items, {grouped(open.users)} users, up to {open.steps} words
            {open.skipped.length > 0 && `; left out: ${open.skipped.join("; ")}`}
          </span>
        )}
      </p>
      <div class="row">
        <label class="button" for={id}>Open a folder…</label>
        <input
          id={id}
          class="visually-hidden"
          type="file"
          multiple
          {...{ webkitdirectory: true }}
          onChange={(e) => pick(e.currentTarget)}
        />
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
  const toggle = (name: string, isOn: boolean): void => {
    const now = settings.value.losses;
    const names = isOn ? [...now, name] : now.filter((other) => other !== name);
    set({ losses: losses.value.map((l) => l.name).filter((l) => names.includes(l)) });
  };
  return (
    <fieldset class="losses">
      <legend>Losses</legend>
      {losses.value.map(({ name }) => (
        <label key={name} class="check" style={{ "--series": colourOf(name) }}>
          <input
            type="checkbox"
            checked={chosen.includes(name)}
            onChange={(e) =>
              toggle(name, e.currentTarget.checked)}
          />
          <span>
            <b>{name}</b> <span class="quiet">{doingOf(name)}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

/** The numbers of a run: what they are called, and their steps. */
const SIZES: readonly (readonly [keyof TrainSettings & string, string, number, number, number])[] =
  [
    ["layers", "layers", 1, 8, 1],
    ["dim", "channels", 8, 512, 8],
    ["epochs", "epochs", 1, 50, 1],
    ["lr", "learning rate", 0.0005, 0.05, 0.0005],
    ["seed", "seed", 0, 9999, 1],
  ];

function SizeField(): JSX.Element {
  return (
    <fieldset class="fields">
      <legend>Model and run</legend>
      {SIZES.map(([name, label, min, max, step]) => (
        <NumberField
          key={name}
          label={label}
          value={settings.value[name] as number}
          {...{ min, max, step }}
          onChange={(value) => set(name === "dim" ? sizesOf(value) : { [name]: value })}
        />
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
  const read = flagsOf(losses.value, chosen);
  return (
    <fieldset class="fields">
      <legend>What these losses read</legend>
      {read.map((flag) => (
        <NumberField
          key={flag.name}
          label={signs[flag.name][0]}
          help={flag.help}
          value={flags[flag.name] ?? flag.default}
          min={flag.least}
          max={flag.most}
          step={flag.kind === "integer" ? 1 : 0.05}
          onChange={(value) => set({ flags: { ...flags, [flag.name]: value } })}
        />
      ))}
      {read.length === 0 && <p class="quiet">No number.</p>}
    </fieldset>
  );
}

interface NumberProps {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max?: number | undefined;
  readonly step: number;
  readonly help?: string;
  readonly onChange: (value: number) => void;
}

function NumberField({ label, value, min, max, step, help, onChange }: NumberProps): JSX.Element {
  return (
    <label class="field" title={help}>
      <span>{label}</span>
      <input
        type="number"
        value={value}
        min={min}
        max={max}
        step={step === 1 || step === 8 ? step : "any"}
        onChange={(e) => {
          const typed = e.currentTarget.valueAsNumber;
          if (e.currentTarget.checkValidity() && Number.isFinite(typed)) onChange(typed);
          else e.currentTarget.value = String(value);
        }}
      />
    </label>
  );
}

function Buttons(): JSX.Element {
  const now = phase.value;
  const isIdle = now === "idle";
  return (
    <div class="row buttons">
      <button
        type="button"
        class="main"
        disabled={!isIdle || settings.value.losses.length === 0 || data.value === undefined}
        onClick={train}
      >
        Train
      </button>
      <button type="button" disabled={now !== "running" && now !== "paused"} onClick={pause}>
        {now === "paused" ? "Resume" : "Pause"}
      </button>
      <button type="button" disabled={now !== "running" && now !== "paused"} onClick={stop}>
        Stop
      </button>
    </div>
  );
}

function Progress(): JSX.Element {
  const words = {
    idle: "",
    starting: "opening the device",
    running: "training",
    paused: "paused",
    stopping: "stopping",
  };
  const points = lossPoints.value;
  const done = trained.value.losses.map((loss) => points.findLast((p) => p.loss === loss));
  const share = done.reduce((sum, p) => sum + (p === undefined ? 0 : p.step / p.steps), 0) /
    Math.max(1, done.length);
  return (
    <div class="progress">
      <progress value={share} max={1} aria-label="Training" />
      <p class="quiet" role="status">
        {phase.value === "idle" && share === 1 ? "done" : words[phase.value]}
        {speed.value !== undefined && phase.value === "running" && (
          <>
            {" "}on {trainDevice.value?.adapter}, users per second:{" "}
            <span class="number">{grouped(Math.round(speed.value))}</span>
          </>
        )}
      </p>
    </div>
  );
}

function LossCurves(): JSX.Element {
  const points = lossPoints.value;
  const values = points.map((p) => p.value).filter(Number.isFinite);
  const { losses: chosen, epochs } = trained.value;
  const steps = points[0]?.steps ?? 1;
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
        points: smoothed(points.filter((p) => p.loss === loss)).map((
          [step, value],
        ) => [step / steps * epochs, value]),
      }))}
    />
  );
}

function wholeOnly(x: number): string {
  return Number.isInteger(x) ? String(x) : "";
}

/** A running mean over some 15 points. */
function smoothed(
  points: readonly { readonly step: number; readonly value: number }[],
): (readonly [number, number])[] {
  let mean = points[0]?.value ?? 0;
  return points.map(({ step, value }, i) => {
    mean += (value - mean) / Math.min(i + 1, 15);
    return [step, mean] as const;
  });
}

function ValidationCurves(): JSX.Element {
  const points = validationPoints.value;
  const { losses: chosen, epochs } = trained.value;
  const of = (loss: string, metric: "hr10" | "ndcg10"): (readonly [number, number])[] =>
    points.filter((p) => p.loss === loss).map((p) => [p.epoch, p[metric]]);
  return (
    <Curves
      title="Validation: HR@10, and NDCG@10 dashed"
      xLabel="epoch"
      tick={wholeOnly}
      x={[0, epochs]}
      y={[0, Math.max(0.1, ...points.map((p) => p.hr10))]}
      series={chosen.flatMap((loss): Series[] => [
        { key: `${loss} hr`, name: loss, colour: colourOf(loss), points: of(loss, "hr10") },
        {
          key: `${loss} ndcg`,
          name: "",
          colour: colourOf(loss),
          points: of(loss, "ndcg10"),
          dashed: true,
        },
      ])}
    />
  );
}

/** How many test users a model is judged on. */
const JUDGED = 300;

function ModelTable(): JSX.Element {
  /** By model and search: after an epoch a model is another one. */
  const scores = useSignal<ReadonlyMap<ModelInfo, Readonly<Record<string, Scores>>>>(new Map());
  const whole = { ...knobs.value, excluded: [], forced: [] };
  const judge = async (): Promise<void> => {
    for (const info of models.value) {
      if (!models.value.includes(info)) continue;
      const { id } = info;
      const search = searchOf(info, whole);
      const found = await attempt(
        `Judging ${id}`,
        () => ofTheseData(() => explorer.call("evaluate", id, search, JUDGED)),
      );
      if (found === undefined) return;
      scores.value = new Map([...scores.value, [info, { [JSON.stringify(search)]: found }]]);
    }
  };
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
          {phase.value !== "idle" && [...names.value].filter(([, id]) =>
            modelInfo(id) === undefined && !epochsOf.value.has(id)
          ).map(([loss, id]) => (
            <tr key={id}>
              <ModelName id={id} loss={loss} note="before its first epoch" />
              <td colspan={4} />
            </tr>
          ))}
        </tbody>
      </table>
      <button type="button" disabled={models.value.length === 0} onClick={judge}>
        Judge them on {JUDGED} test users, B = {knobs.value.beam}
      </button>
    </div>
  );
}

const origins = { example: "comes with the page", trained: "trained here", dropped: "dropped" };

function ModelRow(
  { info, scores }: { info: ModelInfo; scores: Scores | undefined },
): JSX.Element {
  const { id, loss, origin } = info;
  const epoch = epochsOf.value.get(id);
  return (
    <tr>
      <ModelName id={id} loss={loss} note={origins[origin] + (epoch ? `, epoch ${epoch}` : "")} />
      <td>{percent(scores?.hr10)}</td>
      <td>{percent(scores?.exactHr10)}</td>
      <td>{scores === undefined ? "" : `${scores.pruned} of ${scores.inExactTop}`}</td>
      <td>
        <button type="button" class="plain" onClick={() => show(id)}>Look</button>{" "}
        <button
          type="button"
          class="plain"
          aria-label={`Download ${id}`}
          onClick={() => save(id)}
        >
          Download
        </button>{" "}
        <button
          type="button"
          class="plain"
          aria-label={`Remove ${id}`}
          title="Remove"
          onClick={() => removeModel(id)}
        >
          ×
        </button>
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
