/**
 * Puts a report together and writes its files.
 *
 * @module
 */
import { join } from "node:path";
import type { BaselineResults, FailedRun, RunResult } from "../compare/run_result.ts";
import { makeFolder, removeFile, writeFileAtomic } from "../files.ts";
import { visible } from "../terminal.ts";
import { checkBaselinesOf, comparable } from "./comparable.ts";
import { compareRuns } from "./compare_runs.ts";
import { type Comparison, trainedVariants } from "./comparison.ts";
import { CSV_NAMES, type CsvTable, csvTables, renderCsv } from "./csv.ts";
import { type Figure, FIGURES, type Report, type Section, text } from "./document.ts";
import { counted, judgedOn } from "./format.ts";
import { renderHtml } from "./html.ts";
import { renderMarkdown } from "./markdown.ts";
import { certificateSection } from "./sections/certificates.ts";
import { costSection, recipeSection } from "./sections/cost.ts";
import { pruningSection } from "./sections/pruning.ts";
import { retrievalSection } from "./sections/retrieval.ts";
import { readingSection, summarySection } from "./sections/summary.ts";
import { trainingSection, type VariantWeights, weightsOf } from "./sections/training.ts";
import { widthSection } from "./sections/widths.ts";
import { sum } from "./statistics.ts";
import { figureFile, renderPanel } from "./svg.ts";

/** Options of {@link writeReport}. */
export interface ReportOptions {
  /** The variant that the others are compared with. Default "sft" if it is there, else the first. */
  readonly baseline?: string;
  /** Runs that have no results because they cannot be finished. Default none. */
  readonly failed?: readonly FailedRun[];
  /** Called with what is being done, how much of it is done, and the total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** The paths of the files of a report. */
export interface ReportFiles {
  /** Text and tables. */
  readonly markdown: string;
  /** The same with figures. */
  readonly page: string;
  /** The numbers as CSV. */
  readonly data: readonly string[];
  /** The figures as SVG. */
  readonly figures: readonly string[];
}

/**
 * Writes `report.md`, `report.html`, and beside them `report-NAME.csv` and `report-NAME.svg`, into a
 * folder, which is made if necessary. Each file is replaced atomically, and those of an earlier
 * report that this one does not have are removed. The same runs give the same files.
 *
 * @throws {ArgumentError} if no variant has the name of the baseline.
 * @throws {DataError} if the runs cannot be compared, or a file cannot be written.
 */
export async function writeReport(
  results: readonly RunResult[],
  baselines: BaselineResults | undefined,
  folder: string,
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
  const weights = await weightsOf(comparison);
  const tables = csvTables(comparison, weights).filter(({ rows }) => rows.length > 0);
  const report = reportOf(comparison, weights, failed);
  const figures = report.sections.flatMap(({ blocks }) =>
    blocks.flatMap((block) => block.kind === "figure" ? [block.figure] : [])
  );
  const total = sum(figures.map(({ panels }) => panels.length));
  const plots = new Map<Figure, string[]>();
  let done = 0;
  for (const figure of figures) {
    const svgs: string[] = [];
    for (const panel of figure.panels) {
      svgs.push(await renderPanel(panel));
      onProgress?.("plots", ++done, total);
    }
    plots.set(figure, svgs);
  }
  const whole = { ...report, sections: [...report.sections, fileSection(tables, figures)] };
  const files = new Map([
    ["report.md", renderMarkdown(whole)],
    ["report.html", renderHtml(whole, plots)],
    ...tables.map(({ name, rows }) => [`report-${name}.csv`, renderCsv(rows)] as const),
    ...figures.map((figure) =>
      [`report-${figure.name}.svg`, figureFile(figure, plots.get(figure) ?? [])] as const
    ),
  ]);

  makeFolder(folder);
  for (const [name, content] of files) writeFileAtomic(join(folder, name), visible(content));
  const possible = [
    ...CSV_NAMES.map((name) => `report-${name}.csv`),
    ...FIGURES.map((name) => `report-${name}.svg`),
  ];
  for (const name of possible) if (!files.has(name)) removeFile(join(folder, name));
  const paths = [...files.keys()].map((name) => join(folder, name));
  return {
    markdown: join(folder, "report.md"),
    page: join(folder, "report.html"),
    data: paths.filter((path) => path.endsWith(".csv")),
    figures: paths.filter((path) => path.endsWith(".svg")),
  };
}

/** The report on a comparison. */
export function reportOf(
  comparison: Comparison,
  weights: readonly VariantWeights[],
  failed: readonly FailedRun[] = [],
): Report {
  const { baseline: { runs: [{ data, recipe }] }, variants } = comparison;
  const runs = variants.flatMap(({ runs }) => runs);
  const failures = failed.map(({ name, reason }) => `${name}: ${reason}.`);
  return {
    title: `Losses compared on ${data.name}`,
    subtitle: [
      counted(variants.length, "variant"),
      counted(runs.length, "run"),
      judgedOn(comparison),
      `${counted(recipe.layers, "layer")} of ${recipe.dim} channels`,
      recipe.device,
    ].join(" · "),
    sections: [
      summarySection(comparison),
      ...failed.length === 0 ? [] : [{
        title: "Failed runs",
        blocks: [text("These are left out:"), { kind: "list", items: failures } as const],
      }],
      readingSection(comparison),
      retrievalSection(comparison),
      pruningSection(comparison),
      certificateSection(comparison),
      ...trainedVariants(comparison).length === 0 ? [] : [
        trainingSection(comparison, weights),
        widthSection(comparison),
        costSection(comparison),
      ],
      recipeSection(comparison),
    ],
  };
}

/** What the other files of a report are. */
function fileSection(tables: readonly CsvTable[], figures: readonly Figure[]): Section {
  const data = tables.map(({ name, row, rows }) =>
    `report-${name}.csv, a row for ${row}: ${Object.keys(rows[0]).join(", ")}.`
  );
  const plots = figures.map(({ name }) => `report-${name}.svg`);
  return {
    title: "Files",
    blocks: [{ kind: "list", items: [...data, `The figures: ${plots.join(", ")}.`] }],
  };
}
