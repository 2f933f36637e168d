/**
 * What `audit` finds as text.
 *
 * @module
 */
import { printable, renderPruned } from "../analysis/explanation_text.ts";
import { count, counted, percent, share, signed, withInterval } from "../report/format.ts";
import { lineWidth, renderTable, wrapped } from "../table.ts";
import { type Audit, type AuditScores, type Fault, FAULTS } from "./audit.ts";

/** How many pruned targets are listed. */
const PRUNED = 10;

/** What {@link auditLists} finds as text, in lines of at most `width` characters. */
export function renderAudit(found: Audit, width: number = lineWidth()): string {
  const { lists, shape, data, items, users, judged, faults, fromHistory } = found;
  const said = [
    `${counted(found.count, "list")} of ${printable(lists)}, shape ${shape}, against ` +
    `${printable(data)}: ${counted(items, "item")}, ${counted(users, "test user")}, of whom ` +
    `${judged === users ? "all" : count(judged)} have a list`,
    "",
    ...faultsOf(faults, width),
    ...(fromHistory === undefined ? [] : [
      "",
      `${counted(fromHistory.count, "place")} with an item of the user's history, a fault with ` +
      "--exclude-history only. The first:",
      ...examplesOf(fromHistory),
    ]),
    "",
    ...scoresOf(found, width),
    ...claimsOf(found, width),
    ...certifiedOf(found),
    ...searchOf(found),
  ];
  return said.map((line) => line.startsWith("│") ? line : wrapped(line, width, 2)).join("\n");
}

function faultsOf(faults: readonly Fault[], width: number): string[] {
  if (faults.length === 0) return ["No faults"];
  const rows = faults.map(({ name, count: n }) => [name, count(n), FAULTS[name]]);
  return [
    renderTable(["fault", "count", "what is counted"], rows, width),
    "",
    ...faults.flatMap((fault) => [`${fault.name}, the first:`, ...examplesOf(fault)]),
  ];
}

function examplesOf({ examples }: Fault): string[] {
  return examples.map(({ line, user, what }) => {
    const where = [
      line === undefined ? undefined : `line ${line}`,
      user === undefined ? undefined : `user ${printable(user)}`,
    ].filter((part) => part !== undefined).join(", ");
    return `  ${[where, printable(what)].filter((part) => part !== "").join(": ")}`;
  });
}

function scoresOf({ scores, overAll, ks, judged }: Audit, width: number): string[] {
  if (judged === 0) return ["No list is for a test user, so none is judged"];
  const shown = overAll === undefined ? scores : [scores[0], overAll, ...scores.slice(1)];
  const [first, ...others] = shown;
  const metrics = [
    ...ks.map((k) => [`HR@${k}`, (one: AuditScores) => one.hr[k]] as const),
    ...ks.map((k) => [`NDCG@${k}`, (one: AuditScores) => one.ndcg[k]] as const),
  ];
  const table = renderTable(
    [
      "",
      "these lists",
      ...others.map(({ name }) => name.replace(/,.*/, "")),
    ],
    metrics.map(([name, of]) => [
      name,
      withInterval(of(first)),
      ...others.map((one) => share(of(one).value)),
    ]),
    width,
  );
  return [
    `${counted(judged, "user")} with a list, 95 % intervals over users. A place that is no item ` +
    "is a miss and keeps its place." +
    (overAll === undefined ? "" : " Of all users, those without a list are misses."),
    table,
  ];
}

function claimsOf({ claims }: Audit, width: number): string[] {
  if (claims.length === 0) return [];
  const rows = claims.map(({ metric, k, value, counted }) => [
    `${metric}@${k}`,
    share(value),
    share(counted),
    signed(counted - value).replace("−", "-"), // which the table aligns
  ]);
  return ["", renderTable(["", "claimed", "counted", "difference"], rows, width)];
}

function certifiedOf({ certified, ks }: Audit): string[] {
  if (certified === undefined) return [];
  return [
    "",
    `${counted(certified.lists, "list")} with log-probabilities; proved to be the model's exact ` +
    `first ${ks[ks.length - 1]}: ${count(certified.exact)} of them, and ` +
    `${percent(certified.places)} of their places`,
  ];
}

function searchOf({ search }: Audit): string[] {
  if (search === undefined) return [];
  const { checkpoint, beam, pruned, missed } = search;
  const said = `The model of ${printable(checkpoint)} searches with B = ${beam}: ` +
    `${counted(pruned.length, "target")} among its exact first ${beam} pruned; these lists lack ` +
    `${count(missed)} of them`;
  if (pruned.length === 0) return ["", said];
  const more = pruned.length > PRUNED ? [`and ${count(pruned.length - PRUNED)} more`] : [];
  return ["", said, renderPruned(pruned.slice(0, PRUNED)), ...more];
}
