/**
 * The width that a loss aims at against the width of the search.
 *
 * @module
 */
import { OWN } from "../comparable.ts";
import { type Comparison, estimateOf, trainedVariants, type Variant } from "../comparison.ts";
import { type Figure, figures, type Section, text } from "../document.ts";
import { share } from "../format.ts";
import { heatMap } from "../plots.ts";

/** The section on widths. */
export function widthSection(comparison: Comparison): Section {
  const groups = groupsOf(trainedVariants(comparison));
  return {
    title: "The beam in training and the beam in search",
    blocks: groups.length > 0 ? figures(widthFigure(comparison, groups)) : [text(
      "Every loss aims at one width here. Runs with several values of --beam give a map of B in",
      "training against B in search.",
    )],
  };
}

/** Variants that differ in the width only. */
interface Group {
  readonly name: string;
  readonly variants: readonly Variant[];
}

function groupsOf(variants: readonly Variant[]): Group[] {
  const fields = OWN.filter((field) => field !== "beam");
  const setting = ({ runs: [{ recipe }] }: Variant, field: typeof OWN[number]): string =>
    JSON.stringify(recipe[field] ?? "–");
  const beamOf = ({ runs: [{ recipe }] }: Variant): number => recipe.beam;
  const keyOf = (variant: Variant) => fields.map((field) => setting(variant, field)).join();
  const groups = [...Map.groupBy(variants, keyOf).values()]
    .filter((group) => new Set(group.map(beamOf)).size > 1)
    .map((group) => group.toSorted((a, b) => beamOf(a) - beamOf(b)));
  /** What tells the groups apart, besides the loss. */
  const differing = fields.filter((field) =>
    field !== "loss" && new Set(groups.map(([first]) => setting(first, field))).size > 1
  );
  return groups.map((variants) => {
    const { loss } = variants[0].runs[0].recipe;
    const settings = differing.map((field) => `${field} ${setting(variants[0], field)}`);
    return { name: [loss, ...settings].join(", ").replaceAll('"', ""), variants };
  });
}

function widthFigure(comparison: Comparison, groups: readonly Group[]): Figure {
  const { beams, readable } = comparison;
  const metric = beams[0] < 10 ? "NDCG@5" : "NDCG@10"; // one that all widths have
  const maps = groups.map(({ name, variants }) => {
    const cells = beams.flatMap((beam) => {
      const found = variants.flatMap((variant) => {
        const value = estimateOf(comparison, variant.name, beam, metric)?.value;
        const row = `${variant.runs[0].recipe.beam}`;
        return value === undefined ? [] : [{ row, column: `${beam}`, value, shown: share(value) }];
      });
      const highest = Math.max(...found.map(({ value }) => value));
      return found.map((cell) => ({ ...cell, best: cell.value === highest }));
    });
    return { name, variants, cells };
  });
  const matched = maps.flatMap(({ cells }) => cells)
    .filter(({ row, column, best }) => best && row === column).length;
  const total = maps.flatMap(({ cells }) => [...new Set(cells.map(({ column }) => column))]).length;
  const names = groups.flatMap(({ variants }) => variants.map(({ name }) => name));
  return {
    name: "widths",
    title: names.every((name) => readable.includes(name))
      ? `The width trained for is the best to search with in ${matched} of ${total} columns`
      : `${metric} by the width in training and in search`,
    note: "Darker is higher. Frame: the best of its column. Means over users and seeds, whose " +
      "intervals are in the section on retrieval: differences within a column may be chance.",
    panels: maps.map(({ name, cells }) => (
      { title: name, spec: heatMap(cells, "B in search", `B in training · ${metric}`) }
    )),
    caption: `${metric} by the width that the loss aims at and the width of the search.`,
    rows: maps.flatMap(({ name, cells }) =>
      cells.map(({ row, column, shown }) => (
        { loss: name, "B in training": row, "B in search": column, [metric]: shown }
      ))
    ),
  };
}
