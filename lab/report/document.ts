/**
 * The parts of a report, which `markdown.ts` and `html.ts` write out.
 *
 * @module
 */

/** A table of text. */
export interface Table {
  /** What it shows. */
  readonly caption: string;
  /** Its cells by the heads of its columns; "" where there is nothing. */
  readonly rows: readonly Readonly<Record<string, string>>[];
}

/** A plot, as a specification of Vega-Lite without its width and configuration. */
export interface Panel {
  /** What distinguishes it from the other plots of its figure. */
  readonly title: string;
  /** The specification. */
  readonly spec: Readonly<Record<string, unknown>>;
}

/** Plots that belong together, and the table of their numbers. */
export interface Figure extends Table {
  /** Its name in the names of files. */
  readonly name: FigureName;
  /** What it shows, or what there is to see. */
  readonly title: string;
  /** How to read it. */
  readonly note: string;
  /** The plots. */
  readonly panels: readonly Panel[];
}

/** The figures that a report may have. */
export const FIGURES = [
  "retrieval",
  "differences",
  "pruning",
  "violations",
  "survival",
  "margins",
  "certificates",
  "weights",
  "validation",
  "loss",
  "widths",
  "cost",
] as const;

/** The name of a figure. */
export type FigureName = typeof FIGURES[number];

/** A part of a section. */
export type Block =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "list" | "warnings"; readonly items: readonly string[] }
  | { readonly kind: "commands"; readonly lines: readonly string[] }
  | { readonly kind: "table"; readonly table: Table }
  | { readonly kind: "figure"; readonly figure: Figure };

/** A section. */
export interface Section {
  /** Its heading. */
  readonly title: string;
  /** Its parts. */
  readonly blocks: readonly Block[];
}

/** A report. */
export interface Report {
  /** Its heading. */
  readonly title: string;
  /** What it is about, in a line. */
  readonly subtitle: string;
  /** Its sections, the summary first. */
  readonly sections: readonly Section[];
}

/** A file beside the report. */
export interface ExtraFile {
  /** Its name. */
  readonly name: string;
  /** What is in it, in a line. */
  readonly about: string;
  /** Its content; undefined if this report does not have it. */
  readonly content: string | undefined;
}

/** A paragraph of sentences; empty ones are left out. */
export function text(...sentences: readonly string[]): Block {
  return { kind: "text", text: sentences.filter((sentence) => sentence !== "").join(" ") };
}

/** A table. */
export function table(caption: string, rows: Table["rows"]): Block {
  return { kind: "table", table: { caption, rows } };
}

/** Figures. */
export function figures(...all: readonly Figure[]): Block[] {
  return all.map((figure) => ({ kind: "figure", figure }));
}

/** Columns whose heads are not known beforehand. */
export function columns<T>(
  of: readonly T[],
  head: (one: T) => string,
  cell: (one: T) => string,
): Record<string, string> {
  return Object.fromEntries(of.map((one) => [head(one), cell(one)]));
}

/** The heads of a table's columns. */
export function headOf(rows: Table["rows"]): string[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))];
}

/** Whether cells are numbers, with or without an interval, or gaps. */
export function isNumeric(cells: readonly string[]): boolean {
  return cells.some((cell) => /\d/.test(cell)) &&
    cells.every((cell) => /^[-+−–<]?\s?[\d.,]*( %|×| s| min)?( \[.*\]| \(.*\))?$/.test(cell));
}
