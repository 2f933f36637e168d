// deno-lint-ignore-file no-console -- prints the error
/**
 * How commands end when something is wrong.
 *
 * @module
 */
import process from "node:process";
import { BeargradError, UsageError } from "../../core/errors.ts";

/** Ends a command with one line on the standard error and code 2 for bad usage, else 1. Errors that are not ours are thrown on. */
export function fail(error: unknown): void {
  if (!(error instanceof BeargradError)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
