/**
 * What can be proved without a search, and how often the theorems hold with one.
 *
 * @module
 */
import { modelTheorems, type TheoremCount, type TheoremId } from "../../analysis/user_theorems.ts";
import { type Comparison, panelsByBeam, runsOf, type Search, searchCells } from "../comparison.ts";
import { type Figure, type Section, section, type Table, text } from "../document.ts";
import { count, counted, percent, percentRange } from "../format.ts";
import { bars } from "../plots.ts";
import { sum } from "../statistics.ts";

/** The section on certificates. */
export function certificateSection(comparison: Comparison): Section {
  return section(
    "What is certain",
    text(
      "One teacher-forced pass, without a search, can prove that a target is retrieved (T6 of",
      "docs/theory.md) or pruned (T2). A list is provably exact if the last of its first 10",
      "items, or of B if that is less, scores above everything that the search pruned (T9).",
    ),
    certificateFigure(comparison),
    theoremTable(comparison),
  );
}

/** The share of the targets that are provably retrieved or pruned. */
function settled({ pooled: { certificates: { retrieved, pruned }, ranks } }: Search): number {
  return (retrieved + pruned) / ranks.length;
}

function certificateFigure({ searches, mainBeam }: Comparison): Figure {
  const main = searches.filter(({ beam }) => beam === mainBeam);
  const exact = main.map(({ pooled: { exactLists, ranks } }) => exactLists / ranks.length);
  return {
    name: "certificates",
    title: `At B = ${mainBeam} one pass settles ${percentRange(main.map(settled))} of the ` +
      `targets, and ${percentRange(exact)} of the lists are provably exact`,
    note:
      "Shades, from dark to light: provably retrieved, open, provably pruned. The number: the " +
      "share that is settled.",
    panels: panelsByBeam(searches, (found) => {
      const rows = found.map((search) => {
        const { variant, pooled: { certificates, ranks } } = search;
        const { retrieved, undecided, pruned } = certificates;
        const parts = [retrieved, undecided, pruned].map((n) => n / ranks.length);
        return { label: variant, parts, shown: percent(settled(search)) };
      });
      return bars(rows, "share of targets", 1, ["retrieved", "open", "pruned"]);
    }),
    caption: "Targets by certificate, and provably exact lists, over all runs.",
    rows: searches.map((search) => {
      const { certificates, exactLists, ranks } = search.pooled;
      const part = (n: number): string => `${count(n)} (${percent(n / ranks.length, 1)})`;
      return {
        ...searchCells(search),
        targets: count(ranks.length),
        retrieved: part(certificates.retrieved),
        open: part(certificates.undecided),
        pruned: part(certificates.pruned),
        "exact lists": part(exactLists),
      };
    }),
  };
}

/** What `verify` counts, over all runs that were verified. */
function theoremTable({ variants }: Comparison): Table | false {
  const runs = runsOf(variants);
  const verified = runs.flatMap((run) => run.verification ?? []);
  const of = verified.length < runs.length ? `${verified.length} of ` : "";
  const users = counted(sum(verified.map(({ users }) => users)), "user");
  return verified.length > 0 && {
    caption: `Theorems on the first users of ${of}${counted(runs.length, "run")}, ${users} ` +
      "in all: instances, those that hold, those that rounding leaves open, and violations. " +
      "Theorems without an instance are left out.",
    rows: (Object.keys(modelTheorems) as TheoremId[]).map((id) => {
      const total = (of: keyof TheoremCount) => count(sum(verified.map((v) => v.counts[id][of])));
      return {
        theorem: id,
        statement: modelTheorems[id].statement,
        instances: total("instances"),
        hold: total("holds"),
        open: total("undecided"),
        violations: total("violations"),
      };
    }).filter(({ instances }) => instances !== "0"),
  };
}
