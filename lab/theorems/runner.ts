/**
 * Running propositions and refutations over generated worlds.
 *
 * @module
 */
import fc from "fast-check";
import { type Proposition, type Refutation, Tally } from "./proposition.ts";

/** How long and from where. */
export interface RunOptions {
  /** How many worlds. */
  readonly cases: number;
  /** Where the generators start: the same seed gives the same worlds. */
  readonly seed: number;
  /** Told after each world how many there were. */
  readonly progress?: (done: number) => void;
}

/** What became of a proposition. */
export interface Outcome {
  readonly id: string;
  readonly statement: string;
  /** How many worlds it was checked in. */
  readonly cases: number;
  /** How often its hypothesis was true. */
  readonly instances: number;
  /** How often its conclusion was not. */
  readonly failures: number;
  /** The smallest counterexample that was found, with the seed and path that replay it. */
  readonly counterexample?: string;
}

/** What became of a refutation. */
export interface Found {
  readonly id: string;
  readonly statement: string;
  readonly found: boolean;
  /** The world of the counterexample and what happens in it; empty if there is none. */
  readonly counterexample: string;
  /** Replays it. */
  readonly replay: string;
}

/** Counts a proposition's instances and failures in one world. */
export async function tallyOf<W>(proposition: Proposition<W>, world: W): Promise<Tally> {
  const tally = new Tally();
  await proposition.check(world, tally);
  return tally;
}

/**
 * Checks propositions in the same generated worlds. One that fails is run again from the same seed and shrunk.
 *
 * @example
 * ```ts
 * import { exactWorlds, type Proposition, verifyPropositions, type World } from "beargrad";
 *
 * const mine: Proposition<World> = {
 *   id: "U1",
 *   statement: "the most probable item is returned if it has more than half of the probability",
 *   hypothesis: "P(y) > 1/2",
 *   proof: "T4 with B = 1",
 *   source: "mine",
 *   check({ leaves, pi, one, search }, tally): void {
 *     const found = search[search.length - 1].kept;
 *     for (const y of leaves) if (2n * pi[y] > one) tally.expect(found.includes(y), () => `${y}`);
 *   },
 * };
 * const [outcome] = await verifyPropositions(exactWorlds(), [mine], { cases: 200, seed: 1 });
 * console.log(outcome.failures, outcome.instances > 0); // 0 true
 * ```
 */
export async function verifyPropositions<W>(
  worlds: fc.Arbitrary<W>,
  propositions: readonly Proposition<W>[],
  { cases, seed, progress }: RunOptions,
): Promise<Outcome[]> {
  const counts = propositions.map(() => ({ instances: 0, failures: 0 }));
  let done = 0;
  const visit = fc.asyncProperty(worlds, async (world) => {
    for (const [i, proposition] of propositions.entries()) {
      const { instances, failures } = await tallyOf(proposition, world);
      counts[i].instances += instances;
      counts[i].failures += failures.length;
    }
    done++;
    progress?.(done);
  });
  await fc.assert(visit, { seed, numRuns: cases });
  const outcomes: Outcome[] = [];
  for (const [i, proposition] of propositions.entries()) {
    const { id, statement } = proposition;
    const outcome = { id, statement, cases: done, ...counts[i] };
    const failed = outcome.failures > 0;
    outcomes.push(
      failed
        ? { ...outcome, counterexample: await shrink(worlds, proposition, cases, seed) }
        : outcome,
    );
  }
  return outcomes;
}

async function shrink<W>(
  worlds: fc.Arbitrary<W>,
  proposition: Proposition<W>,
  numRuns: number,
  seed: number,
): Promise<string> {
  let last = "";
  const property = fc.asyncProperty(worlds, async (world) => {
    const { failures } = await tallyOf(proposition, world);
    if (failures.length > 0) last = failures[0];
    return failures.length === 0;
  });
  const { counterexamplePath } = await fc.check(property, { seed, numRuns });
  return `${last} (seed ${seed}, path ${counterexamplePath})`;
}

/** From how many seeds a refutation is looked for: shrinking is greedy, and the smallest of several is small. */
const SEARCHES = 8;

/** Looks for counterexamples, shrinks them, and returns the smallest: that with the shortest picture. */
export function findRefutation<W>(
  worlds: fc.Arbitrary<W>,
  { id, statement, finds, draw }: Refutation<W>,
  { cases, seed }: Omit<RunOptions, "progress">,
): Found {
  const property = fc.property(worlds, (world) => finds(world) === undefined);
  let best: Found = { id, statement, found: false, counterexample: "", replay: `seed ${seed}` };
  for (let from = seed; from < seed + SEARCHES; from++) {
    const { counterexample, counterexamplePath } = fc.check(property, {
      seed: from,
      numRuns: cases,
    });
    if (counterexample === null) continue;
    const picture = `${draw(counterexample[0])}\n  ${finds(counterexample[0])}`;
    if (best.found && picture.length >= best.counterexample.length) continue;
    const replay = `seed ${from}, path ${counterexamplePath}`;
    best = { id, statement, found: true, counterexample: picture, replay };
  }
  return best;
}
