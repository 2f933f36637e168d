/**
 * The width that a loss aims at against the width of the search.
 *
 * @module
 */
import { OWN } from "../comparable.ts";
import type { Comparison, Variant } from "../comparison.ts";
import { type Figure, type Panel, type Section, text } from "../document.ts";
import { share } from "../format.ts";
import { METRICS } from "../outcomes.ts";
import { type Cell, heatPanel } from "../plots/stacks.ts";
import { trainedVariants } from "../variants.ts";

/** The section on widths. */
export function gridSection(comparison: Comparison): Section {
  const groups = groupsOf(trainedVariants(comparison.variants));
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
  const fields = OWN.filter((field) => field !== "beam");
  const ownOf = ({ runs: [{ recipe }] }: Variant): readonly unknown[] =>
    fields.map((field) => recipe[field] ?? "");
  const groups = new Map<string, Variant[]>();
  for (const variant of variants) {
    const key = JSON.stringify(ownOf(variant));
    groups.set(key, [...groups.get(key) ?? [], variant]);
  }
  const wide = [...groups.values()].map((found) =>
    found.toSorted((a, b) => a.runs[0].recipe.beam - b.runs[0].recipe.beam)
  ).filter(([first, ...others]) =>
    others.some(({ runs: [{ recipe }] }) => recipe.beam !== first.runs[0].recipe.beam)
  );
  // What tells one from the others, beside the loss.
  const told = fields.filter((field, f) =>
    field !== "loss" && new Set(wide.map(([first]) => JSON.stringify(ownOf(first)[f]))).size > 1
  );
  return wide.map((variants) => {
    const { recipe } = variants[0].runs[0];
    const name = [recipe.loss, ...told.map((field) => `${field} ${recipe[field] ?? "–"}`)];
    return { name: name.join(", "), variants };
  });
}

function gridFigure({ beams, readable }: Comparison, groups: readonly Group[]): Figure {
  // The longest lists that all widths have, so that no column is empty.
  const longest = METRICS.filter(({ name }) => name.startsWith("NDCG"))
    .findLast(({ k }) => k <= Math.max(beams[0], METRICS[0].k));
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
    title: groups.every(({ variants }) => variants.every((variant) => readable.includes(variant)))
      ? `The width trained for is the best one to search with in ${matched} of ${best.flat().length} columns`
      : `${metric} by the width in training and in search`,
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
