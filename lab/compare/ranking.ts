/**
 * Ranks the variants of a sweep by validation.
 *
 * @module
 */
import { mean, sampleStandardDeviation } from "simple-statistics";
import { DataError } from "../../core/errors.ts";
import { decimal, renderTable, wrapped } from "../table.ts";
import { isImproving, warningsOf } from "../evaluate/warnings.ts";
import type { RunResult } from "./run_result.ts";

/** A variant, and the validation of its best epochs. */
export interface RankedVariant {
  /** Its name. */
  readonly variant: string;
  /** Its seeds. */
  readonly seeds: readonly number[];
  /** The validation NDCG@10 of the best epoch, as a mean over seeds. */
  readonly ndcg: number;
  /** The validation HR@10 of the best epoch, as a mean over seeds. */
  readonly hr: number;
  /** The standard deviation of the NDCG@10 over seeds. NaN for one seed. */
  readonly deviation: number;
  /** The best epoch of each seed. */
  readonly epochs: readonly number[];
  /** Whether a run was still improving in its last epoch. */
  readonly improving: boolean;
}

/**
 * The variants of a sweep by validation NDCG@10, best first. Test cases play no part.
 *
 * @throws {DataError} if a run was not validated.
 */
export function rankByValidation(results: readonly RunResult[]): RankedVariant[] {
  const byVariant = Map.groupBy(results, ({ variant }) => variant);
  const ranked = [...byVariant].map(([variant, runs]): RankedVariant => {
    const best = runs.map((run) =>
      run.validation.find(({ epoch }) => epoch === run.bestEpoch) ?? refuseRun(run)
    );
    const ndcg = best.map((point) => point.ndcg);
    return {
      variant,
      seeds: runs.map(({ recipe }) => recipe.seed),
      ndcg: mean(ndcg),
      hr: mean(best.map((point) => point.hr)),
      deviation: ndcg.length > 1 ? sampleStandardDeviation(ndcg) : NaN,
      epochs: runs.map(({ bestEpoch }) => bestEpoch),
      improving: runs.some(isImproving),
    };
  });
  return ranked.sort((a, b) => b.ndcg - a.ndcg);
}

/** The ranking as a table. */
export function renderRanking(ranked: readonly RankedVariant[]): string {
  const improving = ranked.flatMap((one) => one.improving ? [one.variant] : []);
  const others = { below: new Map(), noCurve: [], fewInTop: [], fewHits: false };
  const warnings = warningsOf({ ...others, improving }, 10);
  return [
    ...warnings.map((warning) => wrapped(warning)),
    "Ranked by validation alone, without the test cases:",
    renderTable(
      ["", "NDCG@10", "± over seeds", "HR@10", "seeds", "best epochs"],
      ranked.map(({ variant, ndcg, deviation, hr, seeds, epochs }) => [
        variant,
        decimal(ndcg),
        seeds.length > 1 ? decimal(deviation) : "",
        decimal(hr),
        seeds.length,
        epochs.join(" "),
      ]),
    ),
  ].join("\n");
}

function refuseRun({ data, variant }: RunResult): never {
  throw new DataError(
    `Cannot rank the runs of ${data.name}: all must have been validated, got ${variant} without; ` +
      "titles need --hold-out",
  );
}
