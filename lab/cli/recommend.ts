/**
 * `recommend`: the lists of a trained model, for one user, a history, or every test user.
 *
 * @module
 */
import process from "node:process";
import { type DeviceChoice, openDevice } from "../devices.ts";
import { AtomicFile } from "../files.ts";
import {
  listToJson,
  type OpenRun,
  openRun,
  recommend,
  recommendAll,
  type RecommendOptions,
  recommendUser,
} from "../lists/recommend.ts";
import { renderRecommendation } from "../lists/recommend_text.ts";
import { count, number, percent } from "../report/format.ts";
import { print } from "../terminal.ts";
import { Display } from "./display.ts";
import { type CommandLine, flagName, refuse } from "./flags.ts";
import { integer, jsonFlag, type Kind, optional, text, toggle } from "./kinds.ts";
import { type GivenSearch, savedRunFlags, searchFlags, searchOf, trainFlags } from "./options.ts";

/** What `recommend` does: `user`, `history` or `all`. */
export type RecommendCommandOptions = Omit<GivenRecommendOptions, keyof GivenSearch> & {
  readonly search: RecommendOptions["search"];
};

/** What `recommend` is given. */
export type GivenRecommendOptions = Omit<RecommendOptions, "search"> & GivenSearch & {
  readonly checkpoint: string;
  readonly data: string;
  readonly user: string | undefined;
  readonly history: readonly string[] | undefined;
  readonly all: boolean;
  readonly device: DeviceChoice;
  readonly threads: number | undefined;
  readonly out: string | undefined;
  readonly json: boolean;
};

/** Ids with commas between them, some perhaps twice. */
const ids: Kind<readonly string[]> = {
  value: "<ids>",
  read(given, fail): readonly string[] {
    const all = given.split(",").map((id) => id.trim());
    return all.includes("") ? fail("ids with commas between them") : all;
  },
};

/** Nothing is shown of what takes fewer milliseconds. */
const SHORT = 2000;

/** The command line of `recommend`. */
export const recommendLine: CommandLine<GivenRecommendOptions, RecommendCommandOptions> = {
  name: "recommend",
  usage: "--checkpoint <folder> --user <id> [options]",
  does: "Prints the list of a trained model for a test user, or after a --history; or writes " +
    "those of --all test users to a file. With the probability of each item, how much of a list " +
    "is certified to be exact, and how many rows the model computed.",
  flags: {
    ...savedRunFlags,
    user: optional(
      text("<id>"),
      "a test user, by the id in the data; for titles ID or ID#LINE of test.csv",
      "default none",
    ),
    history: optional(ids, "ids of items, oldest first, such as 3,15", "default none"),
    all: toggle("write the list of every test user to --out, a JSON object a line"),
    top: optional(
      integer(1),
      "length of the list, at most the beam width of a beam",
      "default --beam",
    ),
    ...searchFlags,
    excludeHistory: trainFlags.excludeHistory,
    device: trainFlags.device,
    threads: trainFlags.threads,
    out: optional(text("<file>"), "the file of --all, such as lists.jsonl", "required by --all"),
    json: jsonFlag,
  },
  complete({ options: { budget, lengthPenalty, ...options }, given }): RecommendCommandOptions {
    const { all, out, json } = options;
    const search = searchOf({ search: options.search, budget, lengthPenalty });
    const whose = ["user", "history", "all"].filter((key) => given.has(key)).map(flagName);
    if (whose.length !== 1) {
      const requirement = "it must have one of --user, --history and --all";
      refuse("the command line", requirement, whose.join(" and ") || "none");
    }
    if (all && out === undefined) refuse("--all", "--out must name a file");
    if (!all && out !== undefined) refuse("--out", "it must come with --all");
    if (all && json) refuse("--json", "it must come without --all, which writes JSON", "both");
    return { ...options, search };
  },
  async run(options): Promise<void> {
    const { checkpoint, data, user, history = [], out, json } = options;
    using display = new Display();
    const { search, beam, top, excludeHistory } = options;
    const how = { search, beam, top, excludeHistory };
    // Now, not after a model has been read.
    using file = out === undefined ? undefined : new AtomicFile(out);
    using run = await openRun(checkpoint, data, {
      device: await openDevice(options.device, options.threads),
      onProgress: (what, done, total) => display.stage(what, done, total, SHORT),
    });
    if (file !== undefined && out !== undefined) {
      return print(`${out}: ${await writeAll(run, how, file, display)}`);
    }
    const found = user === undefined
      ? await recommend(run, history, how)
      : await recommendUser(run, user, how);
    if (!json) return print(renderRecommendation(run, found));
    const titles = found.list.map(({ items }) => items.map(({ title }) => title).join("; "));
    print(JSON.stringify({ ...listToJson(found), ...(run.dataset.titles && { titles }) }));
  },
};

/** Writes the lists of all test users; what was written, in a line. */
async function writeAll(
  run: OpenRun,
  how: RecommendOptions,
  file: AtomicFile,
  display: Display,
): Promise<string> {
  const users = run.dataset.test.length;
  const stop = (): void => {
    file[Symbol.dispose]();
    process.exit(130); // as if the signal had ended it
  };
  process.on("SIGINT", stop);
  let [done, exact, places, certain, fed] = [0, 0, 0, 0, 0];
  for await (const lists of recommendAll(run, how)) {
    file.write(lists.map((list) => `${JSON.stringify(listToJson(list))}\n`).join(""));
    done += lists.length;
    for (const { list, certified, rows } of lists) {
      fed += rows;
      if (certified === list.length) exact++;
      places += list.length;
      certain += certified;
    }
    display.stage("users", done, users);
  }
  file.commit();
  process.off("SIGINT", stop);
  return `${count(done)} lists; ${percent(exact / done)} of them, and ` +
    `${percent(certain / places)} of all places, are certified to be exact; ` +
    `${number(fed / done)} rows of the model a list`;
}
