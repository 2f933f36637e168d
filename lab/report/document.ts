/**
 * What a report is made of, whatever it is written as.
 *
 * @module
 */

/** A table. */
export interface Table {
  /** What is in it. */
  readonly caption: string;
  /** Column heads. */
  readonly head: readonly string[];
  /** Cells; "" where there is nothing. */
  readonly rows: readonly (readonly string[])[];
}

/** A Vega-Lite specification of one small plot. */
export interface Panel {
  /** What tells it from the others of its figure. */
  readonly title: string;
  /** Plot size in pixels, without axes. */
  readonly width: number;
  /** Plot size in pixels, without axes. */
  readonly height: number;
  /** Pixels around the plot, for axes and labels. */
  readonly padding: {
    readonly left: number;
    readonly right: number;
    readonly top: number;
    readonly bottom: number;
  };
  /** Layers, the first at the back. */
  readonly layer: readonly Layer[];
}

/** A layer of a Vega-Lite specification. */
export type Layer = Readonly<Record<string, unknown>>;

/** Plots that belong together, with the numbers behind them. */
export interface Figure {
  /** What there is to see, in a sentence. */
  readonly title: string;
  /** How to read it. */
  readonly note: string;
  /** For those who cannot see it. */
  readonly alt: string;
  /** The plots. */
  readonly panels: readonly Panel[];
  /** The numbers. */
  readonly table: Table;
}

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
  /** What it says. */
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

/** A paragraph. */
export function text(...sentences: readonly string[]): Block {
  return { kind: "text", text: sentences.join(" ") };
}
