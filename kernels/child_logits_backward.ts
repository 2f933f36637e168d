/**
 * The gradients of the logits of children, z[n, k] = hidden_n . head[v_k] with v_k the token of child k of row n's node u_n, of nodes
 * that have two children or more (see `child_logits.ts`):
 *
 *   dhidden[n] = sum_k dz[n, k] head[v_k]
 *   dhead[v]   = sum over the edges (u, k) by token v, over the rows n with u_n = u, of dz[n, k] hidden_n
 *
 * The second takes the rows in the order of their nodes, so that an edge's rows lie together, and sums them in the order of n:
 * the same bits in every run.
 *
 * @module
 */
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { smallTrie } from "./trie_table.ts";
import { simd } from "./wasm/modules.ts";

const NODES = [0, 1, 0, 6, -1, 1, 0, 3];
const ORDER = [0, 2, 4, 6, 1, 5, 7, 3];

type ChildHiddenKernel = Kernel<
  {
    readonly dz: "read float";
    readonly head: "read float4" | "read half4";
    readonly table: "read int";
    readonly nodes: "read int";
    readonly out: "write float4";
  },
  { readonly N: "u32"; readonly F: "u32"; readonly C: "u32" }
>;

const childHiddenOf = (element: "float4" | "half4"): ChildHiddenKernel =>
  defineKernel({
    name: `childHidden ${element}`,
    buffers: {
      dz: "read float",
      head: `read ${element}`,
      table: "read int",
      nodes: "read int",
      out: "write float4",
    },
    params: { N: "u32", F: "u32", C: "u32" },
    cpu({ dz, head, table, nodes, out }, { N, F, C }): void {
      const sum = new Float64Array(C);
      for (let n = 0; n < N; n++) {
        const from = nodes[n] < 0 ? 0 : table[nodes[n]];
        const to = nodes[n] < 0 ? 0 : table[nodes[n] + 1];
        sum.fill(0);
        for (let k = from; k < to && to > from + 1; k++) {
          const d = dz[n * F + k - from];
          for (let c = 0, w = table[k] * C; c < C; c++) sum[c] += d * head[w++];
        }
        out.set(sum, n * C);
      }
    },
    wasm: {
      module: simd,
      function: "childHidden",
      args: (a, { F, C }) => {
        return [a.dz, a.head, a.table, a.nodes, a.out, F, C, Number(element === "half4")];
      },
      items: ({ N }) => N,
      work: ({ N, F, C }) => N * F * C / 4,
    },
    invocations: ({ N, C }) => N * C / 4,
    wgsl: `
fn kernel(i: u32) {
  let C4 = p.C / 4u;
  let n = i / C4;
  let c = i % C4;
  var sum = vec4f(0.0);
  if (nodes[n] >= 0) {
    let first = u32(table[nodes[n]]);
    let end = u32(table[nodes[n] + 1]);
    if (first + 1u < end) {
      for (var k = first; k < end; k++) {
        sum += dz[n * p.F + k - first] * ${
      element === "half4" ? element : ""
    }(head[u32(table[k]) * C4 + c]);
      }
    }
  }
  out[i] = sum;
}`,
    cases: () =>
      [4, 20, 68].map((C) => ({
        name: `hidden states of ${C}`,
        params: { N: 8, F: 3, C },
        buffers: {
          dz: noise(8 * 3, 1),
          head: noise(7 * C, 2),
          table: smallTrie.table,
          nodes: NODES,
          out: 8 * C,
        },
      })),
  });

/** dhidden (N, C) of dz (N, F); four channels an invocation. */
export const childHidden = childHiddenOf("float4");

/** The same with a head in half precision. */
export const childHiddenHalf = childHiddenOf("half4");

/** Items of the WebAssembly version: each has every so-manieth token, since those with work may lie together. */
const ITEMS = 64;

/**
 * dhead (V, C) of dz (N, F); four channels an invocation. `order` has the rows by (max(u_n, 0), n), `byToken` the edges by their tokens
 * (`edgeTable`), of which there are T.
 */
export const childHead = defineKernel({
  name: "childHead",
  buffers: {
    dz: "read float",
    hidden: "read float4",
    byToken: "read int",
    nodes: "read int",
    order: "read int",
    out: "write float4",
  },
  params: { N: "u32", F: "u32", C: "u32", V: "u32", T: "u32" },
  cpu({ dz, hidden, byToken, nodes, order, out }, { N, F, C, T }): void {
    const node = (r: number): number => Math.max(nodes[order[r]], 0);
    const sum = new Float64Array(C);
    out.fill(0);
    for (let v = 0; v < T; v++) {
      if (byToken[v] === byToken[v + 1]) continue;
      sum.fill(0);
      for (let e = byToken[v]; e < byToken[v + 1]; e += 2) {
        let low = 0;
        for (let high = N; low < high;) {
          const middle = (low + high) >> 1;
          if (node(middle) < byToken[e]) low = middle + 1;
          else high = middle;
        }
        for (let r = low; r < N && node(r) === byToken[e]; r++) {
          const n = order[r];
          if (nodes[n] < 0) continue;
          const d = dz[n * F + byToken[e + 1]];
          for (let c = 0, h = n * C; c < C; c++) sum[c] += d * hidden[h++];
        }
      }
      out.set(sum, v * C);
    }
  },
  wasm: {
    module: simd,
    function: "childHead",
    args: (a, { N, F, C, V, T }) => {
      const read = [a.dz, a.hidden, a.byToken, a.nodes, a.order];
      return [...read, a.out, N, F, C, V, T, Math.min(ITEMS, V)];
    },
    items: ({ V }) => Math.min(ITEMS, V),
    work: ({ N, F, C }) => N * F * C / 4,
  },
  invocations: ({ V, C }) => V * C / 4,
  wgsl: `
fn nodeAt(r: u32) -> i32 { return max(nodes[order[r]], 0); }
fn kernel(i: u32) {
  let C4 = p.C / 4u;
  let v = i / C4;
  let c = i % C4;
  var sum = vec4f(0.0);
  if (v < p.T) {
    let end = u32(byToken[v + 1u]);
    for (var e = u32(byToken[v]); e < end; e += 2u) {
      let node = byToken[e];
      let place = u32(byToken[e + 1u]);
      var low = 0u; // the first row whose node is at least this one
      var high = p.N;
      while (low < high) {
        let middle = (low + high) / 2u;
        if (nodeAt(middle) < node) { low = middle + 1u; } else { high = middle; }
      }
      for (var r = low; r < p.N; r++) {
        if (nodeAt(r) != node) { break; }
        let n = u32(order[r]);
        if (nodes[n] >= 0) { sum += dz[n * p.F + place] * hidden[n * C4 + c]; }
      }
    }
  }
  out[i] = sum;
}`,
  cases: () =>
    [4, 20, 68].map((C) => ({
      name: `hidden states of ${C}, two tokens that the trie does not have`,
      params: { N: 8, F: 3, C, V: 9, T: 7 },
      buffers: {
        dz: noise(8 * 3, 1),
        hidden: noise(8 * C, 2),
        byToken: smallTrie.byToken,
        nodes: NODES,
        order: ORDER,
        out: 9 * C,
      },
    })),
});
