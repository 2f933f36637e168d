/**
 * How hard each loss pulls at a word, by its margin.
 *
 * @module
 */
import type { LossOptions } from "beargrad";
import type { GradientWeight } from "beargrad/lab";
import { effect, signal } from "@preact/signals";
import type { JSX } from "preact";
import { Chip, FlagSliders, Term } from "./controls.tsx";
import { Curves } from "./curves.tsx";
import { attempt, explorer, latestOnly, losses, weighed, weighedFlags } from "./state.ts";
import { colourOf, fixed, flagsOf } from "./words.ts";

/** The flags that have a slider here: those that bend the curves. */
const TURNED: readonly (keyof LossOptions)[] = ["beam", "xi", "lambda", "tau"];

const found = signal<ReadonlyMap<string, readonly GradientWeight[]>>(new Map());

const compute = latestOnly(async () => {
  const weights = new Map<string, readonly GradientWeight[]>();
  for (const loss of weighed.value) {
    const points = await attempt(
      undefined,
      () => explorer.call("weights", loss, weighedFlags.value),
    );
    if (points !== undefined) weights.set(loss, points);
  }
  found.value = weights;
});
effect(() => {
  const isReady = losses.value.length > 0;
  if (isReady && weighed.value && weighedFlags.value) void compute();
});

/** The section. */
export function Weights(): JSX.Element {
  const shown = [...found.value].filter(([loss]) => weighed.value.includes(loss));
  const top = Math.max(2.2, ...shown.flatMap(([, points]) => points.map((p) => p.weight)));
  const all = losses.value.map(({ name }) => name);
  const toggle = (name: string): void => {
    weighed.value = weighed.value.includes(name)
      ? weighed.value.filter((other) => other !== name)
      : [...weighed.value, name];
  };
  return (
    <section class="weights" id="gradients" aria-labelledby="weights-title">
      <h2 id="weights-title">What the loss does to gradients</h2>
      <p class="lead">
        How hard a loss pulls at a word. Right of 0 a beam of width B drops the word, so one would
        expect a loss that helps beam search to pull harder there, as bear-convex does. bear, as its
        authors released it, pulls harder on the left, at words that are safe. Yet on real semantic
        ids, with B = 10, bear lost fewer items than msl and bear-convex lost more; on titles
        neither could be told from msl (docs/RESULTS.md).
      </p>
      <div class="weights-grid">
        <div class="sliders">
          <div class="chips" role="group" aria-label="Losses">
            {losses.value.map(({ name }) => (
              <Chip
                key={name}
                loss={name}
                isOn={weighed.value.includes(name)}
                onClick={() => toggle(name)}
              />
            ))}
          </div>
          <FlagSliders
            flags={flagsOf(losses.value, all).filter(({ name }) => TURNED.includes(name))}
            values={weighedFlags.value}
            onInput={(values) => weighedFlags.value = values}
          />
        </div>
        <Curves
          title="Weight of the gradient, relative to msl"
          xLabel="margin, in nats"
          height={300}
          x={[-6, 6]}
          y={[0, top]}
          tick={(x) => fixed(x, 0)}
          series={shown.map(([loss, points]) => ({
            key: loss,
            name: loss,
            colour: colourOf(loss),
            points: points.map((p) => [p.margin, p.weight] as const),
          }))}
          behind={(x, y) => (
            <g class="dropped-half">
              <rect x={x(0)} y={y.range()[1]} width={x(6) - x(0)} height={y(0) - y.range()[1]} />
              <text x={x(0) + 8} y={y(0) - 8}>would be dropped</text>
              <text x={x(0) - 8} y={y(0) - 8} text-anchor="end">would be kept</text>
            </g>
          )}
        />
      </div>
      <p class="lead">
        The <Term name="margin">margin</Term>{" "}
        is log β − log p, where β is the probability of the B-th best word in the same place. The
        curves are measured by automatic differentiation.
      </p>
    </section>
  );
}
