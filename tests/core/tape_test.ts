/** Reverse-mode differentiation and its limits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, ShapeError, TapeError } from "../../core/errors.ts";
import { TrackedTensor } from "../../core/tape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, mul } from "../../ops/binary.ts";
import { sum } from "../../ops/reduce.ts";
import { rmsNorm } from "../../ops/rms_norm.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";

const device = cpu({ float: "float64" });

test("tape: gradients come in the form of the parameters, and uses add up", async () => {
  const f = valueAndGrad(({ a, list }: { a: Tensor; list: Tensor[] }, x: Tensor) =>
    sum(add(mul(a, x), mul(mul(a, a), list[0])))
  );
  const params = {
    a: device.tensor([2, 3]),
    list: [device.tensor([5, 7]), device.tensor([1, 1, 1])],
  };
  const { value, grads } = f(params, device.tensor([10, 100]));
  assert.ok(!(value instanceof TrackedTensor));
  assert.equal(await value.item(), 2 * 10 + 4 * 5 + 3 * 100 + 9 * 7);
  // d/da = x + 2 a b, d/db = a^2; what is not used has a gradient of zeros.
  const [a, b, c] = await device.read([grads.a, ...grads.list]);
  assert.deepEqual([...a], [10 + 2 * 2 * 5, 100 + 2 * 3 * 7]);
  assert.deepEqual([...b], [4, 9]);
  assert.deepEqual([...c], [0, 0, 0]);
});

test("tape: a value that does not depend on the parameters has zero gradients", async () => {
  const x = device.tensor([1, 2]);
  const { value, grads } = valueAndGrad((_: Tensor) => sum(x))(device.tensor([4]));
  assert.equal(await value.item(), 3);
  assert.deepEqual([...await grads.data()], [0]);
});

test("tape: the gradient of a parameter with respect to itself is one", async () => {
  const { grads } = valueAndGrad((x: Tensor) => x)(device.tensor([4]));
  assert.deepEqual([...await grads.data()], [1]);
});

test("tape: only the gradients that are needed are computed", () => {
  const [x, weight] = [device.tensor([[1, 2], [3, 4]]), device.tensor([1, 1])];
  const launches = (run: () => unknown): number => {
    const before = device.stats.launches;
    run();
    return device.stats.launches - before;
  };
  const forward = launches(() => sum(rmsNorm(x, weight, 1e-5)));
  const seedAndSum = launches(() => valueAndGrad((y: Tensor) => sum(y))(x)) -
    launches(() => sum(x));
  const one = launches(() => valueAndGrad((w: Tensor) => sum(rmsNorm(x, w, 1e-5)))(weight));
  const both = launches(() =>
    valueAndGrad(([y, w]: Tensor[]) => sum(rmsNorm(y, w, 1e-5)))([x, weight])
  );
  assert.equal(one - forward, seedAndSum + 1);
  assert.equal(both - forward, seedAndSum + 2);
});

test("tape: the value must be a scalar", () => {
  const f = valueAndGrad((x: Tensor) => mul(x, 2));
  assert.throws(() => f(device.tensor([1, 2])), {
    name: "ShapeError",
    message: "Cannot differentiate a function whose value has shape (2): " +
      "it must be a scalar, got 2 elements",
  });
  assert.throws(() => f(device.tensor([[1, 2]])), ShapeError);
});

test("tape: second derivatives are refused", () => {
  const inner = valueAndGrad((x: Tensor) => sum(mul(x, x)));
  const outer = valueAndGrad((x: Tensor) => sum(inner(x).grads));
  assert.throws(() => outer(device.tensor([1])), {
    name: "TapeError",
    message: "Cannot differentiate with respect to tensors that an outer valueAndGrad tracks: " +
      "beargrad has first derivatives only",
  });
  const mixed = valueAndGrad((x: Tensor) =>
    valueAndGrad((y: Tensor) => sum(mul(x, y)))(other).value
  );
  const other = device.tensor([2]);
  assert.throws(() => mixed(device.tensor([1])), {
    name: "TapeError",
    message: "Cannot apply mul to tensors of two nested valueAndGrad calls: " +
      "beargrad has first derivatives only",
  });
});

test("tape: a nested function of other parameters is a constant to the outer one", async () => {
  const other = device.tensor([3]);
  const f = valueAndGrad((x: Tensor) => {
    const { value, grads } = valueAndGrad((y: Tensor) => sum(mul(y, y)))(other);
    return sum(mul(x, mul(value, grads)));
  });
  const { grads } = f(device.tensor([1]));
  assert.equal(await grads.item(), 9 * 6);
});

test("tape: tracked tensors must not outlive their function, however it ends", () => {
  let leaked: Tensor | undefined;
  const leaks = (fail: boolean): void => {
    valueAndGrad((x: Tensor) => {
      leaked = mul(x, 2);
      if (fail) throw new RangeError("midway");
      return sum(leaked);
    })(device.tensor([1, 2]));
  };
  for (const fail of [false, true]) {
    if (fail) assert.throws(() => leaks(true), RangeError);
    else leaks(false);
    assert.throws(() => mul(leaked as Tensor, 2), {
      name: "TapeError",
      message: "Cannot apply mul to a tensor of a finished valueAndGrad: " +
        "tracked tensors must not leave the function that is differentiated",
    });
    assert.throws(() =>
      valueAndGrad((x: Tensor) => sum(mul(x, leaked as Tensor)))(
        device.tensor([1, 2]),
      ), TapeError);
  }
});

test("tape: a function whose value hangs on an outer function's parameters is refused", () => {
  const outer = valueAndGrad(({ x }: { x: Tensor }) => {
    const inner = valueAndGrad((_: { y: Tensor }) => sum(mul(x, x)));
    return inner({ y: device.tensor([1]) }).value;
  });
  assert.throws(() => outer({ x: device.tensor([3]) }), TapeError);
});

test("tape: parameters must be of the device's float type", () => {
  const f = valueAndGrad(({ ids }: { ids: Tensor }) => sum(mul(ids, 2)));
  assert.throws(() => f({ ids: device.tensor(Int32Array.of(1, 2)) }), {
    name: "DTypeError",
    message: `Cannot differentiate with respect to ids: it must be ${device.float}, got int32`,
  });
});

test("tape: a value that is no tensor is refused", () => {
  const number = valueAndGrad((() => 1) as unknown as (p: { x: Tensor }) => Tensor);
  assert.throws(
    () => number({ x: device.tensor([1]) }),
    (error) =>
      error instanceof ArgumentError && /must be a tensor, got a number$/.test(error.message),
  );
});
