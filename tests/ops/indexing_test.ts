/** take, gather, scatterAdd, oneHot, topK, kthLargest. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { mul } from "../../ops/binary.ts";
import { cachedAttention, lastRows } from "../../ops/cached_attention.ts";
import { indices, sample } from "../../ops/cases.ts";
import { zeros } from "../../ops/fill.ts";
import { gather, oneHot, scatterAdd } from "../../ops/gather.ts";
import { sum } from "../../ops/reduce.ts";
import { take } from "../../ops/take.ts";
import { kthLargest, topK } from "../../ops/top_k.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";
import { equals, integerTensors, runs } from "./harness.ts";

const float64 = cpu({ float: "float64" });

const lookups = fc.record({
  V: fc.integer({ min: 1, max: 6 }),
  C: fc.integer({ min: 1, max: 5 }),
  N: fc.integer({ min: 1, max: 12 }),
}).chain(({ V, C, N }) =>
  fc.record({
    V: fc.constant(V),
    C: fc.constant(C),
    N: fc.constant(N),
    table: integerTensors([V, C], 99),
    ids: fc.array(fc.nat({ max: V - 1 }), { minLength: N, maxLength: N }),
    weights: integerTensors([N, C], 99),
  })
);

onEachDevice("take: rows by id, and the naive gradient", async (device) => {
  await fc.assert(
    fc.asyncProperty(lookups, async ({ V, C, N, table, ids, weights }) => {
      using _scope = device.arena();
      const rows = device.tensor(ids, [N], "int32");
      const w = device.tensor(weights, [N, C]);
      const given = device.tensor(table, [V, C]);
      const expected = ids.flatMap((v) => table.slice(v * C, (v + 1) * C));
      await equals(take(given, rows), [N, C], expected);
      const gradient = Array<number>(V * C).fill(0);
      ids.forEach((v, n) => {
        for (let c = 0; c < C; c++) gradient[v * C + c] += weights[n * C + c];
      });
      const f = valueAndGrad((t: Tensor) => sum(mul(take(t, rows), w)));
      await equals(f(given).grads, [V, C], gradient);
    }),
    runs(device),
  );
});

onEachDevice(
  "take: the gradient has the same bits every time, many rows or few",
  async (device) => {
    const table = sample(device, [40, 12], 1);
    for (const below of [40, 2]) {
      const ids = indices(device, [9, 70], 2, below);
      const w = sample(device, [9, 70, 12], 3);
      const f = valueAndGrad((t: Tensor) => sum(mul(take(t, ids), w)));
      const [once, again] = await device.read([f(table).grads, f(table).grads]);
      assert.deepEqual(once, again);
      const [id, weight] = await device.read([ids, w]);
      const gradient = new Float64Array(480);
      weight.forEach((v, i) => gradient[id[Math.floor(i / 12)] * 12 + i % 12] += v);
      await equals(f(table).grads, [40, 12], gradient, 1e-5);
    }
  },
);

onEachDevice(
  "take: the gradient of a row taken many times keeps its digits",
  async (device) => {
    const N = 33_000;
    const ids = device.tensor(new Int32Array(N));
    for (const C of [3, 4]) {
      const w = device.tensor(new Float32Array(N * C).fill(0.1), [N, C]);
      const f = valueAndGrad((t: Tensor) => sum(mul(take(t, ids), w)));
      const wanted = [N * Math.fround(0.1), 0].flatMap((v) => Array<number>(C).fill(v));
      await equals(f(device.tensor(new Float32Array(2 * C), [2, C])).grads, [2, C], wanted, 5e-6);
    }
  },
);

onEachDevice(
  "gather: the gradient of an element taken many times keeps its digits",
  async (device) => {
    const N = 33_000;
    const w = device.tensor(new Float32Array(N).fill(0.1));
    const ids = device.tensor(new Int32Array(N));
    const f = valueAndGrad((x: Tensor) => sum(mul(gather(x, ids), w)));
    await equals(f(device.tensor([1, 2])).grads, [2], [N * Math.fround(0.1), 0], 5e-6);
  },
);

/**
 * On WebGPU positions are sorted in chunks, which are merged until there is one: here 79, then 20,
 * 5, 2 and 1.
 */
onEachDevice("take: the gradient of many ids", async (device) => {
  const [N, V, C] = [20_000, 700, 4];
  const ids = indices(device, [N], 4, V);
  const w = device.tensor(Float32Array.from({ length: N * C }, (_, i) => i % 8), [N, C]);
  const f = valueAndGrad((t: Tensor) => sum(mul(take(t, ids), w)));
  const wanted = new Float64Array(V * C);
  (await ids.data()).forEach((v, n) => {
    for (let c = 0; c < C; c++) wanted[v * C + c] += (n * C + c) % 8;
  });
  await equals(f(device.tensor(new Float32Array(V * C), [V, C])).grads, [V, C], wanted);
});

onEachDevice("indexing: an id outside takes the nearest", async (device) => {
  const table = device.tensor([[1, 2], [3, 4]]);
  const ids = device.tensor([-7, 9], [2], "int32");
  const f = valueAndGrad((t: Tensor) => sum(take(t, ids)));
  await equals(take(table, ids), [2, 2], [1, 2, 3, 4]);
  await equals(f(table).grads, [2, 2], [1, 1, 1, 1]);
  await equals(gather(device.tensor([5, 6, 7]), ids), [2], [5, 7]);
  await equals(scatterAdd(ids, device.tensor([1, 2]), 3), [3], [1, 0, 2]);
});

test("indexing: a checked cpu device refuses an id outside, also in a captured step", async () => {
  for (const options of [{}, { wasm: false }, { float: "float64" }] as const) {
    const device = cpu({ ...options, checked: true });
    const table = device.tensor([[1, 2, 3, 4], [5, 6, 7, 8]]);
    const int = (...values: number[]): Tensor => device.tensor(Int32Array.from(values));
    const refused = (name: string, most: number, got: number, at: number) => ({
      name: "ArgumentError",
      message: `Cannot look up ${name}: they must be from 0 to ${most}, got ${got} at index ${at}`,
    });
    await equals(take(table, int(1, 0)), [2, 4], [5, 6, 7, 8, 1, 2, 3, 4]);
    for (const bad of [-1, 2]) {
      assert.throws(() => take(table, int(0, bad)), refused("ids", 1, bad, 1));
      const half = table.device.tensor([1, 2, 3, 4], [1, 4], device.half);
      assert.throws(() => take(half, int(bad)), refused("ids", 0, bad, 0));
    }
    const x = device.tensor([1, 2, 3]);
    assert.throws(() => gather(x, int(3)), refused("index", 2, 3, 0));
    assert.throws(() => scatterAdd(int(0, -5, 1), x, 2), refused("index", 1, -5, 1));
    await equals(oneHot(int(-1, 1, 2), 2), [3, 2], [0, 0, 0, 1, 0, 0]);
    const cache = { history: zeros(device, [1, 2, 3, 4]), generated: zeros(device, [1, 2, 4]) };
    const attend = (length: number, user: number): Tensor =>
      cachedAttention(zeros(device, [1, 3, 4]), cache, int(length), {
        users: int(user),
        depths: int(0),
        slots: int(0).view([1, 1]),
      });
    await attend(2, 0).data();
    assert.throws(() => attend(3, 0), refused("lengths", 2, 3, 0));
    assert.throws(() => attend(1, 1), refused("users", 0, 1, 0));
    assert.throws(() => lastRows(int(1), int(4), 2), refused("users", 0, 4, 0));
    using step = capture(device, ({ ids }: { ids: Tensor }) => take(table, ids));
    const feed = (id: number): Tensor => step({ ids: { data: Int32Array.of(id), shape: [1] } });
    await equals(feed(1), [1, 4], [5, 6, 7, 8]);
    assert.throws(() => feed(2), refused("ids", 1, 2, 0));
    await equals(feed(0), [1, 4], [1, 2, 3, 4]);
  }
});

const gathers = fc.record({
  N: fc.integer({ min: 1, max: 3 }),
  V: fc.integer({ min: 1, max: 6 }),
  K: fc.integer({ min: 1, max: 6 }),
}).chain(({ N, V, K }) =>
  fc.record({
    N: fc.constant(N),
    V: fc.constant(V),
    K: fc.constant(K),
    x: integerTensors([N, V], 99),
    index: fc.array(fc.nat({ max: V - 1 }), { minLength: N * K, maxLength: N * K }),
    values: integerTensors([N, K], 99),
  })
);

onEachDevice("gather: by the naive rule, with scatterAdd for its adjoint", async (device) => {
  await fc.assert(
    fc.asyncProperty(gathers, async ({ N, V, K, x, index, values }) => {
      using _scope = device.arena();
      const at = device.tensor(index, [N, K], "int32");
      const taken = gather(device.tensor(x, [N, V]), at);
      await equals(taken, [N, K], index.map((v, i) => x[Math.floor(i / K) * V + v]));
      const given = device.tensor(values, [N, K]);
      const spread = scatterAdd(at, given, V);
      const left = sum(mul(taken, given));
      const right = sum(mul(device.tensor(x, [N, V]), spread));
      assert.deepEqual(spread.shape, [N, V]);
      assert.equal(await left.item(), await right.item());
    }),
    runs(device),
  );
});

onEachDevice("oneHot: a one in the place of each index, none for one outside", async (device) => {
  const out = oneHot(device.tensor([[2, 0], [-1, 3]], undefined, "int32"), 3);
  assert.equal(out.dtype, device.float);
  await equals(out, [2, 2, 3], [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  for (const classes of [1.5, 2 ** 33, -1]) {
    assert.throws(() => oneHot(device.tensor([0], [1], "int32"), classes), ArgumentError);
  }
  assert.throws(() => oneHot(device.tensor([0]), 2), DTypeError);
});

const tied = fc.integer({ min: 1, max: 12 }).chain((V) =>
  fc.record({
    V: fc.constant(V),
    k: fc.integer({ min: 1, max: V }),
    x: integerTensors([2, V], 3),
  })
);

onEachDevice("topK: agrees with sorting by value, then by index", async (device) => {
  await fc.assert(
    fc.asyncProperty(tied, async ({ V, k, x }) => {
      using _scope = device.arena();
      const order = [0, 1].map((n) =>
        Array.from({ length: V }, (_, v) => v)
          .sort((a, b) => x[n * V + b] - x[n * V + a] || a - b).slice(0, k)
      );
      const given = device.tensor(x, [2, V]);
      const { values, indices } = topK(given, k);
      assert.equal(indices.dtype, "int32");
      await equals(indices, [2, k], order.flat());
      const sorted = order.flatMap((row, n) => row.map((v) => x[n * V + v]));
      await equals(values, [2, k], sorted);
      await equals(kthLargest(given, k), [2], [sorted[k - 1], sorted[2 * k - 1]]);
    }),
    runs(device),
  );
});

onEachDevice("topK: NaN counts as the largest", async (device) => {
  const x = device.tensor([[NaN, 1, 2], [2, NaN, NaN], [-Infinity, 1, NaN]]);
  const { values, indices } = topK(x, 2);
  assert.deepEqual([...await indices.data()], [0, 2, 1, 2, 2, 1]);
  assert.deepEqual([...await values.data()], [NaN, 2, NaN, NaN, NaN, 1]);
  assert.deepEqual([...await kthLargest(x, 1).data()], [NaN, NaN, NaN]);
});

test("topK: gradients go to the chosen, among equals to the lower index", async () => {
  const x = float64.tensor([3, 9, 5, 9]);
  const best = valueAndGrad((t: Tensor) => {
    return sum(mul(topK(t, 3).values, float64.tensor([10, 20, 30])));
  });
  await equals(best(x).grads, [4], [0, 10, 30, 20]);
  const second = valueAndGrad((t: Tensor) => kthLargest(t, 2));
  await equals(second(x).grads, [4], [0, 0, 0, 1]);
  const first = valueAndGrad((t: Tensor) => kthLargest(t, 1));
  await equals(first(x).grads, [4], [0, 1, 0, 0]);
});

test("indexing: what does not fit is refused", () => {
  const x = float64.tensor([[1, 2, 3], [4, 5, 6]]);
  const ids = float64.tensor([0, 1], [2], "int32");
  assert.throws(() => take(float64.tensor([1, 2]), ids), {
    name: "ShapeError",
    message: "Cannot take rows of a table (2): it must have two axes, got 1",
  });
  assert.throws(() => take(x, float64.tensor([0, 1])), DTypeError);
  assert.throws(() => gather(x, ids), {
    name: "ShapeError",
    message: "Cannot gather from (2, 3) by (2): their shapes must agree up to the last axis",
  });
  assert.throws(() => scatterAdd(ids, float64.tensor([1]), 3), ShapeError);
  assert.throws(() => scatterAdd(ids, float64.tensor([1, 2]), 0), ShapeError);
  assert.throws(() => topK(x, 4), {
    name: "ArgumentError",
    message:
      "Cannot take the top 4 of a tensor of shape (2, 3): k must be an integer from 1 to 3, got 4",
  });
  assert.throws(() => topK(x, 0), ArgumentError);
  assert.throws(() => kthLargest(x, 1.5), ArgumentError);
});
