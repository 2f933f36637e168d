/**
 * What happened to the user that is shown, in plain words.
 *
 * @module
 */
import type { JSX } from "preact";
import type { BeamView } from "./protocol.ts";
import { knobs, turn } from "./state.ts";
import { Term } from "./term.tsx";
import { causes, grouped, joined, ordinal, shortened } from "./words.ts";

/** The sentence above the figure. */
export function Story(
  { view, beside }: { view: BeamView; beside: BeamView | undefined },
): JSX.Element {
  const { explanation, target, search, user, neededBeam } = view;
  const { lost, rank, exactRank, ranked, items } = explanation;
  const isAbsent = lost?.cause === "absent";
  return (
    <div class="story">
      <h1>
        User {user.id} buys next:{" "}
        <em class="is-target" title={target.name}>{shortened(target.name, 64)}</em>.{" "}
        {isAbsent ? "It is not among the items that are searched now, so nothing can find it." : (
          <>
            The model ranks it{" "}
            {exactRank === undefined ? `below the first ${ranked}` : ordinal(exactRank + 1)} of{" "}
            {grouped(items)}. Beam search with B&nbsp;=&nbsp;{search.beam} {lost === undefined
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
        {lost !== undefined && !isAbsent && (
          <span>
            {exactRank === undefined || exactRank >= search.beam
              ? `The model itself does not rank it among the best ${search.beam}.`
              : causes[lost.cause]}
          </span>
        )}
        {beside !== undefined && (
          <span>
            <b>{beside.model}</b> {briefly(beside)}
          </span>
        )}
        <Turning isFound={lost === undefined} needed={isAbsent ? undefined : neededBeam} />
      </p>
    </div>
  );
}

function briefly({ explanation: { lost, rank } }: BeamView): string {
  if (lost?.cause === "absent") return "cannot find it either.";
  return lost === undefined
    ? `returns it as number ${rank! + 1}.`
    : `drops it at step ${lost.step}.`;
}

function standing({ explanation }: BeamView, at: number): string {
  const step = explanation.steps.find((s) => s.step === at);
  if (step?.pool === undefined || step.token === undefined) return "";
  const place = `${ordinal(step.pool.rank + 1)} of ${grouped(step.pool.size)}`;
  return `, where “${joined([step.token])}” is ${place}`;
}

/** The beam that turns the story round. */
function Turning(
  { isFound, needed }: { isFound: boolean; needed: number | undefined },
): JSX.Element | undefined {
  if (needed === undefined) return;
  const other = isFound ? needed - 1 : needed;
  if (other < 1) return <span>Any beam finds it.</span>;
  return (
    <button type="button" class="call" onClick={() => turn({ beam: other })}>
      {isFound ? `See it lost again with B = ${other}` : `See it come back with B = ${other}`}
    </button>
  );
}

/** What this is, for those who see it for the first time. */
export function WhatIsThis(): JSX.Element {
  return (
    <aside class="what" aria-label="What is this?">
      <h2>What is this?</h2>
      <p>
        A shop’s model writes the next item word by word. Beam search keeps only the{" "}
        <Term name="B">B</Term> best beginnings after each word and drops the rest for good.
      </p>
      <p>
        A big brand has dozens of items behind its first word, a small brand has one. So the model
        can rank an item near the top while its first word alone is too unlikely to be kept.
      </p>
    </aside>
  );
}

/** What the model has read. A click takes an item out of the catalogue, or puts it back. */
export function History({ view }: { view: BeamView }): JSX.Element {
  const { history } = view;
  const { excluded } = knobs.value;
  const toggle = (item: number): void =>
    turn({
      excluded: excluded.includes(item) ? excluded.filter((i) => i !== item) : [...excluded, item],
    });
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
