/**
 * The findings in sentences, and how to read the report.
 *
 * @module
 */
import { warningsOf } from "../../evaluate/warnings.ts";
import { bestOf, type Comparison, differenceOf, estimateOf } from "../comparison.ts";
import { type Block, type Section, text } from "../document.ts";
import {
  count,
  counted,
  judgedOn,
  listed,
  namedOrCounted,
  share,
  signedInterval,
  withInterval,
} from "../format.ts";
import { type Estimate, excludesZero } from "../statistics.ts";
import { baselineDifferences } from "./retrieval.ts";

/** The summary. */
export function summarySection(comparison: Comparison): Section {
  const { unreadable, mainLength, missing } = comparison;
  const warnings = warningsOf(unreadable, mainLength);
  const items = [...warnings, "Headlines leave out what cannot be read."];
  const lacking = missing.map(({ variant, seeds }) =>
    `${variant} lacks ${seeds.length === 1 ? "seed" : "seeds"} ${listed(seeds.map(String))}.`
  );
  const findings = [best, compared, besideReferences, pruning].flatMap((find) => find(comparison));
  return {
    title: "Summary",
    blocks: [
      ...warnings.length > 0 ? [{ kind: "warnings", items } satisfies Block] : [],
      text(...subject(comparison)),
      { kind: "list", items: [...findings, ...lacking] },
    ],
  };
}

/** How to read the report. */
export function readingSection(comparison: Comparison): Section {
  const { cases, users, variants, baseline } = comparison;
  const runs = variants.flatMap(({ runs }) => runs);
  const most = Math.max(...variants.map(({ runs }) => runs.length));
  const fewSeeds = most === 1
    ? "With one seed, intervals cover other users, but not another training."
    : `With ${most} seeds, intervals may be too short where seeds differ more than users.`;
  return {
    title: "How to read this",
    blocks: [
      text(
        `A number such as .0702 [.0660, .0745] is a mean over ${judgedOn(comparison)} and all`,
        "seeds with its 95 % interval. Intervals are the 2.5 % and 97.5 % quantiles of 2,000",
        "bootstrap resamples, which draw users and seeds independently and are the same for every",
        "variant.",
        cases === users ? "" : "A user is drawn with all of their cases.",
        most < 5 ? fewSeeds : "",
      ),
      ...variants.length < 2 ? [] : [text(
        `A variant differs from ${baseline.name} if the interval of the difference excludes 0.`,
        "One in twenty intervals does so by chance.",
      )],
      text(
        "B is the beam width.",
        runs.every(({ validation }) => validation.length > 0)
          ? "The epoch of each run was chosen on validation and judged once on the test cases."
          : "There is no validation: the last epoch of each run was judged on the test cases.",
      ),
    ],
  };
}

/** What is compared. */
function subject(comparison: Comparison): string[] {
  const { variants, baseline } = comparison;
  const { data, parameters } = baseline.runs[0];
  const names = variants.map(({ name }) => name);
  const seeds = variants.map(({ runs }) => runs.length);
  const [few, many] = [Math.min(...seeds), Math.max(...seeds)];
  const times = few === many ? counted(many, "seed") : `${few} to ${many} seeds`;
  const of = names.length <= 8 ? ` (${listed(names)})` : "";
  const isOne = names.length === 1;
  const who = isOne ? `${names[0]}, trained` : `${names.length} variants${of}, each trained`;
  const sizes = `${count(data.items)} items; models of ${count(parameters)} parameters`;
  const again = variants.filter(({ runs: [{ judging }] }) => judging.search !== undefined);
  return [
    `${who} with ${times}, ${isOne ? "was" : "were"} judged on ${judgedOn(comparison)} of ` +
    `${data.name} (${sizes}).`,
    isOne ? "" : `The baseline is ${baseline.name}.`,
    again.length === 0
      ? ""
      : `Nothing was trained for ${namedOrCounted(again.map(({ name }) => name))}: these are ` +
        "models under another search than the one that they were trained for.",
  ];
}

/** What a superlative adds if it leaves out variants. */
function ofReadable({ readable, variants }: Comparison): string {
  return readable.length < variants.length ? " of those that can be read" : "";
}

function best(comparison: Comparison): string[] {
  const { variants, baseline, mainBeam, mainMetric, readable, metrics } = comparison;
  const first = bestOf(comparison);
  if (first === undefined) {
    return metrics.some(({ beam, metric }) => beam !== undefined && metric === mainMetric)
      ? []
      : [`No list at B = ${mainBeam} is long enough for ${mainMetric}.`];
  }
  const own = estimateOf(comparison, baseline.name, mainBeam, mainMetric);
  const isOther = first.variant !== baseline.name && readable.includes(baseline.name);
  const has = variants.length === 1
    ? `reaches an ${mainMetric} of`
    : `has the highest ${mainMetric}${ofReadable(comparison)}:`;
  const than = isOther ? `; ${baseline.name} has ${withInterval(own)}` : "";
  return [`At B = ${mainBeam}, ${first.variant} ${has} ${withInterval(first)}${than}.`];
}

/** Which variants differ from the baseline, in the main metric at the main width and elsewhere. */
function compared(comparison: Comparison): string[] {
  const { baseline, mainBeam, mainMetric, readable } = comparison;
  if (readable.length < 2 || !readable.includes(baseline.name)) return [];
  const all = baselineDifferences(comparison).filter(({ variant }) => readable.includes(variant));
  const main = all.filter(({ beam, metric }) => beam === mainBeam && metric === mainMetric);
  const sure = main.filter(excludesZero);
  const open = main.filter((row) => !excludesZero(row));
  const bySeed = sure.filter(({ tests }) => tests !== undefined && excludesZero(tests.seeds));
  const say = (rows: typeof main): string =>
    namedOrCounted(rows.map((row) => `${row.variant} (${signedInterval(row)})`));
  const where = `In ${mainMetric} at B = ${mainBeam}`;
  const sentences = sure.length === 0
    ? [`${where} no variant${ofReadable(comparison)} differs from ${baseline.name}.`]
    : [`${where} the interval of the difference to ${baseline.name} excludes 0 for ${say(sure)}.`];
  if (sure.length > 0 && open.length > 0) sentences.push(`It includes 0 for ${say(open)}.`);
  if (sure.length > 0 && main.some(({ seeds }) => seeds > 1)) {
    const which = bySeed.map(({ variant }) => variant);
    sentences.push(
      bySeed.length === sure.length
        ? "So do the intervals over seeds alone, by Student's t."
        : `Over seeds alone, by Student's t, it excludes 0 for ${
          namedOrCounted(which) || "none"
        } of these.`,
    );
  }
  const total = all.filter(excludesZero).length;
  const chance = 0.05 * all.length < 1 ? "at most one" : `about ${Math.round(0.05 * all.length)}`;
  return [
    sentences.join(" "),
    `Of all ${all.length} differences, over widths and metrics, ${total || "none"} ` +
    `exclude${total < 2 ? "s" : ""} 0; ${chance} would by chance if no variant differed.`,
  ];
}

/** Names of what lies on either side of 0. */
function sides(
  rows: readonly (Estimate & { readonly name: string })[],
  say: (names: readonly string[], isBelow: boolean) => string,
): string[] {
  return [true, false].flatMap((isBelow) => {
    const names = rows.filter(({ low, high }) => isBelow ? high < 0 : low > 0);
    return names.length === 0 ? [] : [say(names.map(({ name }) => name), isBelow)];
  });
}

/** How the variants compare with rankings that need no training. */
function besideReferences(comparison: Comparison): string[] {
  const { variants, references, mainBeam, mainMetric } = comparison;
  const said = references.flatMap((reference) => {
    const estimate = estimateOf(comparison, reference, undefined, mainMetric);
    if (estimate === undefined) return [];
    const rows = variants.flatMap(({ name }) => {
      const found = differenceOf(comparison, name, mainBeam, mainMetric, reference);
      return found === undefined ? [] : [{ name, ...found }];
    });
    const differing = sides(rows, (names, isBelow) => {
      const who = names.length === variants.length ? "all" : namedOrCounted(names);
      return `${who} ${isBelow ? "below" : "above"}`;
    });
    return [`${reference} ${withInterval(estimate)} (${differing.join(", ") || "none differs"})`];
  });
  const what =
    `Rankings that need no training, in ${mainMetric}, and the variants that differ from them`;
  return said.length === 0 ? [] : [`${what}: ${said.join("; ")}.`];
}

function pruning(comparison: Comparison): string[] {
  const { readable, baseline, mainBeam } = comparison;
  const own = estimateOf(comparison, baseline.name, mainBeam, "pruning rate");
  if (!readable.includes(baseline.name) || own === undefined || Number.isNaN(own.value)) return [];
  const rows = readable.flatMap((variant) => {
    const rate = estimateOf(comparison, variant, mainBeam, "pruning rate")?.value ?? NaN;
    const found = differenceOf(comparison, variant, mainBeam, "pruning rate");
    return found === undefined ? [] : [{ name: `${variant} (${share(rate, 3)})`, ...found }];
  });
  const differing = sides(
    rows,
    (names, isLess) =>
      `${namedOrCounted(names)} ${names.length === 1 ? "prunes" : "prune"} ${
        isLess ? "less" : "more"
      }`,
  );
  const others = differing.join("; ") || "No variant's rate differs";
  return [
    `At B = ${mainBeam}, the search of ${baseline.name} prunes ${withInterval(own, 3)} of the ` +
    `targets in the exact top ${mainBeam}.${rows.length === 0 ? "" : ` ${others}.`}`,
  ];
}
