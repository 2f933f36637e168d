/**
 * The exact ranking beside what beam search returned, and what proves it.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import type { BeamView, Listed } from "./protocol.ts";
import { knobs, turn } from "./state.ts";
import { Term } from "./term.tsx";
import { fixed } from "./words.ts";

/** The height of a line of a list, as in the style sheet. */
const LINE = 26;
/** The space between the lists. */
const BETWEEN = 56;

/** Both lists and the proof. */
export function Outcome({ view }: { view: BeamView }): JSX.Element {
  return (
    <div class="outcome">
      <Lists view={view} />
      <Proof view={view} />
    </div>
  );
}

function Lists({ view }: { view: BeamView }): JSX.Element {
  const { returned, certified } = view;
  const best = shownExact(view);
  const kept = new Map(returned.map(({ item }, i) => [item, i]));
  const height = LINE * Math.max(best.length, returned.length);
  const missed = best.filter(({ item }) => !kept.has(item)).length;
  return (
    <div class="lists">
      <div>
        <h3>
          <Term name="exact">Exact ranking</Term>{" "}
          <span class="quiet">
            {missed === 0 ? "nothing is missed" : `${missed} of these missed`}
          </span>
        </h3>
        <ol>
          {best.map((line) => (
            <Line
              key={line.item}
              line={line}
              place={view.exact.indexOf(line)}
              isMissed={!kept.has(line.item)}
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
          Beam search{" "}
          <span class="quiet">
            {certified === 0 ? "none is proven exact" : `first ${certified} proven exact`}
          </span>
        </h3>
        <ol>
          {returned.map((line, i) => (
            <Line key={line.item} line={line} place={i} isCertified={i < certified} />
          ))}
        </ol>
      </div>
    </div>
  );
}

/** As many of the exact ranking as were returned, and the target where it comes later. */
function shownExact({ exact, returned }: BeamView): readonly Listed[] {
  const count = Math.max(returned.length, 1);
  const target = exact.findIndex(({ isTarget }) => isTarget);
  return target >= count ? [...exact.slice(0, count), exact[target]] : exact.slice(0, count);
}

interface LineProps {
  readonly line: Listed;
  readonly place: number;
  readonly isMissed?: boolean;
  readonly isCertified?: boolean;
}

function Line({ line, place, isMissed, isCertified }: LineProps): JSX.Element {
  const { item, name, logProb, isTarget } = line;
  const kind = `${isTarget ? "target" : ""}${isMissed ? " missed" : ""}${
    isCertified ? " certified" : ""
  }`;
  return (
    <li class={kind}>
      <span class="place">{place + 1}</span>
      <span class="clip" title={name}>{name}</span>
      {isMissed && <span class="mark">missed</span>}
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
  const { explanation, search, certified, returned } = view;
  const { steps, certificate, lost } = explanation;
  if (steps.length === 0) return <div class="proof" />;
  const last = steps[steps.length - 1];
  const worst = steps.reduce((a, b) => b.margin > a.margin ? b : a);
  const bound = 1 / (search.beam + 1);
  const isPruned = certificate.kind === "pruned";
  const by = certificate.kind === "retrieved" ? certificate.by : undefined;
  return (
    <div class="proof">
      <h3>What proves it</h3>
      <p class="quiet">
        {isPruned
          ? "One pass of the model along the item’s words proves the loss, without any search."
          : by !== undefined
          ? "One pass of the model along the item’s words proves that it is found, without any search."
          : `Only the search itself tells: it ${lost === undefined ? "finds" : "loses"} the item.`}
      </p>
      <dl>
        <Theorem
          name="T2"
          settles={isPruned}
          says={
            <>
              A word with a <Term name="margin">margin</Term> above 0 cannot be kept.
            </>
          }
        >
          The largest margin is {fixed(worst.margin)}, at step {worst.step}.
        </Theorem>
        <Theorem
          name="T4"
          settles={by === "T4"}
          says="An item with P above 1 / (B + 1) is always found."
        >
          P = {Math.exp(last.score).toPrecision(3)}; 1 / {search.beam + 1} = {bound.toPrecision(3)}.
        </Theorem>
        <Theorem
          name="T6"
          settles={by !== undefined}
          says="With fewer than B possible competitors it is always found."
        >
          Up to {last.competitors} competitors; B = {search.beam}.
        </Theorem>
        <Theorem
          name="T9"
          settles={certified > 0}
          says="What scores above everything that was dropped before the last step is the exact best."
        >
          {certified === 0 ? "None" : `The first ${certified}`} of {returned.length} returned.
        </Theorem>
      </dl>
    </div>
  );
}

interface TheoremProps {
  readonly name: string;
  readonly settles: boolean;
  readonly says: ComponentChildren;
  readonly children: ComponentChildren;
}

function Theorem({ name, settles, says, children }: TheoremProps): JSX.Element {
  return (
    <div class={settles ? "settles" : ""}>
      <dt>{name}</dt>
      <dd>
        {says} <span class="number">{children}</span>{" "}
        {settles && <strong>{name === "T9" ? "These are proven." : "Settles it."}</strong>}
      </dd>
    </div>
  );
}
