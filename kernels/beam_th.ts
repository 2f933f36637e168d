/**
 * The beam-th largest logit among the children `table[from..to]` of a trie node, and the token that has it. With fewer children than
 * beams it is the smallest. Only the children are walked.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { MASKED } from "./masked.ts";

/** The logit; `best` has room for `beam` numbers. */
export function beamThLargest(
  logits: FloatArray,
  row: number,
  table: Int32Array,
  from: number,
  to: number,
  best: Float64Array,
): number {
  const room = Math.min(best.length, to - from);
  let held = 0;
  for (let k = from; k < to; k++) {
    const z = logits[row + table[k]];
    if (held === room && z <= best[room - 1]) continue;
    let at = held < room ? held++ : room - 1;
    for (; at > 0 && best[at - 1] < z; at--) best[at] = best[at - 1];
    best[at] = z;
  }
  return best[room - 1];
}

/** The token of the beam-th child, whose logit is `beta`: among equals in token order. */
export function beamThToken(
  logits: FloatArray,
  row: number,
  table: Int32Array,
  from: number,
  to: number,
  beam: number,
  beta: number,
): number {
  let place = Math.min(beam, to - from);
  for (let k = from; k < to; k++) if (logits[row + table[k]] > beta) place--;
  for (let k = from; k < to; k++) {
    if (logits[row + table[k]] === beta && --place === 0) return table[k];
  }
  return table[to - 1]; // not reached: some child is the beam-th
}

/** WGSL for `beamThToken(row, begin, end, beta)`, with p.beam. Of logits that are absent all are equal. */
export const BEAM_TH_TOKEN_WGSL = `
fn beamThToken(row: u32, begin: u32, end: u32, beta: f32) -> u32 {
  let bound = max(beta, ${MASKED});
  var place = min(p.beam, end - begin);
  for (var k = begin; k < end; k++) {
    if (max(logits[row + u32(table[k])], ${MASKED}) > bound) { place--; }
  }
  var found = u32(table[begin]);
  for (var k = begin; k < end; k++) {
    if (max(logits[row + u32(table[k])], ${MASKED}) == bound) {
      place--;
      if (place == 0u) { found = u32(table[k]); }
    }
  }
  return found;
}`;
