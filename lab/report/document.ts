/**
 * The parts of a report, which `markdown.ts` and `html.ts` write out.
 *
 * @module
 */

/** A row of a table: cells by the heads of their columns, "" where there is nothing. */
export type Cells = Readonly<Record<string, string>>;

/** A table. */
export type Table = { readonly caption: string; readonly rows: readonly Cells[] };

/** A plot: a specification of Vega-Lite without its width and configuration. */
export type Panel = { readonly title: string; readonly spec: Spec };

/** A specification of Vega-Lite, or a part of one. */
export type Spec = Readonly<Record<string, unknown>>;

/** Plots that belong together, and the table of their numbers. */
export type Figure = Table & {
  /** Its name in the names of files. */
  readonly name: FigureName;
  /** What it shows, or what there is to see. */
  readonly title: string;
  /** How to read it. */
  readonly note: string;
  readonly panels: readonly Panel[];
};

/** The figures that a report may have. */
export const FIGURES = [
  "retrieval",
  "differences",
  "pruning",
  "violations",
  "survival",
  "margins",
  "codes",
  "certificates",
  "weights",
  "validation",
  "loss",
  "widths",
  "search-cost",
  "cost",
] as const;

/** The name of a figure. */
export type FigureName = typeof FIGURES[number];

/** Items under each other. */
export type List = {
  readonly kind: "list" | "warnings" | "commands";
  readonly items: readonly string[];
};

/** A part of a section; a string is a paragraph. */
export type Block = string | List | Table | Figure;

/** Whether a part of a section is a figure. */
export function isFigure(block: Block): block is Figure {
  return typeof block !== "string" && "panels" in block;
}

/** A section. */
export type Section = { readonly title: string; readonly blocks: readonly Block[] };

/** A report; its sections begin with the summary. */
export type Report = {
  readonly title: string;
  /** What it is about, in a line. */
  readonly subtitle: string;
  readonly sections: readonly Section[];
};

/** A file beside the report. */
export type ExtraFile = {
  readonly name: string;
  /** What is in it, in a line. */
  readonly about: string;
  /** Undefined if this report does not have it. */
  readonly content: string | undefined;
};

/** A section of the given blocks; `false` is left out. */
export function section(title: string, ...blocks: readonly (Block | false)[]): Section {
  return { title, blocks: blocks.flatMap((block) => block || []) };
}

/** A paragraph of sentences; empty ones are left out. */
export function text(...sentences: readonly string[]): string {
  return sentences.filter(Boolean).join(" ");
}

/** Columns whose heads are not known beforehand. */
export function columns<T>(
  of: readonly T[],
  head: (one: T) => string,
  cell: (one: T) => string,
): Cells {
  return Object.fromEntries(of.map((one) => [head(one), cell(one)]));
}

/** A column of a table, as `markdown.ts` and `html.ts` write it. */
export type Column = {
  readonly head: string;
  readonly cells: readonly string[];
  /** Whether the cells are numbers, with or without an interval, or gaps. Not the first column. */
  readonly isNumeric: boolean;
};

/** The columns of a table. */
export function columnsOf({ rows }: Table): Column[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))].map((head, c) => {
    const cells = rows.map((row) => row[head] ?? "");
    return { head, cells, isNumeric: c > 0 && areNumeric(cells) };
  });
}

function areNumeric(cells: readonly string[]): boolean {
  return cells.some((cell) => /\d/.test(cell)) &&
    cells.every((cell) => /^[-+−–<>≤]?\s?[−\d.,]*( %)?( ± [\d.,]+| \[.*\]| \(.*\))?$/.test(cell));
}
