/**
 * `judge`: judges the models of finished runs under other searches.
 *
 * @module
 */
import type { Normalization } from "../../ops/trie_options.ts";
import { judgeAgain, type JudgeOptions, planJudging } from "../compare/judge_again.ts";
import { readBaselines } from "../report/read_results.ts";
import { refuse } from "../usage.ts";
import type { Display } from "./display.ts";
import type { CommandLine } from "./flags.ts";
import { beamWidths, choice, list, optional, positive, text } from "./kinds.ts";
import { trainFlags } from "./options.ts";
import { checkBaseline, reportLine, writeAndName } from "./report.ts";

interface GivenJudgeOptions extends Pick<JudgeOptions, "data" | "device" | "threads"> {
  readonly runs: string | undefined;
  readonly variants: readonly string[] | undefined;
  readonly tau: readonly number[] | undefined;
  readonly over: readonly Normalization[] | undefined;
  readonly beams: readonly number[] | undefined;
  readonly out: string | undefined;
  readonly baseline: string | undefined;
}

/** What `judge` does. */
export interface JudgeCommandOptions extends JudgeOptions {
  /** The variant that the report compares the others with. Default sft, else the first. */
  readonly baseline: string | undefined;
}

const { data, device, threads } = trainFlags;

/** The command line of `judge`. */
export const judgeLine: CommandLine<GivenJudgeOptions, JudgeCommandOptions> = {
  name: "judge",
  usage: "--runs <folder> --out <folder> [options]",
  does:
    "Judges the models of finished runs under other searches: at other temperatures, --tau, or " +
    "with probabilities over something else, --over. Nothing is trained. Writes report.md and " +
    "report.html.",
  flags: {
    runs: optional(
      text("<folder>"),
      "a folder of compare or sweep, with its finished runs",
      "required",
    ),
    data: { ...data, help: "data set of the runs: synthetic, or a folder" },
    variants: optional(
      list(text("<name>")),
      "judge these variants only, named as in reports",
      "default all",
    ),
    tau: optional(
      list(positive),
      "temperatures of the search, such as 0.5,2",
      "default as in training",
    ),
    over: optional(
      list(choice<Normalization>(["children", "vocabulary"])),
      "what the probabilities of the search are over",
      "default as in training",
    ),
    beams: optional(
      beamWidths,
      "beam widths to decode with",
      "default those that the runs were judged with",
    ),
    device,
    threads,
    out: optional(
      text("<folder>"),
      "where results and the report go; what is finished is not redone",
      "required",
    ),
    baseline: reportLine.flags.baseline,
  },
  complete({ options, typed }): JudgeCommandOptions {
    const { runs, out, tau: taus, ...rest } = options;
    if (runs === undefined) refuse("the command line", "--runs must name a folder of runs");
    if (out === undefined) refuse("the command line", "--out must name a folder");
    if (taus === undefined && rest.over === undefined) {
      refuse("the command line", "--tau or --over must ask for another search");
    }
    return { ...rest, runs, out, taus, command: typed };
  },
};

/** Runs `judge`. */
export async function judge(options: JudgeCommandOptions, display: Display): Promise<void> {
  const { runs: folder, out, baseline } = options;
  const plan = planJudging(options);
  checkBaseline(baseline, [
    ...plan.trained.map(({ run }) => run.variant),
    ...plan.tasks.map(({ variant }) => variant),
  ]);
  const { trained, judged } = await judgeAgain(options, display.runs());
  const results = { runs: [...trained, ...judged], baselines: readBaselines(folder) };
  await writeAndName(results, out, baseline, display);
}
