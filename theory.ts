/**
 * The theory of what beam search prunes: propositions, the random worlds they are checked on, and
 * certificates of a search. docs/theory.md states and proves them.
 *
 * @example
 * ```ts
 * import { exactTheorems, exactWorlds, verifyPropositions } from "beargrad/theory";
 *
 * const theorems = exactTheorems.filter(({ id }) => id === "T4" || id === "T6");
 * for (const found of await verifyPropositions(exactWorlds(), theorems, { cases: 200, seed: 1 })) {
 *   console.log(found.id, found.failures, found.instances > 0); // T4 0 true, T6 0 true
 * }
 * ```
 *
 * @module
 */
export { exactWorlds } from "./lab/theorems/generators.ts";
export { exactRefutations, exactTheorems } from "./lab/theorems/index.ts";
export type { Proposition, Refutation } from "./lab/theorems/proposition.ts";
export { findRefutation, verifyPropositions } from "./lab/theorems/runner.ts";
export { renderVerification, verifyTheory } from "./lab/theorems/verification.ts";
export { exactWorld, type World } from "./lab/theorems/world.ts";
export {
  certifiedCount,
  competitors,
  forced,
  LevelCounts,
  massCertificate,
} from "./lab/analysis/certificates.ts";
export { pathSteps } from "./lab/analysis/pruning.ts";
