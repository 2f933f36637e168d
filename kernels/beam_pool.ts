/**
 * The pools of a step of beam search on a trie (table of `trie_table.ts`), for U users with W beams each. A frontier row holds a
 * node and its score; rows of a user are in ascending order of nodes, absent rows (node -1) last. Its pool row has F entries: its
 * children's
 *
 *   score + min(0, log q(v)),   log q(v) = (z_v - max z) / tau - log sum_w exp((z_w - max z) / tau)
 *
 * in order, w over the children that are not blocked, or over the vocabulary; a leaf's own score alone; MASKED for the rest.
 * Thus the position in a user's pool (W F) orders entries as their nodes do, and a top-k whose ties go to the lower position
 * keeps the total order: score descending, then node ascending.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel } from "../core/kernel.ts";
import { ramp } from "./cases.ts";
import { ABSENT, isUsable, MASKED, USABLE_WGSL } from "./masked.ts";
import { RANGE_WGSL, vocabularyNormalizer } from "./normalizer.ts";
import { smallTrie } from "./trie_table.ts";

/** Pads a list of blocked nodes; larger than any node. */
export const NO_NODE = 2 ** 31 - 1;

/** The count of a row whose logits cannot be used. */
export const UNUSABLE = -1;

/**
 * The pool, and for each row the log of its entries' total probability and their number; one invocation a row. `blocked` holds E
 * nodes a user, ascending, padded with NO_NODE. logits has V numbers a frontier row: by token, or where `gathered` is 1 (not with
 * `vocabulary`) one for each child, in order. If a logit that w covers is not usable (`masked.ts`), the row has no entries, and
 * the number is UNUSABLE.
 */
export const poolScores = defineKernel({
  name: "poolScores",
  buffers: {
    logits: "read float",
    table: "read int",
    nodes: "read int",
    scores: "read float",
    blocked: "read int",
    pool: "write float",
    mass: "write float",
    count: "write int",
  },
  params: {
    R: "u32",
    W: "u32",
    F: "u32",
    E: "u32",
    V: "u32",
    edges: "u32",
    vocabulary: "u32",
    gathered: "u32",
    tau: "f32",
  },
  cpu(
    { logits, table, nodes, scores, blocked, pool, mass, count },
    { R, W, F, E, V, edges, vocabulary, gathered, tau },
  ): void {
    pool.fill(MASKED);
    for (let r = 0; r < R; r++) {
      const [row, first] = [r * V, r * F];
      mass[r] = MASKED;
      count[r] = 0;
      if (nodes[r] < 0) continue;
      const [from, to] = [table[nodes[r]], table[nodes[r] + 1]];
      if (from === to) {
        pool[first] = mass[r] = scores[r];
        count[r] = 1;
        continue;
      }
      const user = Math.floor(r / W) * E;
      const entries = pool.subarray(first, first + to - from);
      let usable = true;
      for (let k = from; k < to; k++) {
        if (isBlocked(table[k + edges], blocked, user, E)) continue;
        entries[k - from] = logits[row + (gathered ? k - from : table[k])];
        usable &&= isUsable(entries[k - from]);
        count[r]++;
      }
      if (vocabulary) { for (let v = row; v < row + V; v++) usable &&= isUsable(logits[v]); }
      if (!usable) {
        entries.fill(MASKED);
        count[r] = UNUSABLE;
        continue;
      }
      const [max, logSum] = vocabulary
        ? vocabularyNormalizer(logits, row, V, tau)
        : presentNormalizer(entries, tau);
      for (let k = 0; k < entries.length; k++) {
        if (entries[k] <= ABSENT) continue;
        entries[k] = Math.min(0, (entries[k] - max) / tau - logSum);
        entries[k] += scores[r]; // after rounding, as in WGSL, so that (a, b) and (b, a) tie
      }
      const [best, logMass] = presentNormalizer(entries, 1);
      mass[r] = best + logMass;
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
${RANGE_WGSL}
${USABLE_WGSL}
fn isBlocked(node: i32, begin: u32) -> bool {
  var low = begin;
  var high = begin + p.E;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (blocked[middle] < node) { low = middle + 1u; } else { high = middle; }
  }
  return low < begin + p.E && blocked[min(low, begin + p.E - 1u)] == node;
}
fn present(begin: u32, end: u32, inverse: f32) -> vec2f {
  var m = ${MASKED};
  var s = 0.0;
  for (var i = begin; i < end; i++) {
    let z = pool[i];
    if (z <= ${ABSENT}) { continue; }
    let d = (z - m) * inverse;
    let e = exp(-abs(d));
    s = select(s + e, s * e + 1.0, d > 0.0);
    m = max(m, z);
  }
  return vec2f(m, logOf(s));
}
fn kernel(r: u32) {
  let row = r * p.V;
  let first = r * p.F;
  mass[r] = ${MASKED};
  count[r] = 0;
  for (var i = 0u; i < p.F; i++) { pool[first + i] = ${MASKED}; }
  let node = nodes[r];
  if (node < 0) { return; }
  let begin = u32(table[node]);
  let end = u32(table[node + 1]);
  if (begin == end) {
    pool[first] = scores[r];
    mass[r] = scores[r];
    count[r] = 1;
    return;
  }
  let user = r / p.W * p.E;
  var open = 0;
  var usable = true;
  for (var k = begin; k < end; k++) {
    if (isBlocked(table[k + p.edges], user)) { continue; }
    var column = k - begin;
    if (p.gathered == 0u) { column = u32(table[k]); }
    let z = logits[row + column];
    usable = usable && isUsable(z);
    pool[first + k - begin] = z;
    open++;
  }
  if (p.vocabulary != 0u) {
    for (var v = row; v < row + p.V; v++) { usable = usable && isUsable(logits[v]); }
  }
  let last = first + end - begin;
  if (!usable) {
    for (var i = first; i < last; i++) { pool[i] = ${MASKED}; }
    count[r] = ${UNUSABLE};
    return;
  }
  count[r] = open;
  var normalizer: vec2f;
  if (p.vocabulary != 0u) { normalizer = normalizerOfRange(row, p.V); }
  else { normalizer = present(first, last, 1.0 / p.tau); }
  for (var i = first; i < last; i++) {
    if (pool[i] <= ${ABSENT}) { continue; }
    pool[i] = scores[r] + min(0.0, (pool[i] - normalizer.x) / p.tau - normalizer.y);
  }
  let total = present(first, last, 1.0);
  mass[r] = total.x + total.y;
}`,
  cases: () => {
    const [W, F, E, V] = [4, 5, 2, 7];
    const ordinary = { // an inner node, a leaf, a node with one child, ...
      nodes: [1, 4, 6, -1, 1, 2, 4, 6],
      logits: ramp(2 * W * V, 1).map((z) => 4 * z),
    };
    const strange = { nodes: [1, 4, 6, -1, 1, 1, 6, 6], logits: ordinary.logits.slice() };
    const set = (row: number, token: number, z: number): number =>
      strange.logits[row * V + token] = z;
    set(0, 4, NaN); // of a node that is blocked
    strange.logits.fill(NaN, V, 2 * V); // of a leaf
    set(2, 3, NaN);
    set(4, 6, Infinity);
    set(5, 1, -6e29);
    set(6, 3, 4e29);
    set(7, 3, -Infinity);
    const byToken = [[0, 1], [1, 1], [0, 2.5], [1, 0.5]].map(([vocabulary, tau]) => ({
      vocabulary,
      gathered: 0,
      tau,
    }));
    return [...byToken, { vocabulary: 0, gathered: 1, tau: 2.5 }].flatMap((options) =>
      [ordinary, strange].map(({ nodes, logits }) => ({
        name: Object.entries(options).flat().join(" ") +
          (logits === strange.logits ? ", logits that cannot be used" : ""),
        params: { R: 2 * W, W, F, E, V, edges: smallTrie.edges, ...options },
        buffers: {
          logits,
          table: smallTrie.table,
          nodes,
          scores: ramp(2 * W, 2).map((s) => s - 3),
          blocked: [3, NO_NODE, NO_NODE, NO_NODE],
          pool: 2 * W * F,
          mass: 2 * W,
          count: 2 * W,
        },
      }))
    );
  },
});

/** Whether a node is in a user's list. */
function isBlocked(node: number, blocked: Int32Array, begin: number, size: number): boolean {
  let low = begin;
  let high = begin + size;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (blocked[middle] < node) low = middle + 1;
    else high = middle;
  }
  return low < begin + size && blocked[low] === node;
}

/** The largest of the entries that are present, and log sum exp((z - max) / tau) over them. */
function presentNormalizer(entries: FloatArray, tau: number): [max: number, logSum: number] {
  let max = -Infinity;
  for (let i = 0; i < entries.length; i++) if (entries[i] > max) max = entries[i];
  let sum = 0;
  for (let i = 0; i < entries.length; i++) {
    if (!(entries[i] <= ABSENT)) sum += Math.exp((entries[i] - max) / tau);
  }
  return [max, Math.log(sum)];
}
