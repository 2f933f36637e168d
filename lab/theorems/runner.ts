/**
 * Runs propositions and refutations over generated worlds.
 *
 * @module
 */
import { type Proposition, type Refutation, Tally } from "./proposition.ts";

/** A generator of worlds. */
export interface Worlds<W> {
  /**
   * Visits `cases` worlds until `holds` is false of one; the same seed gives the same worlds.
   * Returns that world and the path that replays it, or undefined if `holds` is true of all. Looks
   * for a smaller such world first, unless `shrink` is false.
   */
  search(
    holds: (world: W) => boolean | Promise<boolean>,
    options: { readonly cases: number; readonly seed: number; readonly shrink?: boolean },
  ): Promise<{ readonly world: W; readonly path: string } | undefined>;
  /** Draws a world, so that a person can check it by hand. */
  draw?(world: W): string;
}

/** Options of {@link verifyPropositions}. */
export interface RunOptions {
  /** The number of worlds. */
  readonly cases: number;
  /** The seed of the generator. */
  readonly seed: number;
  /** Called after each world with the number of worlds so far. */
  readonly onProgress?: (done: number) => void;
}

/** Options of {@link findRefutation}: `cases` worlds at most from each of some seeds. */
export interface FindOptions extends Omit<RunOptions, "onProgress"> {
  /** The number of seeds, default 1. Shrinking is greedy; the smallest of several is small. */
  readonly searches?: number;
}

/** What became of a proposition. */
export interface Outcome {
  /** The proposition's id. */
  readonly id: string;
  /** The number of worlds that it was checked in. */
  readonly cases: number;
  /** How often its hypothesis was true; what rounding leaves open is not counted. */
  readonly instances: number;
  /** The same for each of its hypotheses that has a name. */
  readonly hypotheses: Readonly<Record<string, number>>;
  /** How often its conclusion was false. */
  readonly failures: number;
  /** The smallest counterexample that was found, with the seed and the path that replay it. */
  readonly counterexample?: string;
}

/** What became of a refutation. */
export interface FoundRefutation {
  /** The refutation's id. */
  readonly id: string;
  /** Whether there is a counterexample. */
  readonly found: boolean;
  /** The counterexample's world and what happens in it; empty if there is none. */
  readonly counterexample: string;
  /** The seed and the path that replay it. */
  readonly replay: string;
}

/** Counts the instances and failures of a proposition in one world. */
export async function tallyOf<W>(proposition: Proposition<W>, world: W): Promise<Tally> {
  const tally = new Tally();
  await proposition.check(world, tally);
  return tally;
}

/**
 * Checks propositions in the same generated worlds. One that fails is run again from the same seed
 * and its counterexample shrunk.
 *
 * @example
 * ```ts
 * import { exactWorlds, type Proposition, verifyPropositions, type World } from "beargrad/theory";
 *
 * const mine: Proposition<World> = {
 *   id: "U1",
 *   statement: "the most probable item is returned if it has more than half of the probability",
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
  { cases, seed, onProgress }: RunOptions,
): Promise<Outcome[]> {
  const counts = propositions.map(({ id, hypotheses = [] }) => {
    const named = hypotheses.map((name): [string, number] => [name, 0]);
    return { id, cases: 0, instances: 0, hypotheses: Object.fromEntries(named), failures: 0 };
  });
  const decided = ({ instances, undecided }: Tally): number => instances - undecided;
  let done = 0;
  await worlds.search(async (world) => {
    for (const [i, proposition] of propositions.entries()) {
      const tally = await tallyOf(proposition, world);
      const count = counts[i];
      count.cases++;
      count.instances += decided(tally);
      count.failures += tally.failures.length;
      for (const name in count.hypotheses) count.hypotheses[name] += decided(tally.of(name));
    }
    onProgress?.(++done);
    return true;
  }, { cases, seed });
  const outcomes: Outcome[] = [];
  for (const [i, count] of counts.entries()) {
    const counterexample = count.failures > 0 &&
      await smallestFailure(worlds, propositions[i], { cases, seed });
    outcomes.push({ ...count, ...(counterexample && { counterexample }) });
  }
  return outcomes;
}

async function smallestFailure<W>(
  worlds: Worlds<W>,
  proposition: Proposition<W>,
  options: RunOptions,
): Promise<string> {
  const failuresIn = async (world: W): Promise<readonly string[]> =>
    (await tallyOf(proposition, world)).failures;
  const found = await worlds.search(
    async (world) => (await failuresIn(world)).length === 0,
    options,
  );
  if (found === undefined) return `not found again from seed ${options.seed}`;
  const [failure] = await failuresIn(found.world);
  const picture = worlds.draw ? `\n${worlds.draw(found.world)}` : "";
  return `${failure} (seed ${options.seed}, path ${found.path})${picture}`;
}

/**
 * Looks for counterexamples, shrinks them, and returns the one with the shortest picture.
 *
 * @example
 * ```ts
 * import { exactRefutations, exactWorlds, findRefutation } from "beargrad/theory";
 *
 * const [R1] = exactRefutations;
 * const found = await findRefutation(exactWorlds(), R1, { cases: 1000, seed: 1 });
 * console.log(found.counterexample.split("\n")[0]); // "B = 2, normalised over children"
 * ```
 */
export async function findRefutation<W>(
  worlds: Worlds<W>,
  { id, finds }: Refutation<W>,
  { cases, seed, searches = 1 }: FindOptions,
): Promise<FoundRefutation> {
  let best: FoundRefutation = { id, found: false, counterexample: "", replay: `seed ${seed}` };
  for (let from = seed; from < seed + searches; from++) {
    const options = { cases, seed: from };
    const smallest = await worlds.search((world) => finds(world) === undefined, options);
    if (smallest === undefined) continue;
    const picture = `${worlds.draw?.(smallest.world)}\n  ${finds(smallest.world)}`;
    if (best.found && picture.length >= best.counterexample.length) continue;
    const replay = `seed ${from}, path ${smallest.path}`;
    best = { id, found: true, counterexample: picture, replay };
  }
  return best;
}
