/**
 * Puts a report together and writes its files.
 *
 * @module
 */
import { join } from "node:path";
import type { BaselineResults, FailedRun, RunResult } from "../compare/run_result.ts";
import { makeFolder, removeFile, writeFileAtomic } from "../files.ts";
import { listed } from "../table.ts";
import { visible } from "../terminal.ts";
import { checkBaselinesOf, comparable } from "./comparable.ts";
import { compareRuns } from "./compare_runs.ts";
import { byCodes, type Comparison, runsOf, trainedVariants } from "./comparison.ts";
import { csvFiles } from "./csv.ts";
import { type ExtraFile, FIGURES, isFigure, type Panel, type Report, section } from "./document.ts";
import { counted, judgedOn } from "./format.ts";
import { renderHtml } from "./html.ts";
import { renderMarkdown } from "./markdown.ts";
import { certificateSection } from "./sections/certificates.ts";
import { codesSection } from "./sections/codes.ts";
import { costSection, recipeSection, searchCostSection } from "./sections/cost.ts";
import { pruningSection } from "./sections/pruning.ts";
import { retrievalSection } from "./sections/retrieval.ts";
import { readingSection, summarySection } from "./sections/summary.ts";
import {
  trainingSection,
  type VariantWeights,
  weightsOf,
  widthSection,
} from "./sections/training.ts";
import { renderFigure, renderPanel } from "./svg.ts";

/** Options of {@link writeReport}. */
export type ReportOptions = {
  /**
   * The variant that the others are compared with. Default "sft" if it is there, else the first.
   */
  readonly baseline?: string;
  /** Runs that have no results because they cannot be finished. Default none. */
  readonly failed?: readonly FailedRun[];
  /** Called with what is being done, how much of it is done, and the total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
};

/** The numbers of a report, and the paths of its files. */
export type ReportFiles = {
  readonly comparison: Comparison;
  /** Text and tables. */
  readonly markdown: string;
  /** The same with figures. */
  readonly page: string;
  /** The numbers as CSV, and the figures as SVG. */
  readonly beside: readonly string[];
};

/**
 * Writes `report.md`, `report.html`, and beside them `report-NAME.csv` and `report-NAME.svg`, into
 * a folder, which is made if necessary. Each file is replaced atomically, and those of an earlier
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
  const report = reportOf(comparison, weights, failed);
  const figures = report.sections.flatMap(({ blocks }) => blocks.filter(isFigure));
  const panels = figures.flatMap(({ panels }) => panels);
  const plots = new Map<Panel, string>();
  for (const panel of panels) {
    plots.set(panel, await renderPanel(panel));
    onProgress?.("plots", plots.size, panels.length);
  }
  const beside = [
    ...csvFiles(comparison, weights),
    ...FIGURES.map((name): ExtraFile => {
      const figure = figures.find((figure) => figure.name === name);
      const content = figure && renderFigure(figure, plots);
      return { name: `report-${name}.svg`, about: figure?.title ?? "", content };
    }),
  ];
  const written = beside.filter(({ content }) => content !== undefined);
  const items = written.map(({ name, about }) => `${name}: ${about}`);
  const files = section("Files", { kind: "list", items });
  const whole = { ...report, sections: [...report.sections, files] };

  makeFolder(folder);
  const pathOf = (name: string): string => join(folder, name);
  const write = (name: string, content: string): void =>
    writeFileAtomic(pathOf(name), visible(content));
  write("report.md", renderMarkdown(whole));
  write("report.html", renderHtml(whole, plots));
  for (const { name, content } of beside) {
    if (content === undefined) removeFile(pathOf(name)); // of an earlier report
    else write(name, content);
  }
  return {
    comparison,
    markdown: pathOf("report.md"),
    page: pathOf("report.html"),
    beside: written.map(({ name }) => pathOf(name)),
  };
}

/** The report on a comparison. */
export function reportOf(
  comparison: Comparison,
  weights: readonly VariantWeights[],
  failed: readonly FailedRun[] = [],
): Report {
  const { baseline: { runs: [{ data, recipe }] }, variants, searches } = comparison;
  const codes = byCodes(searches).map(([name]) => name);
  const losses = new Set(runsOf(variants).map(({ recipe }) => recipe.loss));
  const what = codes.length === 1 ? "Losses" : losses.size === 1 ? "Codes" : "Losses and codes";
  const described = codesSection(comparison);
  const items = failed.map(({ name, reason }) => `${name}: ${reason}.`);
  return {
    title: `${what} compared on ${data.name}`,
    subtitle: [
      counted(variants.length, "variant"),
      counted(runsOf(variants).length, "run"),
      judgedOn(comparison),
      ...codes.length > 1 ? [listed(codes)] : [],
      ...codes.length === 1 && recipe.reading.codes !== undefined ? [`codes ${codes[0]}`] : [],
      `${counted(recipe.layers, "layer")} of ${recipe.dim} channels`,
      recipe.device,
    ].join(" · "),
    sections: [
      summarySection(comparison),
      readingSection(comparison),
      ...items.length === 0
        ? []
        : [section("Failed runs", "These are left out:", { kind: "list", items })],
      retrievalSection(comparison),
      pruningSection(comparison),
      ...described === undefined ? [] : [described],
      certificateSection(comparison),
      ...comparison.costs.length === 0 ? [] : [searchCostSection(comparison)],
      ...trainedVariants(comparison).length === 0 ? [] : [
        trainingSection(comparison, weights),
        widthSection(comparison),
        costSection(comparison),
      ],
      recipeSection(comparison),
    ],
  };
}
