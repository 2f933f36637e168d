/**
 * `compare` and `sweep`: train and judge the runs of a grid.
 *
 * @module
 */
import process from "node:process";
import { compareLosses, type FinishedGrid } from "../compare/compare.ts";
import { rankByValidation, renderRanking } from "../compare/ranking.ts";
import { readResults } from "../report/read_results.ts";
import { print, say } from "../terminal.ts";
import type { GridCommandOptions } from "./compare_options.ts";
import type { Display } from "./display.ts";
import { writeAndName } from "./report.ts";

/** Runs `compare`, which ends with a report on all finished runs in the folder. */
export async function compare(options: GridCommandOptions, display: Display): Promise<void> {
  const { out, shard, baseline } = options;
  await runGrid(options, display, async () => {
    if (shard !== undefined && shard.count > 1) {
      return say(`When all shards are done: deno task report ${out}`);
    }
    await writeAndName(readResults([out]), out, baseline, display);
  });
}

/** Runs `sweep`, which ends with a ranking of the settings. */
export async function sweep(options: GridCommandOptions, display: Display): Promise<void> {
  await runGrid(options, display, ({ results }) => {
    print(renderRanking(rankByValidation(results)));
    say(`Figures and test results: deno task report ${options.out}`);
  });
}

/** Trains and judges the runs, and goes on with `after` if any is finished. */
async function runGrid(
  options: GridCommandOptions,
  display: Display,
  after: (grid: FinishedGrid) => void | Promise<void>,
): Promise<void> {
  const grid = await compareLosses(options, display.runs("the same command"));
  const { results, failed, isValidated } = grid;
  if (!isValidated) say("There are no validation cases: the last epoch of each run was kept.");
  if (results.length > 0) await after(grid);
  if (failed.length === 0) return;
  process.exitCode = 1;
  const names = failed.map(({ name }) => name).join(", ");
  say(`${failed.length} of ${failed.length + results.length} runs failed: ${names}`);
}
