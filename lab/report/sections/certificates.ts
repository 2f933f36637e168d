/**
 * What can be proved without a search, and how often the theorems hold with one.
 *
 * @module
 */
import { modelTheorems, type TheoremCount, type TheoremId } from "../../analysis/user_theorems.ts";
import type { Comparison } from "../comparison.ts";
import { type Block, type Figure, figures, type Section, table, text } from "../document.ts";
import { count, counted, percent, percentRange } from "../format.ts";
import { bars } from "../plots.ts";
import { sum } from "../statistics.ts";

/** The section on certificates. */
export function certificateSection(comparison: Comparison): Section {
  return {
    title: "What is certain",
    blocks: [
      text(
        "One teacher-forced pass, without a search, can prove that a target is retrieved (T6 of",
        "docs/theory.md) or pruned (T2). A list is provably exact if the last of its first 10",
        "items, or of B if that is less, scores above everything that the search pruned (T9).",
      ),
      ...figures(certificateFigure(comparison)),
      ...theoremTable(comparison),
    ],
  };
}

function certificateFigure({ searches, beams, mainBeam }: Comparison): Figure {
  const all = searches.map(({ variant, beam, pooled }) => {
    const { certificates: { retrieved, undecided: open, pruned }, exactLists, ranks } = pooled;
    const targets = ranks.length;
    const settled = (retrieved + pruned) / targets;
    return { variant, beam, targets, retrieved, open, pruned, settled, exactLists };
  });
  const main = all.filter(({ beam }) => beam === mainBeam);
  const settled = percentRange(main.map(({ settled }) => settled));
  const exact = percentRange(main.map(({ exactLists, targets }) => exactLists / targets));
  return {
    name: "certificates",
    title: `At B = ${mainBeam} one pass settles ${settled} of the targets, and ${exact} of the ` +
      "lists are provably exact",
    note:
      "Shades, from dark to light: provably retrieved, open, provably pruned. The number: the " +
      "share that is settled.",
    panels: beams.map((beam) => {
      const rows = all.filter((row) => row.beam === beam).map((row) => ({
        label: row.variant,
        parts: [row.retrieved, row.open, row.pruned].map((n) => n / row.targets),
        shown: percent(row.settled),
      }));
      const spec = bars(rows, "share of targets", 1, ["retrieved", "open", "pruned"]);
      return { title: `B = ${beam}`, spec };
    }),
    caption: "Targets by certificate, and provably exact lists, over all runs.",
    rows: all.map(({ variant, beam, targets, retrieved, open, pruned, exactLists }) => {
      const part = (n: number): string => `${count(n)} (${percent(n / targets, 1)})`;
      return {
        variant,
        B: `${beam}`,
        targets: count(targets),
        retrieved: part(retrieved),
        open: part(open),
        pruned: part(pruned),
        "exact lists": part(exactLists),
      };
    }),
  };
}

/** What `verify` counts, over all runs that were verified. */
function theoremTable({ variants }: Comparison): Block[] {
  const runs = variants.flatMap(({ runs }) => runs);
  const verified = runs.flatMap((run) => run.verification ?? []);
  if (verified.length === 0) return [];
  const of = verified.length < runs.length ? `${verified.length} of ` : "";
  const users = counted(sum(verified.map(({ users }) => users)), "user");
  const caption = `Theorems on the first users of ${of}${counted(runs.length, "run")}, ${users} ` +
    "in all: instances, those that hold, those that rounding leaves open, and violations. " +
    "Theorems without an instance are left out.";
  const rows = (Object.keys(modelTheorems) as TheoremId[]).map((id) => {
    const total = (of: keyof TheoremCount) => count(sum(verified.map((v) => v.counts[id][of])));
    return {
      theorem: id,
      statement: modelTheorems[id].statement,
      instances: total("instances"),
      hold: total("holds"),
      open: total("undecided"),
      violations: total("violations"),
    };
  }).filter(({ instances }) => instances !== "0");
  return [table(caption, rows)];
}
