/**
 * What can be said without a search, and what holds with one.
 *
 * @module
 */
import type { BeamOutcome } from "../../compare/run_result.ts";
import { modelTheorems, type TheoremCount, type TheoremId } from "../../analysis/user_theorems.ts";
import type { Comparison } from "../comparison.ts";
import { type Block, type Figure, type Section, type Table, text } from "../document.ts";
import { count, counted, listed, percent, percentRange } from "../format.ts";
import { stackPanel } from "../plots/stacks.ts";

/** The section on certificates. */
export function certificateSection(comparison: Comparison): Section {
  const theorems = theoremTable(comparison);
  return {
    title: "What is certain",
    blocks: [
      text(
        "One teacher-forced pass, without a search, can prove that a target is retrieved (T6 of docs/theory.md) or that it is",
        "pruned (T2). A list is provably exact if the last of its first 10 items, or of B if that is less,",
        "scores above everything the search pruned (T9).",
      ),
      { kind: "figure", figure: certificateFigure(comparison) },
      ...theorems === undefined ? [] : [{ kind: "table", table: theorems } satisfies Block],
    ],
  };
}

/** Certificates of a variant at one width, as shares of all targets of all runs. */
interface Certified {
  readonly name: string;
  readonly beam: number;
  readonly targets: number;
  readonly retrieved: number;
  readonly undecided: number;
  readonly pruned: number;
  readonly exactLists: number;
}

function certified({ variants, beams, cases }: Comparison): Certified[] {
  return beams.flatMap((beam) =>
    variants.flatMap(({ name, beams }) => {
      const outcomes = beams.get(beam)?.outcomes;
      if (outcomes === undefined) return [];
      const total = (of: (outcome: BeamOutcome) => number): number =>
        outcomes.reduce((sum, outcome) => sum + of(outcome), 0);
      return [{
        ...{ name, beam, targets: cases * outcomes.length },
        retrieved: total((o) => o.certificates.retrieved),
        undecided: total((o) => o.certificates.undecided),
        pruned: total((o) => o.certificates.pruned),
        exactLists: total((o) => o.exactLists),
      }];
    })
  );
}

function certificateFigure(comparison: Comparison): Figure {
  const { beams, mainBeam, variants } = comparison;
  const all = certified(comparison);
  const main = all.filter(({ beam }) => beam === mainBeam);
  const decided = main.map((c) => (c.retrieved + c.pruned) / c.targets);
  const lists = main.map((c) => c.exactLists / c.targets);
  return {
    title: `At B = ${mainBeam} one pass settles ${percentRange(decided)} of the targets, and ${
      percentRange(lists)
    } of the lists are provably exact`,
    note:
      "Shades, from dark to light: provably retrieved, left open, provably pruned. The number: settled.",
    alt: `Bars of certificates of ${listed(variants.map(({ name }) => name))}`,
    panels: beams.map((beam) =>
      stackPanel(
        all.filter((c) => c.beam === beam).map((c) => ({
          label: c.name,
          parts: [c.retrieved, c.undecided, c.pruned].map((n) => n / c.targets),
          shown: percent((c.retrieved + c.pruned) / c.targets),
        })),
        {
          ...{ title: `B = ${beam}`, unit: "share of targets", most: 1 },
          legend: ["retrieved", "open", "pruned"],
        },
      )
    ),
    table: {
      caption: "Targets by certificate, and lists that are provably exact, over all runs.",
      head: ["variant", "B", "targets", "retrieved", "open", "pruned", "exact lists"],
      rows: all.map((c) => [
        ...[c.name, `${c.beam}`, count(c.targets)],
        ...[c.retrieved, c.undecided, c.pruned, c.exactLists].map((n) =>
          `${count(n)} (${percent(n / c.targets, 1)})`
        ),
      ]),
    },
  };
}

/** What `verify` counts, over all runs that were verified. */
function theoremTable({ variants }: Comparison): Table | undefined {
  const runs = variants.flatMap(({ runs }) => runs);
  const verified = runs.flatMap((run) => run.verification ?? []);
  if (verified.length === 0) return undefined;
  const rows = (Object.keys(modelTheorems) as TheoremId[]).flatMap((id) => {
    const [instances, ...numbers] = (["instances", "holds", "undecided", "violations"] as const)
      .map((of: keyof TheoremCount) => verified.reduce((sum, v) => sum + v.counts[id][of], 0));
    return instances === 0
      ? []
      : [[id, modelTheorems[id].statement, ...[instances, ...numbers].map(count)]];
  });
  const users = verified.reduce((sum, v) => sum + v.users, 0);
  return {
    caption: `Theorems on the first users of ${
      verified.length < runs.length ? `${verified.length} of ` : ""
    }${counted(runs.length, "run")}, ${
      counted(users, "user")
    } in all: instances, those that hold, those that rounding leaves open, and violations. Theorems without an instance are left out.`,
    head: ["theorem", "it says", "instances", "hold", "open", "violations"],
    rows,
  };
}
