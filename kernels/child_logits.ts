/**
 * The logits of the tokens that can follow on a trie (table of `trie_table.ts`), and of no others. Row r stands at node u = nodes_r, or at
 * none (-1), and has the hidden state h of C numbers at place_r, or none (-1):
 *
 *   out[r, k] = h . head[v_k],   v_k the token of child k of u, or 0 where there is no h, or no child k < F, or no other child.
 *
 * @module
 */
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { smallTrie } from "./trie_table.ts";
import { simd } from "./wasm/modules.ts";

type ChildLogitsKernel = Kernel<
  {
    readonly hidden: "read float4";
    readonly head: "read float4" | "read half4";
    readonly table: "read int";
    readonly nodes: "read int";
    readonly place: "read int";
    readonly out: "write float";
  },
  { readonly R: "u32"; readonly F: "u32"; readonly C: "u32" }
>;

const childLogitsOf = (element: "float4" | "half4"): ChildLogitsKernel =>
  defineKernel({
    name: `childLogits ${element}`,
    buffers: {
      hidden: "read float4",
      head: `read ${element}`,
      table: "read int",
      nodes: "read int",
      place: "read int",
      out: "write float",
    },
    params: { R: "u32", F: "u32", C: "u32" },
    cpu({ hidden, head, table, nodes, place, out }, { R, F, C }): void {
      out.fill(0);
      for (let r = 0; r < R; r++) {
        if (nodes[r] < 0 || place[r] < 0) continue;
        const from = table[nodes[r]];
        const to = table[nodes[r] + 1];
        if (to === from + 1) continue;
        for (let k = from; k < to; k++) {
          let sum = 0;
          for (let c = 0, h = place[r] * C, w = table[k] * C; c < C; c++) {
            sum += hidden[h++] * head[w++];
          }
          out[r * F + k - from] = sum;
        }
      }
    },
    wasm: {
      module: simd,
      function: "childLogits",
      args: (a, { F, C }) => {
        const half = Number(element === "half4");
        return [a.hidden, a.head, a.table, a.nodes, a.place, a.out, F, C, half];
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
      for (var c = 0u; c < C4; c++) { sum += hidden[own + c] * ${
      element === "half4" ? element : ""
    }(head[row + c]); }
    }
  }
  out[i] = dot(sum, vec4f(1.0));
}`,
    cases: () =>
      [4, 20, 68].map((C) => ({
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

/** hidden (R, C), head (V, C), out (R, F); one invocation an element of out. */
export const childLogits = childLogitsOf("float4");

/** The same with a head in half precision. */
export const childLogitsHalf = childLogitsOf("half4");
