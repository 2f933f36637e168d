/**
 * Rotary position embedding (Su et al., arXiv:2104.09864) in Hugging Face's pairing: within a head of size D,
 * channel i < D/2 is rotated together with channel i + D/2 by the angle of its position P,
 *
 *   out_i = x_i cos_i - x_{i+D/2} sin_i,   out_{i+D/2} = x_{i+D/2} cos_i + x_i sin_i
 *
 * with cosines and sines from row P of a table: D/2 cosines, then D/2 sines. The backward rotates by -P: `turn` is 1
 * forward and -1 backward. x is N rows of H heads, of which the first `turned` rotate and the others pass; row n has
 * position positions[n % period]. Positions outside of the table count as the nearest inside.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { ramp } from "./cases.ts";
import { simd } from "./wasm/modules.ts";

/** One invocation a head of a row. */
export const rotate = defineKernel({
  name: "rotate",
  buffers: { x: "read float", table: "read float", positions: "read int", out: "write float" },
  params: { N: "u32", H: "u32", turned: "u32", D: "u32", period: "u32", rows: "u32", turn: "f32" },
  cpu({ x, table, positions, out }, { N, H, turned, D, period, rows, turn }): void {
    const half = D / 2;
    for (let n = 0, at = 0; n < N; n++) {
      const position = Math.min(Math.max(positions[n % period], 0), rows - 1);
      for (let h = 0; h < turned; h++, at += D) {
        for (let i = 0; i < half; i++) {
          const c = table[position * D + i];
          const s = table[position * D + half + i] * turn;
          const left = x[at + i];
          const right = x[at + half + i];
          out[at + i] = left * c - right * s;
          out[at + half + i] = right * c + left * s;
        }
      }
      for (const end = (n + 1) * H * D; at < end; at++) out[at] = x[at];
    }
  },
  wasm: {
    module: simd,
    function: "rotate",
    args: (
      { x, table, positions, out },
      { H, turned, D, period, rows, turn },
    ) => [x, table, positions, out, H, turned, D, period, rows, turn],
    items: ({ N }) => N,
    work: ({ N, H, D }) => N * H * D,
  },
  invocations: ({ N, H }) => N * H,
  wgsl: `
fn kernel(i: u32) {
  if (i % p.H >= p.turned) {
    for (var d = i * p.D; d < (i + 1u) * p.D; d++) { out[d] = x[d]; }
    return;
  }
  let half = p.D / 2u;
  let row = u32(clamp(positions[i / p.H % p.period], 0, i32(p.rows) - 1)) * p.D;
  for (var d = 0u; d < half; d++) {
    let c = table[row + d];
    let s = table[row + half + d] * p.turn;
    let left = x[i * p.D + d];
    let right = x[i * p.D + half + d];
    out[i * p.D + d] = left * c - right * s;
    out[i * p.D + half + d] = right * c + left * s;
  }
}`,
  cases: () =>
    [[8, 1, 3], [8, -1, 2], [6, 1, 3], [6, -1, 1], [36, -1, 2]].map(([D, turn, turned]) => ({
      name: `4 rows, ${turned} of 3 heads of ${D}, turn ${turn}, positions 1 and one too large`,
      params: { N: 4, H: 3, turned, D, period: 2, rows: 5, turn },
      buffers: { x: ramp(12 * D, 1), table: ramp(5 * D, 2), positions: [1, 9], out: 12 * D },
    })),
});
