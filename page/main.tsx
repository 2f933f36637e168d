/**
 * The page.
 *
 * @module
 */
import { signal } from "@preact/signals";
import { type JSX, render } from "preact";
import { Beam } from "./beam.tsx";
import { DevicePanel } from "./device.tsx";
import { readDropped } from "./files.ts";
import { Knobs, TakenOut } from "./knobs.tsx";
import { Outcome } from "./lists.tsx";
import type { BeamView } from "./protocol.ts";
import { attempt, busy, data, models, openFiles, problems, start, views } from "./state.ts";
import { History, Story, WhatIsThis } from "./story.tsx";
import { Train } from "./train.tsx";
import { Weights } from "./weights.tsx";

function Page(): JSX.Element {
  return (
    <>
      <Header />
      <Problems />
      <main>
        <Explore />
        <Train />
        <Weights />
        <DevicePanel />
      </main>
      <footer>
        beargrad: tensors and autodiff in TypeScript, and what beam search loses. MIT licence.
      </footer>
      {isOver.value && <div class="drop-zone" aria-hidden="true">Drop data or a model</div>}
    </>
  );
}

const SECTIONS = [
  ["beam", "The beam"],
  ["train", "Train"],
  ["gradients", "Gradients"],
  ["device", "Device"],
] as const;

function Header(): JSX.Element {
  const other = theme.value === "dark" ? "light" : "dark";
  return (
    <header>
      <strong>beargrad</strong>
      <nav aria-label="Sections">
        {SECTIONS.map(([id, text]) => (
          <a key={id} href={`#${id}`} onClick={(e) => jump(e, id)}>{text}</a>
        ))}
      </nav>
      <span class="busy" role="status">{busy.value}</span>
      <button type="button" class="plain" onClick={() => chooseTheme(other)}>
        {other === "dark" ? "Dark theme" : "Light theme"}
      </button>
    </header>
  );
}

/** Goes to a section. The address keeps what is shown there, not the section. */
function jump(event: Event, id: string): void {
  event.preventDefault();
  document.getElementById(id)?.scrollIntoView();
}

function Problems(): JSX.Element {
  return (
    <div class="problems" role="alert">
      {problems.value.map((text) => (
        <p key={text}>
          <span>{text}</span>
          <button
            type="button"
            class="plain"
            aria-label="Dismiss"
            onClick={() => problems.value = problems.value.filter((p) => p !== text)}
          >
            ×
          </button>
        </p>
      ))}
    </div>
  );
}

function Explore(): JSX.Element {
  const shown = views.value;
  const [view] = shown;
  const titleOf = (v: BeamView): string | undefined => shown.length > 1 ? v.model : undefined;
  return (
    <section class="explore" id="beam" aria-label="The beam">
      <div class="opening">
        {view === undefined
          ? (
            <div class="story">
              <h1>Why beam search loses a good item</h1>
            </div>
          )
          : <Story view={view} beside={shown[1]} />}
        <WhatIsThis />
      </div>
      <Knobs view={view} />
      <div class="row under-knobs">
        {view !== undefined && <History view={view} />}
        <TakenOut view={view} />
      </div>
      <div class={`figures${shown.length > 1 ? " two" : ""}`}>
        {view === undefined && (
          <p class="no-figure quiet">
            {data.value !== undefined && models.value.length === 0 &&
              "There is no model of these data yet. Train one below, or drop one on the page."}
          </p>
        )}
        {shown.map((v) => <Beam key={`${v.model} beam`} view={v} title={titleOf(v)} />)}
        {shown.map((v) => <Outcome key={`${v.model} lists`} view={v} title={titleOf(v)} />)}
      </div>
    </section>
  );
}

/** Whether files are held over the page, which takes them anywhere. */
const isOver = signal(false);

addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  isOver.value = true;
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) isOver.value = false;
});
addEventListener("drop", async (event) => {
  event.preventDefault();
  isOver.value = false;
  const { dataTransfer } = event;
  if (dataTransfer === null) return;
  const read = await attempt(undefined, () => readDropped(dataTransfer));
  if (read !== undefined) await openFiles(read);
});

/** The theme: the system's until one is chosen. */
const theme = signal(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

function chooseTheme(chosen: string): void {
  theme.value = chosen;
  document.documentElement.style.colorScheme = chosen;
}

render(<Page />, document.getElementById("page")!);
await start();
