/**
 * `report`: writes the report on finished runs.
 *
 * @module
 */
import { warningsOf } from "../evaluate/warnings.ts";
import { missingSeeds } from "../report/comparable.ts";
import { type Comparison, differenceOf, estimateOf } from "../report/comparison.ts";
import { share, signedInterval } from "../report/format.ts";
import { readResults, type Results } from "../report/read_results.ts";
import { renderTable, wrapped } from "../table.ts";
import { print, say } from "../terminal.ts";
import { Display } from "./display.ts";
import { type CommandLine, refuse } from "./flags.ts";
import { optional, text } from "./kinds.ts";

/** What `report` is given. */
export type GivenReportOptions = { readonly out?: string; readonly baseline?: string };

/** What `report` does: it compares the runs in some folders with the variant `baseline`. */
export type ReportOptions = {
  readonly folders: readonly string[];
  readonly out: string;
  readonly baseline: string | undefined;
};

/** The command line of `report`. */
export const reportLine: CommandLine<GivenReportOptions, ReportOptions> = {
  name: "report",
  usage: "<folder>... [options]",
  does: "Writes report.md and report.html on the finished runs of compare or sweep, and their " +
    "numbers and figures as CSV and SVG. The runs of several folders are merged.",
  flags: {
    out: optional(text("<folder>"), "where the report goes", "default the first folder"),
    baseline: optional(
      text("<variant>"),
      "variant that the others are compared with",
      "default sft, else the first",
    ),
  },
  operands: true,
  complete({ options: { out, baseline }, operands: folders }): ReportOptions {
    if (folders.includes("")) refuse("the command line", "folders must have names", "");
    if (folders.length === 0) {
      refuse("the command line", "it must name a folder with finished runs");
    }
    return { folders, out: out ?? folders[0], baseline };
  },
  async run({ folders, out, baseline }): Promise<void> {
    using display = new Display();
    const results = readResults(folders);
    const { runs, unfinished, failed } = results;
    const variants = [...new Set(runs.map(({ variant }) => variant))];
    checkBaseline(baseline, variants);
    say(`${runs.length} runs of ${variants.join(", ")}`);
    for (const run of unfinished) say(`${run} is not finished and left out`);
    for (const { variant, seeds } of missingSeeds(runs)) {
      say(`${variant} lacks seed ${seeds.join(", ")}`);
    }
    for (const { name, reason } of failed) say(`${name} failed and is left out: ${reason}`);
    await writeAndName(results, out, baseline, display);
  },
};

/** Writes a report on results and prints its main numbers and the names of its files. */
export async function writeAndName(
  { runs, baselines, failed }: Pick<Results, "runs" | "baselines"> & Partial<Results>,
  out: string,
  baseline: string | undefined,
  display: Display,
): Promise<void> {
  // Here, as what draws figures takes long to load.
  const { writeReport } = await import("../report/write_report.ts");
  const { comparison, markdown, page, beside } = await writeReport(runs, baselines, out, {
    baseline,
    failed,
    onProgress: (what, done, total) => display.stage(what, done, total),
  });
  const warnings = warningsOf(comparison.unreadable, comparison.mainLength);
  const lines = [...warnings.map((warning) => wrapped(warning)), renderScores(comparison)];
  print([...lines, markdown, page].join("\n"));
  say(`and ${beside.length} files of numbers and figures, report-NAME.csv and report-NAME.svg`);
}

/** The scores of all variants at the main width, as means over seeds. */
function renderScores(comparison: Comparison): string {
  const { variants, references, baseline, mainBeam, mainLength, mainMetric } = comparison;
  const metrics = [`HR@${mainLength}`, `NDCG@${mainLength}`];
  const scores = (name: string, beam?: number): string[] =>
    metrics.map((metric) => share(estimateOf(comparison, name, beam, metric)?.value ?? NaN));
  const minus = (name: string): string =>
    signedInterval(differenceOf(comparison, name, mainBeam, mainMetric));
  const isCompared = variants.length > 1;
  const head = [`B = ${mainBeam}`, "seeds", ...metrics];
  return renderTable(
    isCompared ? [...head, `${mainMetric} minus\n${baseline.name}`] : head,
    [
      ...variants.map(({ name, runs }) => {
        const row = [name, runs.length, ...scores(name, mainBeam)];
        return isCompared ? [...row, minus(name)] : row;
      }),
      ...references.map((name) => [name, "", ...scores(name), ...isCompared ? [""] : []]),
    ],
  );
}

/** Refuses a baseline that is not one of the variants. */
export function checkBaseline(baseline: string | undefined, variants: readonly string[]): void {
  if (baseline === undefined || variants.includes(baseline)) return;
  refuse("--baseline", `it must be one of ${[...new Set(variants)].join(", ")}`, baseline);
}
