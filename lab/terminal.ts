/**
 * Writes text to the standard output and the standard error.
 *
 * @module
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { codeOf, fileError, quietly } from "./files.ts";
import { wrapped } from "./table.ts";

/**
 * Control characters of ASCII and Latin-1, except tabs and line ends, and those that set the
 * writing direction.
 */
// deno-lint-ignore no-control-regex -- it is meant to match them
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A text with its control characters written out, as `\u001b`: titles and file names may contain
 * some, and could redraw the terminal. Line ends and tabs stay.
 */
export function visible(text: string): string {
  return text.replace(
    CONTROLS,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Writes a line to the standard output. If nobody reads it any more, as after `| head`, the process
 * ends silently.
 *
 * @throws {DataError} if it cannot be written, as on a full disk.
 */
export function print(text: string): void {
  try {
    write(1, `${visible(text)}\n`);
  } catch (error) {
    if (codeOf(error) === "EPIPE") process.exit(141); // as if the signal had ended it
    throw fileError("write", "the standard output", error);
  }
}

/**
 * Writes a line to the standard error. On a terminal it is wrapped, and replaces the progress bar,
 * if there is one.
 */
export function say(text: string): void {
  const { isTTY, columns } = process.stderr;
  writeError(isTTY ? `\r\x1b[K${wrapped(visible(text), columns, 2)}\n` : `${visible(text)}\n`);
}

/**
 * Writes a text to the standard error as it is. Errors are ignored: there is nowhere to report
 * them.
 */
export function writeError(text: string): void {
  quietly(() => write(2, text));
}

/**
 * Unlike console.log and the streams of process, this reports errors in the same way in all
 * runtimes.
 */
function write(file: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(file, bytes, done);
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10); // the pipe is full for now
    }
  }
}
