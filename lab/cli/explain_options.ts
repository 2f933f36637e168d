/**
 * The command line of explain.ts.
 *
 * @module
 */
import { flagHelp, type Flags, integer, parseFlags, refuse, text, toggle } from "./flags.ts";

/** What explain.ts is told. */
export interface ExplainFlags {
  /** The folder of a run. */
  readonly checkpoint: string | undefined;
  /** Whose search to explain. */
  readonly user: string | undefined;
  /** What the run was trained on. */
  readonly data: string;
  /** The beam width; that of the run unless told. */
  readonly beam: number | undefined;
  /** Whether the items that the model sees are taken out of the catalogue. */
  readonly excludeHistory: boolean;
  /** Whether to list the users whose target was pruned instead. */
  readonly list: boolean;
  /** Whether to print JSON. */
  readonly json: boolean;
  /** Whether to print {@link explainHelp} and stop. */
  readonly help: boolean;
}

const FLAGS: Flags<ExplainFlags> = {
  checkpoint: {
    ...text("FOLDER", undefined, "a run of train or compare, such as runs/first/bear-seed0"),
    shown: "required",
  },
  user: {
    ...text(
      "ID",
      undefined,
      "a test user by the data's own id; of titles ID or ID#LINE of test.csv",
    ),
    shown: "required, or --list",
  },
  data: text("DATA", "synthetic", "what it was trained on: synthetic, or the folder of a data set"),
  beam: { ...integer(1, undefined, "beam width"), shown: "that of the run" },
  excludeHistory: toggle("take the history that the model sees out of the catalogue"),
  list: toggle("list the users whose target is among the exact best and was pruned, and why"),
  json: toggle("print one JSON object and nothing else to the standard output"),
  help: toggle("print this and stop"),
};

/** @throws {UsageError} if an option is unknown, given twice, without its value or outside its domain, or one is missing. */
export function parseExplainFlags(args: readonly string[]): ExplainFlags {
  const flags = parseFlags(args, FLAGS);
  const { checkpoint, user, list, help } = flags;
  if (help) return flags;
  if (checkpoint === undefined) refuse("the command line", "--checkpoint must name a run");
  if (user === undefined && !list) {
    refuse("the command line", "--user must name a test user, or --list must stand");
  }
  if (user !== undefined && list) refuse("--list", "it must come without --user", "both");
  return flags;
}

/** The help. */
export function explainHelp(): string {
  return flagHelp(
    "Explains the beam search of one user: what competed at each step, where its target stood, " +
      "where and why it fell.",
    "deno task explain --checkpoint FOLDER --user ID [options]",
    FLAGS,
  );
}
