/**
 * What one turns: the user, the model, and how the search runs.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { Chip, Slider, Term } from "./controls.tsx";
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
import { epochsOf, phase } from "./train_state.ts";
import { grouped, joined } from "./words.ts";

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
  const isReachable = needed !== undefined && needed <= MOST;
  const set = (value: number): void => turn({ beam: Math.min(value, MOST) });
  return (
    <div class="knob beam-knob">
      <span class="label">
        <label for="beam-width">Beam width</label> <Term name="B" />
      </span>
      <div class="row">
        <Step name="One less" isOff={beam <= 1} onClick={() => set(beam - 1)}>−</Step>
        <b class="number">{beam}</b>
        <Step name="One more" isOff={beam >= MOST} onClick={() => set(beam + 1)}>+</Step>
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

/** A button for one less or one more. */
function Step({ name, isOff, onClick, children }: {
  readonly name: string;
  readonly isOff: boolean;
  readonly onClick: () => void;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <button type="button" aria-label={name} disabled={isOff} onClick={onClick}>{children}</button>
  );
}

function UserKnob(): JSX.Element {
  const id = useId();
  const typed = useSignal<string | undefined>(undefined);
  const all = users.value;
  const place = userInfo.value?.index ?? 0;
  const choose = (text: string): void => {
    const isKnown = all.some((u) => u.id === text.trim());
    typed.value = isKnown ? undefined : text;
    if (isKnown) showUser(text.trim());
  };
  const matching = typed.value === undefined
    ? []
    : all.filter((u) => u.id.includes(typed.value!)).slice(0, 12);
  const found = lostUsers.value;
  const among = found?.findIndex((u) => u.id === user.value) ?? -1;
  return (
    <div class="knob">
      <label class="label" for={id}>
        User <span class="quiet">of {grouped(all.length)}</span>
      </label>
      <div class="row">
        <Step name="The user before" isOff={place <= 0} onClick={() => showUser(all[place - 1].id)}>
          ‹
        </Step>
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
        <Step
          name="The next user"
          isOff={place >= all.length - 1}
          onClick={() => showUser(all[place + 1].id)}
        >
          ›
        </Step>
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
    <div class="knob model-knob">
      <span class="label">
        <span id={id}>Model</span>, by its <Term name="loss" />
      </span>
      <div class="chips" role="group" aria-labelledby={id}>
        {all.map((m) => (
          <Chip
            key={m.id}
            loss={m.loss}
            isOn={m.id === model.value}
            onClick={() => choose(m.id)}
          >
            {m.id}
            {phase.value !== "idle" && epochsOf.value.has(m.id) && (
              <span class="quiet">epoch {epochsOf.value.get(m.id)}</span>
            )}
          </Chip>
        ))}
        {all.length === 0 && <span class="quiet">Train one below, or drop one on the page</span>}
      </div>
      <label class="check">
        beside it
        <select
          aria-label="Model beside it"
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
  return (
    <div class="knob">
      <Slider
        label="Temperature"
        term={<Term name="temperature">τ</Term>}
        min={0.2}
        max={3}
        step={0.05}
        value={tau}
        onInput={(value) => turn({ tau: value })}
      />
      <div class="row">
        <span id={id} class="label">
          Softmax <Term name="over">over</Term>
        </span>
        <div class="switch" role="group" aria-labelledby={id}>
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
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={knobs.value.excludeHistory}
          onChange={(e) => turn({ excludeHistory: e.currentTarget.checked })}
        />
        without items bought before
      </label>
    </div>
  );
}

/** What is out of the search now, and the way back. */
export function TakenOut({ view }: { view: BeamView | undefined }): JSX.Element {
  const { excluded, forced, tau, normalization } = knobs.value;
  const isPlain = excluded.length + forced.length === 0 && tau === undefined &&
    normalization === undefined;
  return (
    <p class="row" aria-live="polite">
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
