/**
 * A report, put together.
 *
 * @module
 */
import type { Comparison } from "./comparison.ts";
import type { Report } from "./document.ts";
import { counted, judgedOn } from "./format.ts";
import { certificateSection } from "./sections/certificates.ts";
import { costSection, recipeSection } from "./sections/cost.ts";
import { gridSection } from "./sections/grid.ts";
import { pruningSection } from "./sections/pruning.ts";
import { retrievalSection } from "./sections/retrieval.ts";
import { readingSection, summarySection } from "./sections/summary.ts";
import { trainingSection } from "./sections/training.ts";
import { trainedVariants } from "./variants.ts";

/** The report on a comparison. */
export async function reportOf(comparison: Comparison): Promise<Report> {
  const { baseline: { runs: [run] }, variants } = comparison;
  const runs = variants.reduce((sum, { runs }) => sum + runs.length, 0);
  const { device, layers, dim } = run.recipe;
  const ofTraining = trainedVariants(variants).length === 0 ? [] : [
    await trainingSection(comparison),
    gridSection(comparison),
    costSection(comparison),
  ];
  return {
    title: `Losses compared on ${run.data.name}`,
    subtitle: [
      ...[counted(variants.length, "variant"), counted(runs, "run"), judgedOn(comparison)],
      ...[`${counted(layers, "layer")} of ${dim} channels`, device],
    ].join(" · "),
    sections: [
      summarySection(comparison),
      readingSection(comparison),
      retrievalSection(comparison),
      pruningSection(comparison),
      certificateSection(comparison),
      ...ofTraining,
      recipeSection(comparison),
    ],
  };
}
