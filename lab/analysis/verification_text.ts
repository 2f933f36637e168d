/**
 * A verification of a trained model as text.
 *
 * @module
 */
import { decimal, lineWidth, renderTable, shownSteps, wrapped } from "../table.ts";
import { shortStatement } from "../theorems/proposition.ts";
import type { ModelVerification, VerdictCount } from "./verify_model.ts";

/**
 * The tables of a verified model: the theorems, the certificates of the teacher-forced pass, the
 * steps, and what was pruned.
 *
 * @example
 * ```ts ignore
 * import { renderModelVerification, verifyModel } from "beargrad/lab";
 *
 * const found = await verifyModel({ checkpoint: "runs/bear", data: "data/office" });
 * console.log(renderModelVerification(found));
 * ```
 */
export function renderModelVerification(found: ModelVerification): string {
  const { beam, users, verdicts, ranked, widths, causes, inExactTop } = found;
  const steps = shownSteps(found.survival.length);
  const atSteps = (shares: readonly number[]): string[] => steps.map((t) => share(shares[t - 1]));
  const instances = found.theorems.reduce((sum, t) => sum + t.instances, 0);
  const pruned = Object.values(causes).reduce((a, b) => a + b, 0);
  const row = (name: string, { users: some, confirmed }: VerdictCount): (string | number)[] => [
    name,
    some,
    share(some / users),
    `${confirmed} of ${some}`,
  ];
  const open = (name: string, count: VerdictCount): (string | number)[] => [
    ...row(name, count).slice(0, 3),
    `retrieved ${count.confirmed}`,
  ];
  const over = found.normalization === "children" ? "a node's children" : "the whole vocabulary";
  const line = (text: string): string => wrapped(text, lineWidth(), 2);
  return [
    line(
      `${found.checkpoint} (${found.loss}) on ${found.data}: ${users} test users, ${found.items} items, beam B = ${beam}, ` +
        `p over ${over}, tau ${found.tau}`,
    ),
    line(
      `budget: eps = ${found.eps.toExponential(1)}, the largest difference of a logit on the ` +
        "paths, float32 device against float64 reference",
    ),
    "",
    renderTable(
      ["", "theorem", "instances", "holds", "undecided", "violations"],
      found.theorems.map(({ id, statement, ...counts }) => [
        id,
        shortStatement(statement),
        ...[counts.instances, counts.holds, counts.undecided, counts.violations],
      ]),
    ),
    "",
    renderTable(
      ["one teacher-forced pass says of the target", "users", "share", "the search did"],
      [
        row("certified retrieved (T4)", verdicts.retrievedByMass),
        row("certified retrieved (T6, not T4)", verdicts.retrievedByCount),
        ...verdicts.prunedAtStep.flatMap((count, t) =>
          count.users > 0 ? [row(`certified pruned by step ${t + 1} (T2)`, count)] : []
        ),
        ...verdicts.prunedByForce.users > 0
          ? [row("certified pruned (T2', not T2)", verdicts.prunedByForce)]
          : [],
        open("open, and no such pass can tell", verdicts.undecidable),
        open("open", verdicts.undecided),
      ],
    ),
    line(
      `Of the open targets, all but ${verdicts.mayBeCertified} are lost in some model that agrees with ` +
        "the pass: no such pass certifies them as retrieved.",
    ),
    "",
    renderTable(
      [`of the targets that are in the exact top ${beam} for certain`, "targets", "share"],
      [
        ["returned", ranked.returned, share(ranked.returned / ranked.users)],
        ...Object.entries(ranked.proved).map(([id, n]) => [
          `returned for certain, by the ranking and the pools (${id})`,
          n,
          share(n / ranked.users),
        ]),
      ],
    ),
    "",
    renderTable(
      [`lists of ${beam} that a beam certifies (T15)`, ...widths.map((w) => `B = ${w.beam}`)],
      [["share of users", ...widths.map(({ lists }) => share(lists))]],
    ),
    "",
    renderTable(
      ["share of targets", ...steps.map((t) => `step ${t}`)],
      [
        ["in the beam after", ...atSteps(found.survival)],
        ["margin above 0", ...atSteps(found.violated)],
        [`at most ${beam} children: no margin can be above 0 (R8)`, ...atSteps(found.vacuous)],
      ],
    ),
    "",
    renderTable(
      [`exact top ${beam}`, "retrieved", ...Object.keys(causes), "absent"],
      [[inExactTop, inExactTop - pruned, ...Object.values(causes), found.absent]],
    ),
    line(
      `Lists certified to be the exact top ${beam} (T9): ${share(found.exactLists)} of all, ` +
        `${share(found.exactItems)} of their items. Targets retrieved: ${share(found.retrieved)}.`,
    ),
    `${found.violations} violations in ${instances} instances; ${found.seconds.toFixed(0)} s.`,
  ].join("\n");
}

/** A share with three digits. */
function share(value: number): string {
  return decimal(value, 3);
}
