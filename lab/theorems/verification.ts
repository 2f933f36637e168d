/**
 * The whole theory, verified: every proposition, every refutation, and the real search on devices.
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import { lineWidth, renderTable, wrapped } from "../table.ts";
import { D2, devicePropositions } from "./d2_devices.ts";
import {
  adjacentFloats,
  exactWorlds,
  perturbedLogits,
  searchCases,
  tokenBatches,
} from "./generators.ts";
import {
  exactRefutations,
  exactTheorems,
  lossPropositions,
  roundingRefutations,
  roundingTheorems,
} from "./index.ts";
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
  /** T1 to T14, S1 to S8, D1. */
  readonly theorems: readonly Outcome[];
  /** R1 to R11. */
  readonly refutations: readonly FoundRefutation[];
  /** T1 to T10 and D2 by device. */
  readonly devices: readonly {
    /** The device's name. */
    readonly name: string;
    /** Why it did not run. */
    readonly skipped?: string;
    /** What became of the propositions on it. */
    readonly theorems: readonly Outcome[];
  }[];
}

const PROPOSITIONS = [...exactTheorems, ...roundingTheorems, ...lossPropositions, D2];
const REFUTATIONS = [...exactRefutations, ...roundingRefutations];

/** The statements of the project by id. */
const STATEMENTS: ReadonlyMap<string, string> = new Map(
  [...PROPOSITIONS, ...REFUTATIONS].map(({ id, statement }) => [id, statement]),
);

/** The number of worlds that a refutation is looked for in from each seed. */
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
 * const report = await verifyTheory({ cases: 20, seed: 1 });
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
    ...await verifyPropositions(exactWorlds(), exactTheorems, run("catalogues")),
    ...await verifyPropositions(perturbedLogits(), roundingTheorems, run("logits in error")),
    ...await verifyPropositions(tokenBatches(), lossPropositions, run("surrogates")),
  ];

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
      onDevices.push({ name, skipped: device, theorems: [] });
    } else {
      const some = run(`search on ${name}`, Math.max(LEAST, Math.round(cases * share)));
      const outcomes = await verifyPropositions(searchCases(), devicePropositions(device), some);
      onDevices.push({ name, theorems: outcomes });
    }
  }
  theorems.sort(byId);
  return { seed, theorems, refutations: refutations.sort(byId), devices: onDevices };
}

/** Whether nothing failed, every hypothesis was true somewhere, and every refutation was found. */
export function isVerified({ theorems, refutations, devices }: VerificationReport): boolean {
  const outcomes = [...theorems, ...devices.flatMap((device) => device.theorems)];
  return outcomes.every(({ failures, instances }) => failures === 0 && instances > 0) &&
    refutations.every(({ found }) => found);
}

/** T before S before D, then by number. */
function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  const rank = ({ id }: { readonly id: string }): number =>
    1000 * "TSDR".indexOf(id[0]) + Number(id.slice(1));
  return rank(a) - rank(b);
}

/**
 * The report as tables and trees.
 *
 * @example
 * ```ts
 * import { renderVerification } from "beargrad/theory";
 *
 * const theorems = [{ id: "T1", cases: 5, instances: 9, failures: 0 }];
 * const report = { seed: 1, theorems, refutations: [], devices: [] };
 * console.log(renderVerification(report)); // ... Seed 1: everything holds.
 * ```
 */
export function renderVerification(report: VerificationReport): string {
  const { theorems, refutations, devices, seed } = report;
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
    parts.push(
      line("The real search on scores that devices add exactly: hypothesis true / failures."),
      renderTable(
        ["id", ...ran.map(({ name, theorems }) => `${name}, ${theorems[0].cases} cases`)],
        ran[0].theorems.map(({ id }, i) => [
          id,
          ...ran.map(({ theorems: o }) => `${o[i].instances} / ${o[i].failures}`),
        ]),
      ),
      ...ran.flatMap(({ name, theorems }) => failuresOf(` on ${name}`, theorems)),
    );
  }
  for (const { name, skipped } of devices) {
    if (skipped !== undefined) parts.push(line(`${name} was left out: ${skipped}`));
  }
  parts.push(`Seed ${seed}: ${isVerified(report) ? "everything holds" : "NOT VERIFIED"}.`);
  return parts.join("\n\n");
}

function failuresOf(where: string, outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ id, instances, failures, counterexample }) => {
    if (failures > 0) return [`${id} FAILS${where}: ${counterexample}`];
    return instances === 0 ? [`${id} WAS NOT TESTED${where}: its hypothesis was never true`] : [];
  });
}
