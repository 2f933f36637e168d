/** The joined residual and norm against the two ops that it stands for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tensor } from "../../core/tensor.ts";
import { ShapeError } from "../../core/errors.ts";
import { add, mul } from "../../ops/binary.ts";
import { sample } from "../../ops/cases.ts";
import { sum } from "../../ops/reduce.ts";
import { addRmsNorm, rmsNorm } from "../../ops/rms_norm.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { testDevices } from "../devices.ts";

type Params = { readonly x: Tensor; readonly y: Tensor; readonly w: Tensor };
type Outputs = { readonly sum: Tensor; readonly normed: Tensor };

const joined = ({ x, y, w }: Params): Outputs => addRmsNorm(x, y, w, 1e-5);
const apart = ({ x, y, w }: Params): Outputs => {
  const total = add(x, y);
  return { sum: total, normed: rmsNorm(total, w, 1e-5) };
};

for (const { name, skip, open } of testDevices) {
  test(`addRmsNorm on ${name}: add and rmsNorm, whichever outputs are used`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const params = {
      x: sample(device, [3, 7, 12], 1),
      y: sample(device, [3, 7, 12], 2),
      w: sample(device, [12], 3),
    };
    const [a, b] = [4, 5].map((seed) => sample(device, [3, 7, 12], seed));
    const losses: ((outputs: Outputs) => Tensor)[] = [
      ({ sum: s, normed }) => add(sum(mul(s, a)), sum(mul(normed, b))),
      ({ sum: s }) => sum(mul(s, a)),
      ({ normed }) => sum(mul(normed, b)),
    ];
    for (const loss of losses) {
      const results = [joined, apart].map((f) => {
        const { value, grads } = valueAndGrad((p: Params) => loss(f(p)))(params);
        return [value, grads.x, grads.y, grads.w];
      });
      const read = await device.read(results.flat());
      const allowed = device.float === "float64" ? 1e-12 : 1e-4;
      for (let k = 0; k < 4; k++) {
        read[k].forEach((z, i) => assert.ok(Math.abs(z - read[k + 4][i]) <= allowed, `${k}[${i}]`));
      }
    }
  });
}

test("addRmsNorm: sizes that do not fit are refused", async () => {
  const device = await testDevices[0].open();
  const [x, y] = [sample(device, [2, 3], 1), sample(device, [3, 2], 1)];
  assert.throws(() => addRmsNorm(x, y, sample(device, [3], 1), 0), ShapeError);
  assert.throws(() => addRmsNorm(x, x, sample(device, [2], 1), 0), ShapeError);
});
