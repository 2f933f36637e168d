/**
 * What happened to the user that is shown, in plain words.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Term } from "./controls.tsx";
import type { BeamView } from "./protocol.ts";
import { knobs, turn } from "./state.ts";
import { causeOf, grouped, joined, ordinal, shortened } from "./words.ts";

/** The sentence above the figure. */
export function Story(
  { view, beside }: { view: BeamView; beside: BeamView | undefined },
): JSX.Element {
  const { explanation: { lost, rank, exactRank, ranked, items }, target, search, user } = view;
  const isAbsent = lost?.cause === "absent";
  const isWorthFinding = exactRank !== undefined && exactRank < search.beam;
  const isPart = search.excludeHistory || search.excluded.length + search.forced.length > 0;
  return (
    <div class="story">
      <h1>
        User {user.id} buys next:{" "}
        <em class="is-target" title={target.name}>{shortened(target.name, 64)}</em>.{" "}
        {isAbsent ? "It is not among the items that are searched now, so nothing can find it." : (
          <>
            The model ranks it{" "}
            {exactRank === undefined ? `below the first ${ranked}` : ordinal(exactRank + 1)}{" "}
            {isPart ? "of those left" : `of ${grouped(items)}`}
            {lost && isWorthFinding ? ", but" : ", and"} beam search with B&nbsp;=&nbsp;
            {search.beam} {lost ? <Fall view={view} step={lost.step} /> : (
              <>
                keeps it to the end and returns it as <b>number {rank! + 1}</b>.
              </>
            )}
          </>
        )}
      </h1>
      <p class="row turning">
        {lost && !isAbsent && (
          <span>
            {isWorthFinding
              ? (
                <>
                  <Term name={lost.cause as Cause}>{capital(lost.cause)}</Term>:{" "}
                  {causeOf(view.explanation)}
                </>
              )
              : `The model itself does not rank it among the best ${search.beam}.`}
          </span>
        )}
        {beside && (
          <span>
            <b>{beside.model}</b> {briefly(beside)}
          </span>
        )}
        {!isAbsent && <Turning view={view} />}
      </p>
      <p class="visually-hidden" role="status">
        {useSettled(`B = ${search.beam} ${briefly(view)}`)}
      </p>
    </div>
  );
}

type Cause = "violation" | "displacement" | "length" | "tie";

function capital(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}

/** A text once it has not changed for a while: what is read aloud while a slider moves. */
function useSettled(text: string): string {
  const settled = useSignal("");
  useEffect(() => {
    const timer = setTimeout(() => settled.value = text, 800);
    return () => clearTimeout(timer);
  }, [text]);
  return settled.value;
}

function briefly({ explanation: { lost, rank } }: BeamView): string {
  if (lost?.cause === "absent") return "cannot find it.";
  return lost ? `drops it at step ${lost.step}.` : `returns it as number ${rank! + 1}.`;
}

/** Where the item is dropped, and why. */
function Fall({ view, step: at }: { view: BeamView; step: number }): JSX.Element {
  const step = view.explanation.steps.find((s) => s.step === at);
  return (
    <>
      <span class="is-dropped">drops it at step {at}</span>
      {step?.pool !== undefined && step.token !== undefined && (
        <>
          : “{joined([step.token])}” is only {ordinal(step.pool.rank + 1)} of{" "}
          {grouped(step.pool.size)}
        </>
      )}.
    </>
  );
}

/** The beam that turns the story round. */
function Turning(
  { view: { neededBeam: needed, explanation: { lost } } }: { view: BeamView },
): JSX.Element | undefined {
  if (needed === undefined) return;
  const other = lost ? needed : needed - 1;
  if (other < 1) return <span>Any beam finds it.</span>;
  return (
    <button type="button" class="call" onClick={() => turn({ beam: other })}>
      {lost ? `See it come back with B = ${other}` : `See it lost again with B = ${other}`}
    </button>
  );
}

/** What this is, for those who see it for the first time. */
export function WhatIsThis(): JSX.Element {
  return (
    <aside class="what" aria-label="What is this?">
      <h2>What is this?</h2>
      <p>
        A shop’s model writes the next item word by word. Scoring every item is too slow in a large
        shop, so beam search keeps only the <Term name="B">B</Term>{" "}
        best beginnings after each word and drops the rest for good.
      </p>
      <p>
        A first word is as likely as all its items together. A big brand has dozens of them. The one
        item of a small brand can be a favourite, and its first word still too unlikely to be kept.
      </p>
    </aside>
  );
}

/** What the model has read. A click takes an item out of the catalogue, or puts it back. */
export function History({ view }: { view: BeamView }): JSX.Element {
  const { history } = view;
  const { excluded } = knobs.value;
  const toggle = (item: number): void => {
    const others = excluded.filter((i) => i !== item);
    turn({ excluded: others.length < excluded.length ? others : [...excluded, item] });
  };
  return (
    <div class="history">
      <span class="quiet">The model reads</span>
      <ol>
        {history.map(({ item, name }, i) => (
          <li key={`${i}:${item}`}>
            <button
              type="button"
              class="clip"
              aria-pressed={excluded.includes(item)}
              aria-label={`${name}: take it out of the catalogue`}
              title={name}
              onClick={() => toggle(item)}
            >
              {name}
            </button>
          </li>
        ))}
      </ol>
    </div>
  );
}
