/**
 * `train`: trains and judges one model for each loss.
 *
 * @module
 */
import process from "node:process";
import { print } from "../terminal.ts";
import { runExperiment } from "../train/experiment.ts";
import type { Options } from "../train/options.ts";
import { renderReport } from "../train/experiment_report.ts";
import type { Display } from "./display.ts";

/** Runs `train`. The report goes to the standard output. */
export async function train(options: Options, display: Display): Promise<void> {
  const again = options.out === undefined ? undefined : "--resume";
  const report = await runExperiment(options, display.runs(again));
  if (report.failed.length > 0) process.exitCode = 1;
  print(renderReport(report));
  if (report.unwritten) throw report.unwritten;
}
