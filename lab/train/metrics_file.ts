/**
 * `metrics.jsonl` of a run: a line for each look at the loss.
 *
 * @module
 */
import { CheckpointError } from "../../core/errors.ts";
import { isObject, parseJson } from "./checkpoint.ts";
import { readIfPresent, writeFileAtomic } from "../files.ts";

/** A look at the loss of a run. */
export interface MetricsLine {
  /** Steps done. */
  readonly step: number;
  /** The epoch, from 0. */
  readonly epoch: number;
  /** The mean loss since the look before. */
  readonly loss: number;
  /** The learning rate of the last step. */
  readonly rate: number;
  /** Target tokens a second since then. */
  readonly tokensPerSecond: number;
}

/**
 * The lines of a `metrics.jsonl`; none where there is no file. A last line that a crash tore is left out.
 *
 * @throws {CheckpointError} if another line is not a JSON object with step, epoch and loss.
 * @throws {DataError} if the system refuses.
 */
export function readMetrics(path: string): MetricsLine[] {
  return linesOf(textOf(path)).map((line, i) => parseLine(line, path, i + 1));
}

/**
 * Drops what a run wrote after its last save, at `step`, and a torn last line. Returns whether
 * there was one, and the step of the last line that is kept, or 0. A missing file is left missing.
 *
 * @throws {CheckpointError} as {@link readMetrics}; then the file is left alone.
 * @throws {DataError} if the system refuses.
 */
export function truncateMetrics(
  path: string,
  step: number,
): { readonly isTorn: boolean; readonly lastStep: number } {
  const text = textOf(path);
  let lastStep = 0;
  const kept = linesOf(text).filter((line, i) => {
    const at = parseLine(line, path, i + 1).step;
    if (at <= step) lastStep = at;
    return at <= step;
  });
  const out = kept.map((line) => `${line}\n`).join("");
  if (out !== text) writeFileAtomic(path, out);
  return { isTorn: text !== "" && !text.endsWith("\n"), lastStep };
}

function textOf(path: string): string {
  return new TextDecoder().decode(readIfPresent(path));
}

function linesOf(text: string): string[] {
  return text.split("\n").slice(0, -1); // without what follows the last line end: nothing, or a torn line
}

function parseLine(line: string, path: string, number: number): MetricsLine {
  const entry = parseJson(line);
  const known = isObject(entry) &&
    ["step", "epoch", "loss"].every((key) => typeof entry[key] === "number");
  if (known) return entry as unknown as MetricsLine;
  throw new CheckpointError(
    `Cannot resume from ${path}: line ${number} must be a JSON object with step, epoch and loss, ` +
      `got ${JSON.stringify(line.slice(0, 60))}`,
  );
}
