/**
 * What propositions and refutations are, and how their instances are counted.
 *
 * @module
 */

/** A truth value; undefined where an error budget leaves it open. */
export type Answer = boolean | undefined;

/** Counts a proposition's instances, that is, the cases in which its hypothesis is true. */
export class Tally {
  /** Instances, those that are left open included. */
  instances = 0;
  /** Instances that are left open. */
  undecided = 0;
  /** The instances whose conclusion is false, a line each. */
  readonly failures: string[] = [];
  readonly #each: boolean;
  readonly #hypotheses = new Map<string, Tally>();
  #whole: Tally | undefined;

  /**
   * By default a conjunction is one instance. With `each`, every part of it is an instance, because
   * each part may be left open by itself.
   */
  constructor({ each = false }: { readonly each?: boolean } = {}) {
    this.#each = each;
  }

  /** The tally of one hypothesis of several. What it counts is counted here, too. */
  of(hypothesis: string): Tally {
    let part = this.#hypotheses.get(hypothesis);
    if (part === undefined) {
      part = new Tally({ each: this.#each });
      part.#whole = this;
      this.#hypotheses.set(hypothesis, part);
    }
    return part;
  }

  /** Adds an instance. `holds` says whether its conclusion is true, `what` names the case. */
  expect(holds: Answer, what: () => string): void {
    this.instances++;
    if (holds === undefined) this.undecided++;
    else if (!holds) this.failures.push(what());
    this.#whole?.expect(holds, what);
  }

  /** Adds an instance unless the hypothesis is false. */
  implies(hypothesis: Answer, conclusion: boolean, what: () => string): void {
    if (hypothesis === false) return;
    this.expect(hypothesis && conclusion, what);
  }

  /** Adds an instance that holds if both sides are true or both are false. */
  equivalent(left: Answer, right: boolean, what: () => string): void {
    this.expect(left === undefined ? undefined : left === right, what);
  }

  /** Adds the instance that all parts hold; with `each`, an instance for each part. */
  all(parts: readonly Answer[], what: () => string): void {
    if (this.#each) parts.forEach((part) => this.expect(part, what));
    else if (parts.includes(false)) this.expect(false, what);
    else this.expect(parts.includes(undefined) ? undefined : true, what);
  }
}

/**
 * A statement that must hold without exception. `W` is what it is checked on. The proofs and the
 * sources of the project's own propositions are in docs/theory.md.
 */
export interface Proposition<W> {
  /** T1, T2, ... for theorems, S1, ... for surrogates, D1, ... for differential checks. */
  readonly id: string;
  /** The statement in one line. */
  readonly statement: string;
  /**
   * What instances are counted by: its hypotheses, or their hard cases and the others. Each must be
   * true somewhere.
   */
  readonly hypotheses?: readonly string[];
  /** Adds the instances that a world has to a tally. */
  check(world: W, tally: Tally): void | Promise<void>;
}

/** The length that tables cut statements to; docs/theory.md has the whole. */
const SHORT = 78;

/** A statement cut to fit into a table. */
export function shortStatement(statement: string): string {
  if (statement.length <= SHORT) return statement;
  return `${statement.slice(0, SHORT - 3).replace(/ \S*$/, "")} ...`;
}

/** A statement that is plausible and false. */
export interface Refutation<W> {
  /** R1, R2, ... */
  readonly id: string;
  /** The false statement in one line. */
  readonly statement: string;
  /** Says what refutes the statement in a world; undefined if nothing does. */
  finds(world: W): string | undefined;
}
