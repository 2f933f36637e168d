/**
 * Metrics that a file claims of lists: an object such as `{"HR@10": 0.07, "NDCG@10": 0.04}`, or one
 * under `final_results` (APAO's final_beam_search_results.json), `mean_results` (LC-Rec and
 * LETTER) or `metrics`. MiniOneRec's evaluate.py writes such an object beside its results.
 *
 * @module
 */
import type { Folder } from "../folder.ts";
import { isRecord } from "../../models/json.ts";
import { anyRecord, loadJson, refuseFile } from "../read_file.ts";

/** A metric that is claimed. */
export interface ClaimedMetric {
  /** Which one. */
  readonly metric: "HR" | "NDCG";
  /** Its k. */
  readonly k: number;
  /** What is claimed. */
  readonly value: number;
}

/** Where files keep metrics, besides the object itself. */
const WITHIN = ["final_results", "mean_results", "metrics"];

/**
 * Reads claimed metrics: hr, hit, hits, recall or ndcg, then `@k`, in any case. With one target a
 * user, recall is HR. Other fields are ignored.
 *
 * @throws {DataError} if the file cannot be read, is malformed, has no such metric or one that is
 * not a share.
 */
export function readClaims(folder: Folder, file: string): ClaimedMetric[] {
  const json = loadJson(folder, file, anyRecord);
  const places = [json, ...WITHIN.map((name) => json[name]).filter(isRecord)];
  const claims = places.flatMap((place) => Object.entries(place)).flatMap(
    ([name, value]): ClaimedMetric[] => {
      const [, metric, k] = /^(hr|hits?|recall|ndcg)@([1-9]\d{0,5})$/i.exec(name) ?? [];
      if (metric === undefined) return [];
      if (typeof value !== "number" || !(value >= 0 && value <= 1)) {
        const requirement = "a metric must be a share from 0 to 1";
        refuseFile(folder, `${file} at "${name}"`, requirement, JSON.stringify(value));
      }
      return [{ metric: /ndcg/i.test(metric) ? "NDCG" : "HR", k: Number(k), value }];
    },
  );
  if (claims.length > 0) return claims;
  return refuseFile(
    folder,
    file,
    `it must have metrics such as "HR@10", itself or under ${WITHIN.join(", ")}`,
    Object.keys(json).join(", ") || "none",
  );
}
