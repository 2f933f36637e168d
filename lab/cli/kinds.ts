/**
 * Kinds of options: text, numbers, choices, lists, switches.
 *
 * @module
 */
import { DataError } from "../../core/errors.ts";
import { isPresent } from "../files.ts";
import { didYouMean, type Flag } from "./flags.ts";

/** What the value of an option may be. */
export type Kind<T> = Pick<Flag<T>, "value" | "domain" | "read">;

/** An option with a default. The help states it as `shown`, by default as the value itself. */
export function flag<T>(kind: Kind<T>, help: string, fallback: T, shown?: string): Flag<T> {
  return { ...kind, help, default: fallback, shown };
}

/** An option that may be missing. `shown` is what the help says of that, such as `default all`. */
export function optional<T>(kind: Kind<T>, help: string, shown: string): Flag<T | undefined> {
  return { ...kind, help, default: undefined, shown };
}

/** An option that must be given. */
export function required<T>(kind: Kind<T>, help: string): Flag<T> {
  return { ...kind, help, default: undefined as T, shown: "required", isRequired: true };
}

/** A switch. */
export function toggle(help: string): Flag<boolean> {
  return { help, default: false, read: () => true };
}

/** `--json`. */
export const jsonFlag: Flag<boolean> = toggle(
  "print one JSON object and nothing else to the standard output",
);

/** `--overwrite`, for {@link checkFree}. */
export const overwriteFlag: Flag<boolean> = toggle("replace the file if there is one already");

/**
 * Refuses to replace a file without `--overwrite`.
 *
 * @throws {DataError} if it exists.
 */
export function checkFree(path: string, overwrite: boolean): void {
  if (overwrite || !isPresent(path)) return;
  throw new DataError(
    `Cannot write ${path}: it must not exist already, got one; --overwrite replaces it`,
  );
}

/** Any text but the empty one. */
export function text(value: string): Kind<string> {
  return { value, read: (given, fail) => given === "" ? fail("a name") : given };
}

/** One of some names, which the help lists. */
export function choice<T extends string>(names: readonly T[]): Kind<T> {
  return {
    value: "<name>",
    domain: names.join(", ").replace(/, ([^,]*)$/, " or $1"),
    read: (given, fail) =>
      names.find((name) => name === given) ??
        fail(`one of ${names.join(", ")}`, didYouMean(given, names)),
  };
}

/** The largest integer, where none is named: sizes beyond it fit no machine. */
const MOST = 1e6;

/** An integer of at least `least`. */
export function integer(least: number, most: number = MOST): Kind<number> {
  return {
    value: "<n>",
    domain: most < MOST ? `${least} to ${most}` : `at least ${least}`,
    read(given, fail): number {
      const n = readNumber(given);
      const fits = Number.isSafeInteger(n) && n >= least && n <= most;
      return fits ? n : fail(`an integer from ${least} to ${most}`);
    },
  };
}

/** A number for which `fits`, of which `domain` tells: "above 0". */
export function real(domain: string, fits: (x: number) => boolean): Kind<number> {
  return {
    value: "<x>",
    domain,
    read(given, fail): number {
      const x = readNumber(given);
      return fits(x) ? x : fail(`a number that is ${domain}`);
    },
  };
}

/** A number above 0. */
export const positive: Kind<number> = real("above 0", (x) => x > 0);

/** A number of at least 0. */
export const notNegative: Kind<number> = real("at least 0", (x) => x >= 0);

/** A share of what is dropped. */
export const rate: Kind<number> = real("at least 0 and below 1", (x) => x >= 0 && x < 1);

/** Several values with commas between them, none twice. `keyOf` is what tells them apart. */
export function list<T>(
  { read, domain }: Pick<Kind<T>, "read" | "domain">,
  keyOf: (value: T) => unknown = (value) => value,
): Kind<readonly T[]> {
  return {
    value: "<list>",
    domain: domain && `each ${domain}`,
    read(given, fail): readonly T[] {
      const values = given.split(",").map((part) =>
        read(part.trim(), (requirement, hint) => fail(`a list, each ${requirement}`, hint))
      );
      const isRepeated = new Set(values.map(keyOf)).size < values.length;
      return isRepeated ? fail("a list without repetition") : values;
    },
  };
}

/** Positive integers, such as beam widths, ascending. */
export const ascending: Kind<readonly number[]> = {
  value: "<list>",
  domain: "ascending",
  read(given, fail): readonly number[] {
    const numbers = list(integer(1, 999_999)).read(given, fail);
    const isAscending = numbers.every((n, i) => i === 0 || n > numbers[i - 1]);
    return isAscending ? numbers : fail("an ascending list");
  },
};

/** A decimal number, or NaN for any other text. */
function readNumber(given: string): number {
  const x = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(given) ? Number(given) : NaN;
  return Number.isFinite(x) ? x : NaN;
}
