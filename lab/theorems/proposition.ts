/**
 * What a proposition and a refutation are.
 *
 * @module
 */

/** Counts the cases in which a proposition's hypothesis was true, and notes those in which its conclusion was not. */
export class Tally {
  /** How often the hypothesis was true. */
  instances = 0;
  /** What went wrong, a line each. */
  readonly failures: string[] = [];

  /** The hypothesis is true; `holds` says whether the conclusion is, `what` names the case. */
  expect(holds: boolean, what: () => string): void {
    this.instances++;
    if (!holds) this.failures.push(what());
  }
}

/** A statement that must hold without exception. `W` is what it speaks about. */
export interface Proposition<W> {
  /** T1, T2, ... for theorems, S1, ... for surrogates, D1, ... for differential checks. */
  readonly id: string;
  /** In one line. */
  readonly statement: string;
  /** When it applies, and what one instance is. */
  readonly hypothesis: string;
  /** Why it is true. */
  readonly proof: string;
  /** Where it comes from. */
  readonly source: string;
  /** Looks for instances in a world. */
  check(world: W, tally: Tally): void | Promise<void>;
  /** The world, so that a person can check a counterexample by hand. */
  draw?(world: W): string;
}

/** A statement that is plausible and false. */
export interface Refutation<W> {
  /** R1, R2, ... */
  readonly id: string;
  /** What is not so. */
  readonly statement: string;
  /** Where it comes from. */
  readonly source: string;
  /** What happens in this world that refutes it, or undefined. */
  finds(world: W): string | undefined;
  /** The world, so that a person can check it by hand. */
  draw(world: W): string;
}
