/**
 * Counts what becomes of the instances of theorems whose numbers are known up to an error.
 *
 * @module
 */

/** The id of a theorem of docs/theory.md that speaks of a model and a search. */
export type TheoremId = "T1" | "T2" | "T3" | "T4" | "T5" | "T6" | "T7" | "T8" | "T9" | "T11";

/** The theorems in a line each. */
export const STATEMENTS: Readonly<Record<TheoremId, string>> = {
  T1: "retrieved => every token is among the best B of its siblings",
  T2: "a margin above 0 => pruned at that step or before",
  T3: "among the best B prefixes at every step => retrieved",
  T4: "P > 1 / (B + 1) => retrieved",
  T5: "pi > pool mass / (B + 1) => survives the step; theta <= pool mass / B",
  T6: "at most B - 1 competitors counted on the path at every step => retrieved",
  T7: "survives a step <=> beats the B-th best other entry; theta >= the B-th best sibling",
  T8: "B = 1: retrieved <=> every token is the best; B >= every level: retrieved",
  T9: "items above all that was pruned before the last step are the exact best",
  T11: "margins, scores and beams move by no more than the logits' error allows",
};

/** What became of the instances of a theorem. */
export interface TheoremCount {
  /** How often its hypothesis was true, or within the budget of being so. */
  instances: number;
  /** Of these, the ones whose conclusion is true. */
  holds: number;
  /** The ones that the budget leaves open. */
  undecided: number;
  /** The ones whose conclusion is false, beyond the budget. */
  violations: number;
}

/** Counts by theorem. */
export type TheoremCounts = Record<TheoremId, TheoremCount>;

/** No instances yet. */
export function noCounts(): TheoremCounts {
  const counts = Object.keys(STATEMENTS).map((id) => [
    id,
    { instances: 0, holds: 0, undecided: 0, violations: 0 },
  ]);
  return Object.fromEntries(counts) as TheoremCounts;
}

/** Sorts instances into those that hold, those that do not, and those within the budget. */
export class Judge {
  readonly #counts: TheoremCounts;

  /** Adds to these. */
  constructor(counts: TheoremCounts) {
    this.#counts = counts;
  }

  /** A decided instance. */
  add(id: TheoremId, holds: boolean): void {
    this.#counts[id].instances++;
    this.#counts[id][holds ? "holds" : "violations"]++;
  }

  /** An instance that the budget leaves open. */
  open(id: TheoremId): void {
    this.#counts[id].instances++;
    this.#counts[id].undecided++;
  }

  /** gap > 0 => conclusion. */
  implies(id: TheoremId, gap: number, slack: number, conclusion: boolean): void {
    this.certain(id, gap > -slack, gap > slack, conclusion);
  }

  /** gap > 0 <=> conclusion. */
  equivalent(id: TheoremId, gap: number, slack: number, conclusion: boolean): void {
    if (Math.abs(gap) <= slack) this.open(id);
    else this.add(id, gap > 0 === conclusion);
  }

  /** The hypothesis may be true, or is for certain, => conclusion. */
  certain(id: TheoremId, may: boolean, is: boolean, conclusion: boolean): void {
    if (is) this.add(id, conclusion);
    else if (may) this.open(id);
  }

  /** room >= 0. */
  bound(id: TheoremId, room: number, slack: number): void {
    if (room >= 0) this.add(id, true);
    else if (room >= -slack) this.open(id);
    else this.add(id, false);
  }
}
