/**
 * The command line of judge.ts.
 *
 * @module
 */
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { JudgeOptions } from "../compare/judge_again.ts";
import {
  commandOf,
  type Fail,
  type Flag,
  flagHelp,
  type Flags,
  parseFlags,
  positive,
  readList,
  refuse,
  text,
  toggle,
} from "./flags.ts";
import { readBeams } from "./option_values.ts";
import { FLAGS as TRAIN_FLAGS } from "./train_flags.ts";

/** What judge.ts is told. */
export interface JudgeCommandOptions extends JudgeOptions {
  /** The variant that the report compares the others with; sft, else the first, unless told. */
  readonly baseline: string | undefined;
  /** Whether to print {@link JUDGE_HELP} and stop. */
  readonly help: boolean;
}

interface JudgeFlags {
  readonly runs: string | undefined;
  readonly data: string;
  readonly variants: readonly string[] | undefined;
  readonly tau: readonly number[] | undefined;
  readonly over: readonly Normalization[] | undefined;
  readonly beams: readonly number[] | undefined;
  readonly out: string | undefined;
  readonly baseline: string | undefined;
  readonly device: JudgeOptions["device"];
  readonly threads: number | undefined;
  readonly help: boolean;
}

const NORMALIZATIONS: readonly Normalization[] = ["children", "vocabulary"];

/** A list that may be left out. */
function list<T>(
  shown: string,
  help: string,
  read: (part: string, fail: Fail) => T,
): Flag<readonly T[] | undefined> {
  return {
    ...{ value: "LIST", default: undefined, shown, help },
    read: (given, fail) => readList(given, fail, read),
  };
}

const FLAGS: Flags<JudgeFlags> = {
  runs: {
    ...text("FOLDER", undefined, "a folder of compare or sweep, with its finished runs"),
    shown: "required",
  },
  data: text(
    "DATA",
    "synthetic",
    "what they were trained on: synthetic, or the folder of a data set",
  ),
  variants: list("all", "only these, by their names in reports", (part) => part),
  tau: list("as in training", "temperatures of the search, such as 0.5,2", positive(1, "").read),
  over: list(
    "as in training",
    "what the probabilities of the search are over: children, vocabulary",
    (part, fail) =>
      NORMALIZATIONS.find((one) => one === part) ?? fail(`a list of ${NORMALIZATIONS.join(", ")}`),
  ),
  beams: {
    ...{ value: "LIST", default: undefined, shown: "those that the runs were judged with" },
    ...{ help: "widths of the search", read: readBeams },
  },
  device: TRAIN_FLAGS.device,
  threads: TRAIN_FLAGS.threads,
  out: {
    ...text("FOLDER", undefined, "where results and the report go; what is finished is not redone"),
    shown: "required",
  },
  baseline: {
    ...text("VARIANT", undefined, "what the report compares the others with"),
    shown: "sft, else the first",
  },
  help: toggle("print this and stop"),
};

/** The help. */
export const JUDGE_HELP = flagHelp(
  "Judges the models of finished runs under other searches, with nothing trained, and writes report.md and report.html.",
  "deno task judge --runs FOLDER --out FOLDER (--tau LIST | --over LIST) [options]",
  FLAGS,
);

/** @throws {UsageError} if an option is unknown, given twice, without its value or outside its domain, or one is missing. */
export function parseJudgeOptions(args: readonly string[]): JudgeCommandOptions {
  const { runs, out, tau: taus, ...rest } = parseFlags(args, FLAGS);
  if (!rest.help) {
    if (runs === undefined) refuse("the command line", "--runs must name a folder of runs");
    if (out === undefined) refuse("the command line", "--out must name a folder");
    if (taus === undefined && rest.over === undefined) {
      refuse("the command line", "--tau or --over must ask for another search");
    }
  }
  return { ...rest, runs: runs ?? "", out: out ?? "", taus, command: commandOf("judge", args) };
}
