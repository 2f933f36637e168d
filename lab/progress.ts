/**
 * Progress of long work: a bar that redraws itself in a terminal, and a plain line now and then
 * elsewhere.
 *
 * @module
 */
import process from "node:process";
import { visible, writeError } from "./terminal.ts";

/** Where progress is shown: `process.stderr`, or something like it. */
export interface ProgressStream {
  /** Whether it is a terminal, whose last line can be drawn over. */
  readonly isTTY?: boolean;
  /** The width of the terminal in characters. */
  readonly columns?: number;
  /** Writes a text as it is. */
  write(text: string): unknown;
}

/** Options of {@link createProgress}. */
export interface ProgressOptions {
  /** What is being done, in a word or two. */
  readonly label: string;
  /** How much there is to do. */
  readonly total: number;
  /** Where to show it. Default the standard error. */
  readonly stream?: ProgressStream;
  /** The time in milliseconds. Default the runtime's clock. */
  readonly now?: () => number;
}

/** Progress that is shown. */
export interface Progress {
  /** Shows that `done` of the total are done, and other fields, such as the loss. */
  update(done: number, fields: Readonly<Record<string, string>>): void;
  /** Replaces the bar by a last line. */
  finish(summary: string): void;
}

/** The standard error. The work goes on if nobody reads it. */
const standardError: ProgressStream = {
  get isTTY() {
    return process.stderr.isTTY;
  },
  get columns() {
    return process.stderr.columns;
  },
  write: writeError,
};

/** Milliseconds between two drawings in a terminal. */
const REDRAW = 100;
/** Milliseconds between two plain lines elsewhere. */
const REPORT = 10_000;
/** Characters of the bar, where the terminal is wide enough. */
const BAR = 24;
const MIN_BAR = 4;
/** The width of a terminal that does not say. */
const COLUMNS = 80;

/**
 * Shows the progress of long work: label, bar, done / total, fields and time left. In a terminal
 * one line redraws itself at most 10 times a second and is never wider than the terminal. Elsewhere
 * a plain line appears at the start, every 10 seconds, and at the end.
 */
export function createProgress(options: ProgressOptions): Progress {
  const { label: name, total, stream = standardError, now = () => performance.now() } = options;
  const label = visible(name);
  const terminal = stream.isTTY === true;
  let began: { readonly at: number; readonly done: number } | undefined;
  let shownAt = -Infinity;
  return {
    update(done, fields): void {
      const at = now();
      began ??= { at, done };
      if (at - shownAt < (terminal ? REDRAW : REPORT)) return;
      shownAt = at;
      const left = remaining(total - done, done - began.done, at - began.at);
      const texts = [...Object.entries(fields).map(([name, value]) => `${name} ${value}`), ...left];
      const line = terminal
        ? `\r${drawn(label, done, total, texts, (stream.columns || COLUMNS) - 1)}\x1b[K`
        : `${[label, `${done}/${total}`, ...texts].join("  ")}\n`;
      stream.write(line);
    },
    finish(summary): void {
      const line = `${visible(summary)}\n`;
      stream.write(terminal ? `\r\x1b[K${line}` : line);
    },
  };
}

/** The time left at the speed so far, if there is one. */
function remaining(todo: number, done: number, elapsed: number): string[] {
  return done > 0 ? [`${formatDuration((elapsed / done) * todo)} left`] : [];
}

/**
 * One line of at most `width` characters: fields are left out from the back, then the bar, until it
 * fits.
 */
function drawn(
  label: string,
  done: number,
  total: number,
  texts: readonly string[],
  width: number,
): string {
  const count = `${done}/${total}`;
  for (let shown = texts.length; shown >= 0; shown--) {
    const rest = [count, ...texts.slice(0, shown)].join("  ");
    const size = Math.min(BAR, width - label.length - rest.length - 4);
    if (size < MIN_BAR) continue;
    const filled = Math.min(Math.max(Math.floor((done / total) * size), 0), size);
    return `${label}  ${"█".repeat(filled)}${"░".repeat(size - filled)}  ${rest}`;
  }
  return `${label}  ${count}`.slice(0, Math.max(width, 0));
}

/** Milliseconds as `0:07`, `12:30`, `1:02:03`. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number): string => `${n}`.padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
