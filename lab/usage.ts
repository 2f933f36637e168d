/**
 * Errors about options.
 *
 * @module
 */
import { UsageError } from "../core/errors.ts";

/** An option's name on the command line: `--kv-heads` for `kvHeads`. */
export function flagName(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * Refuses an option or a command line. The hint goes to the end of the message.
 *
 * @throws {UsageError} always.
 */
export function refuse(what: string, requirement: string, actual = "none", hint = ""): never {
  const shown = actual === "" ? "an empty text" : actual;
  throw new UsageError(`Cannot use ${what}: ${requirement}, got ${shown}${hint}`);
}
