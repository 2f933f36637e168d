/**
 * The width that a loss aims at against the width of the search.
 *
 * @module
 */
import type { Comparison, Variant } from "../comparison.ts";
import { type Figure, type Panel, type Section, text } from "../document.ts";
import { share } from "../format.ts";
import { METRICS } from "../outcomes.ts";
import { type Cell, heatPanel } from "../plots/stacks.ts";

/** The section on widths. */
export function gridSection(comparison: Comparison): Section {
  const groups = groupsOf(comparison.variants);
  return {
    title: "The beam in training and the beam in search",
    blocks: groups.length === 0
      ? [text(
        "Every loss aims at one width here, so training and search cannot be told apart: runs with several values of",
        "--beam are needed for the map of B in training against B in search.",
      )]
      : [{ kind: "figure", figure: gridFigure(comparison, groups) }],
  };
}

/** Variants that differ in the width alone. */
interface Group {
  readonly name: string;
  readonly variants: readonly Variant[];
}

function groupsOf(variants: readonly Variant[]): Group[] {
  const groups = new Map<string, Variant[]>();
  for (const variant of variants) {
    const { loss, xi, lambda, tau } = variant.runs[0].recipe;
    const key = JSON.stringify([loss, xi, lambda, tau]);
    groups.set(key, [...groups.get(key) ?? [], variant]);
  }
  return [...groups.values()].flatMap((found) => {
    const trained = found.toSorted((a, b) => a.runs[0].recipe.beam - b.runs[0].recipe.beam);
    const widths = new Set(trained.map(({ runs: [{ recipe }] }) => recipe.beam));
    if (widths.size < 2) return [];
    const { loss, xi, lambda, tau } = trained[0].runs[0].recipe;
    const alone = found.length === variants.length ||
      ![...groups.values()].some((other) =>
        other !== found && other[0].runs[0].recipe.loss === loss
      );
    const name = alone ? loss : `${loss}, xi ${xi}, lambda ${lambda}, tau ${tau}`;
    return [{ name, variants: trained }];
  });
}

function gridFigure({ beams }: Comparison, groups: readonly Group[]): Figure {
  const longest = METRICS.filter(({ name }) => name.startsWith("NDCG"))
    .findLast(({ k }) => beams.some((beam) => k <= beam));
  const metric = longest?.name ?? "NDCG@5";
  const cells = groups.map(({ variants }) =>
    variants.flatMap(({ runs: [{ recipe }], beams: reports }) =>
      beams.flatMap((beam): Cell[] => {
        const value = reports.get(beam)?.metrics.get(metric)?.value.value;
        return value === undefined
          ? []
          : [{ row: `${recipe.beam}`, column: `${beam}`, value, shown: share(value) }];
      })
    )
  );
  const best = cells.map((given) =>
    [...new Set(given.map(({ column }) => column))].map((column) =>
      given.filter((cell) => cell.column === column).reduce((a, b) => b.value > a.value ? b : a)
    )
  );
  const matched = best.flat().filter(({ row, column }) => row === column).length;
  return {
    title:
      `The width trained for is the best one to search with in ${matched} of ${best.flat().length} columns`,
    note:
      "Darker is higher. Frame: the best of its column. Means over users and seeds, whose intervals are in the section on retrieval: " +
      "differences within a column may be chance.",
    alt: `Heat map of ${metric} by the width in training and in search`,
    panels: groups.map(({ name }, i): Panel =>
      heatPanel(cells[i], { title: name, xUnit: "B in search", yUnit: `B in training · ${metric}` })
    ),
    table: {
      caption: `${metric} by the width that the loss aims at and the width of the search.`,
      head: ["loss", "B in training", "B in search", metric],
      rows: groups.flatMap(({ name }, i) =>
        cells[i].map(({ row, column, shown }) => [name, row, column, shown])
      ),
    },
  };
}
