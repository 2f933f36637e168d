/** Matrix products of random shapes against sums written out in float64. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ShapeError } from "../../core/errors.ts";
import { noise } from "../../kernels/cases.ts";
import { linear, matmul } from "../../ops/matmul.ts";
import { onEachDevice, testDevices } from "../devices.ts";

interface Operands {
  readonly lead: readonly number[];
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly shared: "a" | "b" | "neither";
}

const size = fc.integer({ min: 1, max: 40 });
/** Small sizes, and those that the vec4 kernels take. */
const axis = fc.oneof(size, fc.integer({ min: 1, max: 10 }).map((n) => 4 * n));

const operands: fc.Arbitrary<Operands> = fc.record({
  lead: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  M: axis,
  N: axis,
  K: axis,
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
  shared: fc.constantFrom("a", "b", "neither"),
});

/**
 * sum_k A_mk B_kn for every matrix of the batch, and sum_k |A_mk B_kn|, which bounds its rounding.
 */
function product(a: Float64Array, b: Float64Array, o: Operands): [Float64Array, Float64Array] {
  const { M, N, K } = o;
  const batch = o.lead.reduce((x, y) => x * y, 1);
  const out = new Float64Array(batch * M * N);
  const scale = new Float64Array(batch * M * N);
  for (let i = 0; i < out.length; i++) {
    const n = i % N;
    const m = Math.floor(i / N) % M;
    const matrix = Math.floor(i / (M * N));
    const aAt = o.shared === "a" ? 0 : matrix * M * K;
    const bAt = o.shared === "b" ? 0 : matrix * K * N;
    for (let k = 0; k < K; k++) {
      const term = a[aAt + (o.transposeA ? k * M + m : m * K + k)] *
        b[bAt + (o.transposeB ? n * K + k : k * N + n)];
      out[i] += term;
      scale[i] += Math.abs(term);
    }
  }
  return [out, scale];
}

const rounded = (values: Float64Array): Float64Array => Float64Array.from(values, Math.fround);

onEachDevice("matmul: any shape, batch and form", async (device) => {
  const unit = device.float === "float64" ? 2 ** -52 : 2 ** -23;
  await fc.assert(
    fc.asyncProperty(operands, async (o) => {
      using _scope = device.arena();
      const aShape = [
        ...(o.shared === "a" ? [] : o.lead),
        ...(o.transposeA ? [o.K, o.M] : [o.M, o.K]),
      ];
      const bShape = [
        ...(o.shared === "b" ? [] : o.lead),
        ...(o.transposeB ? [o.N, o.K] : [o.K, o.N]),
      ];
      const [a, b] = [aShape, bShape].map((shape, seed) =>
        rounded(noise(shape.reduce((x, y) => x * y, 1), seed))
      );
      const { transposeA, transposeB } = o;
      const form = { transposeA, transposeB };
      const out = matmul(device.tensor(a, aShape), device.tensor(b, bShape), form);
      assert.deepEqual(out.shape, [...o.lead, o.M, o.N]);
      const [expected, scale] = product(a, b, o);
      (await out.data()).forEach((value, i) => {
        const error = Math.abs(value - expected[i]);
        assert.ok(error <= (o.K + 1) * unit * scale[i], `[${i}]: ${value}, not ${expected[i]}`);
      });
    }),
    { numRuns: device.kind === "webgpu" ? 40 : 100, seed: 1 },
  );
});

onEachDevice("matmul: sums and rows beyond one block", async (device) => {
  for (const transposeA of [false, true]) {
    using _scope = device.arena();
    const [M, N, K] = [131, 9, 601];
    const o: Operands = {
      ...{ lead: [], M, N, K, transposeA, transposeB: false },
      shared: "neither",
    };
    const [a, b] = [rounded(noise(M * K, 1)), rounded(noise(K * N, 2))];
    const out = matmul(
      device.tensor(a, transposeA ? [K, M] : [M, K]),
      device.tensor(b, [K, N]),
      { transposeA },
    );
    const [expected] = product(a, b, o);
    const allowed = device.float === "float64" ? 1e-12 : 1e-4;
    (await out.data()).forEach((value, i) => {
      assert.ok(Math.abs(value - expected[i]) <= allowed, `[${i}]: ${value}, not ${expected[i]}`);
    });
  }
});

onEachDevice("matmul: a batch of more matrices than a grid has workgroups", async (device) => {
  for (const [M, N] of [[1, 1], [9, 8]]) {
    using _scope = device.arena();
    const batch = 65537;
    const a = Float32Array.from({ length: batch * M }, (_, i) => i % 1000);
    const b = Float32Array.from({ length: batch * N }, (_, i) => i % 7);
    const out = matmul(device.tensor(a, [batch, M, 1]), device.tensor(b, [batch, 1, N]));
    const wrong = (await out.data()).findIndex((x, i) =>
      x !== a[Math.floor(i / N)] * b[Math.floor(i / (M * N)) * N + i % N]
    );
    assert.equal(wrong, -1, `${M} by ${N}`);
  }
});

onEachDevice("matmul: what follows a matrix in memory does not reach it", async (device) => {
  const [M, N, K] = [9, 8, 7];
  const values = (n: number): number[] =>
    Array.from({ length: 2 * n }, (_, i) => i < n ? 1 : Infinity);
  const a = device.tensor(values(M * K), [2, M, K]);
  const b = device.tensor(values(K * N), [2, K, N]);
  const out = await matmul(a, b).data();
  assert.deepEqual([...out], values(M * N).map((x) => x === 1 ? K : x));
});

onEachDevice("linear: x w^T over any leading axes", async (device) => {
  const w = device.tensor([[1, 1], [0, 1], [1, 0]]);
  const x = device.tensor([[[1, 2]], [[3, 4]]]);
  const y = linear(x, w);
  assert.deepEqual(y.shape, [2, 1, 3]);
  assert.deepEqual([...await y.data()], [3, 2, 1, 7, 4, 3]);
});

test("matmul: sizes that do not fit are refused", async () => {
  const device = await testDevices[0].open();
  const zeros = (...shape: number[]): ReturnType<typeof device.tensor> =>
    device.tensor(new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
  const cases: [() => unknown, string][] = [
    [
      () => matmul(zeros(8, 64), zeros(32, 64)),
      "Cannot multiply (8, 64) by (32, 64): inner sizes must match, got 64 and 32",
    ],
    [
      () => matmul(zeros(3), zeros(3, 2)),
      "Cannot multiply (3) by (3, 2): each must have two axes or more, got 1 and 2",
    ],
    [
      () => matmul(zeros(2, 3, 4), zeros(3, 4, 5)),
      "Cannot multiply (2, 3, 4) by (3, 4, 5): leading axes must match, or one operand must have none",
    ],
    [
      () => linear(zeros(2, 3), zeros(4, 2)),
      "Cannot apply linear to (2, 3): weights must be (out, 3), got (4, 2)",
    ],
  ];
  for (const [run, message] of cases) {
    assert.throws(run, (error) => error instanceof ShapeError && error.message === message);
  }
});
