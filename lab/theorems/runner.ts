/**
 * Running propositions and refutations over generated worlds.
 *
 * @module
 */
import { type Proposition, type Refutation, Tally } from "./proposition.ts";
import type { Worlds } from "./worlds.ts";

/** How long and from where. */
export interface RunOptions {
  /** How many worlds. */
  readonly cases: number;
  /** Where the generators start: the same seed gives the same worlds. */
  readonly seed: number;
  /** Told after each world how many there were. */
  readonly progress?: (done: number) => void;
}

/** How long and from where to look for something. */
export interface SearchOptions {
  /** At most how many worlds from one seed. */
  readonly cases: number;
  /** The first seed. */
  readonly seed: number;
  /** From how many seeds, 1 unless told: shrinking is greedy, and the smallest of several is small. */
  readonly searches?: number;
}

/** What became of a proposition. */
export interface Outcome {
  /** As in docs/theory.md. */
  readonly id: string;
  /** In one line. */
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
  /** As in docs/theory.md. */
  readonly id: string;
  /** In one line. */
  readonly statement: string;
  /** Whether there is a counterexample. */
  readonly found: boolean;
  /** The world of the counterexample and what happens in it; empty if there is none. */
  readonly counterexample: string;
  /** Replays it. */
  readonly replay: string;
}

/**
 * Counts a proposition's instances and failures in one world.
 */
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
 * import { exactWorlds, type Proposition, verifyPropositions, type World } from "beargrad/theory";
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
  worlds: Worlds<W>,
  propositions: readonly Proposition<W>[],
  { cases, seed, progress }: RunOptions,
): Promise<Outcome[]> {
  const counts = propositions.map(() => ({ instances: 0, failures: 0 }));
  let done = 0;
  await worlds.search(async (world) => {
    for (const [i, proposition] of propositions.entries()) {
      const { instances, failures } = await tallyOf(proposition, world);
      counts[i].instances += instances;
      counts[i].failures += failures.length;
    }
    done++;
    progress?.(done);
    return true;
  }, { cases, seed });
  const outcomes: Outcome[] = [];
  for (const [i, proposition] of propositions.entries()) {
    const { id, statement } = proposition;
    const outcome = { id, statement, cases: done, ...counts[i] };
    const counterexample = outcome.failures > 0
      ? { counterexample: await smallestFailure(worlds, proposition, { cases, seed }) }
      : {};
    outcomes.push({ ...outcome, ...counterexample });
  }
  return outcomes;
}

async function smallestFailure<W>(
  worlds: Worlds<W>,
  proposition: Proposition<W>,
  options: { readonly cases: number; readonly seed: number },
): Promise<string> {
  const found = await worlds.search(
    async (world) => (await tallyOf(proposition, world)).failures.length === 0,
    options,
  );
  if (found === undefined) return `not found again from seed ${options.seed}`;
  const { failures } = await tallyOf(proposition, found.world);
  const picture = proposition.draw ? `\n${proposition.draw(found.world)}` : "";
  return `${failures[0]} (seed ${options.seed}, path ${found.path})${picture}`;
}

/**
 * Looks for counterexamples, shrinks them, and returns the smallest: that with the shortest picture.
 *
 * @example
 * ```ts
 * import { exactRefutations, exactWorlds, findRefutation } from "beargrad/theory";
 *
 * const [R1] = exactRefutations;
 * const { found, counterexample } = await findRefutation(exactWorlds(), R1, { cases: 1000, seed: 1 });
 * console.log(found, counterexample.split("\n")[0]); // true "B = 2, normalised over children"
 * ```
 */
export async function findRefutation<W>(
  worlds: Worlds<W>,
  { id, statement, finds, draw }: Refutation<W>,
  { cases, seed, searches = 1 }: SearchOptions,
): Promise<Found> {
  let best: Found = { id, statement, found: false, counterexample: "", replay: `seed ${seed}` };
  for (let from = seed; from < seed + searches; from++) {
    const smallest = await worlds.search((world) => finds(world) === undefined, {
      cases,
      seed: from,
    });
    if (smallest === undefined) continue;
    const picture = `${draw(smallest.world)}\n  ${finds(smallest.world)}`;
    if (best.found && picture.length >= best.counterexample.length) continue;
    const replay = `seed ${from}, path ${smallest.path}`;
    best = { id, statement, found: true, counterexample: picture, replay };
  }
  return best;
}
