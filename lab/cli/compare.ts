/**
 * Compares losses: `deno task compare --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { readResults } from "../report/read_results.ts";
import { writeReport } from "../report/write_report.ts";
import { runGrid } from "./grid.ts";
import { print, say } from "../terminal.ts";

await runGrid("compare", process.argv.slice(2), async (_, { out, shard, baseline }, show) => {
  if (shard !== undefined && shard.count > 1) {
    say(`When all shards are done: deno task report ${out}`);
    return;
  }
  const { runs, baselines, failed } = readResults([out]); // those of earlier comparisons there, too
  const { markdown, page } = await writeReport(runs, baselines, out, {
    ...{ baseline, failed },
    onProgress: show,
  });
  print(`${markdown}\n${page}`);
});
