/** Tensors with a size of 0: what ops make of them; gradients_test.ts tries every op on them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import type { Tensor } from "../../core/tensor.ts";
import { SGD } from "../../models/sgd.ts";
import { add, mul } from "../../ops/binary.ts";
import { cachedAttention } from "../../ops/cached_attention.ts";
import { categorical } from "../../ops/categorical.ts";
import { crossEntropy } from "../../ops/cross_entropy.ts";
import { zeros } from "../../ops/fill.ts";
import { gather, scatterAdd } from "../../ops/gather.ts";
import { concat, split, stack } from "../../ops/concat.ts";
import { reshape, slice } from "../../ops/layout.ts";
import { linear, matmul } from "../../ops/matmul.ts";
import { argmax, cumsum, max, mean, sum } from "../../ops/reduce.ts";
import { logSumExp, softmax } from "../../ops/softmax.ts";
import { take } from "../../ops/take.ts";
import { topK } from "../../ops/top_k.ts";
import { relu } from "../../ops/unary.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";
import { equals } from "./harness.ts";

onEachDevice("empty: what NumPy and PyTorch give", async (device) => {
  const none = device.tensor([]);
  const wide = device.tensor([[], []]);
  assert.deepEqual([none.shape, wide.shape, none.size, wide.dtype], [[0], [2, 0], 0, device.float]);
  assert.equal((await none.data()).length, 0);
  const [one, nothing] = await device.read([device.tensor([5]), none]);
  assert.deepEqual([[...one], nothing.length], [[5], 0]);
  device.write(none, new Float64Array(0));
  const tall = zeros(device, [0, 3]);
  await equals(relu(add(tall, 1)), [0, 3], []);
  await equals(mul(tall, device.tensor([1, 2, 3])), [0, 3], []);
  await equals(sum(none), [], [0]);
  await equals(sum(wide, 1), [2], [0, 0]);
  await equals(sum(wide, 0), [0], []);
  await equals(cumsum(wide), [2, 0], []);
  assert.ok(Number.isNaN(await mean(none).item()));
  await equals(max(tall, 1), [0], []);
  await equals(argmax(tall), [0], []);
  await equals(softmax(wide), [2, 0], []);
  assert.deepEqual([...await logSumExp(wide).data()], [-Infinity, -Infinity]);
  await equals(matmul(wide, tall), [2, 3], [0, 0, 0, 0, 0, 0]);
  await equals(matmul(tall, zeros(device, [3, 2])), [0, 2], []);
  await equals(linear(wide, zeros(device, [3, 0])), [2, 3], [0, 0, 0, 0, 0, 0]);
  await equals(concat([none, device.tensor([1, 2]), none], 0), [2], [1, 2]);
  await equals(stack([none, none]), [2, 0], []);
  assert.deepEqual(split(none, 3).map((part) => part.shape), [[0]]);
  await equals(slice(device.tensor([1, 2, 3]), [1], [1]), [0], []);
  await equals(reshape(tall, [2, 0, 5]), [2, 0, 5], []);
  await equals(reshape(tall, [-1, 3]), [0, 3], []);
  const ids = device.tensor([], [0], "int32");
  await equals(take(device.tensor([[1, 2]]), ids), [0, 2], []);
  await equals(gather(device.tensor([1, 2]), ids), [0], []);
  await equals(scatterAdd(ids, none, 2), [2], [0, 0]);
  assert.equal(await none.to(cpu()).then((x) => x.size), 0);
});

onEachDevice(
  "empty: a gradient of nothing is nothing, and of what met nothing 0",
  async (device) => {
    const loss = valueAndGrad((p: { a: Tensor; b: Tensor }) => sum(mul(p.a, p.b)));
    const { value, grads } = loss({ a: zeros(device, [0, 3]), b: device.tensor([1, 2, 3]) });
    assert.equal(await value.item(), 0);
    await equals(grads.a, [0, 3], []);
    await equals(grads.b, [3], [0, 0, 0]);
  },
);

onEachDevice("empty: a captured step, and an optimiser", async (device) => {
  const one = device.tensor([1]);
  using step = capture(device, ({ x }: { x: Tensor }) => {
    return { joined: concat([mul(x, 2), one], 0) }; // reads a product that nobody has written
  });
  for (const n of [0, 2, 0]) {
    const { joined } = step({ x: { data: new Float64Array(n).fill(3), shape: [n] } });
    assert.deepEqual([...await joined.data()], n ? [6, 6, 1] : [1]);
  }
  const params = { none: zeros(device, [0, 2]), w: device.tensor([[1, 2]]) };
  using optimizer = new SGD(params);
  using update = capture(device, ({ lr }: { lr: Tensor }) => {
    optimizer.step({ none: mul(params.none, 2), w: mul(params.w, 2) }, lr);
    return { joined: concat([params.none, params.w], 0) };
  });
  const { joined } = update({ lr: { data: Float64Array.of(0.25), shape: [] } });
  await equals(joined, [1, 2], [0.5, 1]);
  await equals(params.none, [0, 2], []);
});

test("empty: what has no answer is refused", () => {
  const device = cpu();
  const [none, tall] = [device.tensor([]), zeros(device, [0, 3])];
  const refused = (f: () => unknown, name: string, message: string): void =>
    assert.throws(f, { name, message });
  refused(
    () => max(none),
    "ShapeError",
    "Cannot max a tensor of shape (0): there must be an element to choose, got none",
  );
  refused(
    () => argmax(tall, 0),
    "ShapeError",
    "Cannot argmax a tensor of shape (0, 3): there must be an element to choose, got none",
  );
  refused(
    () => reshape(tall, [0, -1]),
    "ShapeError",
    "Cannot reshape (0, 3) to (0, -1): the size -1 must follow from the others, got a 0 among them",
  );
  const ids = device.tensor([0], [1], "int32");
  refused(
    () => gather(none, ids),
    "ShapeError",
    "Cannot gather from (0) by (1): there must be an element to take, got none",
  );
  refused(
    () => take(tall, ids),
    "ShapeError",
    "Cannot take rows of a table (0, 3): there must be a row to take, got none",
  );
  assert.throws(() => topK(none, 1), { name: "ArgumentError" });
  refused(
    () => crossEntropy(zeros(device, [1, 0]), ids),
    "ShapeError",
    "Cannot apply crossEntropy to logits (1, 0): there must be a logit for each " +
      "label, got none",
  );
  refused(
    () => categorical(device.tensor([1, 2], [2], "int32"), none, 0),
    "ShapeError",
    "Cannot draw indices by logits (0): there must be an index to draw, got none",
  );
  const cache = { history: zeros(device, [0, 2, 3, 4]), generated: zeros(device, [1, 2, 4]) };
  const [lengths, one, slots] = [[0], [1], [1, 1]].map((s) => zeros(device, s, "int32"));
  const rows = { users: one, depths: one, slots };
  refused(
    () => cachedAttention(zeros(device, [1, 3, 4]), cache, lengths, rows),
    "ShapeError",
    "Cannot attend to a cache with (1, 3, 4): rows must have a user and slots, " +
      "got 0 users, 1 slots and 1 slots per row",
  );
});
