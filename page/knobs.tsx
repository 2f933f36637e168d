/**
 * What one turns: the user, the model, and how the search runs.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import type { BeamView } from "./protocol.ts";
import {
  busy,
  knobs,
  lostUsers,
  model,
  modelInfo,
  models,
  searchOf,
  second,
  showLostUser,
  showUser,
  turn,
  user,
  userInfo,
  users,
} from "./state.ts";
import { Term } from "./term.tsx";
import { epochsOf, phase } from "./train_state.ts";
import { colourOf, fixed, grouped, joined } from "./words.ts";

/** The widest beam of the slider. */
const MOST = 50;

/** All knobs. */
export function Knobs({ view }: { view: BeamView | undefined }): JSX.Element {
  return (
    <section class="knobs" aria-label="Knobs">
      <BeamKnob view={view} />
      <UserKnob />
      <ModelKnob />
      <SearchKnob />
    </section>
  );
}

function BeamKnob({ view }: { view: BeamView | undefined }): JSX.Element {
  const needed = view?.neededBeam;
  const { beam } = knobs.value;
  const set = (value: number): void => {
    if (Number.isInteger(value) && value >= 1) turn({ beam: Math.min(value, MOST) });
  };
  const isReachable = needed !== undefined && needed <= MOST;
  return (
    <div class="knob beam-knob">
      <div class="label">
        <label for="beam-width">Beam width</label> <Term name="B" />
      </div>
      <div class="row">
        <button
          type="button"
          aria-label="One less"
          disabled={beam <= 1}
          onClick={() => set(beam - 1)}
        >
          −
        </button>
        <output for="beam-width">{beam}</output>
        <button
          type="button"
          aria-label="One more"
          disabled={beam >= MOST}
          onClick={() => set(beam + 1)}
        >
          +
        </button>
        <div class="track">
          <input
            id="beam-width"
            type="range"
            min={1}
            max={MOST}
            value={beam}
            onInput={(e) => set(e.currentTarget.valueAsNumber)}
          />
          {isReachable && (
            <span class="needed" style={{ "--at": (needed - 1) / (MOST - 1) }} aria-hidden="true" />
          )}
        </div>
      </div>
      <button
        type="button"
        class="plain"
        disabled={!isReachable || beam === needed}
        onClick={() => set(needed!)}
      >
        {view !== undefined && needed === undefined
          ? "No B up to 200 is known to find it"
          : `Smallest B that finds it: ${needed ?? "…"}`}
      </button>
    </div>
  );
}

function UserKnob(): JSX.Element {
  const id = useId();
  const typed = useSignal<string | undefined>(undefined);
  const all = users.value;
  const place = userInfo.value?.index ?? 0;
  const go = (by: number): void => {
    const next = all[place + by];
    if (next !== undefined) showUser(next.id);
  };
  const choose = (text: string): void => {
    typed.value = text;
    if (all.some((u) => u.id === text.trim())) {
      showUser(text.trim());
      typed.value = undefined;
    }
  };
  const matching = typed.value === undefined
    ? []
    : all.filter((u) => u.id.includes(typed.value!)).slice(0, 12);
  const found = lostUsers.value;
  const among = found?.findIndex((u) => u.id === user.value) ?? -1;
  return (
    <div class="knob user-knob">
      <label for={id}>
        User <span class="quiet">of {grouped(all.length)}</span>
      </label>
      <div class="row">
        <button
          type="button"
          aria-label="The user before"
          disabled={place <= 0}
          onClick={() => go(-1)}
        >
          ‹
        </button>
        <input
          id={id}
          type="text"
          spellcheck={false}
          autocomplete="off"
          list={`${id}-list`}
          value={typed.value ?? user.value ?? ""}
          onInput={(e) => choose(e.currentTarget.value)}
          onBlur={() => typed.value = undefined}
        />
        <datalist id={`${id}-list`}>
          {matching.map((u) => <option key={u.id} value={u.id} />)}
        </datalist>
        <button
          type="button"
          aria-label="The next user"
          disabled={place >= all.length - 1}
          onClick={() => go(1)}
        >
          ›
        </button>
      </div>
      <button
        type="button"
        class="plain"
        disabled={busy.value !== undefined || model.value === undefined}
        onClick={() => showLostUser()}
      >
        {among >= 0 && found!.length > 1
          ? `Next user whose item is lost (${among + 1} of ${found!.length})`
          : "A user whose item is lost"}
      </button>
    </div>
  );
}

function ModelKnob(): JSX.Element {
  const all = models.value;
  const id = useId();
  const choose = (chosen: string): void => {
    if (second.value === chosen) second.value = model.value;
    model.value = chosen;
  };
  return (
    <div class="knob model-knob" role="group" aria-labelledby={id}>
      <span id={id} class="label">Model, by its loss</span>
      <div class="chips">
        {all.map((m) => (
          <button
            key={m.id}
            type="button"
            class="chip"
            aria-pressed={m.id === model.value}
            style={{ "--series": colourOf(m.loss) }}
            title={`${grouped(m.parameters)} weights, ${m.origin}`}
            onClick={() => choose(m.id)}
          >
            {m.id}
            {phase.value !== "idle" && epochsOf.value.has(m.id) && (
              <span class="quiet">epoch {epochsOf.value.get(m.id)}</span>
            )}
          </button>
        ))}
        {all.length === 0 && <span class="quiet">Train one below, or drop one on the page</span>}
      </div>
      <label class="beside">
        beside it{" "}
        <select
          value={second.value ?? ""}
          disabled={all.length < 2}
          onChange={(e) => second.value = e.currentTarget.value || undefined}
        >
          <option value="">nothing</option>
          {all.filter((m) => m.id !== model.value).map((m) => (
            <option key={m.id} value={m.id}>{m.id}</option>
          ))}
        </select>
      </label>
    </div>
  );
}

function SearchKnob(): JSX.Element {
  const id = useId();
  const info = modelInfo(model.value);
  const { normalization, tau } = info === undefined
    ? { normalization: "children", tau: 1 }
    : searchOf(info, knobs.value);
  const { excludeHistory } = knobs.value;
  return (
    <div class="knob search-knob">
      <div class="sliding">
        <label for={id}>Temperature</label>
        <output for={id}>{fixed(tau, 2)}</output>
        <input
          id={id}
          type="range"
          min={0.2}
          max={3}
          step={0.05}
          value={tau}
          onInput={(e) => turn({ tau: e.currentTarget.valueAsNumber })}
        />
      </div>
      <div class="row">
        <div class="switch" role="group" aria-label="Probabilities over">
          {(["children", "vocabulary"] as const).map((over) => (
            <button
              key={over}
              type="button"
              aria-pressed={normalization === over}
              onClick={() => turn({ normalization: over })}
            >
              {over}
            </button>
          ))}
        </div>
        <label class="check">
          <input
            type="checkbox"
            checked={excludeHistory}
            onChange={(e) => turn({ excludeHistory: e.currentTarget.checked })}
          />
          leave out history
        </label>
      </div>
    </div>
  );
}

/** What is out of the search now, and the way back. */
export function TakenOut({ view }: { view: BeamView | undefined }): JSX.Element {
  const { excluded, forced, tau, normalization } = knobs.value;
  const isPlain = excluded.length === 0 && forced.length === 0 && tau === undefined &&
    normalization === undefined;
  return (
    <p class="taken-out" aria-live="polite">
      {forced.length > 0 && (
        <button type="button" class="chip" onClick={() => turn({ forced: [] })}>
          only items that begin with “{beginning(view, forced)}” ×
        </button>
      )}
      {excluded.length > 0 && (
        <button
          type="button"
          class="chip"
          onClick={() => turn({ excluded: excluded.slice(0, -1) })}
        >
          {excluded.length === 1 ? "1 item is" : `${excluded.length} items are`} taken out: undo ×
        </button>
      )}
      {!isPlain && (
        <button
          type="button"
          class="plain"
          onClick={() =>
            turn({ excluded: [], forced: [], tau: undefined, normalization: undefined })}
        >
          Reset
        </button>
      )}
    </p>
  );
}

function beginning(view: BeamView | undefined, forced: readonly number[]): string {
  const texts = forced.map((token, i) =>
    view?.steps[i]?.entries.find((e) => e.token === token)?.text ?? "…"
  );
  return joined(texts);
}
