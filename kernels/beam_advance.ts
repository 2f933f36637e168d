/**
 * How a step of beam search moves on, once the best entries of each user's pool (`beam_pool.ts`)
 * are known.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { ABSENT, MASKED } from "./masked.ts";
import { smallTrie } from "./trie_table.ts";

/**
 * The next frontier from the K best entries of each user's pool, best first, K at most B + 1; one
 * invocation per kept entry. Row u B + i gets the kept entry with the i-th lowest position. Also
 * the token that each row feeds to the model (0 where it does not matter), and the row that it
 * descends from, if the frontier before had B rows per user too.
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
      params: { U: 2, B: 3, K: 4, W: 2, F: 3, edges: smallTrie.edges },
      buffers: {
        values: [-0.5, -1, -1, -2, -1, -1.5, MASKED, MASKED],
        positions: [3, 0, 1, 2, 3, 0, 1, 2],
        table: smallTrie.table,
        before: [1, 4, 4, 6],
        nodes: 6,
        scores: 6,
        tokens: 6,
        parents: 6,
      },
    },
    {
      name: "from the root, fewer entries than beams",
      params: { U: 1, B: 5, K: 3, W: 1, F: 3, edges: smallTrie.edges },
      buffers: {
        values: [-0.5, -1, -2],
        positions: [2, 1, 0],
        table: smallTrie.table,
        before: [0],
        nodes: 5,
        scores: 5,
        tokens: 5,
        parents: 5,
      },
    },
  ],
});
