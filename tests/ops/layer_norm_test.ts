/** layerNorm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { addRmsNorm, rmsNorm } from "../../ops/rms_norm.ts";
import { layerNorm } from "../../ops/layer_norm.ts";
import { equals, onEachDevice } from "./harness.ts";

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
  const small = layerNorm(
    device.tensor([1e-3, -1e-3]),
    device.tensor([1, 1]),
    device.tensor([0, 0]),
  );
  const unit = 1e-3 / Math.sqrt(1e-6 + 1e-5);
  await equals(small, [2], [unit, -unit], 1e-6);
});

test("layerNorm: a weight or bias of another shape is refused", () => {
  const device = cpu();
  const [x, c] = [device.tensor([[1, 2, 3]]), device.tensor([1, 2, 3])];
  assert.throws(() => layerNorm(x, c, device.tensor([1])), {
    name: "ShapeError",
    message: "Cannot apply layerNorm to (1, 3): bias must be (3), got (1)",
  });
  assert.throws(() => layerNorm(device.tensor(1), c, c), /weight must be \(C\), got \(3\)/);
  for (const eps of [-1e-9, NaN, Infinity, "1e-5"] as number[]) {
    const refused = { name: "ArgumentError", message: /eps must be a finite number from 0, got / };
    assert.throws(() => layerNorm(x, c, c, eps), refused);
    if (typeof eps !== "number") continue;
    assert.throws(() => rmsNorm(x, c, eps), refused);
    assert.throws(() => addRmsNorm(x, x, c, eps), refused);
  }
});
