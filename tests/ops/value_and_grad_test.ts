/** valueAndGrad, bound to the ops. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, mul } from "../../ops/binary.ts";
import { sum } from "../../ops/reduce.ts";
import { exp, square } from "../../ops/unary.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";
import { equals } from "./harness.ts";

const float64 = cpu({ float: "float64" });

onEachDevice("valueAndGrad: a tree of parameters, used twice, once and never", async (device) => {
  const params = {
    layers: [{ w: device.tensor([1, 2]) }, { w: device.tensor([3, 4]) }],
    idle: device.tensor([[5, 6]]),
  };
  const f = valueAndGrad((p: typeof params, scale: number) => {
    const [a, b] = p.layers;
    return sum(add(mul(square(a.w), scale), mul(a.w, b.w))); // s a^2 + a b
  });
  const { value, grads } = f(params, 10);
  assert.equal(await value.item(), 10 * (1 + 4) + 3 + 8);
  await equals(grads.layers[0].w, [2], [20 + 3, 40 + 4]);
  await equals(grads.layers[1].w, [2], [1, 2]);
  await equals(grads.idle, [1, 2], [0, 0]);
});

onEachDevice("valueAndGrad: captured, it replays on new inputs", async (device) => {
  const w = device.tensor([1, 2]);
  const f = valueAndGrad((p: Tensor, x: Tensor) => sum(mul(exp(p), x)));
  using step = capture(device, ({ x }: { x: Tensor }) => f(w, x));
  for (const scale of [1, 2, 3]) {
    const { value, grads } = step({ x: { data: new Float32Array([scale, 1]), shape: [2] } });
    const expected = [scale * Math.E, Math.E ** 2];
    await equals(grads, [2], expected, 1e-6);
    await equals(value, [], [expected[0] + expected[1]], 1e-6);
  }
});

test("valueAndGrad: a value that is not a scalar is refused", () => {
  const f = valueAndGrad((x: Tensor) => mul(x, 2));
  assert.throws(() => f(float64.tensor([1, 2])), {
    name: "ShapeError",
    message:
      "Cannot differentiate a function whose value has shape (2): it must be a scalar, got 2 elements",
  });
});

test("valueAndGrad: second derivatives are refused", () => {
  const inner = valueAndGrad((x: Tensor) => sum(square(x)));
  const outer = valueAndGrad((x: Tensor) => sum(inner(x).grads));
  assert.throws(() => outer(float64.tensor([1])), { name: "TapeError" });
});
