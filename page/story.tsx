/**
 * What happened to the user that is shown, in plain words.
 *
 * @module
 */
import type { JSX } from "preact";
import type { BeamView } from "./protocol.ts";
import { knobs, turn } from "./state.ts";
import { Term } from "./term.tsx";
import { causes, counted, grouped, ordinal, tokenText } from "./words.ts";

/** The sentence above the figure. */
export function Story({ view }: { view: BeamView }): JSX.Element {
  const { explanation, target, search, user, neededBeam } = view;
  const { lost, rank, exactRank, ranked, items } = explanation;
  const isAbsent = lost?.cause === "absent";
  return (
    <div class="story">
      <h1>
        User {user.id} buys next: <em class="is-target">{target.name}</em>.{" "}
        {isAbsent ? "It is not among the items that are searched now, so nothing can find it." : (
          <>
            The model ranks it{" "}
            {exactRank === undefined ? `below the first ${ranked}` : ordinal(exactRank + 1)} of{" "}
            {grouped(items)}. Beam search with B = {search.beam} {lost === undefined
              ? (
                <>
                  keeps it to the end and returns it as <b>number {rank! + 1}</b>.
                </>
              )
              : (
                <>
                  <span class="is-dropped">drops it at step {lost.step}</span>
                  {standing(view, lost.step)}.
                </>
              )}
          </>
        )}
      </h1>
      <p class="turning">
        {lost !== undefined && !isAbsent && <span>{causes[lost.cause]}</span>}
        <Turning beam={search.beam} needed={isAbsent ? undefined : neededBeam} />
      </p>
    </div>
  );
}

function standing({ explanation }: BeamView, at: number): string {
  const step = explanation.steps.find((s) => s.step === at);
  if (step?.pool === undefined || step.token === undefined) return "";
  const place = `${ordinal(step.pool.rank + 1)} of ${grouped(step.pool.size)}`;
  return `, where “${tokenText(step.token)}” is ${place}`;
}

/** The beam that turns the story round. */
function Turning({ beam, needed }: { beam: number; needed: number | undefined }): JSX.Element {
  if (needed === undefined) return <span>No beam up to 200 is known to find it.</span>;
  const isFound = beam >= needed;
  const other = isFound ? needed - 1 : needed;
  if (other < 1) return <span>Any beam finds it.</span>;
  return (
    <button type="button" class="call" onClick={() => turn({ beam: other })}>
      {isFound ? `With B = ${other} it is lost: look` : `With B = ${other} it comes back: look`}
    </button>
  );
}

/** What this is, for those who see it for the first time. */
export function WhatIsThis(): JSX.Element {
  return (
    <aside class="what" aria-label="What is this?">
      <h2>What is this?</h2>
      <p>
        A shop’s model writes the next item word by word. It cannot try every item, so beam search
        keeps only the <Term name="B">B</Term>{" "}
        best beginnings after each word and drops the rest for good.
      </p>
      <p>
        That goes wrong when a good item starts with an unlikely word. A big brand has dozens of
        items behind its first word; a small brand has one. The model can rank that one near the
        top, and still the search never gets to its second word.
      </p>
    </aside>
  );
}

/** What the model has read. */
export function History({ view }: { view: BeamView }): JSX.Element {
  const { history } = view;
  const { excluded } = knobs.value;
  return (
    <div class="history">
      <span class="quiet">The model reads {counted(history.length, "item")}:</span>
      <ol>
        {history.map(({ item, name }, i) => (
          <li key={`${i}:${item}`} class={excluded.includes(item) ? "out" : ""} title={name}>
            <span class="clip">{name}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}
