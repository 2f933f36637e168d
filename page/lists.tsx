/**
 * The exact ranking beside what beam search returned, and what proves it.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { Term } from "./controls.tsx";
import type { BeamView, Listed } from "./protocol.ts";
import { knobs, turn } from "./state.ts";
import { fixed } from "./words.ts";

/** The height of a line of a list, as in the style sheet. */
const LINE = 26;
/** The space between the lists. */
const BETWEEN = 56;

/** Both lists and the proof; with the model's name where there are two. */
export function Outcome(
  { view, title }: { view: BeamView; title?: string | undefined },
): JSX.Element {
  return (
    <div class="outcome">
      <Lists view={view} by={title === undefined ? "" : ` by ${title}`} />
      <Proof view={view} />
    </div>
  );
}

function Lists({ view, by }: { view: BeamView; by: string }): JSX.Element {
  const { returned, certified } = view;
  const best = shownExact(view);
  const kept = new Map(returned.map(({ item }, i) => [item, i]));
  const height = LINE * Math.max(best.length, returned.length);
  const missed = best.filter(({ item }) => !kept.has(item));
  return (
    <div class="lists">
      <div>
        <h3>
          <Term name="exact">Exact ranking</Term>
          {by}
          <span class="quiet">
            {missed.length === 0 ? "nothing is missed" : `${missed.length} of these missed`}
          </span>
        </h3>
        <ol>
          {best.map((line) => (
            <Line
              key={line.item}
              line={line}
              place={view.exact.indexOf(line)}
              kind={missed.includes(line) ? "missed" : ""}
            />
          ))}
        </ol>
      </div>
      <svg
        class="ties"
        viewBox={`0 0 ${BETWEEN} ${height}`}
        height={height}
        preserveAspectRatio="none"
        aria-hidden="true"
      >
        {best.map(({ item, isTarget }, i) => {
          const to = kept.get(item);
          const y = LINE * (i + 0.5);
          if (to === undefined) return <path key={item} class="missed" d={`M0 ${y}h12`} />;
          const end = LINE * (to + 0.5);
          return (
            <path
              key={item}
              class={isTarget ? "target" : ""}
              d={`M0 ${y}C${BETWEEN / 2} ${y} ${BETWEEN / 2} ${end} ${BETWEEN} ${end}`}
            />
          );
        })}
      </svg>
      <div>
        <h3>
          Beam search{by}
          <span class="quiet">
            {certified === 0 ? "none is proven exact" : `first ${certified} proven exact`}
          </span>
        </h3>
        <ol>
          {returned.map((line, i) => (
            <Line key={line.item} line={line} place={i} kind={i < certified ? "certified" : ""} />
          ))}
        </ol>
      </div>
    </div>
  );
}

/** As many of the exact ranking as were returned, and the target where it comes later. */
function shownExact({ exact, returned }: BeamView): readonly Listed[] {
  return exact.filter(({ isTarget }, i) => isTarget || i < Math.max(returned.length, 1));
}

function Line(
  { line, place, kind }: { line: Listed; place: number; kind: "" | "missed" | "certified" },
): JSX.Element {
  const { item, name, logProb, isTarget } = line;
  return (
    <li class={`${kind}${isTarget ? " target" : ""}`}>
      <span class="place">{place + 1}</span>
      <span class="clip" title={name}>{name}</span>
      {kind === "missed" && <span class="mark">missed</span>}
      <span class="number">{fixed(logProb, 2)}</span>
      <button
        type="button"
        class="remove"
        aria-label={`Take ${name} out of the catalogue`}
        title="Take it out of the catalogue"
        onClick={() => turn({ excluded: [...knobs.value.excluded, item] })}
      >
        ×
      </button>
    </li>
  );
}

/** Four theorems, and which of them settle this case. */
function Proof({ view }: { view: BeamView }): JSX.Element {
  const { explanation: { steps, certificate, lost }, search: { beam }, certified } = view;
  if (steps.length === 0) return <div class="proof" />;
  const last = steps[steps.length - 1];
  const worst = steps.reduce((a, b) => b.margin > a.margin ? b : a);
  const isPruned = certificate.kind === "pruned";
  const isRetrieved = certificate.kind === "retrieved";
  return (
    <div class="proof">
      <h3>What proves it</h3>
      <p class="quiet">
        {isPruned || isRetrieved
          ? `The model’s probabilities along this one item prove that it is ${
            isPruned ? "lost" : "found"
          }, without any search.`
          : `Nothing but the search itself tells: it ${lost ? "loses" : "finds"} the item.`}
      </p>
      <dl>
        <Theorem
          name="T2"
          settles={isPruned}
          says={
            <>
              An item is lost if the <Term name="margin">margin</Term>{" "}
              of one of its words is above 0.
            </>
          }
        >
          The largest is {fixed(worst.margin)}, at step {worst.step}.
        </Theorem>
        <Theorem
          name="T4"
          settles={isRetrieved && certificate.by === "T4"}
          says="An item is found if its probability is above 1 / (B + 1): no room is left for B others as likely."
        >
          It is {Math.exp(last.score).toPrecision(3)}; 1/{beam + 1} is{" "}
          {(1 / (beam + 1)).toPrecision(3)}.
        </Theorem>
        <Theorem
          name="T6"
          settles={isRetrieved}
          says="An item is found if, judged by the words beside its own, fewer than B beginnings can be as likely."
        >
          At most {last.competitors} can; B is {beam}.
        </Theorem>
        <Theorem
          name="T9"
          settles={certified > 0}
          says="Returned items that score above all that was dropped before the last step are the exact best."
        >
          {certified === 0 ? "None" : `The first ${certified}`} of {view.returned.length}.
        </Theorem>
      </dl>
    </div>
  );
}

function Theorem({ name, settles, says, children }: {
  readonly name: string;
  readonly settles: boolean;
  readonly says: ComponentChildren;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <div class={settles ? "settles" : "quiet"}>
      <dt>{name}</dt>
      <dd>
        {says} <span class="number">{children}</span>{" "}
        {settles && <strong>{name === "T9" ? "These are proven." : "Settles it."}</strong>}
      </dd>
    </div>
  );
}
