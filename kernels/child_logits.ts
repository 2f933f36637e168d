/**
 * The logits of the tokens that can follow on a trie (a table as in `trie_table.ts`), and of no
 * others. Row n stands at node u_n, or at none (-1), and has a hidden state h_n of C numbers. With
 * v_k the token of child k of u_n:
 *
 *   z[n, k] = h_n . head[v_k]
 *
 * and 0 where there is no child k < F, or no other child: then there is nothing to choose.
 * Backward:
 *
 *   dh_n       = sum_k dz[n, k] head[v_k]
 *   dhead[v]   = sum over the edges (u, k) by token v, over the rows n with u_n = u, dz[n, k] h_n
 *
 * The last takes the rows in the order of their nodes, so that an edge's rows lie together, and
 * sums them in the order of n: the same bits in every run.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { childrenOf, smallTrie } from "./trie_table.ts";
import { simd } from "./wasm/modules.ts";

/** How the head is stored, four numbers together. */
type Stored = "float4" | "half4";

/** The WGSL function that makes four floats of four stored numbers. */
const toFloats = (stored: Stored): string => stored === "half4" ? "half4" : "vec4f";

/** The tokens of a node's children, if there are two or more. */
function choicesOf(table: Int32Array, node: number): Int32Array {
  const children = childrenOf(table, node);
  return children.length > 1 ? children : children.subarray(0, 0);
}

/** Sizes of the hidden states in the reference tests. */
const SIZES = [4, 20, 68];

/** Nodes of rows in the backward's tests, and the rows by (max(node, 0), row). */
const NODES = [0, 1, 0, 6, -1, 1, 0, 3];
const ORDER = [0, 2, 4, 6, 1, 5, 7, 3];

const childLogitsOf = (stored: Stored) =>
  defineKernel({
    name: `childLogits ${stored}`,
    buffers: {
      hidden: "read float4",
      head: `read ${stored}`,
      table: "read int",
      nodes: "read int",
      place: "read int",
      out: "write float",
    },
    params: { R: "u32", F: "u32", C: "u32" },
    cpu({ hidden, head, table, nodes, place, out }, { R, F, C }): void {
      out.fill(0);
      for (let r = 0; r < R; r++) {
        if (place[r] < 0) continue;
        choicesOf(table, nodes[r]).forEach((v, k) => {
          let sum = 0;
          for (let c = 0; c < C; c++) sum += hidden[place[r] * C + c] * head[v * C + c];
          out[r * F + k] = sum;
        });
      }
    },
    wasm: {
      module: simd,
      function: "childLogits",
      args: (a, { F, C }) => {
        return [a.hidden, a.head, a.table, a.nodes, a.place, a.out, F, C, +(stored === "half4")];
      },
      items: ({ R }) => R,
      work: ({ R, F, C }) => R * F * C / 4,
    },
    invocations: ({ R, F }) => R * F,
    wgsl: `
fn kernel(i: u32) {
  let r = i / p.F;
  var sum = vec4f(0.0);
  let node = nodes[r];
  let at = place[r];
  if (node >= 0 && at >= 0) {
    let first = u32(table[node]);
    let child = first + i % p.F;
    let end = u32(table[node + 1]);
    if (child < end && first + 1u < end) {
      let C4 = p.C / 4u;
      let row = u32(table[child]) * C4;
      let own = u32(at) * C4;
      for (var c = 0u; c < C4; c++) { sum += hidden[own + c] * ${toFloats(stored)}(head[row + c]); }
    }
  }
  out[i] = dot(sum, vec4f(1.0));
}`,
    cases: () =>
      SIZES.map((C) => ({
        name: `hidden states of ${C}`,
        params: { R: 6, F: 4, C },
        buffers: {
          hidden: noise(6 * C, 1),
          head: noise(7 * C, 2),
          table: smallTrie.table,
          nodes: [0, 1, 2, 6, -1, 0],
          place: [3, 0, 1, 5, 2, -1],
          out: 24,
        },
      })),
  });

/**
 * hidden (N, C), head (V, C), out (R, F). Row r has the hidden state place[r], or none (-1): then
 * its logits are 0. One invocation per element of out.
 */
export const childLogits = childLogitsOf("float4");

/** {@link childLogits} with a head in half precision. */
export const childLogitsHalf = childLogitsOf("half4");

const childHiddenOf = (stored: Stored) =>
  defineKernel({
    name: `childHidden ${stored}`,
    buffers: {
      dz: "read float",
      head: `read ${stored}`,
      table: "read int",
      nodes: "read int",
      out: "write float4",
    },
    params: { N: "u32", F: "u32", C: "u32" },
    cpu({ dz, head, table, nodes, out }, { N, F, C }): void {
      const sum = new Float64Array(C);
      for (let n = 0; n < N; n++) {
        sum.fill(0);
        choicesOf(table, nodes[n]).forEach((v, k) => {
          for (let c = 0; c < C; c++) sum[c] += dz[n * F + k] * head[v * C + c];
        });
        out.set(sum, n * C);
      }
    },
    wasm: {
      module: simd,
      function: "childHidden",
      args: (a, { F, C }) => {
        return [a.dz, a.head, a.table, a.nodes, a.out, F, C, +(stored === "half4")];
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
        sum += dz[n * p.F + k - first] * ${toFloats(stored)}(head[u32(table[k]) * C4 + c]);
      }
    }
  }
  out[i] = sum;
}`,
    cases: () =>
      SIZES.map((C) => ({
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

/** dh (N, C) of dz (N, F); four channels per invocation. */
export const childHidden = childHiddenOf("float4");

/** {@link childHidden} with a head in half precision. */
export const childHiddenHalf = childHiddenOf("half4");

/**
 * Items of the WebAssembly version: item i has the tokens i, i + ITEMS, ..., as busy ones may lie
 * together.
 */
const ITEMS = 64;

/**
 * dhead (V, C) of dz (N, F); four channels per invocation. `order` has the rows by
 * (max(u_n, 0), n), `byToken` the edges by their tokens (`edgeTable`), of which there are T.
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
  cpu({ dz, hidden, byToken, nodes, out }, { N, F, C, T }): void {
    out.fill(0);
    const sum = new Float64Array(C);
    for (let v = 0; v < T; v++) {
      sum.fill(0);
      for (let e = byToken[v]; e < byToken[v + 1]; e += 2) {
        const [node, k] = [byToken[e], byToken[e + 1]];
        for (let n = 0; n < N; n++) {
          if (nodes[n] !== node) continue;
          for (let c = 0; c < C; c++) sum[c] += dz[n * F + k] * hidden[n * C + c];
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
      let k = u32(byToken[e + 1u]);
      var low = 0u; // the first row whose node is at least this one
      var high = p.N;
      while (low < high) {
        let middle = (low + high) / 2u;
        if (nodeAt(middle) < node) { low = middle + 1u; } else { high = middle; }
      }
      for (var r = low; r < p.N; r++) {
        if (nodeAt(r) != node) { break; }
        let n = u32(order[r]);
        if (nodes[n] >= 0) { sum += dz[n * p.F + k] * hidden[n * C4 + c]; }
      }
    }
  }
  out[i] = sum;
}`,
  cases: () =>
    SIZES.map((C) => ({
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
