/**
 * Logits and log-probabilities of a trie node's children, taken from whole rows of logits. The trie
 * is a table as in `trie_table.ts`. Row r stands at node nodes[r], or at none (-1), and has the V
 * logits z of row place[r], or none (-1). With v the token of child k of its node:
 *
 *   pickChildren   out[r, k] = z_v
 *   childLogProbs  out[r, k] = (z_v - max z) / tau - log sum_w exp((z_w - max z) / tau)
 *
 * with w over the whole vocabulary. Both are 0 where there are no logits, or no child k < F. If one
 * logit of a row cannot be used (`masked.ts`), none of its log-probabilities can: they are -MASKED.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { isUsable, MASKED, WGSL_USABLE } from "./masked.ts";
import { normalizerOf, WGSL_NORMALIZER } from "./normalizer.ts";
import { smallTrie } from "./trie_table.ts";

/** out (R, F); one invocation per element. */
export const pickChildren = defineKernel({
  name: "pickChildren",
  buffers: {
    logits: "read float",
    table: "read int",
    nodes: "read int",
    place: "read int",
    out: "write float",
  },
  params: { R: "u32", F: "u32", V: "u32" },
  cpu({ logits, table, nodes, place, out }, { R, F, V }): void {
    out.fill(0);
    for (let r = 0; r < R; r++) {
      if (nodes[r] < 0 || place[r] < 0) continue;
      const [from, to] = [table[nodes[r]], table[nodes[r] + 1]];
      for (let k = from; k < to; k++) out[r * F + k - from] = logits[place[r] * V + table[k]];
    }
  },
  invocations: ({ R, F }) => R * F,
  wgsl: `
fn kernel(i: u32) {
  let r = i / p.F;
  let node = nodes[r];
  let at = place[r];
  var z = 0.0;
  if (node >= 0 && at >= 0) {
    let child = u32(table[node]) + i % p.F;
    if (child < u32(table[node + 1])) { z = logits[u32(at) * p.V + u32(table[child])]; }
  }
  out[i] = z;
}`,
  cases: () => [{
    name: "rows without a node, without logits, of a leaf",
    params: { R: 8, F: 4, V: 7 },
    buffers: {
      logits: noise(6 * 7, 1),
      table: smallTrie.table,
      nodes: [0, 1, 2, 6, -1, 0, 4, 1],
      place: [3, 0, 1, 5, 2, -1, 4, 2],
      out: 8 * 4,
    },
  }],
});

/** out (R, F); one invocation per row. */
export const childLogProbs = defineKernel({
  name: "childLogProbs",
  buffers: {
    logits: "read float",
    table: "read int",
    nodes: "read int",
    place: "read int",
    out: "write float",
  },
  params: { R: "u32", F: "u32", V: "u32", tau: "f32" },
  cpu({ logits, table, nodes, place, out }, { R, F, V, tau }): void {
    out.fill(0);
    for (let r = 0; r < R; r++) {
      if (nodes[r] < 0 || place[r] < 0) continue;
      const [from, to] = [table[nodes[r]], table[nodes[r] + 1]];
      if (from === to) continue;
      const z = logits.subarray(place[r] * V, place[r] * V + V);
      let usable = true;
      for (let v = 0; v < V; v++) usable &&= isUsable(z[v]);
      const [max, logSum] = normalizerOf(z, tau);
      for (let k = from; k < to; k++) {
        out[r * F + k - from] = usable ? (z[table[k]] - max) / tau - logSum : -MASKED;
      }
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
${WGSL_NORMALIZER}
${WGSL_USABLE}
fn kernel(r: u32) {
  let first = r * p.F;
  for (var i = 0u; i < p.F; i++) { out[first + i] = 0.0; }
  let node = nodes[r];
  let at = place[r];
  if (node < 0 || at < 0) { return; }
  let begin = u32(table[node]);
  let end = u32(table[node + 1]);
  if (begin == end) { return; }
  let row = u32(at) * p.V;
  var usable = true;
  for (var v = row; v < row + p.V; v++) { usable = usable && isUsable(logits[v]); }
  if (!usable) {
    for (var k = begin; k < end; k++) { out[first + k - begin] = ${-MASKED}; }
    return;
  }
  let inverse = 1.0 / p.tau;
  var normalizer = NO_LOGITS;
  for (var v = row; v < row + p.V; v++) { normalizer = withLogit(normalizer, logits[v], inverse); }
  let logSum = logOf(normalizer.y);
  for (var k = begin; k < end; k++) {
    out[first + k - begin] = (logits[row + u32(table[k])] - normalizer.x) / p.tau - logSum;
  }
}`,
  cases: () => {
    const [F, V] = [4, 7];
    const logits = noise(6 * V, 1).map((z) => 4 * z);
    const strange = logits.slice();
    [NaN, Infinity, -6e29, 4e29].forEach((z, row) => strange[row * V + row] = z);
    return [logits, strange].flatMap((logits) =>
      [1, 2.5].map((tau) => ({
        name: `tau ${tau}${logits === strange ? ", logits that cannot be used" : ""}`,
        params: { R: 8, F, V, tau },
        buffers: {
          logits,
          table: smallTrie.table,
          nodes: [0, 1, 2, 6, -1, 0, 4, 1],
          place: [3, 0, 1, 5, 2, -1, 4, 2],
          out: 8 * F,
        },
      }))
    );
  },
});
