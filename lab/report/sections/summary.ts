/**
 * The findings in sentences, and how to read the report.
 *
 * @module
 */
import { warningsOf } from "../../evaluate/warnings.ts";
import {
  bestOf,
  type Comparison,
  differenceOf,
  type DifferenceRow,
  estimateOf,
  PRUNING_RATE,
  runsOf,
} from "../comparison.ts";
import { type Section, section, text } from "../document.ts";
import {
  count,
  counted,
  countRange,
  judgedOn,
  namedOrCounted,
  number,
  share,
  signedInterval,
  withInterval,
} from "../format.ts";
import { listed } from "../../table.ts";
import { type Estimate, excludesZero, UNKNOWN } from "../statistics.ts";
import { baselineDifferences } from "./retrieval.ts";

/** The summary. */
export function summarySection(comparison: Comparison): Section {
  const { unreadable, mainLength, missing } = comparison;
  const warnings = warningsOf(unreadable, mainLength);
  const items = [
    ...best(comparison),
    ...compared(comparison),
    ...besideReferences(comparison),
    ...pruning(comparison),
    ...exactLists(comparison),
    ...missing.map(({ variant, seeds }) =>
      `${variant} lacks ${seeds.length === 1 ? "seed" : "seeds"} ${listed(seeds.map(String))}.`
    ),
  ];
  return section(
    "Summary",
    warnings.length > 0 &&
      { kind: "warnings", items: [...warnings, "Headlines leave out what cannot be read."] },
    subject(comparison),
    { kind: "list", items },
  );
}

/** How to read the report. */
export function readingSection(comparison: Comparison): Section {
  const { cases, users, variants, baseline } = comparison;
  const most = Math.max(...variants.map(({ runs }) => runs.length));
  const fewSeeds = most === 1
    ? "With one seed, intervals cover other users, but not another training."
    : `With ${most} seeds, intervals may be too short where seeds differ more than users.`;
  return section(
    "How to read this",
    text(
      `A number such as .0702 [.0660, .0745] is a mean over ${judgedOn(comparison)} and all`,
      "seeds with its 95 % interval. Intervals are the 2.5 % and 97.5 % quantiles of 2,000",
      "bootstrap resamples, which draw users and seeds independently and are the same for every",
      "variant.",
      cases === users ? "" : "A user is drawn with all of their cases.",
      most < 5 ? fewSeeds : "",
    ),
    variants.length > 1 && text(
      `A variant differs from ${baseline.name} if the interval of the difference excludes 0.`,
      "One in twenty intervals does so by chance.",
    ),
    text(
      "B is the beam width.",
      runsOf(variants).every(({ validation }) => validation.length > 0)
        ? "The epoch of each run was chosen on validation and judged once on the test cases."
        : "There is no validation: the last epoch of each run was judged on the test cases.",
    ),
  );
}

/** What is compared. */
function subject(comparison: Comparison): string {
  const { variants, baseline } = comparison;
  const { data } = baseline.runs[0];
  const parameters = runsOf(variants).map(({ parameters }) => parameters);
  const names = variants.map(({ name }) => name);
  const seeds = variants.map(({ runs }) => runs.length);
  const [few, many] = [Math.min(...seeds), Math.max(...seeds)];
  const times = few === many ? counted(many, "seed") : `${few} to ${many} seeds`;
  const of = names.length <= 8 ? ` (${listed(names)})` : "";
  const isOne = names.length === 1;
  const who = isOne ? `${names[0]}, trained` : `${names.length} variants${of}, each trained`;
  const sizes = `${count(data.items)} items; models of ${countRange(parameters)} parameters`;
  const again = variants.filter(({ runs: [{ judging }] }) => judging.search !== undefined);
  return text(
    `${who} with ${times}, ${isOne ? "was" : "were"} judged on ${judgedOn(comparison)} of`,
    `${data.name} (${sizes}).`,
    isOne ? "" : `The baseline is ${baseline.name}.`,
    again.length === 0
      ? ""
      : `Nothing was trained for ${namedOrCounted(again.map(({ name }) => name))}: these are ` +
        "models under another search than the one that they were trained for.",
  );
}

function best(comparison: Comparison): string[] {
  const { baseline, mainBeam, mainMetric, readable } = comparison;
  const first = bestOf(comparison);
  if (first === undefined) return [];
  const own = estimateOf(comparison, baseline.name, mainBeam, mainMetric);
  const isOther = first.variant !== baseline.name && readable.includes(baseline.name);
  const beside = isOther ? `; ${baseline.name} has ${withInterval(own)}` : "";
  return [
    `Best ${mainMetric} at B = ${mainBeam}: ${first.variant}, ${withInterval(first)}${beside}.`,
  ];
}

/** Which variants differ from the baseline, in the main metric at the main width and elsewhere. */
function compared(comparison: Comparison): string[] {
  const { baseline, mainBeam, mainMetric, readable } = comparison;
  const all = baselineDifferences(comparison).filter(({ variant }) => readable.includes(variant));
  if (all.length === 0 || !readable.includes(baseline.name)) return [];
  const main = all.filter(({ beam, metric }) => beam === mainBeam && metric === mainMetric);
  const numbered = (rows: readonly DifferenceRow[]): string =>
    namedOrCounted(rows.map((row) => `${row.variant} (${signedInterval(row)})`));
  const [sure, open] = [main.filter(excludesZero), main.filter((row) => !excludesZero(row))];
  const bySeed = main.filter(({ tests }) => tests !== undefined && excludesZero(tests.seeds));
  const seedNames = namedOrCounted(bySeed.map(({ variant }) => variant));
  const total = all.filter(excludesZero).length;
  const chance = 0.05 * all.length < 1 ? "at most one" : `about ${Math.round(0.05 * all.length)}`;
  const inMain = text(
    `Differences to ${baseline.name} in ${mainMetric} at B = ${mainBeam} whose interval excludes`,
    `0: ${numbered(sure)}; includes 0: ${numbered(open)}.`,
    main.some(({ seeds }) => seeds > 1)
      ? `Over seeds alone, by Student's t, it excludes 0 for: ${seedNames}.`
      : "",
  );
  return [
    ...main.length === 0 ? [] : [inMain],
    `Of all ${all.length} differences, over widths and metrics, the intervals of ${total} exclude ` +
    `0; ${chance} would by chance if no variant differed.`,
  ];
}

/** The variants with a difference at the main width of which something holds. */
function differing(
  comparison: Comparison,
  metric: string,
  to: string,
  holds: (difference: Estimate) => boolean,
): string[] {
  const { variants, mainBeam } = comparison;
  return variants.map(({ name }) => name).filter((name) =>
    holds(differenceOf(comparison, name, mainBeam, metric, to) ?? UNKNOWN)
  );
}

/** How the variants compare with rankings that need no training. */
function besideReferences(comparison: Comparison): string[] {
  const { variants, references, mainMetric } = comparison;
  const said = references.flatMap((reference) => {
    const estimate = estimateOf(comparison, reference, undefined, mainMetric);
    if (estimate === undefined) return [];
    const say = (holds: (difference: Estimate) => boolean): string => {
      const names = differing(comparison, mainMetric, reference, holds);
      return names.length === variants.length ? "all" : namedOrCounted(names);
    };
    const [above, below] = [say(({ low }) => low > 0), say(({ high }) => high < 0)];
    return [`${reference} ${withInterval(estimate)} (above it: ${above}; below it: ${below})`];
  });
  const what = `Rankings that need no training, in ${mainMetric}, and the variants that differ`;
  return said.length === 0 ? [] : [`${what}: ${said.join("; ")}.`];
}

function pruning(comparison: Comparison): string[] {
  const { readable, baseline, mainBeam } = comparison;
  const rateOf = (name: string): Estimate =>
    estimateOf(comparison, name, mainBeam, PRUNING_RATE) ?? UNKNOWN;
  const own = rateOf(baseline.name);
  if (!readable.includes(baseline.name) || Number.isNaN(own.value)) return [];
  const say = (holds: (difference: Estimate) => boolean): string =>
    namedOrCounted(
      differing(comparison, PRUNING_RATE, baseline.name, holds)
        .filter((name) => readable.includes(name))
        .map((name) => `${name} (${share(rateOf(name).value, 3)})`),
    );
  const [lower, higher] = [say(({ high }) => high < 0), say(({ low }) => low > 0)];
  return [text(
    `At B = ${mainBeam}, the search of ${baseline.name} prunes ${withInterval(own, 3)} of the`,
    `targets in the exact top ${mainBeam}.`,
    readable.length < 2 ? "" : `Variants whose rate differs: lower ${lower}; higher ${higher}.`,
  )];
}

/** What exact search adds to the lists of the beam, and what it costs. */
function exactLists({ costs }: Comparison): string[] {
  const said = costs.flatMap(({ method, variant, gains, rows }) => {
    const beam = costs.find((row) => row.variant === variant && row.gains === undefined);
    if (method !== "best-first" || gains === undefined || beam === undefined) return [];
    return [
      `${variant} ${signedInterval(gains.hr)} (${number(rows)} rows of the model per user, ` +
      `the beam ${number(beam.rows)})`,
    ];
  });
  if (said.length === 0) return [];
  return [`HR@10 of exact lists, by best-first search, minus that of the beam: ${listed(said)}.`];
}
