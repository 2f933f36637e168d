/** rmsNorm, addRmsNorm and layerNorm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, mul } from "../../ops/binary.ts";
import { sample } from "../../ops/cases.ts";
import { layerNorm } from "../../ops/layer_norm.ts";
import { sum } from "../../ops/reduce.ts";
import { addRmsNorm, rmsNorm } from "../../ops/rms_norm.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";
import { equals } from "./harness.ts";

type Params = { readonly x: Tensor; readonly y: Tensor; readonly w: Tensor };
type Outputs = { readonly sum: Tensor; readonly normed: Tensor };

const joined = ({ x, y, w }: Params): Outputs => addRmsNorm(x, y, w, 1e-5);
const apart = ({ x, y, w }: Params): Outputs => {
  const total = add(x, y);
  return { sum: total, normed: rmsNorm(total, w, 1e-5) };
};

onEachDevice("addRmsNorm: add and rmsNorm, whichever outputs are used", async (device) => {
  const [x, y, a, b] = [1, 2, 4, 5].map((seed) => sample(device, [3, 7, 12], seed));
  const w = sample(device, [12], 3);
  const losses: ((outputs: Outputs) => Tensor)[] = [
    ({ sum: s, normed }) => add(sum(mul(s, a)), sum(mul(normed, b))),
    ({ sum: s }) => sum(mul(s, a)),
    ({ normed }) => sum(mul(normed, b)),
  ];
  for (const loss of losses) {
    const [ours, expected] = [joined, apart].map((f) => {
      const { value, grads } = valueAndGrad((p: Params) => loss(f(p)))({ x, y, w });
      return [value, grads.x, grads.y, grads.w];
    });
    const tolerance = device.float === "float64" ? 1e-13 : 1e-5;
    for (const [k, tensor] of ours.entries()) {
      await equals(tensor, expected[k].shape, await expected[k].data(), tolerance);
    }
  }
});

onEachDevice("layerNorm: by the formula, far from 0 too", async (device) => {
  const [weight, bias, eps] = [[1, 2, 0.5, -1], [0, 1, 2, 3], 0.01];
  const rows = [[1, 2, 3, 4], [1000, 1001, 999, 1002], [5, 5, 5, 5]];
  const expected = rows.flatMap((x) => {
    const mean = x.reduce((a, b) => a + b) / 4;
    const deviation = Math.sqrt(x.reduce((s, v) => s + (v - mean) ** 2, 0) / 4 + eps);
    return x.map((v, c) => (v - mean) / deviation * weight[c] + bias[c]);
  });
  const [w, b] = [device.tensor(weight), device.tensor(bias)];
  await equals(layerNorm(device.tensor(rows), w, b, eps), [3, 4], expected, 1e-6);
  const [x, ones, zeros] = [[1e-3, -1e-3], [1, 1], [0, 0]].map((values) => device.tensor(values));
  const unit = 1e-3 / Math.sqrt(1e-6 + 1e-5);
  await equals(layerNorm(x, ones, zeros), [2], [unit, -unit], 1e-6);
});

test("norms: sizes and an eps that do not fit are refused", () => {
  const device = cpu();
  const [x, c] = [device.tensor([[1, 2, 3]]), device.tensor([1, 2, 3])];
  assert.throws(() => layerNorm(x, c, device.tensor([1])), {
    name: "ShapeError",
    message: "Cannot apply layerNorm to (1, 3): bias must be (3), got (1)",
  });
  assert.throws(() => layerNorm(device.tensor(1), c, c), /weight must be \(C\), got \(3\)/);
  assert.throws(() => addRmsNorm(x, device.tensor([[1], [2], [3]]), c, 0), ShapeError);
  assert.throws(() => addRmsNorm(x, x, device.tensor([1, 2]), 0), {
    name: "ShapeError",
    message: "Cannot apply rmsNorm to (1, 3): weight must be (3), got (2)",
  });
  for (const eps of [-1e-9, NaN, Infinity, "1e-5"] as number[]) {
    const refused = { name: "ArgumentError", message: /eps must be a finite number from 0, got / };
    assert.throws(() => layerNorm(x, c, c, eps), refused);
    if (typeof eps !== "number") continue; // refused by the kind of the argument
    assert.throws(() => rmsNorm(x, c, eps), refused);
    assert.throws(() => addRmsNorm(x, x, c, eps), refused);
  }
});
