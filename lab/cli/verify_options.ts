/**
 * The command line of verify.ts.
 *
 * @module
 */
import { UsageError } from "../../core/errors.ts";

/** What verify.ts is told. */
export interface VerifyOptions {
  /** Worlds a theorem. */
  readonly cases: number;
  /** Where the generators start. */
  readonly seed: number;
  /** The folder of a trained model; the theory itself is verified unless told. */
  readonly checkpoint: string | undefined;
  /** What the model was trained on. */
  readonly data: string;
  /** The beam width; that of the model's run unless told. */
  readonly beam: number | undefined;
  /** The first so many users; all unless told. */
  readonly limitUsers: number | undefined;
  /** Whether to print JSON. */
  readonly json: boolean;
  /** Whether to print {@link VERIFY_HELP} and stop. */
  readonly help: boolean;
}

/** The help. */
export const VERIFY_HELP =
  `Verifies every theorem, refutation, surrogate and mutant of docs/theory.md on random catalogues, and the
search of every device against exact beams; or, with --checkpoint, the theorems on a trained model.

  npx deno task verify [--cases N] [--seed S] [--json]
  npx deno task verify --checkpoint FOLDER [--data DATA] [--beam N] [--limit-users N] [--json]

  --cases N            worlds a theorem (20000)
  --seed S             where the generators start (1)
  --checkpoint FOLDER  a run of train or compare, such as runs/first/bear-seed0
  --data DATA          what it was trained on: synthetic, or the folder of a data set (synthetic)
  --beam N             beam width (that of the run)
  --limit-users N      only the first N users (all)
  --json               print one JSON object and nothing else to the standard output
  --help               print this and stop`;

/** Options with a value, and what they are about. */
const VALUES: Readonly<Record<string, "theory" | "model">> = {
  cases: "theory",
  seed: "theory",
  checkpoint: "model",
  data: "model",
  beam: "model",
  "limit-users": "model",
};

/** @throws {UsageError} if an option is unknown, given twice, without its value or outside its domain, or does not fit. */
export function parseVerifyOptions(args: readonly string[]): VerifyOptions {
  const given = new Map<string, string>();
  const rest = args.flatMap((arg) => /^--[a-z-]+=/.test(arg) ? splitOnce(arg) : [arg]);
  while (rest.length > 0) {
    const flag = rest.shift() as string;
    const name = flag.slice(2);
    const takes = Object.hasOwn(VALUES, name);
    if (!flag.startsWith("--") || !(takes || name === "json" || name === "help")) {
      refuse("the command line", "options must be among those that --help lists", flag);
    }
    if (given.has(name)) refuse(flag, "it must be given once", "it twice");
    const value = takes ? rest.shift() : "";
    if (value === undefined || value.startsWith("--")) refuse(flag, "it must have a value", "none");
    given.set(name, value);
  }
  const about = given.has("checkpoint") ? "model" : "theory";
  for (const name of given.keys()) {
    if (Object.hasOwn(VALUES, name) && VALUES[name] !== about) {
      const requirement = about === "model"
        ? "it must come without --checkpoint"
        : "it must come with --checkpoint";
      refuse(`--${name}`, requirement, [...given.keys()].map((key) => `--${key}`).join(" "));
    }
  }
  const integer = <T>(name: string, least: number, usual: T): number | T => {
    const text = given.get(name);
    if (text === undefined) return usual;
    const n = /^\d+$/.test(text) ? Number(text) : NaN;
    if (n >= least && n < 2 ** 31) return n;
    return refuse(`--${name}`, `it must be an integer of at least ${least}`, text);
  };
  return {
    cases: integer("cases", 1, 20_000),
    seed: integer("seed", 0, 1),
    checkpoint: given.get("checkpoint"),
    data: given.get("data") ?? "synthetic",
    beam: integer("beam", 1, undefined),
    limitUsers: integer("limit-users", 1, undefined),
    json: given.has("json"),
    help: given.has("help"),
  };
}

function splitOnce(arg: string): string[] {
  const at = arg.indexOf("=");
  return [arg.slice(0, at), arg.slice(at + 1)];
}

function refuse(what: string, requirement: string, actual: string): never {
  throw new UsageError(`Cannot use ${what}: ${requirement}, got ${actual}`);
}
