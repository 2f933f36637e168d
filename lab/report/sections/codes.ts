/**
 * What codes are like, and what the search prunes and retrieves with them.
 *
 * @module
 */
import { sampleRankCorrelation } from "simple-statistics";
import type { CodeLevel } from "../../codes/describe.ts";
import {
  type Comparison,
  estimateOf,
  PRUNING_RATE,
  type Search,
  type Variant,
} from "../comparison.ts";
import { columns, type Figure, type Section, section, type Table, text } from "../document.ts";
import { count, share, signed, withInterval } from "../format.ts";
import { domainOf, type Dot, dots } from "../plots.ts";
import { sum } from "../statistics.ts";

/** A property of codes, and how tables write it. */
type Property = {
  readonly name: string;
  of(levels: readonly CodeLevel[]): number;
  write(value: number): string;
};

/** What is drawn: the share of consecutive items with the same first token. */
const ALIKE: Property = {
  name: "consecutive items alike",
  of: ([{ together = NaN }]) => together,
  write: (value) => share(value, 3),
};

const PROPERTIES: readonly Property[] = [
  { name: "first tokens", of: ([{ tokens }]) => tokens, write: count },
  {
    name: "perplexity of the first",
    of: ([{ perplexity }]) => perplexity,
    write: (x) => x.toFixed(1),
  },
  {
    name: "siblings on the way",
    of: (levels) => sum(levels.map(({ siblings }) => siblings)),
    write: (x) => x.toFixed(1),
  },
  ALIKE,
];

/** The fewest kinds of codes of which a rank correlation says something. */
const LEAST_KINDS = 5;

/** A search with its codes and the loss of its model. */
type Coded = {
  readonly search: Search;
  readonly levels: readonly CodeLevel[];
  readonly loss: string;
};

function lossOf({ runs: [{ recipe }] }: Variant): string {
  return recipe.loss;
}

function kindsOf(coded: readonly Coded[]): Coded[][] {
  return [...Map.groupBy(coded, ({ search }) => search.codes).values()];
}

/** The section on codes; none if there is one kind of them, or results do not say what they are. */
export function codesSection(comparison: Comparison): Section | undefined {
  const { searches, mainBeam, variants } = comparison;
  const main = searches.filter(({ beam }) => beam === mainBeam);
  const coded = main.flatMap((search): Coded[] => {
    const variant = variants.find(({ name }) => name === search.variant);
    const levels = variant?.runs[0].codes;
    return variant && levels ? [{ search, levels, loss: lossOf(variant) }] : [];
  });
  if (kindsOf(coded).length < 2) return undefined;
  const loss = lossOf(comparison.baseline);
  const compared = coded.filter(isPrunable).filter((one) => one.loss === loss); // like with like
  return section(
    "What the codes are like",
    text(
      "“Siblings on the way” are the items' competitors, children of the same node, added up over",
      "the steps. “Consecutive items alike” is the share of items next to each other in training",
      "that have the same first token, where they are not the same item.",
    ),
    codesFigure(comparison, coded),
    kindsOf(compared).length >= LEAST_KINDS && correlations(comparison, compared),
  );
}

/** Whether items are written in several tokens: of one token a beam of k is exact. */
function isPrunable({ levels }: Coded): boolean {
  return levels.length > 1;
}

/** What may depend on codes. */
function dependentMetrics({ mainMetric }: Comparison): string[] {
  return [PRUNING_RATE, mainMetric];
}

function codesFigure(comparison: Comparison, coded: readonly Coded[]): Figure {
  const { mainBeam } = comparison;
  const estimate = (variant: string, metric: string) =>
    estimateOf(comparison, variant, mainBeam, metric);
  const metrics = dependentMetrics(comparison);
  const loss = lossOf(comparison.baseline);
  const rows = coded.filter(isPrunable).toSorted((a, b) => (
    ALIKE.of(a.levels) - ALIKE.of(b.levels) || Number(b.loss === loss) - Number(a.loss === loss)
  ));
  return {
    name: "codes",
    title:
      `Pruning and ${comparison.mainMetric} at B = ${mainBeam} by how much behaviour a first ` +
      "token shares",
    note: "Rows are sorted by the share of consecutive items alike, in brackets. Dot: mean over " +
      `users and seeds, filled for ${loss}. Bar: its 95 % interval. Codes of one token are ` +
      "left out, as no search prunes anything of them.",
    panels: metrics.flatMap((metric) => {
      const drawn = rows.flatMap(({ search: { variant }, levels, loss: own }): Dot[] => {
        const found = estimate(variant, metric);
        if (found === undefined || !Number.isFinite(found.value)) return [];
        const label = `${variant} (${ALIKE.write(ALIKE.of(levels))})`;
        const shown = share(found.value, metric === PRUNING_RATE ? 3 : 4);
        return [{ ...found, label, shown, kind: own === loss ? "variant" : "reference" }];
      });
      if (drawn.length === 0) return []; // too few targets for a pruning rate
      const ends = drawn.flatMap(({ value, low, high }) => [value, low, high]);
      return [{ title: metric, spec: dots(drawn, metric, domainOf(ends, true)) }];
    }),
    caption:
      `Properties of the codes, and what a search of width ${mainBeam} prunes and retrieves.`,
    rows: coded.map(({ search: { variant, codes }, levels }) => ({
      variant,
      codes,
      ...columns(PROPERTIES, ({ name }) => name, ({ of, write }) => write(of(levels))),
      ...columns(
        metrics,
        (metric) => metric,
        (metric) => withInterval(estimate(variant, metric), metric === PRUNING_RATE ? 3 : 4),
      ),
    })),
  };
}

/** Over kinds of codes, the means of their variants. */
function correlations(comparison: Comparison, coded: readonly Coded[]): Table {
  const kinds = kindsOf(coded);
  const means = (metric: string): number[] =>
    kinds.map((own) => {
      const values = own.map(({ search: { variant, beam } }) =>
        estimateOf(comparison, variant, beam, metric)?.value ?? NaN
      );
      return sum(values) / values.length;
    });
  return {
    caption: `Spearman's rank correlation over ${kinds.length} kinds of codes of several tokens, ` +
      `${lossOf(comparison.baseline)} alone.`,
    rows: PROPERTIES.map(({ name, of }) => ({
      property: name,
      ...columns(dependentMetrics(comparison), (metric) => metric, (metric) => {
        const pairs = means(metric).map((y, i) => [of(kinds[i][0].levels), y])
          .filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
        if (pairs.length < LEAST_KINDS) return "–";
        return signed(sampleRankCorrelation(pairs.map(([x]) => x), pairs.map(([, y]) => y)), 2);
      }),
    })),
  };
}
