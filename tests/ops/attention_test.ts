/** Attention against its definition in float64. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ShapeError } from "../../core/errors.ts";
import { noise } from "../../kernels/cases.ts";
import { attention } from "../../ops/attention.ts";
import { mul } from "../../ops/binary.ts";
import { sum } from "../../ops/reduce.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { testDevices } from "../devices.ts";

interface Sizes {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly KVH: number;
  readonly D: number;
}

interface Inputs {
  readonly qkv: Float64Array;
  readonly dout: Float64Array;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  B: fc.integer({ min: 1, max: 3 }),
  T: fc.integer({ min: 1, max: 21 }),
  group: fc.integer({ min: 1, max: 3 }),
  KVH: fc.integer({ min: 1, max: 2 }),
  quarter: fc.integer({ min: 1, max: 5 }),
}).map(({ group, quarter, ...s }) => ({ ...s, H: group * s.KVH, D: 4 * quarter }));

function inputsOf({ B, T, H, KVH, D }: Sizes): Inputs {
  const make = (n: number, seed: number, scale: number): Float64Array =>
    noise(n, seed).map((x) => Math.fround(scale * x));
  return {
    qkv: make(B * T * (H + 2 * KVH) * D, 1, 2),
    dout: make(B * T * H * D, 4, 1),
  };
}

/** The output and the gradients, by the chain rule through a whole matrix of scores per head. */
function reference({ qkv, dout }: Inputs, { B, T, H, KVH, D }: Sizes): Float64Array[] {
  const [out, dqkv] = [dout, qkv].map((x) => new Float64Array(x.length));
  const headAt = (b: number, t: number, head: number): number =>
    ((b * T + t) * (H + 2 * KVH) + head) * D;
  const dot = (x: Float64Array, i: number, y: Float64Array, j: number): number => {
    let total = 0;
    for (let d = 0; d < D; d++) total += x[i + d] * y[j + d];
    return total;
  };
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      for (let t = 0; t < T; t++) {
        const at = ((b * T + t) * H + h) * D;
        const query = headAt(b, t, h);
        const group = Math.floor(h * KVH / H);
        const keys = Array.from({ length: t + 1 }, (_, j) => headAt(b, j, H + group));
        const scores = keys.map((j) => dot(qkv, query, qkv, j) / Math.sqrt(D));
        const top = Math.max(...scores);
        const weights = scores.map((s) => Math.exp(s - top));
        const total = weights.reduce((x, y) => x + y, 0);
        const p = weights.map((w) => w / total);
        const dp = keys.map((j) => dot(dout, at, qkv, j + KVH * D));
        const mean = p.reduce((x, w, j) => x + w * dp[j], 0);
        keys.forEach((key, j) => {
          const ds = p[j] * (dp[j] - mean) / Math.sqrt(D);
          for (let d = 0; d < D; d++) {
            out[at + d] += p[j] * qkv[key + KVH * D + d];
            dqkv[query + d] += ds * qkv[key + d];
            dqkv[key + d] += ds * qkv[query + d];
            dqkv[key + KVH * D + d] += p[j] * dout[at + d];
          }
        });
      }
    }
  }
  return [out, dqkv];
}

for (const { name, skip, open } of testDevices) {
  test(`attention on ${name}: output and gradients of any sizes`, { skip }, async () => {
    const device = await open();
    const allowed = device.float === "float64" ? 1e-12 : 2e-5;
    await fc.assert(
      fc.asyncProperty(sizes, async (s) => {
        using _scope = device.arena();
        const inputs = inputsOf(s);
        const qkv = device.tensor(inputs.qkv, [s.B, s.T, s.H + 2 * s.KVH, s.D]);
        const dout = device.tensor(inputs.dout, [s.B, s.T, s.H, s.D]);
        const { grads } = valueAndGrad((p: { qkv: typeof qkv }) =>
          sum(mul(attention(p.qkv, s.H, s.KVH), dout))
        )({ qkv });
        const actual = await device.read([attention(qkv, s.H, s.KVH), grads.qkv]);
        reference(inputs, s).forEach((expected, part) =>
          expected.forEach((x, i) => {
            const error = Math.abs(actual[part][i] - x);
            const what = ["out", "dqkv"][part];
            assert.ok(error <= allowed * (1 + Math.abs(x)), `${what}[${i}] is off by ${error}`);
          })
        );
      }),
      {
        numRuns: name === "webgpu" ? 25 : 60,
        seed: 2,
        examples: [[{ B: 1, T: 9, H: 1, KVH: 1, D: 128 }]],
      },
    );
  });
}

test("attention: sizes that do not fit are refused", async () => {
  const device = await testDevices[0].open();
  const zeros = (...shape: number[]): ReturnType<typeof device.tensor> =>
    device.tensor(new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
  assert.throws(() => attention(zeros(1, 2, 7, 4), 3, 2), ShapeError); // 3 is no multiple of 2
  assert.throws(() => attention(zeros(1, 2, 6, 4), 3, 1.5), ShapeError);
  assert.throws(() => attention(zeros(1, 2, 7, 4), 4, 2), ShapeError); // 4 + 2 + 2 is not 7
  assert.throws(() => attention(zeros(2, 8, 4), 4, 2), ShapeError);
  assert.throws(() => attention(zeros(1, 1, 3, 6), 1, 1), {
    name: "ShapeError",
    message: "Cannot attend with heads of size 6: it must be a multiple of 4, at most 128",
  });
});
