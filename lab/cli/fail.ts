/**
 * How commands end when something is wrong.
 *
 * @module
 */
import process from "node:process";
import { BeargradError, UsageError } from "../../core/errors.ts";
import { say } from "../terminal.ts";

/** Ends a command with one line on the standard error and code 2 for bad usage, else 1. Errors that are not ours are thrown on. */
export function fail(error: unknown): void {
  if (!(error instanceof BeargradError)) throw error;
  say(error.message.replaceAll(/[\r\n]+/g, " "));
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
