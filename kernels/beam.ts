/**
 * One step of beam search on a trie (table of `trie_table.ts`), for U users with W beams each. A frontier row holds a node and
 * its score; rows of a user are in ascending order of nodes, absent rows (node -1) last. Its pool row has F entries: its children's
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
import { integers, ramp } from "./cases.ts";
import { ABSENT, isUsable, MASKED, USABLE_WGSL } from "./masked.ts";
import { VOCABULARY_WGSL, vocabularyNormalizer } from "./normalizer.ts";
import { trieTable } from "./trie_table.ts";

/** Pads a list of blocked nodes; larger than any node. */
export const NO_NODE = 2 ** 31 - 1;

/** The count of a row whose logits cannot be used. */
export const UNUSABLE = -1;

/**
 * The pool, and for each row the log of its entries' total probability and their number; one invocation a row. `blocked` holds E
 * nodes a user, ascending, padded with NO_NODE. logits has one row a frontier row. If a logit that w covers is not usable
 * (`masked.ts`), the row has no entries, and the number is UNUSABLE.
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
    tau: "f32",
  },
  cpu(
    { logits, table, nodes, scores, blocked, pool, mass, count },
    { R, W, F, E, V, edges, vocabulary, tau },
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
        entries[k - from] = logits[row + table[k]];
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
${VOCABULARY_WGSL}
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
    let z = logits[row + u32(table[k])];
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
  if (p.vocabulary != 0u) { normalizer = vocabulary(row); }
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
    return [[0, 1], [1, 1], [0, 2.5], [1, 0.5]].flatMap(([vocabulary, tau]) =>
      [ordinary, strange].map(({ nodes, logits }) => ({
        name: `${vocabulary ? "vocabulary" : "children"}, tau ${tau}` +
          (logits === strange.logits ? ", logits that cannot be used" : ""),
        params: { R: 2 * W, W, F, E, V, edges: exampleTrie.edges, vocabulary, tau },
        buffers: {
          logits,
          table: exampleTrie.table,
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

/**
 * The next frontier from the K best entries of each user's pool, best first, K at most B + 1; one invocation a kept entry. Row u B + i
 * gets the kept entry with the i-th lowest position. Also the token that each row feeds to the model (0 where it does not
 * matter) and the row it descends from, if the frontier before had B rows a user too.
 */
export const advanceBeams = defineKernel({
  name: "advanceBeams",
  buffers: {
    values: "read float",
    positions: "read int",
    table: "read int",
    before: "read int",
    nodes: "write int",
    scores: "write float",
    tokens: "write int",
    parents: "write int",
  },
  params: { U: "u32", B: "u32", K: "u32", W: "u32", F: "u32", edges: "u32" },
  cpu(
    { values, positions, table, before, nodes, scores, tokens, parents },
    { U, B, K, W, F, edges },
  ): void {
    for (let i = 0; i < U * B; i++) {
      const u = Math.floor(i / B);
      const own = u * K + (i % B);
      if (i % B >= K || values[own] <= ABSENT) {
        nodes[i] = -1;
        scores[i] = MASKED;
        tokens[i] = 0;
        parents[i] = i;
        continue;
      }
      let row = u * B;
      for (let j = u * K; j < u * K + Math.min(B, K); j++) {
        if (values[j] > ABSENT && positions[j] < positions[own]) row++;
      }
      const w = Math.floor(positions[own] / F);
      const node = before[u * W + w];
      const [from, to] = [table[node], table[node + 1]];
      const child = from + positions[own] % F;
      nodes[row] = from === to ? node : table[child + edges];
      tokens[row] = from === to ? 0 : table[child];
      scores[row] = values[own];
      parents[row] = u * B + w;
    }
  },
  invocations: ({ U, B }) => U * B,
  wgsl: `
fn kernel(i: u32) {
  let u = i / p.B;
  let own = u * p.K + min(i % p.B, p.K - 1u);
  if (i % p.B >= p.K || values[own] <= ${ABSENT}) {
    nodes[i] = -1;
    scores[i] = ${MASKED};
    tokens[i] = 0;
    parents[i] = i32(i);
    return;
  }
  var row = u * p.B;
  let position = positions[own];
  for (var j = u * p.K; j < u * p.K + min(p.B, p.K); j++) {
    if (values[j] > ${ABSENT} && positions[j] < position) { row++; }
  }
  let w = u32(position) / p.F;
  let node = before[u * p.W + w];
  let begin = u32(table[node]);
  let child = begin + u32(position) % p.F;
  if (begin == u32(table[node + 1])) {
    nodes[row] = node;
    tokens[row] = 0;
  } else {
    nodes[row] = table[child + p.edges];
    tokens[row] = table[child];
  }
  scores[row] = values[own];
  parents[row] = i32(u * p.B + w);
}`,
  cases: () => [
    {
      name: "a user with three entries, a user with two and a masked one",
      params: { U: 2, B: 3, K: 4, W: 2, F: 3, edges: exampleTrie.edges },
      buffers: {
        values: [-0.5, -1, -1, -2, -1, -1.5, MASKED, MASKED],
        positions: [3, 0, 1, 2, 3, 0, 1, 2],
        table: exampleTrie.table,
        before: [1, 4, 4, 6],
        nodes: 6,
        scores: 6,
        tokens: 6,
        parents: 6,
      },
    },
    {
      name: "from the root, fewer entries than beams",
      params: { U: 1, B: 5, K: 3, W: 1, F: 3, edges: exampleTrie.edges },
      buffers: {
        values: [-0.5, -1, -2],
        positions: [2, 1, 0],
        table: exampleTrie.table,
        before: [0],
        nodes: 5,
        scores: 5,
        tokens: 5,
        parents: 5,
      },
    },
  ],
});

/**
 * The ancestors of R rows after token number `step` was chosen: entry [r, j] for j < step is the row that fed the token at step j which
 * row r descends from. after[r, j] = before[parents[r], j] for j < step - 1, and after[r, step - 1] = parents[r]; the rest is 0.
 * One invocation a row.
 */
export const traceAncestors = defineKernel({
  name: "traceAncestors",
  buffers: { parents: "read int", before: "read int", after: "write int" },
  params: { R: "u32", L: "u32", step: "u32" },
  cpu({ parents, before, after }, { R, L, step }): void {
    for (let r = 0; r < R; r++) {
      for (let j = 0; j < L; j++) {
        const older = j + 1 < step ? before[parents[r] * L + j] : 0;
        after[r * L + j] = j + 1 === step ? parents[r] : older;
      }
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
fn kernel(r: u32) {
  let parent = u32(parents[r]) * p.L;
  for (var j = 0u; j < p.L; j++) {
    var row = 0;
    if (j + 1u < p.step) { row = before[parent + j]; }
    if (j + 1u == p.step) { row = parents[r]; }
    after[r * p.L + j] = row;
  }
}`,
  cases: () =>
    [1, 3].map((step) => ({
      name: `step ${step}`,
      params: { R: 6, L: 4, step },
      buffers: { parents: [0, 0, 1, 4, 5, 5], before: integers(24, 6, 1), after: 24 },
    })),
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

/** The paths (0, 1), (0, 4), (0, 6), (2), (5, 3): nodes 0 (root), 1 (0), 2 to 4 (its leaves), 5 (2), 6 (5), 7 (5, 3). */
const exampleTrie = {
  table: trieTable([0, 3, 6, 6, 6, 6, 6, 7, 7], [0, 2, 5, 1, 4, 6, 3], [1, 5, 6, 2, 3, 4, 7]),
  edges: 7,
};
