/**
 * The order of variants, and which of many a figure shows.
 *
 * @module
 */
import { lossNames } from "../../models/losses/index.ts";
import type { RunResult } from "../compare/run_result.ts";
import type { Comparison, Variant } from "./comparison.ts";
import { MOST_SERIES } from "./plots/style.ts";

/** What the others are compared with unless told. */
const USUAL_BASELINE = "sft";

/** The names of the variants: the baseline, then by loss in the order of the registry, then by name. */
export function orderedVariants(runs: readonly RunResult[], baseline = USUAL_BASELINE): string[] {
  const losses: readonly string[] = lossNames;
  const lossOf = new Map(runs.map(({ variant, recipe }) => [variant, recipe.loss]));
  const place = (variant: string): number => {
    const at = losses.indexOf(lossOf.get(variant) ?? "");
    return at < 0 ? losses.length : at;
  };
  return [...lossOf.keys()].sort((a, b) =>
    Number(b === baseline) - Number(a === baseline) || place(a) - place(b) ||
    a.localeCompare(b, "en", { numeric: true })
  );
}

/** The variants that were trained: not those that are another one's models under another search. */
export function trainedVariants(variants: readonly Variant[]): readonly Variant[] {
  return variants.filter(({ runs: [run] }) => run.judging.search === undefined);
}

/** What a superlative adds where it leaves out variants that cannot be read. */
export function ofReadable({ readable, variants }: Comparison): string {
  return readable.length < variants.length ? " of those that can be read" : "";
}

/** The variants that line figures show: all of a few, else the baseline and those that do best in validation. */
export function shownVariants(variants: readonly Variant[]): readonly Variant[] {
  const [baseline, ...others] = variants;
  if (variants.length <= MOST_SERIES) return variants;
  const best = new Set(
    others.toSorted((a, b) => validated(b) - validated(a)).slice(0, MOST_SERIES - 1),
  );
  return [baseline, ...others.filter((variant) => best.has(variant))];
}

/** The mean over seeds of the best NDCG@10 in validation. */
export function validated({ runs }: Variant): number {
  const best = runs.map(({ validation }) => Math.max(0, ...validation.map(({ ndcg }) => ndcg)));
  return best.reduce((sum, x) => sum + x, 0) / best.length;
}
