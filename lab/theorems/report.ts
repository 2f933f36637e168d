/**
 * What a verification says, as text and as JSON.
 *
 * @module
 */
import { lineWidth, renderTable, wrapped } from "../table.ts";
import type { Outcome } from "./runner.ts";
import { isVerified, type VerificationReport } from "./verification.ts";

/** Characters of a statement in the table; docs/theory.md has the whole. */
const STATEMENT = 78;

/**
 * The report as tables and trees.
 *
 * @example
 * ```ts
 * import { renderVerification } from "beargrad/theory";
 *
 * const mutants = { planted: 3, caught: 2, escaped: ["B + 1 places"] };
 * const report = { seed: 1, theorems: [], refutations: [], mutants, devices: [] };
 * console.log(renderVerification(report)); // ... escaped: B + 1 places ... NOT VERIFIED
 * ```
 */
export function renderVerification(report: VerificationReport): string {
  const { theorems, refutations, mutants, devices, seed } = report;
  const line = (text: string): string => wrapped(text, lineWidth(), 4);
  const parts = [
    renderTable(
      ["id", "statement", "cases", "hypothesis\ntrue", "failures"],
      theorems.map((o) => [o.id, short(o.statement), o.cases, o.instances, o.failures]),
    ),
    ...failuresOf("", theorems),
    line(
      "Refutations: each of these is false, and here is the smallest world found that shows it.",
    ),
    ...refutations.map(({ id, statement, found, counterexample, replay }) =>
      `${line(`${id}  ${statement}`)}\n${
        found ? `${line(counterexample)}\n  (${replay})` : `  NOT FOUND (${replay})`
      }`
    ),
  ];
  const ran = devices.filter(({ skipped }) => skipped === undefined);
  if (ran.length > 0) {
    const ids = ran[0].outcomes.map(({ id }) => id);
    parts.push(
      line("The real search on scores that devices add exactly: hypothesis true / failures."),
      renderTable(
        ["id", ...ran.map(({ name, outcomes }) => `${name}, ${outcomes[0].cases} cases`)],
        ids.map((id, i) => [
          id,
          ...ran.map(({ outcomes: o }) => `${o[i].instances} / ${o[i].failures}`),
        ]),
      ),
      ...ran.flatMap(({ name, outcomes }) => failuresOf(` on ${name}`, outcomes)),
    );
  }
  for (const { name, skipped } of devices) {
    if (skipped !== undefined) parts.push(line(`${name} was left out: ${skipped}`));
  }
  parts.push(
    line(
      `Mutants: ${mutants.planted} planted, ${mutants.caught} caught` +
        (mutants.escaped.length > 0 ? `; escaped: ${mutants.escaped.join("; ")}` : ""),
    ),
    `Seed ${seed}: ${isVerified(report) ? "everything holds" : "NOT VERIFIED"}.`,
  );
  return parts.join("\n\n");
}

/**
 * The report as a plain object for `JSON.stringify`.
 *
 * @example
 * ```ts
 * import { verificationJson } from "beargrad/theory";
 *
 * const mutants = { planted: 3, caught: 3, escaped: [] };
 * const report = { seed: 1, theorems: [], refutations: [], mutants, devices: [] };
 * console.log(JSON.stringify(verificationJson(report)));
 * ```
 */
export function verificationJson(report: VerificationReport): {
  readonly seed: number;
  readonly theorems: readonly Pick<Outcome, "id" | "cases" | "instances" | "failures">[];
  readonly refutations: readonly {
    readonly id: string;
    readonly found: boolean;
    readonly counterexample: string;
    readonly replay: string;
  }[];
  readonly mutants: { readonly planted: number; readonly caught: number };
  readonly devices: readonly {
    readonly name: string;
    readonly skipped?: string;
    readonly theorems: readonly Pick<Outcome, "id" | "cases" | "instances" | "failures">[];
  }[];
} {
  const numbers = (
    { id, cases, instances, failures, counterexample }: Outcome,
  ): Omit<Outcome, "statement"> => ({
    ...{ id, cases, instances, failures },
    ...(counterexample !== undefined && { counterexample }),
  });
  return {
    seed: report.seed,
    theorems: report.theorems.map(numbers),
    refutations: report.refutations.map(({ id, found, counterexample, replay }) => ({
      ...{ id, found, counterexample, replay },
    })),
    mutants: { planted: report.mutants.planted, caught: report.mutants.caught },
    devices: report.devices.map(({ name, skipped, outcomes }) => ({
      name,
      ...(skipped !== undefined && { skipped }),
      theorems: outcomes.map(numbers),
    })),
  };
}

function failuresOf(where: string, outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ id, instances, failures, counterexample }) => {
    if (failures > 0) return [`${id} FAILS${where}: ${counterexample}`];
    return instances === 0 ? [`${id} WAS NOT TESTED${where}: its hypothesis was never true`] : [];
  });
}

function short(statement: string): string {
  return statement.length > STATEMENT ? `${statement.slice(0, STATEMENT - 3)}...` : statement;
}
