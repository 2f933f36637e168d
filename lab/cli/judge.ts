/**
 * Judges models of finished runs under other searches: `deno task judge --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { judgeAgain, planJudging } from "../compare/judge_again.ts";
import { readBaselines } from "../report/read_results.ts";
import { writeReport } from "../report/write_report.ts";
import { fail } from "./fail.ts";
import { JUDGE_HELP, parseJudgeOptions } from "./judge_options.ts";
import { checkBaseline } from "./report_options.ts";
import { Stages } from "./stages.ts";
import { print, say } from "../terminal.ts";

const stages = new Stages();

async function main(args: readonly string[]): Promise<void> {
  const options = parseJudgeOptions(args);
  const { runs: folder, out, baseline, help } = options;
  if (help) return print(JUDGE_HELP);
  const plan = planJudging(options);
  checkBaseline(baseline, [
    ...plan.trained.map(({ run }) => run.variant),
    ...plan.tasks.map(({ variant }) => variant),
  ]);
  let place = ""; // of the search among all
  const { trained, judged } = await judgeAgain(options, {
    preparing: stages.show,
    judging(name, index, count, isFinished): void {
      place = `${index + 1}/${count}`;
      if (isFinished) say(`${place} ${name}: finished before`);
    },
    untrained: (name, done, total) => stages.show(`${place} untrained ${name}`, done, total),
    evaluating: (name, done, total) => stages.show(`${place} judge ${name}`, done, total),
  });
  const results = [...trained, ...judged];
  const { markdown, page } = await writeReport(results, readBaselines(folder), out, {
    baseline,
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
