/**
 * What the variants retrieve, and how they differ from the baseline.
 *
 * @module
 */
import { historyNote, ORACLE } from "../../evaluate/warnings.ts";
import type { BeamReport, Comparison, Difference, Variant } from "../comparison.ts";
import { type Figure, type Panel, type Section, type Table, text } from "../document.ts";
import { counted, listed, pValue, share, signed, signedInterval, withInterval } from "../format.ts";
import { METRICS } from "../outcomes.ts";
import { dotPanel, type DotRow } from "../plots/dots.ts";
import { domainOf } from "../plots/style.ts";
import { type Estimate, excludesZero } from "../statistics.ts";

/** The section on retrieval. */
export function retrievalSection(comparison: Comparison): Section {
  const { variants, baseline } = comparison;
  const figures = [levels(comparison), ...variants.length > 1 ? [differences(comparison)] : []];
  return {
    title: "What is retrieved",
    blocks: [
      text(
        "HR@k is the share of targets that are among the first k of the list;",
        "NDCG@k counts it for less the lower it stands.",
        "“Exact” is what a search that prunes nothing would have reached with the same model.",
        ...comparison.baselines.length > 0
          ? [historyNote(baseline.runs[0].judging.excludeHistory)]
          : [],
      ),
      ...figures.map((figure) => ({ kind: "figure", figure }) as const),
      ...comparison.baselines.length > 0
        ? [{ kind: "table", table: referenceTable(comparison) } as const]
        : [],
      ...variants.length > 1
        ? [text(
          `Differences are paired: the same users, and runs of the same seed as ${baseline.name}.`,
          seedsSay(comparison),
        )]
        : [],
    ],
  };
}

/** What so few seeds can tell. */
function seedsSay({ variants, baseline }: Comparison): string {
  const seeds = Math.max(
    ...variants.filter((v) => v !== baseline).map(({ beams }) =>
      Math.max(
        0,
        ...[...beams.values()].flatMap(({ metrics }) =>
          [...metrics.values()].map(({ difference }) => difference?.common.length ?? 0)
        ),
      )
    ),
  );
  if (seeds < 2) return "With one seed nothing can be said about training again.";
  const least = Math.min(1, 2 / 2 ** seeds);
  return `The test over seeds tries all ${
    2 ** seeds
  } assignments of signs to ${seeds} differences, ` +
    `so its p is at least ${pValue(least)}, however large they are.`;
}

/** Of which metric figures are drawn for a width: the longest lists that it has. */
function drawn({ metrics }: BeamReport): string[] {
  const names = [...metrics.keys()];
  return [names.findLast((n) => n.startsWith("NDCG")), names.findLast((n) => n.startsWith("HR"))]
    .filter((name) => name !== undefined);
}

/** Panels of one metric and one width each; widths too small for the longest lists are left to the table. */
function panelsOf(
  { variants, beams }: Comparison,
): { readonly metric: string; readonly beam: number }[] {
  const all = beams.flatMap((beam) => {
    const report = variants.map((v) => v.beams.get(beam)).find((found) => found !== undefined);
    return report === undefined ? [] : drawn(report).map((metric) => ({ metric, beam }));
  });
  const longest = METRICS.findLast(({ name }) => all.some(({ metric }) => metric === name))?.k;
  return all.filter(({ metric }) => metric.endsWith(`@${longest}`))
    .sort((a, b) => Number(a.metric.startsWith("HR")) - Number(b.metric.startsWith("HR")));
}

function levels(comparison: Comparison): Figure {
  const { variants, baseline, baselines, mainBeam, readable } = comparison;
  const chosen = panelsOf(comparison);
  const besideOf = (metric: string): DotRow[] =>
    baselines.flatMap(({ name, metrics }) => {
      const estimate = metrics.get(metric);
      return estimate === undefined ? [] : [row(name, estimate, "reference")];
    });
  const drawn = chosen.map(({ metric, beam }) => ({
    ...{ metric, beam },
    rows: variants.flatMap((variant): DotRow[] => {
      const estimate = variant.beams.get(beam)?.metrics.get(metric)?.value;
      return estimate === undefined ? [] : [row(variant.name, estimate, kindOf(variant, baseline))];
    }),
  }));
  const panels = drawn.map(({ metric, beam, rows }): Panel => {
    const own = drawn.filter((other) => other.metric === metric).flatMap(({ rows }) => rows);
    return dotPanel([...rows, ...besideOf(metric)], {
      title: `${metric}, B = ${beam}`,
      unit: metric.startsWith("N") ? metric : `${metric} (share of targets)`,
      domain: widened(domainOf(endsOf(own), false), besideOf(metric)),
      line: baseline.beams.get(beam)?.metrics.get(metric)?.value.value,
    });
  });
  const [first] = chosen;
  const ranked = readable.map(({ name, beams }) => ({
    name,
    value: beams.get(mainBeam)?.metrics.get(first?.metric)?.value.value ?? NaN,
  })).filter(({ value }) => !Number.isNaN(value)).sort((a, b) => b.value - a.value);
  const best = ranked[0];
  return {
    title: best === undefined
      ? "What each variant retrieves"
      : ranked.length === 1
      ? `At B = ${mainBeam}, ${best.name} reaches an ${first.metric} of ${share(best.value)}`
      : `At B = ${mainBeam}, ${best.name} has the highest ${first.metric} of ${
        counted(ranked.length, "variant")
      }${readable.length < variants.length ? " that can be read" : ""}: ${share(best.value)}`,
    note:
      `Dot: mean over users and seeds. Bar: 95 % interval over both. Square: ${baseline.name}, with a dashed ` +
      "line through its value. Hollow: rankings that need no training, intervals over users; an arrow where one is off the scale, which panels of one metric share.",
    alt: `Dots with intervals for ${listed(variants.map(({ name }) => name))}`,
    panels,
    table: levelTable(comparison),
  };
}

function endsOf(rows: readonly DotRow[]): number[] {
  return rows.flatMap(({ estimate: { value, low, high } }) => [value, low, high]);
}

/**
 * The domain of the variants, and of what stands beside them, which they are to be seen against. What knows how synthetic data were
 * made is only a bound: where it would squeeze all else it is left off the scale.
 */
function widened(domain: readonly [number, number], beside: readonly DotRow[]): [number, number] {
  const rest = beside.filter(({ label }) => label !== ORACLE);
  const [low, high] = domainOf([...domain, ...endsOf(rest)], false);
  const bound = endsOf(beside.filter(({ label }) => label === ORACLE));
  const all = domainOf([low, high, ...bound], false);
  return all[1] - all[0] < 2 * (high - low) ? all : [low, high];
}

function kindOf(variant: Variant, baseline: Variant): DotRow["kind"] {
  return variant === baseline ? "baseline" : "variant";
}

function row(label: string, estimate: Estimate, kind: DotRow["kind"]): DotRow {
  return { label, estimate, kind, shown: share(estimate.value) };
}

function levelTable({ variants, beams, baselines }: Comparison): Table {
  const exact = METRICS.filter(({ k }) => k === 10).map(({ name }) => name);
  const cells = (report: BeamReport): string[] => [
    ...METRICS.map(({ name }) => cell(report.metrics.get(name)?.value)),
    ...exact.map((name) => cell(report.metrics.get(name)?.exact)),
  ];
  return {
    caption: "Means over users and seeds with 95 % intervals; blank where B is less than k.",
    head: ["ranking", "B", ...METRICS.map(({ name }) => name), ...exact.map((n) => `exact ${n}`)],
    rows: [
      ...beams.flatMap((beam) =>
        variants.flatMap(({ name, beams }) => {
          const report = beams.get(beam);
          return report === undefined ? [] : [[name, `${beam}`, ...cells(report)]];
        })
      ),
      ...baselines.map(({ name, metrics }) => [
        ...[name, ""],
        ...METRICS.map((metric) => cell(metrics.get(metric.name))),
        ...exact.map(() => ""),
      ]),
    ],
  };
}

function cell(estimate: Estimate | undefined): string {
  return estimate === undefined ? "" : withInterval(estimate);
}

/** Every difference to the baseline. */
export function differencesOf({ variants, beams }: Comparison): {
  readonly variant: string;
  readonly beam: number;
  readonly metric: string;
  readonly difference: Difference;
}[] {
  return beams.flatMap((beam) =>
    METRICS.flatMap(({ name: metric }) =>
      variants.flatMap(({ name: variant, beams }) => {
        const difference = beams.get(beam)?.metrics.get(metric)?.difference;
        return difference === undefined ? [] : [{ variant, beam, metric, difference }];
      })
    )
  );
}

/** Differences to what needs no training, in the metrics of the figures. */
function referenceTable(comparison: Comparison): Table {
  const { variants, baselines } = comparison;
  return {
    caption:
      "Paired differences to what needs no training, with 95 % intervals over users and seeds.",
    head: ["variant", "B", "metric", ...baselines.map(({ name }) => `to ${name}`)],
    rows: panelsOf(comparison).flatMap(({ metric, beam }) =>
      variants.flatMap(({ name, beams }) => {
        const found = beams.get(beam)?.metrics.get(metric)?.overReferences;
        return found === undefined
          ? []
          : [[name, `${beam}`, metric, ...found.map((one) => signedInterval(one))]];
      })
    ),
  };
}

function differenceRow(
  { variant, difference: { both } }: ReturnType<typeof differencesOf>[number],
): DotRow {
  return { label: variant, estimate: both, kind: "variant", shown: signed(both.value) };
}

function differences(comparison: Comparison): Figure {
  const { baseline, readable } = comparison;
  const all = differencesOf(comparison);
  const here = ({ metric, beam }: { readonly metric: string; readonly beam: number }) =>
    all.filter((found) => found.metric === metric && found.beam === beam);
  const chosen = panelsOf(comparison).filter((panel) => here(panel).length > 0);
  const drawn = chosen.map(here);
  const names = readable.includes(baseline) ? readable.map(({ name }) => name) : [];
  const read = drawn.flat().filter(({ variant }) => names.includes(variant));
  const sure = read.filter(({ difference }) => excludesZero(difference.both));
  return {
    title: read.length === 0
      ? `Differences to ${baseline.name}, which the warnings above call into question`
      : `Of the ${read.length} differences to ${baseline.name} below${
        read.length < drawn.flat().length ? " that can be read" : ""
      }, ${
        sure.length === 0 ? "none has" : sure.length === 1 ? "one has" : `${sure.length} have`
      } an interval that excludes 0`,
    note: "Dot: mean paired difference. Bar: 95 % interval over users and seeds. " +
      "Right of the dashed line is better than the baseline.",
    alt: `Paired differences to ${baseline.name} with intervals`,
    panels: drawn.map((found, i) => {
      const { metric, beam } = chosen[i];
      const own = drawn.filter((_, other) => chosen[other].metric === metric).flat();
      return dotPanel(found.map(differenceRow), {
        title: `${metric}, B = ${beam}`,
        unit: `${metric} less that of ${baseline.name}`,
        domain: domainOf(endsOf(own.map(differenceRow)), true),
        line: 0,
      });
    }),
    table: {
      caption:
        `Paired differences to ${baseline.name} with 95 % intervals: over users and seeds; ` +
        "over users alone, for these trained models; over seeds alone, for these users.",
      head: [
        ...["variant", "B", "metric", "users and seeds", "users", "p (users)", "seeds"],
        ...["p (seeds)", "least p"],
      ],
      rows: all.map(({ variant, beam, metric, difference }) => [
        ...[variant, `${beam}`, metric, signedInterval(difference.both)],
        ...[signedInterval(difference.users), pValue(difference.userTest.p)],
        ...difference.common.length < 2 ? ["", "", ""] : [
          signedInterval(difference.seeds),
          pValue(difference.seedTest.p),
          pValue(difference.seedTest.least),
        ],
      ]),
    },
  };
}
