/**
 * `compare` and `sweep`: train and judge the runs of a grid. Their options are those of `train`,
 * and what a grid needs.
 *
 * @module
 */
import process from "node:process";
import { type LossFlagName, lossFlagNames } from "../../models/losses/index.ts";
import {
  compareLosses,
  type CompareOptions,
  folderOfCodes,
  type Shard,
} from "../compare/compare.ts";
import { rankByValidation, renderRanking } from "../compare/ranking.ts";
import { readResults } from "../report/read_results.ts";
import { print, say } from "../terminal.ts";
import { lossNameOf } from "../train/loss_module.ts";
import { Display } from "./display.ts";
import {
  type CommandLine,
  type Fail,
  type Flag,
  type Flags,
  parse,
  type Parsed,
  PROGRAM,
  refuse,
} from "./flags.ts";
import { flag, integer, type Kind, list, optional, required, text } from "./kinds.ts";
import {
  codesKind,
  completeOptions,
  type GivenOptions,
  lossesFlag,
  trainFlags,
} from "./options.ts";
import { writeAndName } from "./report.ts";

/** `compare` has one value of each setting of the losses, `sweep` may have several. */
export type GridCommand = "compare" | "sweep";

/** What `compare` or `sweep` does. A report compares with the variant `baseline`. */
export type GridCommandOptions = CompareOptions & { readonly baseline: string | undefined };

/** Options as they are given. */
export type GivenGridOptions =
  & Omit<GivenOptions, "seed" | "resume" | "out" | "codes" | LossFlagName>
  & { readonly [S in LossFlagName]: readonly number[] }
  & Pick<GridCommandOptions, "seeds" | "out" | "baseline">
  & { readonly codes: readonly string[]; readonly shard: Shard; readonly verifyUsers: number };

function bySetting<T>(valueOf: (setting: LossFlagName) => T): Record<LossFlagName, T> {
  const entries = lossFlagNames.map((name) => [name, valueOf(name)]);
  return Object.fromEntries(entries) as Record<LossFlagName, T>;
}

const seeds: Kind<readonly number[]> = {
  value: "<n|list>",
  read(given, fail): readonly number[] {
    if (given.includes(",")) return list({ read: readSeed }).read(given.replace(/,$/, ""), fail);
    const count = readSeed(given, fail);
    if (count < 1 || count > 1000) fail("from 1 to 1000");
    return Array.from({ length: count }, (_, seed) => seed);
  },
};

function readSeed(given: string, fail: Fail): number {
  const seed = /^\d{1,15}$/.test(given.trim()) ? Number(given) : NaN;
  return seed >= 0 ? seed : fail("a number of seeds, or a list of seeds such as 3,4");
}

const shard: Kind<Shard> = {
  value: "<i/n>",
  read(given, fail): Shard {
    const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(given)?.map(Number) ?? [];
    return index < count ? { index, count } : fail("i/n with 0 <= i < n, such as 0/4");
  },
};

/** The test cases of reports on which searches are compared. */
export const COST_USERS = 1000;

/** Several codes, with commas between them: what has a "=" is an option of the codes before it. */
const codesList: Kind<readonly string[]> = {
  value: "<list>",
  domain: "several are compared with each other",
  read(given, fail): readonly string[] {
    const all = given.split(/,(?![a-z]+=)/).map((one) => codesKind.read(one.trim(), fail));
    return new Set(all).size < all.length ? fail("a list without repetition") : all;
  },
};

/** The command line of a command. */
export function gridLine(name: GridCommand): CommandLine<GivenGridOptions, GridCommandOptions> {
  const isSweep = name === "sweep";
  const setting = (one: Flag<number>): Flag<readonly number[]> => ({
    ...one,
    ...(isSweep ? list(one) : { read: (given, fail) => [one.read(given, fail)] }),
    default: [one.default],
  });
  const {
    losses: _losses,
    patience,
    costUsers,
    out: _out,
    seed: _seed,
    resume: _resume,
    ...shared
  } = trainFlags;
  const flags = {
    losses: lossesFlag(isSweep ? ["bear"] : ["sft", "msl", "bear"]),
    seeds: flag(
      seeds,
      "number of seeds, counted from 0, or a list of seeds such as 3,4",
      isSweep ? [0] : [0, 1, 2],
      isSweep ? "default 1" : "default 3",
    ),
    out: required(text("<folder>"), "where runs and reports go; finished runs are not redone"),
    shard: flag(
      shard,
      "train every n-th run, from the i-th, as one of n machines",
      { index: 0, count: 1 },
      "default 0/1",
    ),
    ...(!isSweep && {
      baseline: optional(
        text("<variant>"),
        "variant that the report compares the others with: a loss, or with several --codes also " +
          "such as 'msl codes=item'",
        "default sft, else the first",
      ),
    }),
    verifyUsers: flag(integer(0), "check the theorems on the first n users of each run", 100),
    patience: flag<number | undefined>(integer(1), patience.help, 5),
    ...shared,
    costUsers: { ...costUsers, default: COST_USERS },
    codes: { ...trainFlags.codes, ...codesList, default: [trainFlags.codes.default] },
    ...bySetting((name) => setting(trainFlags[name])),
  };
  return {
    name,
    usage: "--out <folder> [options]",
    does: isSweep
      ? "Trains losses with every combination of the settings that have several values, such as " +
        "--beam 5,10 --xi 1,2, and ranks these by validation."
      : "Trains every loss with every seed under one recipe, chooses epochs by validation, judges " +
        "the models on the test cases and writes report.md and report.html.",
    flags: flags as Flags<GivenGridOptions>,
    complete: gridOptions,
    run: (options) => runGrid(options, isSweep),
  };
}

/**
 * Reads the arguments of `compare` or `sweep`.
 *
 * @throws {UsageError} if an option is unknown, given twice, without its value or outside its
 * domain, if options contradict each other, or if `--out` is missing.
 */
export function parseGridOptions(
  command: GridCommand,
  args: readonly string[],
): GridCommandOptions {
  return parse(gridLine(command), args);
}

function gridOptions(
  { options: all, given, typed }: Parsed<GivenGridOptions>,
): GridCommandOptions {
  const { seeds, shard, baseline, verifyUsers, codes, ...shared } = all;
  const { out, losses } = shared;
  const labels = codes.map((one) =>
    one === "semantic" || codes.length === 1 ? "" : ` codes=${one}`
  );
  const names = losses.flatMap((loss) => labels.map((label) => lossNameOf(loss) + label));
  if (baseline !== undefined && !names.includes(baseline)) {
    refuse("--baseline", `it must be one of ${names.join(", ")}`, baseline);
  }
  const over = bySetting((name) => all[name]);
  const first = bySetting((name) => all[name][0]);
  const options = completeOptions(
    { ...shared, ...first, codes: codes[0], seed: seeds[0], resume: false },
    given,
  );
  return { options, codes, seeds, over, out, shard, verifyUsers, baseline, command: typed };
}

/** Trains and judges the runs. A comparison ends with a report, a sweep with a ranking. */
async function runGrid(options: GridCommandOptions, isSweep: boolean): Promise<void> {
  using display = new Display();
  const { out, codes = [], shard, baseline } = options;
  const { results, failed, isValidated } = await compareLosses(
    { ...options, mustValidate: isSweep },
    display.runs("the same command"),
  );
  if (!isValidated) say("There are no validation cases: the last epoch of each run was kept.");
  if (results.length > 0) {
    if (shard !== undefined && shard.count > 1) {
      const next = isSweep ? "the same command without --shard" : `${PROGRAM} report ${out}`;
      say(`When all shards are done: ${next}`);
    } else if (isSweep) {
      print(renderRanking(rankByValidation(results)));
      say(`Figures and test results: ${PROGRAM} report ${out}`);
    } else {
      const folders = codes.length > 1 ? codes.map((one) => folderOfCodes(out, one)) : [out];
      await writeAndName(readResults(folders), out, baseline, display);
    }
  }
  if (failed.length === 0) return;
  process.exitCode = 1;
  const names = failed.map(({ name }) => name).join(", ");
  say(`${failed.length} of ${failed.length + results.length} runs failed: ${names}`);
}
