/**
 * The order of variants, and which of many a figure shows.
 *
 * @module
 */
import { lossNames } from "../../models/losses/loss_by_name.ts";
import type { RunResult } from "../compare/run_result.ts";

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
