/**
 * `recommend`: the lists of a trained model, for one user, a history, or every test user.
 *
 * @module
 */
import { dirname } from "node:path";
import process from "node:process";
import { type DeviceChoice, openDevice } from "../devices.ts";
import { AtomicFile, makeFolder } from "../files.ts";
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
import { lineWidth, wrapped } from "../table.ts";
import { print } from "../terminal.ts";
import { Display, SHORT } from "./display.ts";
import { type CommandLine, flagName, refuse } from "./flags.ts";
import {
  checkFree,
  integer,
  jsonFlag,
  type Kind,
  optional,
  overwriteFlag,
  text,
  toggle,
} from "./kinds.ts";
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
  readonly overwrite: boolean;
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
      "a test user, by the id in the data; ID#N where a user has several cases",
      "default none",
    ),
    history: optional(ids, "ids of items, oldest first, such as 3,15", "default none"),
    all: toggle("write the list of every test user to --out, a JSON object a line"),
    top: optional(
      integer(1),
      "length of the list; that of a beam is at most its width",
      "default --beam",
    ),
    ...searchFlags,
    excludeHistory: trainFlags.excludeHistory,
    device: trainFlags.device,
    threads: trainFlags.threads,
    out: optional(text("<file>"), "the file of --all, such as lists.jsonl", "required by --all"),
    overwrite: overwriteFlag,
    json: jsonFlag,
  },
  complete({ options: { budget, lengthPenalty, ...options }, given }): RecommendCommandOptions {
    const { all, out, overwrite, json } = options;
    const search = searchOf({ search: options.search, budget, lengthPenalty });
    const whose = ["user", "history", "all"].filter((key) => given.has(key)).map(flagName);
    if (whose.length !== 1) {
      const requirement = "it must have one of --user, --history and --all";
      refuse("the command line", requirement, whose.join(" and ") || "none");
    }
    if (all && out === undefined) refuse("--all", "--out must name a file");
    if (!all && out !== undefined) refuse("--out", "it must come with --all");
    if (!all && overwrite) refuse("--overwrite", "it must come with --all");
    if (all && json) refuse("--json", "it must come without --all, which writes JSON", "both");
    return { ...options, search };
  },
  async run(options): Promise<void> {
    const { checkpoint, data, user, history = [], out, json } = options;
    using display = new Display();
    const { search, beam, top, excludeHistory } = options;
    const how = { search, beam, top, excludeHistory };
    // Now, not after a model has been read.
    if (out !== undefined) {
      checkFree(out, options.overwrite);
      makeFolder(dirname(out));
    }
    using file = out === undefined ? undefined : new AtomicFile(out);
    using _signals = file && removedBySignals(file);
    using run = await openRun(checkpoint, data, {
      device: await openDevice(options.device, options.threads),
      onProgress: (what, done, total) => display.stage(what, done, total, SHORT),
    });
    if (file !== undefined && out !== undefined) {
      const written = await writeAll(run, how, file, display);
      return print(wrapped(`${out}: ${written}`, lineWidth(), 2));
    }
    const found = user === undefined
      ? await recommend(run, history, how)
      : await recommendUser(run, user, how);
    if (!json) return print(renderRecommendation(run, found));
    const titles = found.list.map(({ items }) => items.map(({ title }) => title).join("; "));
    print(JSON.stringify({ ...listToJson(found), ...(run.dataset.titles && { titles }) }));
  },
};

/** Removes a file that is not complete if a signal ends the process; until it is disposed. */
function removedBySignals(file: AtomicFile): Disposable {
  const signals = ["SIGINT", "SIGTERM"];
  const stop = (signal: string): void => {
    file[Symbol.dispose]();
    process.exit(signal === "SIGINT" ? 130 : 143); // as if the signal had ended it
  };
  for (const signal of signals) process.on(signal, stop);
  return {
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, stop);
    },
  };
}

/** Writes the lists of all test users; what was written, in a line. */
async function writeAll(
  run: OpenRun,
  how: RecommendOptions,
  file: AtomicFile,
  display: Display,
): Promise<string> {
  const users = run.dataset.test.length;
  const top = how.top ?? how.beam ?? run.recipe.beam;
  let [done, exact, places, certain, fed] = [0, 0, 0, 0, 0];
  for await (const lists of recommendAll(run, how)) {
    file.write(lists.map((list) => `${JSON.stringify(listToJson(list))}\n`).join(""));
    done += lists.length;
    for (const { list, certified, rows } of lists) {
      fed += rows;
      const isCut = how.search?.budget !== undefined && list.length < top;
      if (certified === list.length && !isCut) exact++;
      places += list.length;
      certain += certified;
    }
    display.stage("users", done, users);
  }
  file.commit();
  return `${count(done)} lists; ${percent(exact / done)} of them, and ` +
    `${percent(certain / places)} of all places, are certified to be exact; ` +
    `${number(fed / done)} rows of the model a list`;
}
