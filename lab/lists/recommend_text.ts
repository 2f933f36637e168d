/**
 * A recommended list as text.
 *
 * @module
 */
import { clip, nameOf, printable } from "../analysis/explanation_text.ts";
import type { NamedItem } from "../analysis/explanation.ts";
import { nameOfSearch } from "../analysis/searches.ts";
import { counted } from "../report/format.ts";
import { lineWidth, renderTable, wrapped } from "../table.ts";
import type { OpenRun, Recommendation } from "./recommend.ts";

/** How many items of a history are named. */
const HISTORY = 5;
/** Where the names of items begin in the head. */
const INDENT = 13;

/** A list of a run as text, in lines of at most `width` characters. */
export function renderRecommendation(
  { checkpoint, dataset, recipe, normalization }: OpenRun,
  found: Recommendation,
  width: number = lineWidth(),
): string {
  const { user, history, target, search, beam, list, certified } = found;
  const how = search.method === "best-first" ? "" : `, beam B = ${beam}`;
  const by = search.method === "beam" ? "" : `, ${nameOfSearch(search)}`;
  const shown = history.slice(-HISTORY);
  const last = shown.length < history.length ? `, the last ${shown.length}` : "";
  const over = normalization === "children" ? "a node's children" : "the whole vocabulary";
  const written = dataset.codes === undefined ? "" : ` with codes "${dataset.codes}"`;
  const who = user === undefined ? "A history" : `User ${printable(user)}`;
  const place = list.findIndex(({ items }) => items.some(({ id }) => id === target?.id));
  const lines = [
    `${who} of ${printable(dataset.name)}${written}: ` +
    `${counted(dataset.items.length, "item")}${by}${how}, p over ${over}, tau ${recipe.tau}`,
    `  model    ${printable(checkpoint)}, trained with ${printable(recipe.loss)}`,
    `  history  ${counted(history.length, "item")}${last}:`,
    ...shown.map((item) => `             ${inLine(item, width)}`),
    ...(target === undefined ? [] : [
      `  target   ${inLine(target, width)}`,
      `           ${place < 0 ? "not in the list" : `place ${place + 1} of the list`}`,
    ]),
  ];
  const rows = list.map(({ items, logProb }, i) => [
    i + 1,
    items.map(nameOf).join("; "),
    Math.exp(logProb).toPrecision(3),
    logProb.toFixed(3),
    i < certified ? "yes" : "-",
  ]);
  return [
    ...lines.map((line) => wrapped(line, width, 4)),
    renderTable(["", "item", "P", "log P", "exact"], rows, width),
    wrapped(
      (certified === 0
        ? "No place is certified to be the exact one (T9)"
        : certified === 1
        ? `The first of ${list.length} is certified to be the exact one (T9)`
        : `The first ${certified} of ${list.length} are certified to be the exact ones (T9)`) +
        `; ${counted(found.rows, "row")} of the model`,
      width,
    ),
  ].join("\n");
}

/** An item on a line of the head: its title is cut, not its id. */
function inLine({ id, title }: NamedItem, width: number): string {
  const room = width - INDENT - id.length - " ()".length;
  return nameOf({ id, ...(title !== undefined && { title: clip(printable(title), room) }) });
}
