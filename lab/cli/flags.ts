/**
 * Command lines: a table of flags, each with its default, its domain and its help, and what reads arguments by it.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { UsageError } from "../../core/errors.ts";
import { lineWidth, wrapped } from "../table.ts";

/** One option. */
export interface Flag<T> {
  /** What stands for the value in the help; absent for a switch. */
  readonly value?: string;
  /** Unless told. */
  readonly default: T;
  /** How the help writes the default, where it is not the value itself. */
  readonly shown?: string;
  /** One line of help. */
  readonly help: string;
  /** The value that a text stands for; `fail` is told what it must be. */
  read(text: string, fail: Fail): T;
}

/** Refuses a value: `requirement` goes on after "it must be". */
export type Fail = (requirement: string) => never;

/** A flag for each option. */
export type Flags<O> = { readonly [K in keyof O]: Flag<O[K]> };

/** What an integer is at most unless told: sizes beyond it fit no machine. */
const MOST = 1e6;

/** A longer flag has a line to itself in the help. */
const LONGEST = 30;

/**
 * Reads arguments by a table of flags. `limitUsers` is `--limit-users` on the command line.
 *
 * @throws {UsageError} if an option is unknown, given twice, without its value or outside its domain.
 */
export function parseFlags<O>(args: readonly string[], flags: Flags<O>): O {
  const keys = keysOf(flags);
  const given: Record<string, unknown> = {};
  for (const token of tokenize(args, keys, flags)) {
    const key = token.kind === "option" ? keys.get(token.name) : undefined;
    if (token.kind !== "option" || key === undefined) {
      const shown = token.kind === "option" ? token.rawName : args[token.index];
      refuse("the command line", "options must be among those that --help lists", shown);
    }
    if (key in given) refuse(`--${token.name}`, "it must be given once", "it twice");
    const swallowed = !token.inlineValue && token.value?.startsWith("--");
    given[key] = readFlag(token.name, flags[key], swallowed ? undefined : token.value);
  }
  const defaults = Object.fromEntries([...keys.values()].map((key) => [key, flags[key].default]));
  return { ...defaults, ...given } as O;
}

/** Which options arguments that {@link parseFlags} takes name. */
export function givenFlags<O>(args: readonly string[], flags: Flags<O>): ReadonlySet<keyof O> {
  const keys = keysOf(flags);
  return new Set(
    tokenize(args, keys, flags).flatMap((token) => {
      const key = token.kind === "option" ? keys.get(token.name) : undefined;
      return key === undefined ? [] : [key];
    }),
  );
}

/** An option's name on the command line: `--kv-heads` for `kvHeads`. */
export function flagName(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * The help of a command: what it does, how it is called, and every option with its default, in lines of at most `width`
 * characters.
 */
export function flagHelp<O>(
  does: string,
  call: string,
  flags: Flags<O>,
  width: number = lineWidth(),
): string {
  const rows = [...keysOf(flags)].map(([name, key]) => {
    const { value, shown, help, default: usual } = flags[key];
    const left = value === undefined ? `--${name}` : `--${name} ${value}`;
    return [left, value === undefined ? help : `${help} (${shown ?? usual})`];
  });
  const column = Math.max(...rows.map(([{ length }]) => length > LONGEST ? 0 : length));
  const lines = rows.map(([left, right]) => {
    const head = left.length > LONGEST ? `${left}\n${" ".repeat(column + 2)}` : left.padEnd(column);
    return wrapped(`  ${head}  ${right}`, width, column + 4);
  });
  const shown = wrapped(call.replaceAll(/^/gm, "  "), width, 6);
  return [wrapped(does, width), "", shown, "", ...lines].join("\n");
}

/** @throws {UsageError} always. */
export function refuse(what: string, requirement: string, actual?: string): never {
  const shown = actual === "" ? "an empty text" : actual ?? "none";
  throw new UsageError(`Cannot use ${what}: ${requirement}, got ${shown}`);
}

/** Any text but the empty one. */
export function text<T extends string | undefined>(
  value: string,
  usual: T,
  help: string,
): Flag<T | string> {
  return {
    value,
    default: usual,
    help,
    read: (given, fail) => given === "" ? fail("a name") : given,
  };
}

/** A switch. */
export function toggle(help: string): Flag<boolean> {
  return { default: false, help, read: () => true };
}

/** One of some names. */
export function choice<T extends string, D extends T | undefined>(
  names: readonly T[],
  usual: D,
  help: string,
): Flag<T | D> {
  return {
    value: names.join("|"),
    default: usual,
    help,
    read: (given, fail) =>
      names.find((name) => name === given) ?? fail(`one of ${names.join(", ")}`),
  };
}

/** An integer from `least` to `most`. */
export function integer<T extends number | undefined>(
  least: number,
  usual: T,
  help: string,
  most: number = MOST,
): Flag<T | number> {
  return {
    value: "N",
    default: usual,
    help,
    read(given, fail): number {
      const n = readNumber(given);
      const holds = Number.isSafeInteger(n) && n >= least && n <= most;
      return holds ? n : fail(`an integer from ${least} to ${most}`);
    },
  };
}

/** A number above 0. */
export function positive(usual: number, help: string): Flag<number> {
  return real(usual, help, "above 0", (x) => x > 0);
}

/** A number of at least 0. */
export function notNegative(usual: number, help: string): Flag<number> {
  return real(usual, help, "of at least 0", (x) => x >= 0);
}

/** A number for which `holds`; `domain` says which these are. */
export function real(
  usual: number,
  help: string,
  domain: string,
  holds: (x: number) => boolean,
): Flag<number> {
  return {
    value: "X",
    default: usual,
    help,
    read(given, fail): number {
      const x = readNumber(given);
      return holds(x) ? x : fail(`a number ${domain}`);
    },
  };
}

/** Several values with commas between them, none twice. `fail` is told what a value or the list must be. */
export function readList<T>(
  given: string,
  fail: Fail,
  read: (part: string, fail: Fail) => T,
): readonly T[] {
  const values = given.split(",").map((part) => read(part.trim(), fail));
  return new Set(values).size === values.length ? values : fail("a list without repetition");
}

/** What was typed to run a task, as a shell takes it. */
export function commandOf(task: string, args: readonly string[]): string {
  const quoted = args.map((arg) =>
    /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`
  );
  return ["deno task", task, ...quoted].join(" ");
}

/** The key of each option by its name on the command line: `kv-heads` is `kvHeads`. */
function keysOf<O>(flags: Flags<O>): ReadonlyMap<string, keyof O & string> {
  return new Map(
    (Object.keys(flags) as (keyof O & string)[]).map((key) => [
      flagName(key).slice(2),
      key,
    ]),
  );
}

type Token = NonNullable<ReturnType<typeof parseArgs>["tokens"]>[number];

/** Not `strict`, whose errors are worded by the runtime, and which refuses a value such as -1 before it can be judged. */
function tokenize<O>(
  args: readonly string[],
  keys: ReadonlyMap<string, keyof O & string>,
  flags: Flags<O>,
): readonly Token[] {
  const options = Object.fromEntries(
    [...keys].map(([name, key]) => [
      name,
      { type: flags[key].value === undefined ? "boolean" : "string" } as const,
    ]),
  );
  return parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens;
}

function readFlag<T>(name: string, flag: Flag<T>, given: string | undefined): T {
  if (flag.value === undefined) {
    if (given !== undefined) refuse(`--${name}`, "it must stand without a value", given);
  } else if (given === undefined) {
    refuse(`--${name}`, `it must have a value, as in --${name} ${flag.value}`);
  }
  return flag.read(
    given ?? "",
    (requirement) => refuse(`--${name}`, `it must be ${requirement}`, given),
  );
}

/** A decimal number, or NaN for any other text. */
function readNumber(given: string): number {
  const x = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(given) ? Number(given) : NaN;
  return Number.isFinite(x) ? x : NaN;
}
