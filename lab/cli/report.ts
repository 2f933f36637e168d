/**
 * Writes the report on the runs of a comparison: `deno task report --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { missingSeeds } from "../report/comparable.ts";
import { readResults } from "../report/read_results.ts";
import { writeReport } from "../report/write_report.ts";
import { checkBaseline, parseReportOptions, REPORT_HELP } from "./report_options.ts";
import { fail } from "./fail.ts";
import { Stages } from "./stages.ts";
import { print, say } from "../terminal.ts";

const stages = new Stages();

async function main(args: readonly string[]): Promise<void> {
  const { folders, out = folders[0], baseline, help } = parseReportOptions(args);
  if (help) return print(REPORT_HELP);
  const { runs, baselines, unfinished, failed } = readResults(folders);
  const variants = [...new Set(runs.map(({ variant }) => variant))];
  checkBaseline(baseline, variants);
  say(`${runs.length} runs of ${variants.join(", ")}`);
  for (const run of unfinished) say(`${run} is not finished and left out`);
  for (const { variant, seeds } of missingSeeds(runs)) {
    say(`${variant} lacks seed ${seeds.join(", ")}`);
  }
  for (const { name, reason } of failed) say(`${name} failed and is left out: ${reason}`);
  const { markdown, page } = await writeReport(runs, baselines, out, {
    ...{ baseline, failed },
    onProgress: stages.show,
  });
  print(`${markdown}\n${page}`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  stages.stop();
  fail(error);
}
