/**
 * The pools of a step of beam search on a trie (a table as in `trie_table.ts`), for U users with W
 * beams each. A frontier row holds a node and its score; a user's rows are in ascending order of
 * nodes, absent rows (node -1) last. A row has F pool entries. Those of an inner node are, in
 * order, its children's
 *
 *   score + min(0, log q(v)),   log q(v) = (z_v - max z) / tau - log sum_w exp((z_w - max z) / tau)
 *
 * with w over the children that are not blocked, or log q(v) as it is given. A leaf has its own
 * score alone. All other entries are MASKED.
 *
 * So the position in a user's pool (W F) orders entries as their nodes do, and a top-k whose ties
 * go to the lower position keeps the total order: score descending, then node ascending.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { ABSENT, isUsable, MASKED, WGSL_USABLE } from "./masked.ts";
import { WGSL_NORMALIZER } from "./normalizer.ts";
import { smallTrie } from "./trie_table.ts";

/** Pads a list of blocked nodes. It is larger than any node. */
export const NO_NODE = 2 ** 31 - 1;

/** The count of a row whose logits cannot be used. */
export const UNUSABLE = -1;

/**
 * The pool, and for each row the log of its entries' total probability and their number; one
 * invocation per row. `blocked` holds E nodes per user, ascending, padded with NO_NODE. logits
 * (R, F) are those of the children, in order; where `normalized` is 1 they are log q
 * (`child_log_probs.ts`). If the logit of a child that is not blocked cannot be used (`masked.ts`),
 * the row has no entries, and its number is UNUSABLE.
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
    edges: "u32",
    normalized: "u32",
    tau: "f32",
  },
  cpu(
    { logits, table, nodes, scores, blocked, pool, mass, count },
    { R, W, F, E, edges, normalized, tau },
  ): void {
    pool.fill(MASKED);
    for (let r = 0; r < R; r++) {
      const first = r * F;
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
        entries[k - from] = logits[first + k - from];
        usable &&= isUsable(entries[k - from]);
        count[r]++;
      }
      if (!usable) {
        entries.fill(MASKED);
        count[r] = UNUSABLE;
        continue;
      }
      const [max, logSum] = normalized ? [0, 0] : presentNormalizer(entries, tau);
      const scale = normalized ? 1 : tau;
      for (let k = 0; k < entries.length; k++) {
        if (entries[k] <= ABSENT) continue;
        entries[k] = Math.min(0, (entries[k] - max) / scale - logSum);
        entries[k] += scores[r]; // after rounding, as in WGSL, so that (a, b) and (b, a) tie
      }
      if (normalized) {
        const [best, logMass] = presentNormalizer(entries, 1);
        mass[r] = best + logMass;
      } else if (count[r] > 0) mass[r] = scores[r]; // the children share all of it
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
${WGSL_NORMALIZER}
${WGSL_USABLE}
fn isBlocked(node: i32, begin: u32) -> bool {
  var low = begin;
  var high = begin + p.E;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (blocked[middle] < node) { low = middle + 1u; } else { high = middle; }
  }
  return low < begin + p.E && blocked[min(low, begin + p.E - 1u)] == node;
}
fn present(begin: u32, end: u32, inverse: f32) -> vec2f { // the normaliser of the entries there
  var normalizer = NO_LOGITS;
  for (var i = begin; i < end; i++) {
    if (pool[i] > ${ABSENT}) { normalizer = withLogit(normalizer, pool[i], inverse); }
  }
  return vec2f(normalizer.x, logOf(normalizer.y));
}
fn kernel(r: u32) {
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
    let z = logits[first + k - begin];
    usable = usable && isUsable(z);
    pool[first + k - begin] = z;
    open++;
  }
  let last = first + end - begin;
  if (!usable) {
    for (var i = first; i < last; i++) { pool[i] = ${MASKED}; }
    count[r] = ${UNUSABLE};
    return;
  }
  count[r] = open;
  var normalizer = vec2f(0.0);
  var scale = 1.0;
  if (p.normalized == 0u) {
    normalizer = present(first, last, 1.0 / p.tau);
    scale = p.tau;
  }
  for (var i = first; i < last; i++) {
    if (pool[i] <= ${ABSENT}) { continue; }
    pool[i] = scores[r] + min(0.0, (pool[i] - normalizer.x) / scale - normalizer.y);
  }
  if (p.normalized != 0u) {
    let total = present(first, last, 1.0);
    mass[r] = total.x + total.y;
  } else if (open > 0) {
    mass[r] = scores[r];
  }
}`,
  cases: () => {
    const [W, F, E] = [4, 5, 2];
    const ordinary = { // an inner node, a leaf, a node with one child, ...
      nodes: [1, 4, 6, -1, 1, 2, 4, 6],
      logits: noise(2 * W * F, 1).map((z) => 4 * z),
    };
    const strange = { nodes: [1, 4, 6, -1, 1, 1, 6, 6], logits: ordinary.logits.slice() };
    const set = (row: number, child: number, z: number): number =>
      strange.logits[row * F + child] = z;
    set(0, 1, NaN); // of a node that is blocked
    strange.logits.fill(NaN, F, 2 * F); // of a leaf
    set(2, 0, NaN);
    set(4, 1, Infinity);
    set(5, 0, -6e29);
    set(6, 0, 4e29);
    set(7, 0, -Infinity);
    const modes = [[0, 1], [0, 2.5], [1, 2.5]].map(([normalized, tau]) => ({ normalized, tau }));
    return modes.flatMap((options) =>
      [ordinary, strange].map(({ nodes, logits }) => ({
        name: Object.entries(options).flat().join(" ") +
          (logits === strange.logits ? ", logits that cannot be used" : ""),
        params: { R: 2 * W, W, F, E, edges: smallTrie.edges, ...options },
        buffers: {
          logits,
          table: smallTrie.table,
          nodes,
          scores: noise(2 * W, 2).map((s) => s - 3),
          blocked: [3, NO_NODE, NO_NODE, NO_NODE],
          pool: 2 * W * F,
          mass: 2 * W,
          count: 2 * W,
        },
      }))
    );
  },
});

/**
 * Masks the entries of a pool (U, N) that score less than their user's floor; one invocation per
 * entry.
 */
export const dropBelow = defineKernel({
  name: "dropBelow",
  buffers: { floors: "read float", pool: "update float" },
  params: { U: "u32", N: "u32" },
  cpu({ floors, pool }, { U, N }): void {
    for (let i = 0; i < U * N; i++) if (pool[i] < floors[Math.floor(i / N)]) pool[i] = MASKED;
  },
  invocations: ({ U, N }) => U * N,
  wgsl: `
fn kernel(i: u32) {
  if (pool[i] < floors[i / p.N]) { pool[i] = ${MASKED}; }
}`,
  cases: () => [{
    name: "two users",
    params: { U: 2, N: 3 },
    buffers: { floors: [-1, MASKED], pool: [-0.5, -1, -1.5, -0.5, -70, MASKED] },
  }],
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

/** The normaliser (`normalizer.ts`) of the entries that are there. */
function presentNormalizer(entries: FloatArray, tau: number): [max: number, logSum: number] {
  let max = -Infinity;
  for (let i = 0; i < entries.length; i++) if (entries[i] > max) max = entries[i];
  let sum = 0;
  for (let i = 0; i < entries.length; i++) {
    if (!(entries[i] <= ABSENT)) sum += Math.exp((entries[i] - max) / tau);
  }
  return [max, Math.log(sum)];
}
