/**
 * The command line of verify.ts.
 *
 * @module
 */
import {
  flagHelp,
  flagName,
  type Flags,
  givenFlags,
  integer,
  parseFlags,
  refuse,
  text,
  toggle,
} from "./flags.ts";

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

/** What an integer is at most. */
const MOST = 2 ** 31 - 1;

const FLAGS: Flags<VerifyOptions> = {
  cases: integer(1, 20_000, "worlds a theorem", MOST),
  seed: integer(0, 1, "where the generators start", MOST),
  checkpoint: {
    ...text("FOLDER", undefined, "a run of train or compare, such as runs/first/bear-seed0"),
    shown: "none: the theory itself is verified",
  },
  data: text("DATA", "synthetic", "what it was trained on: synthetic, or the folder of a data set"),
  beam: { ...integer(1, undefined, "beam width", MOST), shown: "that of the run" },
  limitUsers: { ...integer(1, undefined, "only the first N users", MOST), shown: "all" },
  json: toggle("print one JSON object and nothing else to the standard output"),
  help: toggle("print this and stop"),
};

/** The help. */
export const VERIFY_HELP = flagHelp(
  "Verifies every theorem, refutation and surrogate of docs/theory.md on random catalogues, and the " +
    "search of every device against exact beams; or, with --checkpoint, the theorems on a trained model.",
  "deno task verify [--cases N] [--seed N] [--json]\n" +
    "deno task verify --checkpoint FOLDER [--data DATA] [--beam N] [--limit-users N] [--json]",
  FLAGS,
);

/** Options that speak of a trained model, and those that speak of the theory. */
const [OF_MODEL, OF_THEORY] = [["data", "beam", "limitUsers"], ["cases", "seed"]] as const;

/** @throws {UsageError} if an option is unknown, given twice, without its value or outside its domain, or does not fit. */
export function parseVerifyOptions(args: readonly string[]): VerifyOptions {
  const options = parseFlags(args, FLAGS);
  const given = givenFlags(args, FLAGS);
  const isModel = options.checkpoint !== undefined;
  const other = (isModel ? OF_THEORY : OF_MODEL).find((key) => given.has(key));
  if (other !== undefined) {
    const requirement = `it must come ${isModel ? "without" : "with"} --checkpoint`;
    refuse(flagName(other), requirement, isModel ? "both" : undefined);
  }
  return options;
}
