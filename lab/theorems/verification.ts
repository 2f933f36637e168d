/**
 * The whole theory, verified: every proposition, every refutation, every mutant, and the real search on every device.
 *
 * @module
 */
import type { Device } from "../../core/device.ts";
import { exactWorlds } from "./arbitraries.ts";
import {
  exactRefutations,
  exactTheorems,
  floatRefutations,
  searchTheorems,
  stabilityTheorems,
  surrogates,
} from "./catalogue.ts";
import { runMutants } from "./mutant_hunt.ts";
import { equalsExact, onDevice, searchCases } from "./real_search.ts";
import { findRefutation, type Found, type Outcome, verifyPropositions } from "./runner.ts";
import { adjacentFloats, perturbedLogits } from "./stability.ts";
import { tokenBatches } from "./token_batch.ts";

/** A device to verify the real search on. */
export interface VerifiedDevice {
  /** Its name in the report. */
  readonly name: string;
  /** The device, or why there is none. */
  readonly device: Device | string;
  /** The share of the cases that it gets; 1/10 unless told. */
  readonly share?: number;
}

/** What {@link verifyTheory} is told. */
export interface VerificationOptions {
  /** How many worlds each proposition is checked in. */
  readonly cases: number;
  /** Where the generators start. */
  readonly seed: number;
  /** From how many seeds each refutation is looked for, to show the smallest; 1 unless told. */
  readonly searches?: number;
  /** Where the real search runs; nowhere unless told. */
  readonly devices?: readonly VerifiedDevice[];
  /** Told how far a stage is. */
  readonly progress?: (stage: string, done: number, total: number) => void;
}

/** What {@link verifyTheory} found. */
export interface VerificationReport {
  /** Where the generators started. */
  readonly seed: number;
  /** T1 to T14, S1 to S8, D1. */
  readonly theorems: readonly Outcome[];
  /** R1 and on. */
  readonly refutations: readonly Found[];
  /** How many mistakes were planted, and how many the propositions caught. */
  readonly mutants: {
    readonly planted: number;
    readonly caught: number;
    /** The names of those that were not caught. */
    readonly escaped: readonly string[];
  };
  /** T1 to T10 and D2 by device. */
  readonly devices: readonly {
    readonly name: string;
    /** Why it did not run. */
    readonly skipped?: string;
    readonly outcomes: readonly Outcome[];
  }[];
}

/** In how many worlds refutations and mutants are looked for, from each seed; the search ends with the first. */
const SEARCH = 4000;

/** A device gets at least so many cases: in fewer some hypothesis may never be true. */
const LEAST = 20;

/**
 * Verifies every statement of docs/theory.md.
 */
export async function verifyTheory(
  { cases, seed, searches, devices = [], progress }: VerificationOptions,
): Promise<VerificationReport> {
  const options = (stage: string, total = cases): {
    cases: number;
    seed: number;
    progress: (done: number) => void;
  } => ({ cases: total, seed, progress: (done) => progress?.(stage, done, total) });
  const theorems = [
    ...await verifyPropositions(exactWorlds(), exactTheorems, options("catalogues")),
    ...await verifyPropositions(perturbedLogits(), stabilityTheorems, options("logits in error")),
    ...await verifyPropositions(tokenBatches(), surrogates, options("surrogates")),
  ].sort(byId);

  const look = { cases: SEARCH, seed, searches };
  const count = exactRefutations.length + floatRefutations.length;
  const refutations: Found[] = [];
  const add = (found: Found): void => {
    refutations.push(found);
    progress?.("refutations", refutations.length, count);
  };
  for (const refutation of exactRefutations) {
    add(await findRefutation(exactWorlds(), refutation, look));
  }
  for (const refutation of floatRefutations) {
    add(await findRefutation(adjacentFloats(), refutation, look));
  }
  const planted = await runMutants(look);
  progress?.("mutants", planted.length, planted.length);

  const real: VerificationReport["devices"][number][] = [];
  for (const { name, device, share = 0.1 } of devices) {
    if (typeof device === "string") {
      real.push({ name, skipped: device, outcomes: [] });
      continue;
    }
    const propositions = [
      ...searchTheorems.map((theorem) => onDevice(device, theorem)),
      equalsExact(device),
    ];
    const some = options(`search on ${name}`, Math.max(LEAST, Math.round(cases * share)));
    real.push({ name, outcomes: await verifyPropositions(searchCases(), propositions, some) });
  }
  const escaped = planted.filter((mutant) => !mutant.caught).map((mutant) => mutant.name);
  return {
    seed,
    theorems,
    refutations: refutations.sort(byId),
    mutants: { planted: planted.length, caught: planted.length - escaped.length, escaped },
    devices: real,
  };
}

/**
 * Whether nothing failed, every hypothesis was true somewhere, every refutation was found and every mutant caught.
 */
export function isVerified(report: VerificationReport): boolean {
  const { theorems, refutations, mutants, devices } = report;
  const holds = ({ failures, instances }: Outcome): boolean => failures === 0 && instances > 0;
  return theorems.every(holds) && refutations.every(({ found }) => found) &&
    mutants.caught === mutants.planted && devices.every(({ outcomes }) => outcomes.every(holds));
}

/** T before S before D, then by number. */
function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  const rank = ({ id }: { readonly id: string }): number =>
    1000 * "TSDR".indexOf(id[0]) + Number(id.slice(1));
  return rank(a) - rank(b);
}
