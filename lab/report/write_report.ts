/**
 * Writes the report on a comparison.
 *
 * @module
 */
import { join } from "node:path";
import type { BaselineResults, FailedRun, RunResult } from "../compare/run_result.ts";
import { makeFolder, writeFileAtomic } from "../files.ts";
import { visible } from "../terminal.ts";
import { checkBaselinesOf, comparable } from "./comparable.ts";
import { compareRuns } from "./comparison.ts";
import { type Section, text } from "./document.ts";
import { renderMarkdown } from "./markdown.ts";
import { renderPage } from "./page.ts";
import { reportOf } from "./report.ts";

/** What {@link writeReport} is told. */
export interface ReportOptions {
  /** The variant that the others are compared with; "sft" if it is there, else the first, unless told. */
  readonly baseline?: string;
  /** Runs that are not among the results because they cannot be finished; none unless told. */
  readonly failed?: readonly FailedRun[];
  /** Told what is being done, and how much of it. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** The files of a report. */
export interface ReportFiles {
  /** Text and tables. */
  readonly markdown: string;
  /** The same with figures. */
  readonly page: string;
}

/**
 * Writes `report.md` and `report.html` on some runs into a folder, which is made if need be. The same runs give the same files.
 *
 * @throws {ArgumentError} if there is no variant with the baseline's name.
 * @throws {DataError} if the runs cannot be compared, or the system refuses to write.
 */
export async function writeReport(
  results: readonly RunResult[],
  baselines: BaselineResults | undefined,
  outFolder: string,
  { baseline, failed = [], onProgress }: ReportOptions = {},
): Promise<ReportFiles> {
  const runs = comparable(
    results.map((run) => ({ source: `${run.variant} of seed ${run.recipe.seed}`, run })),
  );
  if (baselines !== undefined) checkBaselinesOf(runs, baselines, "the baselines");
  const comparison = compareRuns(runs, baselines, {
    baseline,
    onProgress: (done, total) => onProgress?.("resamples of users and seeds", done, total),
  });
  const complete = await reportOf(comparison);
  const [summary, ...rest] = complete.sections;
  const report = failed.length === 0
    ? complete
    : { ...complete, sections: [summary, failedSection(failed), ...rest] };
  const page = await renderPage(report, {
    onProgress: (done, total) => onProgress?.("plots", done, total),
  });
  const files = { markdown: join(outFolder, "report.md"), page: join(outFolder, "report.html") };
  makeFolder(outFolder);
  writeFileAtomic(files.markdown, visible(renderMarkdown(report)));
  writeFileAtomic(files.page, visible(page));
  return files;
}

function failedSection(failed: readonly FailedRun[]): Section {
  const items = failed.map(({ name, reason }) => `${name}: ${reason}.`);
  return { title: "Failed runs", blocks: [text("These are left out:"), { kind: "list", items }] };
}
