/**
 * Rotary position embedding (Su et al., arXiv:2104.09864) with the pairs of Hugging Face: in a head
 * of size D channel i < D/2 rotates together with channel i + D/2, by the angle of position P,
 *
 *   out_i = x_i cos_i - x_{i+D/2} sin_i,   out_{i+D/2} = x_{i+D/2} cos_i + x_i sin_i
 *
 * with cosines and sines from row P of a table: D/2 cosines, then D/2 sines. The backward rotates
 * by -P: `turn` is 1 forward and -1 backward. x has N rows of H heads, of which the first `turned`
 * rotate and the others are copied. Row n has position positions[n % period]; positions outside the
 * table count as the nearest inside.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { vectorised } from "./pick.ts";
import { simd } from "./wasm/modules.ts";

/** Head sizes, directions and numbers of heads that rotate in the reference tests. */
const CASES = [
  { D: 8, turn: 1, turned: 3 },
  { D: 8, turn: -1, turned: 2 },
  { D: 6, turn: 1, turned: 3 },
  { D: 6, turn: -1, turned: 1 },
  { D: 36, turn: -1, turned: 2 },
  { D: 32, turn: 1, turned: 0 },
] as const;

/**
 * out (N, H, D). An invocation handles a head of a row. Heads that rotate come first, so that
 * neighbours do the same. {@link pick} with D / 2.
 */
export const rotate = vectorised(({ lanes, element }) =>
  defineKernel({
    name: `rotate ${element}`,
    buffers: {
      x: `read ${element}`,
      table: `read ${element}`,
      positions: "read int",
      out: `write ${element}`,
    },
    params: {
      N: "u32",
      H: "u32",
      turned: "u32",
      D: "u32",
      period: "u32",
      rows: "u32",
      turn: "f32",
    },
    cpu({ x, table, positions, out }, { N, H, turned, D, period, rows, turn }): void {
      const half = D / 2;
      out.set(x.subarray(0, N * H * D));
      for (let n = 0; n < N; n++) {
        const angles = Math.min(Math.max(positions[n % period], 0), rows - 1) * D;
        for (let h = 0; h < turned; h++) {
          for (let i = 0; i < half; i++) {
            const left = (n * H + h) * D + i;
            const right = left + half;
            const c = table[angles + i];
            const s = table[angles + half + i] * turn;
            out[left] = x[left] * c - x[right] * s;
            out[right] = x[right] * c + x[left] * s;
          }
        }
      }
    },
    rows: () => "N",
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
  let width = p.D / ${lanes}u;
  let rotating = p.N * p.turned;
  if (i >= rotating) {
    let rest = p.H - p.turned;
    let at = ((i - rotating) / rest * p.H + p.turned + (i - rotating) % rest) * width;
    for (var d = at; d < at + width; d++) { out[d] = x[d]; }
    return;
  }
  let half = width / 2u;
  let n = i / p.turned;
  let at = (n * p.H + i % p.turned) * width;
  let row = u32(clamp(positions[n % p.period], 0, i32(p.rows) - 1)) * width;
  for (var d = 0u; d < half; d++) {
    let c = table[row + d];
    let s = table[row + half + d] * p.turn;
    let left = x[at + d];
    let right = x[at + half + d];
    out[at + d] = left * c - right * s;
    out[at + half + d] = right * c + left * s;
  }
}`,
    cases: () =>
      CASES.filter(({ D }) => D % (2 * lanes) === 0).map(({ D, turn, turned }) => ({
        name: `4 rows, ${turned} of 3 heads of ${D}, turn ${turn}, positions 1 and one too large`,
        params: { N: 4, H: 3, turned, D, period: 2, rows: 5, turn },
        buffers: { x: noise(12 * D, 1), table: noise(5 * D, 2), positions: [1, 9], out: 12 * D },
      })),
  })
);
