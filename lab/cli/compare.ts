// deno-lint-ignore-file no-console -- prints where the report is
/**
 * Compares losses: `deno task compare --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { readResults } from "../report/read_results.ts";
import { writeReport } from "../report/write_report.ts";
import { runGrid } from "./grid.ts";

await runGrid("compare", process.argv.slice(2), async (_, { out, shard, baseline }, show) => {
  if (shard !== undefined && shard.count > 1) {
    console.error(`When all shards are done: npx deno task report ${out}`);
    return;
  }
  const { runs, baselines } = readResults([out]); // those of earlier comparisons there, too
  const { markdown, page } = await writeReport(runs, baselines, out, {
    baseline,
    onProgress: show,
  });
  console.log(`${markdown}\n${page}`);
});
