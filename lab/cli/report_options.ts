/**
 * The command line of report.ts.
 *
 * @module
 */
import { flagHelp, type Flags, parseFlags, refuse, text, toggle } from "./flags.ts";

/** What report.ts is told. */
export interface ReportCommandOptions {
  /** The folders of a comparison. */
  readonly folders: readonly string[];
  /** Where the report goes; the first folder unless told. */
  readonly out: string | undefined;
  /** The variant that others are compared with; sft, else the first, unless told. */
  readonly baseline: string | undefined;
  /** Whether to print {@link REPORT_HELP} and stop. */
  readonly help: boolean;
}

const FLAGS: Flags<Omit<ReportCommandOptions, "folders">> = {
  out: { ...text("FOLDER", undefined, "where it goes"), shown: "the first folder" },
  baseline: {
    ...text("VARIANT", undefined, "the variant that the others are compared with"),
    shown: "sft, else the first",
  },
  help: toggle("print this and stop"),
};

/** The help. */
export const REPORT_HELP = flagHelp(
  "Writes report.md and report.html on the finished runs of compare or sweep. Several folders are merged.",
  "deno task report FOLDER... [--out FOLDER] [--baseline VARIANT]",
  FLAGS,
);

/** @throws {UsageError} if an option is unknown, given twice or without its value, or no folder is named. */
export function parseReportOptions(args: readonly string[]): ReportCommandOptions {
  const folders: string[] = [];
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (!arg.startsWith("-")) folders.push(arg);
    else {
      rest.push(arg);
      const takesValue = arg === "--out" || arg === "--baseline";
      if (takesValue && i + 1 < args.length) rest.push(args[++i]);
    }
  }
  const options = parseFlags(rest, FLAGS);
  if (folders.includes("")) refuse("the command line", "folders must have names", "");
  if (folders.length === 0 && !options.help) {
    refuse("the command line", "it must name a folder with finished runs");
  }
  return { folders, ...options };
}

/** @throws {UsageError} if the baseline is none of the variants, which may be named more than once. */
export function checkBaseline(baseline: string | undefined, variants: readonly string[]): void {
  if (baseline === undefined || variants.includes(baseline)) return;
  refuse("--baseline", `it must be one of ${[...new Set(variants)].join(", ")}`, baseline);
}
