// deno-lint-ignore-file no-console -- it prints
/**
 * What reading and cleaning interactions costs: `deno task bench:data --help` lists the options.
 * The file is random, in the shape of MovieLens' ratings.csv.
 *
 * @module
 */
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { clean } from "../lab/data/cleaning.ts";
import { loadInteractions } from "../lab/data/interaction_dataset.ts";
import { readInteractions } from "../lab/data/interactions.ts";
import { type CommandLine, runCommand } from "../lab/cli/flags.ts";
import { choice, flag, integer, jsonFlag } from "../lab/cli/kinds.ts";
import { folderAt } from "../lab/files.ts";
import { renderTable } from "../lab/table.ts";
import { costOf, peakRssMiB, rounded, rssMiB } from "./measure.ts";

const ORDERS = ["user", "random"] as const;
const STEPS = ["read", "clean", "load"] as const;

interface Options {
  readonly rows: number;
  readonly order: typeof ORDERS[number];
  readonly until: typeof STEPS[number];
  readonly json: boolean;
}

const LINE: CommandLine<Options> = {
  name: "bench:data",
  usage: "[options]",
  does: "Writes a random file of interactions, reads it and prints the time and memory of that.",
  flags: {
    rows: flag(integer(1, 1e9), "rows of the file", 1e7),
    order: flag(choice(ORDERS), "rows user by user, or in random order", "user"),
    until: flag(choice(STEPS), "only read, also clean, or make the whole data set", "load"),
    json: jsonFlag,
  },
  run: main,
};

const FILE = "ratings.csv";

/** Writes a file with about 150 rows for each user, and popular items. */
function writeRatings(folder: string, { rows, order }: Options): void {
  const file = openSync(join(folder, FILE), "w");
  const users = Math.ceil(rows / 150);
  const items = Math.ceil(Math.sqrt(rows) * 10);
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  let text = "userId,movieId,rating,timestamp\n";
  for (let row = 0; row < rows; row++) {
    const user = order === "user" ? Math.floor(row / 150) : Math.floor(users * random());
    const item = Math.floor(items * random() ** 3);
    const rating = (1 + Math.floor(9 * random())) / 2;
    text += `${user + 1},${item + 1},${rating.toFixed(1)},${8e8 + Math.floor(6e8 * random())}\n`;
    if (text.length < 2 ** 20) continue;
    writeSync(file, text);
    text = "";
  }
  writeSync(file, text);
  closeSync(file);
}

/** Reads the file and reports; peakMiB is the peak of the whole process over what it had before. */
async function measure(options: Options): Promise<Record<string, string | number>> {
  const { rows, order, until } = options;
  const path = mkdtempSync(join(tmpdir(), "beargrad-data-"));
  try {
    writeRatings(path, options);
    const folder = folderAt(path);
    const before = rssMiB();
    let left = 0;
    const { wall, cpu } = await costOf(() => {
      if (until === "load") left = loadInteractions(folder, FILE).training.length;
      else {
        const read = readInteractions(folder, FILE);
        left = until === "clean" ? clean(read).users.length : read.users.length;
      }
    });
    const peak = peakRssMiB() - before;
    return {
      ...{ rows, order, until, users: left },
      fileMiB: rounded(statSync(join(path, FILE)).size / 2 ** 20),
      ...{ beforeMiB: rounded(before), peakMiB: rounded(peak) },
      bytesARow: rounded(peak * 2 ** 20 / rows),
      ...{ wallMs: rounded(wall), cpuMs: rounded(cpu) },
    };
  } finally {
    rmSync(path, { recursive: true });
  }
}

async function main(options: Options): Promise<void> {
  const report = await measure(options);
  if (options.json) console.log(JSON.stringify(report));
  else console.log(renderTable(["", ""], Object.entries(report)));
}

await runCommand(LINE, process.argv.slice(2));
