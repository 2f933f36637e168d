/**
 * The propositions of docs/theory.md as property tests: random worlds, the runner, and certificates of a search.
 *
 * @module
 */
export { exactWorld, type World } from "./lab/theorems/world.ts";
export { exactWorlds } from "./lab/theorems/arbitraries.ts";
export type { Proposition, Refutation } from "./lab/theorems/proposition.ts";
export { findRefutation, verifyPropositions } from "./lab/theorems/runner.ts";
export { verifyTheory } from "./lab/theorems/verification.ts";
export { renderVerification, verificationJson } from "./lab/theorems/report.ts";
export {
  exactRefutations,
  exactTheorems,
  floatRefutations,
  searchTheorems,
  stabilityTheorems,
  surrogates,
} from "./lab/theorems/catalogue.ts";
export {
  certifiedCount,
  competitors,
  massCertificate,
  pathSteps,
} from "./lab/analysis/certificates.ts";
