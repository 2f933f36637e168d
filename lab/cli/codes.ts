/**
 * `codes`: makes codes for the items of a data set, writes them, and says what they are like.
 *
 * @module
 */
import { join } from "node:path";
import { indexOf } from "../codes/coded_dataset.ts";
import { describeCodes, renderCodes } from "../codes/describe.ts";
import { loadDataset, type Reading } from "../data/load.ts";
import { openDevice } from "../devices.ts";
import { makeFolder, writeFiles } from "../files.ts";
import type { Options } from "../train/options.ts";
import { print, say } from "../terminal.ts";
import { Display } from "./display.ts";
import { type CommandLine, refuse } from "./flags.ts";
import { checkFree, flag, integer, jsonFlag, optional, overwriteFlag, text } from "./kinds.ts";
import { trainFlags } from "./options.ts";

/** What `codes` does. */
export type CodesCommandOptions =
  & Pick<Options, "device" | "threads">
  & Omit<Reading, "tokenizer" | "prompt" | "targets" | "holdOut" | "input">
  & {
    readonly data: string;
    readonly out: string | undefined;
    readonly overwrite: boolean;
    readonly beam: number;
    readonly json: boolean;
  };

/** The file that is written. */
const INDEX = "index.json";

const { data, index, columns, minRating, duplicates, kCore, split, skipBadRows } = trainFlags;
const { limitItems, limitUsers, joinValidation, codes, device, threads } = trainFlags;

/** The command line of `codes`. */
export const codesLine: CommandLine<CodesCommandOptions> = {
  name: "codes",
  usage: "[options]",
  does:
    "Makes codes for items from training interactions or vectors, writes index.json, and says how " +
    "many items have their own and how many choices each level leaves.",
  flags: {
    data,
    index,
    columns,
    minRating,
    duplicates,
    kCore,
    split,
    skipBadRows,
    limitItems,
    limitUsers,
    joinValidation: { ...joinValidation, help: "count the validation targets as training, too" },
    codes,
    device: {
      ...device,
      help: "where to read titles; auto is webgpu on a hardware adapter, else cpu",
    },
    threads,
    out: optional(text("<folder>"), "where to write index.json", "default nowhere"),
    overwrite: overwriteFlag,
    beam: flag(integer(1), "beam width: nodes with more children are counted", 10),
    json: jsonFlag,
  },
  complete({ options }): CodesCommandOptions {
    if (options.overwrite && options.out === undefined) {
      refuse("--overwrite", "it must come with --out");
    }
    return options;
  },
  async run({ out, overwrite, beam, json, device, threads, ...reading }): Promise<void> {
    using display = new Display();
    const path = out === undefined ? undefined : join(out, INDEX);
    if (out !== undefined && path !== undefined) {
      checkFree(path, overwrite);
      makeFolder(out); // before codes are made
    }
    const dataset = await loadDataset(
      reading.data,
      { ...reading, openDevice: () => openDevice(device, threads) },
      undefined,
      (what, done, total) => display.stage(what, done, total),
    );
    const named = dataset.paths.map((path) => path.map((token) => dataset.tokens[token]));
    const summary = describeCodes(named, { beam, sequences: dataset.training });
    if (out !== undefined) {
      writeFiles(out, [[INDEX, new TextEncoder().encode(`${JSON.stringify(indexOf(dataset))}\n`)]]);
      say(`Wrote ${path}`);
    }
    print(json ? JSON.stringify(summary) : renderCodes(summary));
  },
};
