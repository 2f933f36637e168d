/**
 * An explanation of one user's search as text.
 *
 * @module
 */
import { lineWidth, renderTable, wrapped } from "../table.ts";
import type { PrunedUser } from "./explain_user.ts";
import type { ExplainedPool, ExplainedStep, Explanation, NamedItem } from "./explanation.ts";

/** How many items of a history are named. */
const HISTORY = 5;
/** The most characters of a token that a sentence shows. */
const TOKEN = 30;
/** The most characters of a prefix that are shown. */
const PREFIX = 40;

/**
 * The search of one user, step by step. Consecutive steps without a choice are one line. Lines have
 * at most `width` characters, by default those of the terminal.
 *
 * @example
 * ```ts ignore
 * import { explainUser, renderExplanation } from "beargrad/lab";
 *
 * const found = await explainUser({ checkpoint: "runs/bear", data: "data/office", user: "7" });
 * console.log(renderExplanation(found));
 * ```
 */
export function renderExplanation(found: Explanation, width: number = lineWidth()): string {
  const lines = [...headOf(found, width), ""];
  for (const group of groupsOf(found.steps)) {
    lines.push(...(isOpen(group[0]) ? stepOf(group[0], found, width) : forcedOf(group)), "");
  }
  return [...lines, ...outcomeOf(found)].map((line) =>
    wrapped(line.trimEnd(), width, line.search(/\S/) + 4)
  ).join("\n");
}

/** The users that `prunedUsers` found, as a table. */
export function renderPruned(users: readonly PrunedUser[]): string {
  if (users.length === 0) return "No target among the exact best was pruned";
  return renderTable(
    ["user", "target", "exact rank", "pruned at step", "cause"],
    users.map(({ user, target, exactRank, step, cause }) => [
      printable(user),
      printable(target),
      exactRank + 1,
      step,
      cause,
    ]),
  );
}

function headOf(found: Explanation, width: number): string[] {
  const { model, user, data, codes, items, beam, normalization, tau } = found;
  const { history, target, alike } = found;
  const shown = history.slice(-HISTORY);
  const over = normalization === "children" ? "a node's children" : "the whole vocabulary";
  const written = codes === undefined ? "" : ` with codes "${codes}"`;
  const last = shown.length < history.length ? `, the last ${shown.length}` : "";
  const rows = [
    `  model    ${printable(model)}`,
    `  history  ${counted(history.length, "item")}${last}:`,
    ...shown.map((item) => `             ${nameOf(item)}`),
    `  target   ${nameOf(target)}`,
  ];
  if (alike.length > 0) {
    rows.push(`           with the same tokens: ${alike.map(nameOf).join("; ")}`);
  }
  return [
    `User ${printable(user)} of ${printable(data)}${written}: ${counted(items, "item")}, ` +
    `beam B = ${beam}, p over ${over}, tau ${tau}`,
    ...rows.map((row) => clip(row, width)),
  ];
}

/** The steps in groups: one with a choice, or one that loses the target, is a group of its own. */
function groupsOf(steps: readonly ExplainedStep[]): ExplainedStep[][] {
  const groups: ExplainedStep[][] = [];
  for (const step of steps) {
    const before = groups.at(-1);
    const joins = before !== undefined && !isOpen(step) && !isOpen(before[0]) &&
      (step.pool === undefined) === (before[0].pool === undefined);
    if (joins) before.push(step);
    else groups.push([step]);
  }
  return groups;
}

function isOpen({ siblings, pool }: ExplainedStep): boolean {
  return siblings > 1 || pool?.kept === false;
}

/** A step with its pool, or with its margin alone where the target is already lost. */
function stepOf(step: ExplainedStep, { beam }: Explanation, columns: number): string[] {
  const { token, siblings, place, logProb, margin, score, pool } = step;
  const name = token === undefined ? "the target has ended" : clip(quoted(token), TOKEN);
  const p = `log p ${fixed(logProb)}`;
  const few = siblings <= beam ? ", siblings <= B" : "";
  const local = siblings === 1
    ? `no choice${logProb === 0 ? "" : `, ${p}`}`
    : `${place + 1} of ${counted(siblings, "sibling")}, ${p}, margin ${signed(margin)}` +
      (margin > 0 ? ": a violation" : few);
  if (pool === undefined) {
    return [`Step ${step.step}: ${name}, after the target was lost`, `  locally   ${local}`];
  }
  const { rank, size, threshold, gap, kept } = pool;
  const global = `${rank + 1} of ${size} in the pool, log pi ${fixed(score)}, ` +
    (threshold === undefined
      ? "and there is room for all"
      : `theta ${fixed(threshold)}, gap ${signed(gap as number)}`);
  return [
    `Step ${step.step}: ${name}, ${kept ? "kept" : "PRUNED"}`,
    `  locally   ${local}`,
    `  globally  ${global}`,
    ...treeOf(pool, beam, columns),
  ];
}

/** The entries of a pool by rank, and how many are left out between them. */
function treeOf(
  { entries, size, threshold }: ExplainedPool,
  beam: number,
  columns: number,
): string[] {
  const width = Math.min(PREFIX, Math.max(...entries.map((e) => quoted(e.prefix).length), 6));
  const lines = [`       rank    log pi  from  ${"prefix".padEnd(width)}  items`];
  const leaveOut = (from: number, to: number): void => {
    if (to > from) lines.push(`          :            :     ${to - from} more`);
  };
  entries.forEach(({ rank, parent, logProb, target, prefix, items, named }, i) => {
    leaveOut(i === 0 ? 0 : entries[i - 1].rank + 1, rank);
    if (rank === beam && threshold !== undefined) {
      lines.push(`      ----- ---theta  ${"-".repeat(6 + width)}`);
    }
    const parts = [
      target ? "  ->" : "    ",
      String(rank + 1).padStart(6),
      fixed(logProb).padStart(9),
      String(parent === undefined ? "" : parent + 1).padStart(5),
      ` ${clipStart(quoted(prefix), width).padEnd(width)}`,
      items > named.length ? ` ${counted(items, "item")}` : ` ${named.map(nameOf).join("; ")}`,
    ];
    lines.push(clip(parts.join(" "), columns));
  });
  leaveOut(entries[entries.length - 1].rank + 1, size);
  return lines;
}

/** Steps without a choice. */
function forcedOf(group: readonly ExplainedStep[]): string[] {
  const [first, last] = [group[0], group[group.length - 1]];
  const steps = first === last ? `Step ${first.step}` : `Steps ${first.step} to ${last.step}`;
  const tokens = group.flatMap(({ token }) => token ?? []);
  const what = tokens.length === 0
    ? "the target has ended"
    : `${clip(tokens.map(quoted).join(" "), PREFIX)}, no choice`;
  if (first.pool === undefined || last.pool === undefined) return [`${steps}: ${what}`];
  const range = (text: (step: ExplainedStep, pool: ExplainedPool) => string): string =>
    [...new Set([first, last].map((step) => text(step, step.pool as ExplainedPool)))].join(" to ");
  const place = range((_, { rank, size }) => `${rank + 1} of ${size}`);
  const score = range((step) => fixed(step.score));
  const theta = range((_, { threshold }) => threshold === undefined ? "none" : fixed(threshold));
  return [
    `${steps}: ${what}, kept`,
    `  globally  ${place} in the pool, log pi ${score}, theta ${theta}`,
  ];
}

function outcomeOf(found: Explanation): string[] {
  const { beam, rank, exactRank, ranked, items, lost } = found;
  const result = rank === undefined ? lostOf(found) : [`Retrieved at rank ${rank + 1} of the list`];
  if (lost?.cause === "absent") return result;
  const exact = exactRank === undefined
    ? `beyond the first ${ranked} of ${items}`
    : `${exactRank + 1} of ${items}`;
  const wrongly = rank === undefined && exactRank !== undefined && exactRank < beam
    ? ", so a search without pruning returns it"
    : "";
  return [
    ...result,
    `Its rank in the exact ranking: ${exact}${wrongly}`,
    ...certificatesOf(found),
  ];
}

/** Where the target was lost, and why. */
function lostOf({ steps, lost, beam }: Explanation): string[] {
  if (lost === undefined) return ["Not retrieved"];
  const { cause, step } = lost;
  if (cause === "absent") {
    return ["Not retrieved: it is in the history, which is taken out of the catalogue"];
  }
  const ended = steps[step - 1].token === undefined;
  const why = {
    violation: steps.filter(({ margin }) => margin > 0).map((s) =>
      `  step ${s.step}: ${clip(quoted(s.token ?? ""), TOKEN)} is ${s.place + 1} of ` +
      `${s.siblings} siblings, not of the best ${beam}: margin ${signed(s.margin)}`
    ),
    tie: ["  its score is the threshold's within rounding; the order of equals decided"],
    length: [
      ended
        ? "  it had ended before, and longer items took its place"
        : "  items that had ended before took the places",
    ],
    displacement: [
      "  every token is among the best of its siblings; prefixes from elsewhere took the places",
    ],
  };
  return [`Pruned at step ${step}, cause: ${cause}`, ...why[cause]];
}

function certificatesOf({ steps, beam, certificate }: Explanation): string[] {
  const most = steps.reduce((a, b) => b.competitors > a.competitors ? b : a);
  const score = steps[steps.length - 1].score;
  const says = certificate.kind === "retrieved"
    ? `certified retrieved (${certificate.by})`
    : certificate.kind === "pruned"
    ? `certified pruned by step ${certificate.step} (${certificate.by})`
    : "nothing is certified";
  const few = (1 / (beam + 1)).toPrecision(3);
  return [
    `One teacher-forced pass, without a search: ${says}`,
    `  T2  ${steps.some(({ margin }) => margin > 0) ? "a margin is" : "no margin is"} above 0`,
    `  T4  P = ${Math.exp(score).toPrecision(3)}; ` +
    `above 1 / (B + 1) = ${few} it would be retrieved for certain`,
    `  T6  up to ${counted(most.competitors, "competitor")}, at step ${most.step}; ` +
    `retrieved for certain with fewer than ${beam}`,
  ];
}

/** An item as `title (id)`. */
export function nameOf({ id, title }: NamedItem): string {
  return printable(title === undefined || title === id ? id : `${title} (${id})`);
}

function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}

function fixed(x: number): string {
  return x.toFixed(3);
}

function signed(x: number): string {
  return `${x > 0 ? "+" : ""}${x.toFixed(3)}`;
}

/** A text of the data as part of a line, without control characters. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- these are what must not reach a terminal
  return text.replaceAll(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ").trim();
}

function quoted(text: string): string {
  return printable(text) || JSON.stringify(text);
}

/** A text of at most `width` characters. */
export function clip(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 3)}...` : text;
}

/** The end of a text. */
function clipStart(text: string, width: number): string {
  return text.length > width ? `...${text.slice(text.length - width + 3)}` : text;
}
