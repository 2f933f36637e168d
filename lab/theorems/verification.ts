/**
 * The whole theory, verified: every proposition, every refutation, and the real search on devices.
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import { lineWidth, renderTable, wrapped } from "../table.ts";
import { D2, devicePropositions } from "./d2_devices.ts";
import { spreadPropositions } from "./device_models.ts";
import {
  adjacentFloats,
  exactWorlds,
  perturbedLogits,
  searchCases,
  spreadCases,
  tokenBatches,
} from "./generators.ts";
import {
  exactRefutations,
  exactTheorems,
  lossPropositions,
  roundingRefutations,
  roundingTheorems,
} from "./index.ts";
import { type HuntedFault, huntFaults, plantedFaults } from "./faults.ts";
import { type Refutation, shortStatement } from "./proposition.ts";
import {
  type FindOptions,
  findRefutation,
  type FoundRefutation,
  type Outcome,
  type RunOptions,
  verifyPropositions,
  type Worlds,
} from "./runner.ts";

/** A device to verify the real search on. */
export interface VerifiedDevice {
  /** Its name in the report. */
  readonly name: string;
  /** The device, or why there is none. */
  readonly device: Device | string;
  /** Its share of the cases, default 0.1. */
  readonly share?: number;
}

/** Options of {@link verifyTheory}: each proposition is checked in `cases` worlds. */
export interface VerificationOptions extends FindOptions {
  /** The devices to run the real search on; default none. */
  readonly devices?: readonly VerifiedDevice[];
  /** Called with the name of a stage, what is done of it, and its total. */
  readonly progress?: (stage: string, done: number, total: number) => void;
}

/** What {@link verifyTheory} found; `JSON.stringify` takes it as it is. */
export interface VerificationReport {
  /** The seed of the generators. */
  readonly seed: number;
  /** T1 to T17, S1 to S8, D1. */
  readonly theorems: readonly Outcome[];
  /** The planted faults, once for each statement or hypothesis that must catch them. */
  readonly faults: readonly HuntedFault[];
  /** R1 to R12. */
  readonly refutations: readonly FoundRefutation[];
  /** The theorems about beams and D2 by device. */
  readonly devices: readonly {
    /** The device's name. */
    readonly name: string;
    /** Why it did not run. */
    readonly skipped?: string;
    /** What became of the propositions on scores that it adds exactly. */
    readonly theorems: readonly Outcome[];
    /** What became of the theorems on models that spread their probability. */
    readonly spread: readonly Outcome[];
  }[];
}

const PROPOSITIONS = [...exactTheorems, ...roundingTheorems, ...lossPropositions, D2];
const REFUTATIONS = [...exactRefutations, ...roundingRefutations];

/** The statements of the project by id. */
const STATEMENTS: ReadonlyMap<string, string> = new Map(
  [...PROPOSITIONS, ...REFUTATIONS].map(({ id, statement }) => [id, statement]),
);

/** The number of worlds that a refutation or a planted fault is looked for in from each seed. */
const SEARCH = 4000;

/** The least number of cases of a device: in fewer some hypothesis may never be true. */
const LEAST = 20;

/**
 * Verifies every statement of docs/theory.md.
 *
 * @example
 * ```ts
 * import { renderVerification, verifyTheory } from "beargrad/theory";
 *
 * const report = await verifyTheory({ cases: 100, seed: 1 });
 * console.log(renderVerification(report)); // ... Seed 1: everything holds.
 * ```
 */
export async function verifyTheory(
  { cases, seed, searches, devices = [], progress }: VerificationOptions,
): Promise<VerificationReport> {
  const run = (stage: string, total = cases): RunOptions => ({
    cases: total,
    seed,
    onProgress: (done) => progress?.(stage, done, total),
  });
  const theorems = [
    ...await verifyPropositions(exactWorlds(), exactTheorems, run("worlds")),
    ...await verifyPropositions(perturbedLogits(), roundingTheorems, run("logits in error")),
    ...await verifyPropositions(tokenBatches(), lossPropositions, run("surrogates")),
  ];

  const planted = plantedFaults.reduce((n, { caughtBy }) => n + caughtBy.length, 0);
  const faults = await huntFaults({
    cases: SEARCH,
    seed,
    onProgress: (done) => progress?.("planted faults", done, planted),
  });

  const refutations: FoundRefutation[] = [];
  const look = async <W>(worlds: Worlds<W>, all: readonly Refutation<W>[]): Promise<void> => {
    for (const refutation of all) {
      refutations.push(await findRefutation(worlds, refutation, { cases: SEARCH, seed, searches }));
      progress?.("refutations", refutations.length, REFUTATIONS.length);
    }
  };
  await look(exactWorlds(), exactRefutations);
  await look(adjacentFloats(), roundingRefutations);

  const onDevices: VerificationReport["devices"][number][] = [];
  for (const { name, device, share = 0.1 } of devices) {
    if (typeof device === "string") {
      onDevices.push({ name, skipped: device, theorems: [], spread: [] });
    } else {
      const few = Math.max(LEAST, Math.round(cases * share));
      const exact = run(`search on ${name}`, few);
      const outcomes = await verifyPropositions(searchCases(), devicePropositions(device), exact);
      const rounded = run(`search on ${name}, scores rounded`, few);
      const spread = await verifyPropositions(spreadCases(), spreadPropositions(device), rounded);
      onDevices.push({ name, theorems: outcomes, spread: spread.sort(byId) });
    }
  }
  theorems.sort(byId);
  return { seed, theorems, faults, refutations: refutations.sort(byId), devices: onDevices };
}

/**
 * Whether nothing failed, every hypothesis was true somewhere, every planted fault was caught, and
 * every refutation was found.
 */
export function isVerified(
  { theorems, faults, refutations, devices }: VerificationReport,
): boolean {
  const onDevices = devices.flatMap((device) => [...device.theorems, ...device.spread]);
  const outcomes = [...theorems, ...onDevices];
  return outcomes.every((outcome) => outcome.failures === 0 && untested(outcome).length === 0) &&
    faults.every(({ caught }) => caught) && refutations.every(({ found }) => found);
}

/** The hypotheses that were never true. */
function untested({ instances, hypotheses }: Outcome): string[] {
  if (instances === 0) return ["its hypothesis"];
  return Object.entries(hypotheses).flatMap(([name, n]) => n === 0 ? [`"${name}"`] : []);
}

/** T before S before D, then by number; T2' follows T2. */
function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  const rank = ({ id }: { readonly id: string }): number =>
    1000 * "TSDR".indexOf(id[0]) + Number.parseInt(id.slice(1)) + (id.endsWith("'") ? 0.5 : 0);
  return rank(a) - rank(b);
}

/**
 * The report as tables and trees.
 *
 * @example
 * ```ts
 * import { renderVerification } from "beargrad/theory";
 *
 * const theorems = [{ id: "T1", cases: 5, instances: 9, hypotheses: {}, failures: 0 }];
 * const report = { seed: 1, theorems, faults: [], refutations: [], devices: [] };
 * console.log(renderVerification(report)); // ... Seed 1: everything holds.
 * ```
 */
export function renderVerification(report: VerificationReport): string {
  const { theorems, faults, refutations, devices, seed } = report;
  const line = (text: string): string => wrapped(text, lineWidth(), 4);
  const parts = [
    renderTable(
      ["id", "statement", "cases", "hypothesis\ntrue", "failures"],
      theorems.map(({ id, cases, instances, failures }) => [
        id,
        shortStatement(STATEMENTS.get(id) ?? ""),
        cases,
        instances,
        failures,
      ]),
    ),
    ...failuresOf("", theorems),
    line(faultsIn(faults)),
    line(
      "Refutations: each of these is false, and here is the smallest world found that shows it.",
    ),
    ...refutations.map(({ id, found, counterexample, replay }) =>
      `${line(`${id}  ${STATEMENTS.get(id)}`)}\n${
        found ? `${line(counterexample)}\n  (${replay})` : `  NOT FOUND (${replay})`
      }`
    ),
  ];
  const ran = devices.filter(({ skipped }) => skipped === undefined);
  if (ran.length > 0) {
    const table = (of: "theorems" | "spread"): string =>
      renderTable(
        ["id", ...ran.map(({ name, ...device }) => `${name}, ${device[of][0]?.cases ?? 0} cases`)],
        ran[0][of].map(({ id }, i) => [
          id,
          ...ran.map(({ [of]: o }) => `${o[i].instances} / ${o[i].failures}`),
        ]),
      );
    parts.push(
      line("The real search on scores that devices add exactly: hypothesis true / failures."),
      table("theorems"),
      wrapped(
        "The same on models that spread their probability. What rounding leaves open is not counted.",
      ),
      table("spread"),
      ...ran.flatMap(({ name, theorems, spread }) =>
        failuresOf(` on ${name}`, [...theorems, ...spread])
      ),
    );
  }
  for (const { name, skipped } of devices) {
    if (skipped !== undefined) parts.push(line(`${name} was left out: ${skipped}`));
  }
  parts.push(`Seed ${seed}: ${isVerified(report) ? "everything holds" : "NOT VERIFIED"}.`);
  return parts.join("\n\n");
}

function failuresOf(where: string, outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap((outcome) => {
    const { id, failures, counterexample } = outcome;
    if (failures > 0) return [`${id} FAILS${where}: ${counterexample}`];
    const never = untested(outcome).join(", ");
    return never ? [`${id} WAS NOT TESTED${where}: ${never} was never true`] : [];
  });
}

/** What became of the planted faults, in a sentence or two. */
function faultsIn(faults: readonly HuntedFault[]): string {
  const missed = faults.filter(({ caught }) => !caught);
  const names = new Set(faults.map(({ name }) => name));
  const ids = new Set(faults.map(({ by }) => by.split(":")[0]));
  const mistakes = names.size === 1 ? "1 mistake" : `${names.size} mistakes`;
  return `Planted faults: ${
    faults.length - missed.length
  } of ${faults.length} caught. ${mistakes} ` +
    `in what is judged (searches, margins, certificates, losses, devices), for ${ids.size} ` +
    "statements and their hypotheses, one by one, to notice." +
    missed.map(({ name, by }) => ` NOT CAUGHT by ${by}: ${name}.`).join("");
}
