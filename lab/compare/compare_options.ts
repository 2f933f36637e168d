/**
 * The command lines of compare.ts and sweep.ts: those of train.ts, and what a grid of runs needs.
 *
 * @module
 */
import {
  commandOf,
  type Fail,
  type Flag,
  flagHelp,
  type Flags,
  givenFlags,
  integer,
  parseFlags,
  readList,
  refuse,
  text,
} from "../cli/flags.ts";
import { lossNameOf } from "../train/loss_module.ts";
import { readLosses } from "../cli/option_values.ts";
import { completeOptions, type Options } from "../cli/options.ts";
import { FLAGS } from "../cli/train_flags.ts";
import { lossFlagNames } from "../../models/losses/index.ts";
import type { Setting, Shard } from "./grid.ts";
import type { CompareOptions } from "./compare.ts";

/** Which command: compare has one value of each setting of the losses, sweep may have several. */
export type GridCommand = "compare" | "sweep";

/** What compare.ts or sweep.ts is told. */
export interface GridCommandOptions extends CompareOptions {
  /** The loss that others are compared with in the report of compare; sft, else the first, unless told. */
  readonly baseline: string | undefined;
  /** Whether to print the help and stop. */
  readonly help: boolean;
}

/** Options of train.ts that a grid has instead of. */
type Replaced = "loss" | "seed" | "out" | "resume" | "patience" | Setting;

interface GridFlags extends Omit<Options, Replaced>, Lists {
  readonly losses: readonly string[];
  readonly seeds: readonly number[];
  readonly patience: number;
  readonly out: string | undefined;
  readonly shard: Shard;
  readonly baseline: string | undefined;
  readonly verifyUsers: number;
}

/** Several values of each setting. */
type Lists = { readonly [S in Setting]: readonly number[] };

/** What `valueOf` makes of each setting. */
function bySetting<T>(valueOf: (setting: Setting) => T): { readonly [S in Setting]: T } {
  return Object.fromEntries(lossFlagNames.map((name) => [name, valueOf(name)])) as Record<
    Setting,
    T
  >;
}

/** Without it a run may last as long as its epochs; a comparison stops by validation. */
const PATIENCE = 5;

const {
  loss: _loss,
  seed: _seed,
  out: _out,
  resume: _resume,
  patience,
  help,
  ...SHARED
} = FLAGS;

/** Several values of a flag that has one. */
function list(flag: Flag<number>): Flag<readonly number[]> {
  return {
    value: "LIST",
    default: [flag.default],
    shown: `${flag.default}`,
    help: flag.help,
    read: (given, fail) => readList(given, fail, flag.read),
  };
}

/** Seeds: a number n for 0 to n - 1, or a list. */
function readSeeds(given: string, fail: Fail): readonly number[] {
  const read = (part: string): number => {
    const n = /^\s*\d{1,15}\s*$/.test(part) ? Number(part) : NaN;
    return Number.isSafeInteger(n) ? n : fail("a number of seeds, or a list of seeds such as 3,4");
  };
  if (!given.includes(",")) {
    const n = read(given);
    return n >= 1 && n <= 1000 ? Array.from({ length: n }, (_, i) => i) : fail("from 1 to 1000");
  }
  const seeds = given.split(",").filter((part, i, all) => i < all.length - 1 || part !== "").map(
    read,
  );
  return new Set(seeds).size === seeds.length ? seeds : fail("a list without repetition");
}

function readShard(given: string, fail: Fail): Shard {
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(given) ??
    fail("i/n with 0 <= i < n, such as 0/4");
  if (Number(index) >= Number(count)) fail("i/n with 0 <= i < n, such as 0/4");
  return { index: Number(index), count: Number(count) };
}

/** Every option of a command. */
function flagsOf(command: GridCommand): Flags<GridFlags> {
  const sweep = command === "sweep";
  const setting = (flag: Flag<number>): Flag<readonly number[]> =>
    sweep
      ? list(flag)
      : { ...list(flag), value: "X", read: (given, fail) => [flag.read(given, fail)] };
  return {
    losses: {
      value: "LIST",
      default: sweep ? ["bear"] : ["sft", "msl", "bear"],
      shown: sweep ? "bear" : "sft,msl,bear",
      help: FLAGS.loss.help.replace("one run each", "what to compare"),
      read: readLosses,
    },
    seeds: {
      value: "N|LIST",
      default: sweep ? [0] : [0, 1, 2],
      shown: sweep ? "1" : "3",
      help: "how many seeds, from 0, or a list of them",
      read: readSeeds,
    },
    out: {
      ...text("FOLDER", undefined, "where runs and reports go; finished runs are not redone"),
      shown: "required",
    },
    shard: {
      value: "I/N",
      default: { index: 0, count: 1 },
      shown: "0/1",
      help: "every N-th run, from the I-th, for one of several machines",
      read: readShard,
    },
    ...(!sweep && {
      baseline: {
        ...text("LOSS", undefined, "what the report compares the others with"),
        shown: "sft, else the first",
      },
    }),
    verifyUsers: integer(0, 100, "the theorems are checked on the first N users of each run"),
    patience: { ...(patience as Flag<number>), default: PATIENCE, shown: `${PATIENCE}` },
    ...SHARED,
    ...bySetting((name) => setting(FLAGS[name])),
    help,
  } as Flags<GridFlags>;
}

/**
 * Reads the arguments of compare.ts or sweep.ts.
 *
 * @throws {UsageError} if an option is unknown, given twice, without its value or outside its domain, if options contradict each
 * other, or --out is missing.
 */
export function parseGridOptions(
  command: GridCommand,
  args: readonly string[],
): GridCommandOptions {
  const flags = flagsOf(command);
  const told = parseFlags(args, flags);
  const { losses, seeds, out, shard, baseline, verifyUsers, ...rest } = told;
  const over = bySetting((name) => told[name]);
  if (!rest.help && out === undefined) {
    refuse("the command line", "--out must name the folder of the comparison");
  }
  if (baseline !== undefined && !losses.map(lossNameOf).includes(baseline)) {
    refuse("--baseline", `it must be one of ${losses.map(lossNameOf).join(", ")}`, baseline);
  }
  const options = completeOptions(
    {
      ...rest,
      ...{ loss: losses, seed: seeds[0], out, resume: false },
      ...bySetting((name) => told[name][0]),
    },
    new Set([...givenFlags(args, flags)].filter((key): key is keyof typeof rest => key in rest)),
  );
  return {
    ...{ options, losses, seeds, over, out: out ?? "", shard },
    ...{ baseline, verifyUsers },
    command: commandOf(command, args),
    help: rest.help,
  };
}

/** The help of compare.ts or sweep.ts. */
export function gridHelp(command: GridCommand): string {
  const does = command === "compare"
    ? "Trains every loss with every seed under one recipe, chooses epochs by validation, judges them on the test cases and writes report.md and report.html."
    : "Trains losses with every combination of settings, and ranks these by validation.";
  return flagHelp(does, `deno task ${command} --out FOLDER [options]`, flagsOf(command));
}
