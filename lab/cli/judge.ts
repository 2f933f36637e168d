/**
 * `judge`: judges the models of finished runs under other searches.
 *
 * @module
 */
import type { Normalization } from "../../ops/trie_options.ts";
import { judgeAgain, type JudgeAgainOptions, planJudging } from "../compare/judge_again.ts";
import { readBaselines } from "../report/read_results.ts";
import { Display } from "./display.ts";
import { COST_USERS } from "./compare.ts";
import { type CommandLine, refuse } from "./flags.ts";
import { ascending, choice, list, optional, positive, required, text } from "./kinds.ts";
import { type GivenSearch, searchFlags, searchOf, trainFlags } from "./options.ts";
import { checkBaseline, reportLine, writeAndName } from "./report.ts";

/** What `judge` does. The report compares with the variant `baseline`. */
export type JudgeCommandOptions = JudgeAgainOptions & { readonly baseline: string | undefined };

/** What `judge` is given. */
export type GivenJudgeOptions =
  & Omit<JudgeCommandOptions, "taus" | "search" | "costUsers" | "command">
  & { readonly tau: JudgeAgainOptions["taus"]; readonly costUsers: number }
  & GivenSearch;

const { data, device, threads } = trainFlags;

/** The command line of `judge`. */
export const judgeLine: CommandLine<GivenJudgeOptions, JudgeCommandOptions> = {
  name: "judge",
  usage: "--runs <folder> --out <folder> [options]",
  does:
    "Judges the models of finished runs under other searches: at other temperatures, --tau, with " +
    "probabilities over something else, --over, by another method, --search, or without the " +
    "history, --exclude-history. Nothing is trained. Writes report.md and report.html.",
  flags: {
    runs: required(text("<folder>"), "folder of compare or sweep, with its finished runs"),
    data: { ...data, help: "data set of the runs: synthetic, or a folder or file" },
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
    ...searchFlags,
    excludeHistory: {
      ...trainFlags.excludeHistory,
      help: "take the history out of the catalogue, in the runs' own search and others",
    },
    beams: optional(
      ascending,
      "beam widths to decode with, the lengths of lists",
      "default those that the runs were judged with",
    ),
    costUsers: { ...trainFlags.costUsers, default: COST_USERS },
    device,
    threads,
    out: required(
      text("<folder>"),
      "where results and the report go; what is finished is not redone",
    ),
    baseline: reportLine.flags.baseline,
  },
  complete({ options, typed }): JudgeCommandOptions {
    const { tau: taus, search: _search, budget: _budget, lengthPenalty: _penalty, ...rest } =
      options;
    const search = searchOf(options);
    const { over, excludeHistory } = rest;
    if (taus === undefined && over === undefined && search === undefined && !excludeHistory) {
      const hint = "; compare judges other --beams";
      const requirement = "it must have --tau, --over, --search or --exclude-history";
      refuse("the command line", requirement, "none", hint);
    }
    return { ...rest, taus, search, command: typed };
  },
  async run(options): Promise<void> {
    using display = new Display();
    const { runs: folder, out, baseline } = options;
    const plan = planJudging(options);
    checkBaseline(baseline, [
      ...plan.trained.map(({ run }) => run.variant),
      ...plan.tasks.map(({ variant }) => variant),
    ]);
    const found = await judgeAgain(options, display.runs());
    const { trained, judged, baselines = readBaselines(folder) } = found;
    const results = { runs: [...trained, ...judged], baselines };
    await writeAndName(results, out, baseline, display);
  },
};
