/**
 * The WGSL of the kernels of `trie_log_prob.ts`: a workgroup a row, its invocations ("lanes") side by side along the row.
 * Rows have very different numbers of children, so that lanes with a row each would wait for each other. Of hardware
 * neighbouring lanes should read neighbouring logits; a software adapter wants no more lanes than its vectors have.
 *
 * @module
 */
import { BEAM_TH_TOKEN_WGSL } from "./beam_th.ts";
import { MASKED } from "./masked.ts";
import { wgslMaths } from "./maths.ts";

/** How many of the largest logits one walk finds. */
const HELD = 16;

/** A walk over a range of logits, and one over the logits of listed children; one of them has nothing to do. */
const both = (walk: (size: string, at: (k: string) => string) => string): string =>
  walk("ranged", (k) => `first + ${k}`) +
  walk("listed", (k) => `row + u32(table[begin + ${k}])`);

/** The row of a workgroup, its node's children, and whether their tokens are a range. */
const head = (lanes: number): string => `
@compute @workgroup_size(${lanes})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = group.x + group.y * groups.x;
  if (n >= p.N) { return; }
  let u = max(nodes[n], 0);
  let begin = u32(table[u]);
  var count = 0u;
  if (nodes[n] >= 0) { count = u32(table[u + 1]) - begin; }
  let row = n * p.V;
  let token = u32(table[begin]);
  let isRange = count > 0u && u32(table[begin + max(count, 1u) - 1u]) - token == count - 1u; // tokens ascend
`;

/** The forward, for workgroups of `lanes` invocations. */
export const forwardWgsl = (lanes: number): string => `
${wgslMaths("f32")}
var<workgroup> sums: array<vec2f, ${lanes}>; // a lane's largest logit and sum of exponentials
var<workgroup> columns: array<vec4f, ${lanes}>; // the largest logits of a lane's columns
var<workgroup> floor: f32; // no beam-th logit is below
var<workgroup> passed: array<u32, ${lanes}>;
var<workgroup> held: array<f32, ${
  lanes * HELD
}>; // a lane's largest logits below the bound, descending
var<workgroup> verdict: vec2f; // the next bound, and whether it is the one looked for

fn normalizerOf(lane: u32, first: u32, row: u32, begin: u32, ranged: u32, listed: u32) -> vec2f {
  let inverse = 1.0 / p.tau;
  var m = vec4f(${MASKED});
  var s = vec4f(0.0);
  var k: u32;
${
  both((size, at) => `
  for (k = lane; k + ${3 * lanes}u < ${size}; k += ${4 * lanes}u) {
    let z = vec4f(
      logits[${at("k")}], logits[${at(`k + ${lanes}u`)}],
      logits[${at(`k + ${2 * lanes}u`)}], logits[${at(`k + ${3 * lanes}u`)}]
    );
    let d = (z - m) * inverse;
    let e = exp(-abs(d));
    s = select(s + e, s * e + 1.0, d > vec4f(0.0));
    m = max(m, z);
  }
  for (; k < ${size}; k += ${lanes}u) {
    let z = logits[${at("k")}];
    let d = (z - m.x) * inverse;
    let e = exp(-abs(d));
    s.x = select(s.x + e, s.x * e + 1.0, d > 0.0);
    m.x = max(m.x, z);
  }`)
}
  let top = max(max(m.x, m.y), max(m.z, m.w));
  columns[lane] = m;
  sums[lane] = vec2f(top, dot(s, exp((m - top) * inverse)));
  workgroupBarrier();
  var most = f32(${MASKED});
  for (var j = 0u; j < ${lanes}u; j++) { most = max(most, sums[j].x); }
  var total = 0.0;
  for (var j = 0u; j < ${lanes}u; j++) { total += sums[j].y * exp((sums[j].x - most) * inverse); }
  return vec2f(most, logOf(total));
}

// The beam-th largest of the columns' maxima: as many logits are at least that.
fn findFloor(lane: u32) {
  let own = columns[lane];
  let places = 4u * lane + vec4u(0u, 1u, 2u, 3u);
  var rank = vec4u(1u);
  for (var j = 0u; j < ${lanes}u; j++) {
    for (var i = 0u; i < 4u; i++) {
      let other = vec4f(columns[j][i]);
      let before = (other > own) | ((other == own) & (vec4u(4u * j + i) < places));
      rank += select(vec4u(0u), vec4u(1u), before);
    }
  }
  for (var i = 0u; i < 4u; i++) { if (rank[i] == p.beam) { floor = own[i]; } }
}

// One lane merges what the lanes hold.
fn merge() {
  var before = 0u;
  for (var j = 0u; j < ${lanes}u; j++) { before += passed[j]; }
  var next: array<u32, ${lanes}>;
  for (var j = 0u; j < ${lanes}u; j++) { next[j] = 0u; }
  let rounds = min(p.beam - min(before, p.beam), ${HELD}u);
  var largest = f32(${MASKED});
  for (var r = 0u; r < rounds; r++) {
    var owner = 0u;
    largest = held[next[0]];
    for (var j = 1u; j < ${lanes}u; j++) {
      let z = held[j * ${HELD}u + next[j]];
      if (z > largest) { largest = z; owner = j; }
    }
    next[owner] = min(next[owner] + 1u, ${HELD - 1}u);
  }
  if (p.beam <= before) { verdict.y = 1.0; return; }
  verdict = vec2f(largest, select(0.0, 1.0, p.beam <= before + ${HELD}u || largest <= ${MASKED}));
}

fn leastOf(lane: u32, first: u32, row: u32, begin: u32, ranged: u32, listed: u32) -> f32 {
  var least = 3e38;
  ${
  both((size, at) => `
  for (var k = lane; k < ${size}; k += ${lanes}u) { least = min(least, logits[${at("k")}]); }`)
}
  workgroupBarrier();
  sums[lane].x = least;
  workgroupBarrier();
  for (var j = 0u; j < ${lanes}u; j++) { least = min(least, sums[j].x); }
  return least;
}

fn largestOf(lane: u32, first: u32, row: u32, begin: u32, ranged: u32, listed: u32) -> f32 {
  if (p.beam >= ranged + listed) { return leastOf(lane, first, row, begin, ranged, listed); }
  var bound = 3e38;
  if (lane == 0u) {
    verdict = vec2f(bound, 0.0);
    floor = ${MASKED};
  }
  workgroupBarrier();
  if (p.vocabulary == 0u) { findFloor(lane); }
  let least = workgroupUniformLoad(&floor);
  loop {
    var a = vec4f(least);
    var b = a;
    var c = a;
    var d = a;
    var above = 0u;
    ${
  both((size, at) => `
    for (var k = lane; k < ${size}; k += ${lanes}u) {
      let z = logits[${at("k")}];
      above += select(0u, 1u, z >= bound);
      if (z > d.w && z < bound) {
        let v = vec4f(z);
        d = max(d, min(vec4f(c.w, d.xyz), v));
        c = max(c, min(vec4f(b.w, c.xyz), v));
        b = max(b, min(vec4f(a.w, b.xyz), v));
        a = max(a, min(vec4f(3e38, a.xyz), v));
      }
    }`)
}
    passed[lane] = above;
    for (var i = 0u; i < 4u; i++) {
      held[lane * ${HELD}u + i] = a[i];
      held[lane * ${HELD}u + 4u + i] = b[i];
      held[lane * ${HELD}u + 8u + i] = c[i];
      held[lane * ${HELD}u + 12u + i] = d[i];
    }
    workgroupBarrier();
    if (lane == 0u) { merge(); }
    let next = workgroupUniformLoad(&verdict);
    bound = next.x;
    if (next.y > 0.0) { break; }
  }
  if (bound > ${MASKED}) { return bound; }
  return leastOf(lane, first, row, begin, ranged, listed); // as absent as the data have it
}

${head(lanes)}  var numbers = vec3f(0.0);
  var probs = vec2f(0.0);
  if (count > 0u) {
    let ranged = select(0u, count, isRange);
    var normalizer: vec2f;
    if (p.vocabulary != 0u) { normalizer = normalizerOf(lane, row, row, begin, p.V, 0u); }
    else { normalizer = normalizerOf(lane, row + token, row, begin, ranged, count - ranged); }
    probs.x = (logits[row + u32(labels[n])] - normalizer.x) / p.tau - normalizer.y;
    numbers = vec3f(normalizer, 0.0);
    if (p.beam > 0u) {
      workgroupBarrier();
      numbers.z = largestOf(lane, row + token, row, begin, ranged, count - ranged);
      probs.y = (numbers.z - normalizer.x) / p.tau - normalizer.y;
    }
  }
  if (lane > 0u) { return; }
  logProb[n] = probs.x;
  logBeta[n] = probs.y;
  choices[n] = i32(count);
  for (var i = 0u; i < 3u; i++) { saved[3u * n + i] = numbers[i]; }
}`;

/** The backward, likewise. Every lane writes its share of the row, and after it its share of children that are no range. */
export const backwardWgsl = (lanes: number): string => `
${BEAM_TH_TOKEN_WGSL}
${head(lanes)}
  let top = saved[3u * n];
  let logSum = saved[3u * n + 1u];
  let inverse = 1.0 / p.tau;
  var dProb = 0.0;
  if (p.withProb != 0u) { dProb = dlogProb[n] * inverse; }
  var dBeta = 0.0;
  if (p.withBeta != 0u) { dBeta = dlogBeta[n] * inverse; }
  let pull = -(dProb + dBeta);
  var low = row + p.V; // from low to high the range that has a gradient, zeros elsewhere
  var high = low;
  if (p.vocabulary != 0u && count > 0u) { low = row; }
  else if (count > 1u && isRange) {
    low = row + token;
    high = low + count;
  }
  for (var v = row + lane; v < low; v += ${lanes}u) { dlogits[v] = 0.0; }
  var v = low + lane;
  for (; v + ${3 * lanes}u < high; v += ${4 * lanes}u) {
    let vs = v + vec4u(0u, ${lanes}u, ${2 * lanes}u, ${3 * lanes}u);
    let z = vec4f(logits[vs.x], logits[vs.y], logits[vs.z], logits[vs.w]);
    let dz = pull * exp((z - top) * inverse - logSum);
    dlogits[vs.x] = dz.x;
    dlogits[vs.y] = dz.y;
    dlogits[vs.z] = dz.z;
    dlogits[vs.w] = dz.w;
  }
  for (; v < high; v += ${lanes}u) {
    dlogits[v] = pull * exp((logits[v] - top) * inverse - logSum);
  }
  for (v = high + lane; v < row + p.V; v += ${lanes}u) { dlogits[v] = 0.0; }
  storageBarrier();
  if (low == high && count > 1u) {
    for (var k = lane; k < count; k += ${lanes}u) {
      let v = row + u32(table[begin + k]);
      dlogits[v] = pull * exp((logits[v] - top) * inverse - logSum);
    }
    storageBarrier();
  }
  if (lane > 0u || count == 0u || (count == 1u && p.vocabulary == 0u)) { return; }
  dlogits[row + u32(labels[n])] += dProb;
  if (p.withBeta == 0u) { return; }
  dlogits[row + beamThToken(row, begin, begin + count, saved[3u * n + 2u])] += dBeta;
}`;
