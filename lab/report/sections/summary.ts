/**
 * The report in sentences, each made of its numbers.
 *
 * @module
 */
import { warningsOf } from "../../evaluate/warnings.ts";
import { type Comparison, mainLength, type Variant } from "../comparison.ts";
import { type Section, text } from "../document.ts";
import {
  count,
  counted,
  judgedOn,
  listed,
  namedOrCounted,
  share,
  signed,
  withInterval,
} from "../format.ts";
import { MAIN_METRIC, METRICS } from "../outcomes.ts";
import { type Estimate, excludesZero } from "../statistics.ts";
import { ofReadable } from "../variants.ts";
import { differencesOf } from "./retrieval.ts";

/** The summary. */
export function summarySection(comparison: Comparison): Section {
  const warnings = warningsOf(comparison.unreadable, mainLength(comparison));
  const items = [
    ...best(comparison),
    ...compared(comparison),
    ...beside(comparison),
    ...pruned(comparison),
    ...incomplete(comparison),
  ];
  const said = [...warnings, "Headlines leave out what cannot be read."];
  return {
    title: "Summary",
    blocks: [
      ...warnings.length > 0 ? [{ kind: "warnings", items: said } as const] : [],
      text(made(comparison)),
      { kind: "list", items },
    ],
  };
}

/** How to read the report. */
export function readingSection(comparison: Comparison): Section {
  const { cases, users, variants, baseline } = comparison;
  const most = Math.max(...variants.map(({ runs }) => runs.length));
  return {
    title: "How to read this",
    blocks: [
      text(
        `A number such as .0702 [.0660, .0745] is a mean over ${
          judgedOn(comparison)
        } and all seeds, with its 95 % interval.`,
        `All runs are judged on the same users, so the bootstrap draws users${
          cases === users ? "" : ", each with all of its cases,"
        } and seeds anew, each by itself,`,
        "2,000 times, the same draws for every variant; the interval reaches from the 2.5 % to the 97.5 % quantile.",
        ...most === 1
          ? [
            "There is one seed, so intervals say how far other users could change the result, not another training.",
          ]
          : most < 5
          ? [
            `With ${
              counted(most, "seed")
            } the spread between seeds is known poorly: intervals may be too short where seeds differ more than users do.`,
          ]
          : [],
      ),
      ...variants.length < 2 ? [] : [text(
        `A difference to ${baseline.name} counts here if its interval excludes 0. One in twenty intervals does so by chance`,
        "where there is no difference, so read single ones among many with that in mind.",
      )],
      text(
        "B is the beam width.",
        isValidated(comparison)
          ? "The epoch of each run was chosen on validation, and the model judged once on the test cases."
          : "There is no validation: the last epoch of each run was judged on the test cases.",
      ),
    ],
  };
}

/** Whether every run's epoch was chosen by validation. */
export function isValidated({ variants }: Comparison): boolean {
  return variants.every(({ runs }) => runs.every(({ validation }) => validation.length > 0));
}

function made(comparison: Comparison): string {
  const { variants, baseline } = comparison;
  const { runs: [run] } = baseline;
  const seeds = variants.map(({ runs }) => runs.length);
  const [few, many] = [Math.min(...seeds), Math.max(...seeds)];
  const times = few === many ? counted(many, "seed") : `${few} to ${many} seeds`;
  const { data, parameters } = run;
  const names = variants.map(({ name }) => name);
  const shown = names.length <= 8 ? ` (${listed(names)})` : "";
  const trained = variants.length === 1
    ? `${names[0]}, trained with ${times}, was`
    : `${counted(variants.length, "variant")}${shown}, each trained with ${times}, were`;
  const beside = variants.length === 1 ? "" : ` The baseline is ${baseline.name}.`;
  const sizes = `${count(data.items)} items; models of ${count(parameters)} parameters`;
  const again = variants.filter(({ runs: [{ judging }] }) => judging.search !== undefined);
  const other = again.length === 0
    ? ""
    : ` Nothing was trained for ${
      namedOrCounted(again.map(({ name }) => name), "variant")
    }: these are models under another search than the one that they were trained for.`;
  return `${trained} judged on ${
    judgedOn(comparison)
  } of ${data.name} (${sizes}).${beside}${other}`;
}

/** The main metric, or the longest NDCG that the main width has. */
export function mainMetric({ baseline, mainBeam }: Comparison): string {
  const names = METRICS.map(({ name }) => name).filter((name) => name.startsWith("NDCG"));
  const there = baseline.beams.get(mainBeam)?.metrics;
  return there?.has(MAIN_METRIC) ?? true
    ? MAIN_METRIC
    : names.findLast((name) => there?.has(name)) ?? MAIN_METRIC;
}

function valueOf({ beams }: Variant, beam: number, metric: string): Estimate | undefined {
  return beams.get(beam)?.metrics.get(metric)?.value;
}

function best(comparison: Comparison): string[] {
  const { readable: variants, baseline, mainBeam } = comparison;
  const metric = mainMetric(comparison);
  const ranked = variants.flatMap((variant) => {
    const value = valueOf(variant, mainBeam, metric);
    return value === undefined ? [] : [{ variant, value }];
  }).sort((a, b) => b.value.value - a.value.value);
  const [first] = ranked;
  const own = valueOf(baseline, mainBeam, metric);
  if (first === undefined) {
    return own === undefined ? [`No list at B = ${mainBeam} is long enough for ${metric}.`] : [];
  }
  const than = first.variant === baseline || own === undefined || !variants.includes(baseline)
    ? ""
    : `; ${baseline.name} has ${withInterval(own)}`;
  const has = variants.length === 1 ? "reaches an" : "has the highest";
  const is = variants.length === 1 ? " of" : `${ofReadable(comparison)}:`;
  return [
    `At B = ${mainBeam}, ${first.variant.name} ${has} ${metric}${is} ${
      withInterval(first.value)
    }${than}.`,
  ];
}

/** Which variants differ from the baseline, at the main width in the main metric, and elsewhere. */
function compared(comparison: Comparison): string[] {
  const { baseline, mainBeam, readable } = comparison;
  if (readable.length < 2 || !readable.includes(baseline)) return [];
  const metric = mainMetric(comparison);
  const all = differencesOf({ ...comparison, variants: readable });
  const main = all.filter((found) => found.beam === mainBeam && found.metric === metric);
  const sure = main.filter(({ difference }) => excludesZero(difference.both));
  const open = main.filter(({ difference }) => !excludesZero(difference.both));
  const say = ({ variant, difference: { both } }: typeof main[number]): string =>
    `${variant} (${signed(both.value)} [${signed(both.low)}, ${signed(both.high)}])`;
  const where = `${metric} at B = ${mainBeam}`;
  const sentences = [
    sure.length === 0
      ? `In ${where} no variant${
        ofReadable(comparison)
      } differs from ${baseline.name} by an interval that excludes 0.`
      : `In ${where} the interval of the difference to ${baseline.name} excludes 0 for ${
        namedOrCounted(sure.map(say), "variant")
      }.`,
    ...sure.length > 0 && open.length > 0
      ? [`It includes 0 for ${namedOrCounted(open.map(say), "variant")}.`]
      : [],
  ];
  const seedwise = sure.filter(({ difference: { seeds } }) => excludesZero(seeds));
  const seeds = Math.max(0, ...main.map(({ difference }) => difference.common.length));
  if (sure.length > 0 && seeds > 1) {
    sentences.push(
      seedwise.length === sure.length
        ? "The same holds over seeds alone, by Student's t."
        : `Over seeds alone, by Student's t, it excludes 0 for ${
          seedwise.length === 0
            ? "none"
            : namedOrCounted(seedwise.map(({ variant }) => variant), "variant")
        } of these.`,
    );
  }
  const chance = 0.05 * all.length;
  const total = all.filter(({ difference }) => excludesZero(difference.both)).length;
  return [
    sentences.join(" "),
    `Of all ${all.length} differences, over widths and metrics, ${
      total === 0 ? "none excludes" : total === 1 ? "1 excludes" : `${total} exclude`
    } 0; ${
      chance < 1 ? "one or none" : `about ${Math.round(chance)}`
    } would by chance if no variant differed.`,
  ];
}

/** How the variants stand to what needs no training. */
function beside(comparison: Comparison): string[] {
  const { variants, baselines, mainBeam } = comparison;
  const metric = mainMetric(comparison);
  const said = baselines.flatMap(({ name, metrics }, n) => {
    const reference = metrics.get(metric);
    if (reference === undefined) return [];
    const which = (holds: (difference: Estimate) => boolean): Variant[] =>
      variants.filter(({ beams }) => {
        const difference = beams.get(mainBeam)?.metrics.get(metric)?.overReferences[n];
        return difference !== undefined && holds(difference);
      });
    const say = (some: readonly Variant[], how: string): string[] => {
      if (some.length === 0) return [];
      const names = some.length === variants.length
        ? "all"
        : namedOrCounted(some.map(({ name }) => name), "variant");
      return [`${names} ${how}`];
    };
    const sides = [
      ...say(which(({ low }) => low > 0), "above"),
      ...say(which(({ high }) => high < 0), "below"),
    ];
    const clear = sides.length > 0 ? sides.join(", ") : "no difference excludes 0";
    return [`${name} ${withInterval(reference)} (${clear})`];
  });
  return said.length === 0 ? [] : [
    `What needs no training, in ${metric}, and the variants whose paired difference to it excludes 0: ${
      said.join("; ")
    }.`,
  ];
}

function pruned({ readable, baseline, mainBeam, unreadable }: Comparison): string[] {
  const variants = readable.filter(({ name }) => !unreadable.fewInTop.includes(name));
  if (!variants.includes(baseline)) return [];
  const at = variants.flatMap(({ name, beams }) => {
    const report = beams.get(mainBeam);
    return report === undefined ? [] : [{ name, report }];
  });
  const own = baseline.beams.get(mainBeam);
  if (own === undefined || !Number.isFinite(own.pruningRate.value)) return [];
  const fewer = at.filter(({ report }) => (report.pruningDifference?.high ?? 0) < 0);
  const more = at.filter(({ report }) => (report.pruningDifference?.low ?? 0) > 0);
  const say = (some: typeof at, how: string): string[] =>
    some.length === 0 ? [] : [`${
      namedOrCounted(
        some.map(({ name, report }) => `${name} (${share(report.pruningRate.value, 3)})`),
        "variant",
      )
    } ${some.length === 1 ? "prunes" : "prune"} ${how}`];
  const said = [...say(fewer, "less"), ...say(more, "more")];
  const rest = variants.length < 2
    ? ""
    : said.length === 0
    ? " No variant's rate differs from it by an interval that excludes 0."
    : ` ${said.join("; ")}; the interval of the difference excludes 0.`;
  return [
    `At B = ${mainBeam}, ${baseline.name}'s search loses ${
      withInterval(own.pruningRate, 3)
    } of the targets that its model ranks in the exact top ${mainBeam}.${rest}`,
  ];
}

function incomplete({ missing }: Comparison): string[] {
  return missing.map(({ variant, seeds }) =>
    `${variant} lacks ${seeds.length === 1 ? "seed" : "seeds"} ${
      listed(seeds.map(String))
    }: it is compared on the seeds that it has.`
  );
}
