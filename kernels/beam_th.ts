/**
 * The beam-th largest logit among the children `table[from..to]` of a trie node, and the token that has it. With fewer children than
 * beams it is the smallest. Only the children are walked.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { ABSENT, MASKED } from "./masked.ts";

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

/** How many of the largest logits one walk over the children finds in WGSL. */
const HELD = 16;

/** WGSL for `name(row, begin, end)`: the beam-th largest logit of the tokens, k from begin to end - 1; with p.beam. */
const largestWgsl = (name: string, token: string): string => `
fn ${name}(row: u32, begin: u32, end: u32) -> f32 {
  if (p.beam >= end - begin) {
    var least = 3e38;
    for (var k = begin; k < end; k++) { least = min(least, logits[row + ${token}]); }
    return least;
  }
  let spare = ${HELD}u - min(p.beam, ${HELD}u);
  let places = vec4u(0u, 1u, 2u, 3u);
  var bound = 3e38; // earlier walks have passed everything from here up
  while (true) {
    // The largest below the bound, descending, behind places that are not needed.
    var a = select(vec4f(${MASKED}), vec4f(3e38), places < vec4u(spare));
    var b = select(vec4f(${MASKED}), vec4f(3e38), places + 4u < vec4u(spare));
    var c = select(vec4f(${MASKED}), vec4f(3e38), places + 8u < vec4u(spare));
    var d = select(vec4f(${MASKED}), vec4f(3e38), places + 12u < vec4u(spare));
    var passed = 0u;
    for (var k = begin; k < end; k++) {
      let z = logits[row + ${token}];
      passed += select(0u, 1u, z >= bound);
      if (z > d.w && z < bound) {
        let v = vec4f(z);
        d = max(d, min(vec4f(c.w, d.xyz), v));
        c = max(c, min(vec4f(b.w, c.xyz), v));
        b = max(b, min(vec4f(a.w, b.xyz), v));
        a = max(a, min(vec4f(3e38, a.xyz), v));
      }
    }
    if (p.beam <= passed) { break; }
    if (p.beam <= passed + ${HELD}u - spare) {
      let place = spare + p.beam - passed - 1u;
      var held = array<vec4f, 4>(a, b, c, d);
      bound = held[place / 4u][place % 4u];
      break;
    }
    bound = d.w;
    if (bound <= ${ABSENT}) { break; } // fewer numbers than beams: the rest are NaN
  }
  return bound;
}`;

/**
 * WGSL for `largestOfChildren(row, begin, end)`, the beam-th largest logit of the tokens `table[begin..end]`, and for
 * `largestOfRange(row, begin, end)`, that of the tokens from begin to end - 1.
 */
export const BEAM_TH_LARGEST_WGSL = largestWgsl("largestOfChildren", "u32(table[k])") +
  largestWgsl("largestOfRange", "k");

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

/** WGSL for `beamThToken(row, begin, end, beta)`, with p.beam. */
export const BEAM_TH_TOKEN_WGSL = `
fn beamThToken(row: u32, begin: u32, end: u32, beta: f32) -> u32 {
  var place = min(p.beam, end - begin);
  for (var k = begin; k < end; k++) {
    if (logits[row + u32(table[k])] > beta) { place--; }
  }
  var found = u32(table[begin]);
  for (var k = begin; k < end; k++) {
    if (logits[row + u32(table[k])] == beta) {
      place--;
      if (place == 0u) { found = u32(table[k]); }
    }
  }
  return found;
}`;
