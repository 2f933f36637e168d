/** softmax, logSoftmax, logSumExp, crossEntropy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { keyOf, uniform } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import { crossEntropy } from "../../ops/cross_entropy.ts";
import { sum } from "../../ops/reduce.ts";
import { logSoftmax, logSumExp, softmax } from "../../ops/softmax.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";
import { equals, runs } from "./harness.ts";

const rows = fc.array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 9 })
  .map((row) => row.map(Math.fround));

onEachDevice(
  "softmax: sums to 1, keeps the order, and agrees with its logarithms",
  async (device) => {
    await fc.assert(
      fc.asyncProperty(rows, async (row) => {
        using _scope = device.arena();
        const x = device.tensor(row);
        const [y, logY, total] = await device.read([softmax(x), logSoftmax(x), logSumExp(x)]);
        assert.ok(Math.abs([...y].reduce((a, b) => a + b, 0) - 1) < 1e-6);
        const peak = Math.max(...row);
        const exact = peak + Math.log(row.reduce((s, v) => s + Math.exp(v - peak), 0));
        assert.ok(Math.abs(total[0] - exact) <= 1e-6 * (1 + Math.abs(exact)));
        row.forEach((v, i) => {
          assert.ok(Math.abs(logY[i] - (v - exact)) < 1e-5, `logSoftmax of ${row}: ${logY}`);
          assert.ok(Math.abs(y[i] - Math.exp(v - exact)) < 1e-6, `softmax of ${row}: ${y}`);
        });
      }),
      runs(device),
    );
  },
);

onEachDevice("softmax: rows are the last axis", async (device) => {
  const x = device.tensor([[[0, 0], [0, Math.log(3)]], [[Math.log(4), 0], [1, 1]]]);
  await equals(softmax(x), [2, 2, 2], [0.5, 0.5, 0.25, 0.75, 0.8, 0.2, 0.5, 0.5], 1e-6);
  const sums = [2, 4, 5, 2 * Math.E].map(Math.log);
  await equals(logSumExp(x), [2, 2], sums, 1e-6);
});

onEachDevice("softmax: very large logits, and elements that are absent", async (device) => {
  await equals(softmax(device.tensor([1e30, -1e30, 1e30])), [3], [0.5, 0, 0.5]);
  await equals(logSoftmax(device.tensor([2000, 2000, -2000])).view([3]), [3], [
    -Math.LN2,
    -Math.LN2,
    -4000 - Math.LN2,
  ], 1e-6);
  await equals(logSumExp(device.tensor([1000, 1000])), [], [1000 + Math.LN2], 1e-6);
});

onEachDevice("softmax: NaN and infinities are as in PyTorch", async (device) => {
  const x = device.tensor([
    [1, NaN, 2],
    [NaN, Infinity, 1],
    [-Infinity, -Infinity, -Infinity],
    [1, Infinity, Infinity],
    [0, -Infinity, 0],
  ]);
  const [y, logY, total] = await device.read([softmax(x), logSoftmax(x), logSumExp(x)]);
  assert.deepEqual([...y], [...Array<number>(12).fill(NaN), 0.5, 0, 0.5]);
  assert.deepEqual([...logY.slice(0, 12)], Array<number>(12).fill(NaN));
  assert.deepEqual([...total.slice(0, 4)], [NaN, NaN, -Infinity, Infinity]);
  assert.ok(Math.abs(total[4] - Math.LN2) < 1e-6 && logY[13] === -Infinity);
});

/** A row so long that a plain sum in float32 loses digits, and the logarithm of its sum. */
const longRow = Float32Array.from(uniform(keyOf(3), 1_100_000), (u) => 4 * u - 2);
const longLog = Math.log(longRow.reduce((sum, v) => sum + Math.exp(v), 0));

onEachDevice("softmax: the sum of a long row keeps its digits", async (device) => {
  const x = device.tensor(longRow);
  const [[total], y, logY] = await device.read([logSumExp(x), softmax(x), logSoftmax(x)]);
  assert.ok(Math.abs(total - longLog) < 2e-6, `${total}, not ${longLog}`);
  assert.ok(Math.abs(y[7] / Math.exp(longRow[7] - longLog) - 1) < 5e-6);
  assert.ok(Math.abs(logY[7] - (longRow[7] - longLog)) < 5e-6);
});

/** log softmax is -log(1 + rest): the digits of a nearly certain element must survive. */
onEachDevice("logSoftmax: digits of a nearly certain element", async (device) => {
  for (const gap of [1, 5, 10, 15, 20, 40]) {
    const x = device.tensor([0, gap, -1]);
    const rest = Math.exp(-gap) + Math.exp(-1 - gap);
    const value = (await logSoftmax(x).data())[1];
    const wanted = -Math.log1p(rest);
    assert.ok(Math.abs(value / wanted - 1) < 5e-6, `gap ${gap}: ${value}, not ${wanted}`);
  }
});

test("softmax: the gradient of a sum over a row of probabilities is 0", async () => {
  const device = cpu({ float: "float64" });
  const { grads } = valueAndGrad((x: Tensor) => sum(softmax(x)))(device.tensor([1, -2, 0.5]));
  for (const g of await grads.data()) assert.ok(Math.abs(g) < 1e-15);
});

test("softmax: a scalar has no last axis", () => {
  const x = cpu().tensor(1);
  for (const op of [softmax, logSoftmax, logSumExp]) assert.throws(() => op(x), ShapeError);
});

onEachDevice("crossEntropy: by the formula, for each reduction", async (device) => {
  const x = [[2, -1, 0.5], [0, 0, 3], [-4, 1, 1], [7, 7, 7]];
  const labels = [2, 2, 0, 1];
  const exact = x.map((row, n) =>
    Math.log(row.reduce((total, v) => total + Math.exp(v), 0)) - row[labels[n]]
  );
  const total = exact.reduce((a, b) => a + b);
  const given = [device.tensor(x), device.tensor(labels, [4], "int32")] as const;
  await equals(crossEntropy(...given), [], [total / 4], 1e-6);
  await equals(crossEntropy(...given, { reduction: "sum" }), [], [total], 1e-6);
  await equals(crossEntropy(...given, { reduction: "none" }), [4], exact, 1e-6);
  const block = [device.tensor(x.flat(), [2, 2, 3]), device.tensor(labels, [2, 2], "int32")];
  await equals(crossEntropy(block[0], block[1], { reduction: "none" }), [2, 2], exact, 1e-6);
});

onEachDevice("crossEntropy: very large logits, and digits of a small loss", async (device) => {
  const label = device.tensor([1], [1], "int32");
  await equals(crossEntropy(device.tensor([[1e30, -1e30]]), label), [], [2e30], 1e-6);
  const loss = await crossEntropy(device.tensor([[0, 20]]), label).item();
  assert.ok(Math.abs(loss / Math.log1p(Math.exp(-20)) - 1) < 5e-6, `${loss}`);
});

test("crossEntropy: what does not fit is refused", () => {
  const device = cpu();
  const labels = device.tensor([0, 1], [2], "int32");
  assert.throws(() => crossEntropy(device.tensor([1, 2, 3]), labels), {
    name: "ShapeError",
    message: "Cannot apply crossEntropy to logits (3): labels must be (), got (2)",
  });
  const logits = device.tensor([[1, 2], [3, 4]]);
  assert.throws(() => crossEntropy(logits, labels, { reduction: "max" as "sum" }), ArgumentError);
});
