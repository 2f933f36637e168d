/**
 * Beam search in exact arithmetic: the definition in docs/theory.md, rule by rule, so that each
 * rule can be replaced by a wrong one.
 *
 * @module
 */
import { compare, type WorldModel } from "./world_model.ts";

/** One step: nodes, best first. */
export interface ExactStep {
  /** All entries that competed. */
  readonly pool: readonly number[];
  /** The entries that were kept. */
  readonly kept: readonly number[];
}

/** All steps, as many as the longest path has tokens. */
export type ExactSearch = readonly ExactStep[];

/** What a search looks at. */
export type Searchable = Pick<WorldModel, "beam" | "depth" | "children" | "pi">;

/** The rules of a search. */
export interface Rules {
  /** How many entries a step keeps. */
  places(beam: number): number;
  /** The score of a node. */
  score(node: number): bigint;
  /** Which of two entries of equal score comes first. */
  tie(a: number, b: number): number;
  /** The entries of the next pool that a kept node stands for. */
  expand(node: number): readonly number[];
}

/** The right rules: B places, the path's probability, ties by node, finished items compete on. */
export function rulesOf({ pi, children }: Searchable): Rules {
  return {
    places: (beam) => beam,
    score: (node) => pi[node],
    tie: (a, b) => a - b,
    expand: (node) => children[node].length === 0 ? [node] : children[node],
  };
}

/**
 * The beam search of a model. F_0 = {root}; the pool of a step is what the kept nodes of the step
 * before stand for; the best of it are kept.
 */
export function exactSearch(world: Searchable, changes: Partial<Rules> = {}): ExactSearch {
  const { places, score, tie, expand } = { ...rulesOf(world), ...changes };
  const order = (a: number, b: number): number => compare(score(b), score(a)) || tie(a, b);
  const steps: ExactStep[] = [];
  let kept: readonly number[] = world.children[0].length === 0 ? [] : [0]; // nothing is left
  for (let t = 1; t <= world.depth; t++) {
    const pool = kept.flatMap(expand).sort(order);
    kept = pool.slice(0, places(world.beam));
    steps.push({ pool, kept });
  }
  return steps;
}
