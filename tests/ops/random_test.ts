/** Random numbers, categorical sampling and dropout on devices. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture, type HostTensor } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../core/errors.ts";
import { foldIn, type Key, keyOf, threefry, uniform, unit } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { mul } from "../../ops/binary.ts";
import { categorical } from "../../ops/categorical.ts";
import { dropout } from "../../ops/dropout.ts";
import { randomUniform } from "../../ops/random_uniform.ts";
import { sum } from "../../ops/reduce.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";

const key = foldIn(keyOf(21), 4);

function keyTensor(device: Device, words: Key): Tensor {
  return device.tensor(Int32Array.from(words));
}

/** What dropout keeps, by its definition. */
function kept(n: number, rate: number, words: Key, stream: number): boolean[] {
  return Array.from({ length: n }, (_, i) => unit(threefry(words, i >> 1, stream)[i % 2]) >= rate);
}

onEachDevice("randomUniform: the numbers of the host, bit for bit", async (device) => {
  const n = 10_001;
  const draw = randomUniform(keyTensor(device, key), [n], 0);
  const [drawn, expected] = [await draw.data(), uniform(key, n)];
  assert.equal(drawn.findIndex((u, i) => u !== expected[i]), -1);
  const other = await randomUniform(keyTensor(device, key), [73, 137], 7).data();
  assert.equal(other[n - 1], unit(threefry(key, n - 1, 7)[0]));
});

onEachDevice("dropout: the mask is the one that its definition gives", async (device) => {
  const n = 4001;
  const ones = device.tensor(new Float64Array(n).fill(1));
  for (const rate of [0.25, 0.1, 0.7]) { // 0.25 is a draw's exact value, the others are not
    const out = await dropout(ones, rate, keyTensor(device, key), 3).data();
    const scale = device.float === "float32" ? Math.fround(1 / (1 - rate)) : 1 / (1 - rate);
    assert.deepEqual([...out], kept(n, rate, key, 3).map((keep) => keep ? scale : 0));
  }
});

onEachDevice("dropout: the gradient goes through the same mask", async (device) => {
  const words = keyTensor(device, key);
  const f = valueAndGrad((x: Tensor, w: Tensor) => sum(mul(dropout(x, 0.5, words, 1), w)));
  const w = [2, 3, 5, 7, 11, 13, 17, 19, 23];
  const { grads } = f(device.tensor(w.map(() => 1)), device.tensor(w));
  const mask = kept(w.length, 0.5, key, 1);
  assert.deepEqual([...await grads.data()], w.map((x, i) => mask[i] ? 2 * x : 0));
});

onEachDevice("dropout: a captured step draws anew from each key it is fed", async (device) => {
  const x = device.tensor(new Float64Array(64).fill(1));
  using step = capture(device, (inputs: { key: Tensor }) => dropout(x, 0.5, inputs.key, 0));
  for (const words of [keyOf(1), keyOf(2), keyOf(1)]) {
    const input: HostTensor = { data: Int32Array.from(words), shape: [2] };
    const out = await step({ key: input }).data();
    assert.deepEqual([...out], kept(64, 0.5, words, 0).map((keep) => keep ? 2 : 0));
  }
});

test("dropout: keeps a share of 1 - rate, and streams are independent", async () => {
  const device = cpu();
  const n = 100_000;
  const x = device.tensor(new Float64Array(n).fill(1));
  const [a, b] = await device.read([0, 1].map((s) => dropout(x, 0.3, keyTensor(device, key), s)));
  const share = a.filter((v) => v > 0).length / n;
  const together = a.filter((v, i) => v > 0 && b[i] > 0).length / n;
  assert.ok(Math.abs(share - 0.7) < 5 * Math.sqrt(0.21 / n), `${share}`);
  assert.ok(Math.abs(together - 0.49) < 5 * Math.sqrt(0.25 / n), `${together}`);
});

test("dropout: a rate of 0 returns x itself, a rate outside [0, 1) is refused", () => {
  const device = cpu();
  const x = device.tensor([1, 2]);
  const words = keyTensor(device, key);
  assert.equal(dropout(x, 0, words, 0), x);
  for (const rate of [1, -0.1, NaN, 2]) {
    assert.throws(() => dropout(x, rate, words, 0), {
      name: "ArgumentError",
      message: `Cannot drop out: the rate must be in [0, 1), got ${rate}`,
    });
  }
});

test("dropout, randomUniform: the stream must be an integer of 32 bits", () => {
  const device = cpu();
  const words = keyTensor(device, key);
  for (const stream of [1.5, -1, 2 ** 32, NaN]) {
    assert.throws(() => dropout(device.tensor([1, 2]), 0.5, words, stream), {
      name: "ArgumentError",
      message: `Cannot drop out: the stream must be an integer from 0 to 2^32 - 1, got ${stream}`,
    });
    assert.throws(() => randomUniform(words, [2], stream), ArgumentError);
  }
});

test("dropout, randomUniform: the key must be two int32 words", () => {
  const device = cpu();
  const x = device.tensor([1, 2]);
  const long = device.tensor(Int32Array.of(1, 2, 3));
  assert.throws(() => dropout(x, 0.5, long, 0), {
    name: "ShapeError",
    message: "Cannot drop out: the key must have shape (2), got (3)",
  });
  assert.throws(() => randomUniform(long, [2], 0), ShapeError);
  assert.throws(() => dropout(x, 0.5, device.tensor([1, 2]), 0), DTypeError);
  assert.throws(() => randomUniform(device.tensor([1, 2]), [2], 0), DTypeError);
});

onEachDevice("categorical: draws with the probabilities of the softmax", async (device) => {
  const key = device.tensor(Int32Array.from(keyOf(5)));
  const probabilities = [0.5, 0.3, 0, 0.15, 0.05];
  const logits = device.tensor(probabilities.map((p) => 3 + Math.log(p)));
  const n = 20_000;
  const drawn = categorical(key, logits, 0, [n]);
  assert.deepEqual([drawn.shape, drawn.dtype], [[n], "int32"]);
  const counts = [0, 0, 0, 0, 0];
  for (const v of await drawn.data()) counts[v]++;
  assert.equal(counts[2], 0);
  const chi2 = probabilities.reduce(
    (sum, p, v) => p ? sum + (counts[v] - n * p) ** 2 / (n * p) : sum,
    0,
  );
  assert.ok(chi2 < 16.3, `${counts}`); // 3 degrees of freedom, one in a thousand
});

onEachDevice("categorical: a draw a row, fixed by key and stream", async (device) => {
  const key = device.tensor(Int32Array.from(keyOf(5)));
  const certain = device.tensor([[0, 100], [100, 0], [0, 100]]);
  assert.deepEqual([...await categorical(key, certain, 0).data()], [1, 0, 1]);
  const even = device.tensor(new Float64Array(64 * 4), [64, 4]);
  const draws = [0, 0, 1].map((stream) => categorical(key, even, stream));
  const other = categorical(device.tensor(Int32Array.from(keyOf(6))), even, 0);
  const [first, again, next, another] = await device.read([...draws, other]);
  assert.deepEqual(first, again);
  assert.notDeepEqual(first, next);
  assert.notDeepEqual(first, another);
  assert.throws(() => categorical(key, even, 0, [3]), ShapeError);
  assert.throws(() => categorical(key, device.tensor(1), 0), ShapeError);
});
