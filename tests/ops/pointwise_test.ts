/** Unary and binary ops, comparisons, where, cast. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, DTypeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, clamp, div, maximum, minimum, mul, sub } from "../../ops/binary.ts";
import { equal, greater, greaterEqual, less, lessEqual, notEqual } from "../../ops/compare.ts";
import { full, fullLike, ones, zeros } from "../../ops/fill.ts";
import { sum } from "../../ops/reduce.ts";
import { cast, stopGradient, where } from "../../ops/select.ts";
import {
  abs,
  cos,
  exp,
  gelu,
  log,
  logSigmoid,
  neg,
  pow,
  relu,
  sigmoid,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
} from "../../ops/unary.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";
import { equals, indexOf, integerTensors, placeOf, runs, shapes } from "./harness.ts";

const float64 = cpu({ float: "float64" });

const UNARY: readonly [op: (x: Tensor) => Tensor, f: (x: number) => number, positive?: true][] = [
  [neg, (x) => -x],
  [abs, (x) => x < 0 ? -x : x],
  [exp, (x) => Math.E ** x],
  [log, (x) => Math.log10(x) * Math.LN10, true],
  [sqrt, (x) => x ** 0.5, true],
  [square, (x) => x ** 2],
  [tanh, (x) => (Math.exp(2 * x) - 1) / (Math.exp(2 * x) + 1)],
  [sigmoid, (x) => Math.exp(x) / (1 + Math.exp(x))],
  [relu, (x) => x > 0 ? x : 0],
  [silu, (x) => x / (1 + Math.exp(-x))],
  [softplus, (x) => Math.log(1 + Math.exp(x))],
  [logSigmoid, (x) => Math.log(1 / (1 + Math.exp(-x)))],
  [sin, (x) => Math.cos(x - Math.PI / 2)],
  [cos, (x) => 1 - 2 * Math.sin(x / 2) ** 2],
  [gelu, (x) => x * (1 + erf(x / Math.SQRT2)) / 2],
  [
    (x) => gelu(x, "tanh"),
    (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  ],
];

/** erf x = 2 / sqrt(pi) times the sum over k of (-1)^k x^(2k + 1) / (k! (2k + 1)). */
function erf(x: number): number {
  let sum = 0;
  for (let k = 0, term = x; k < 60; k++, term *= -x * x / k) sum += term / (2 * k + 1);
  return 2 / Math.sqrt(Math.PI) * sum;
}

onEachDevice("unary ops: plain formulas", async (device) => {
  const points = [-3, -1.5, -0.25, 0, 0.25, 0.75, 1, 2.5];
  for (const size of [8, 7]) {
    for (const [op, f, positive] of UNARY) {
      const x = points.map((p) => positive ? p + 3.25 : p).slice(0, size);
      await equals(op(device.tensor(x)), [size], x.map(f), 1e-6);
    }
  }
});

onEachDevice("unary ops: the ends of the range", async (device) => {
  const x = device.tensor([-1000, 1000]);
  await equals(tanh(x), [2], [-1, 1]);
  await equals(sigmoid(x), [2], [0, 1]);
  await equals(silu(x), [2], [0, 1000]);
  await equals(softplus(x), [2], [0, 1000]);
  await equals(logSigmoid(x), [2], [-1000, 0]);
  await equals(pow(device.tensor([-2, 0, 3]), 3), [3], [-8, 0, 27], 1e-6);
  await equals(pow(device.tensor([-2, 0, 3]), 2), [3], [4, 0, 9], 1e-6);
  await equals(pow(device.tensor([-2, 0, 3]), 0), [3], [1, 1, 1]);
});

/** Relative accuracy matters where a log-probability is close to 0, or a probability is. */
onEachDevice("unary ops: digits of small results", async (device) => {
  const rounded = (values: number[]): number[] => values.map(Math.fround);
  const near1 = rounded([0.5, 0.9, 0.99, 0.9999, 0.999999, 1.000001, 1.0001, 1.01, 1.5, 2, 1e-30]);
  const tail = rounded([-80, -60, -30, -20, -15, -10, -5, -1, 0, 1, 5]);
  const far = rounded([1e-30, 1e-8, 3, 1000, 1e30]);
  const check = async (op: (x: Tensor) => Tensor, x: number[], f: (x: number) => number) => {
    const values = await op(device.tensor(x)).data();
    values.forEach((value, i) => {
      const wanted = f(x[i]);
      const error = Math.abs(value - wanted) / Math.abs(wanted);
      assert.ok(error < 5e-6, `${op.name} of ${x[i]}: ${value}, not ${wanted}`);
    });
  };
  await check(log, near1, Math.log);
  await check(log, far, Math.log);
  await check(exp, tail, Math.exp);
  await check(sigmoid, tail, (x) => 1 / (1 + Math.exp(-x)));
  await check(softplus, tail, (x) => Math.log1p(Math.exp(x)));
  const small = [1e-30, 1e-7, 1e-4, 0.01, 0.1, 0.3, 0.6249, 0.625, 0.7, 1, 3, 8, 9.5, 88, 1e30];
  await check(tanh, rounded(small.flatMap((x) => [x, -x])), Math.tanh);
  await check(logSigmoid, tail.map((x) => -x), (x) => -Math.log1p(Math.exp(-x)));
});

onEachDevice(
  "pow: zeros, infinities and negative numbers, and the gradient of a root at 0",
  async (device) => {
    const x = device.tensor([0, -2, 4, -Infinity]);
    assert.deepEqual([...await pow(x, -1).data()], [Infinity, -0.5, 0.25, -0]);
    assert.deepEqual([...await pow(x, 1.5).data()].slice(0, 2), [0, NaN]);
    const { grads } = valueAndGrad((t: Tensor) => sum(pow(t, 0.5)))(device.tensor([0, 4]));
    assert.deepEqual([...await grads.data()], [Infinity, 0.25]);
  },
);

onEachDevice("pow: infinities, and exponents that float32 does not hold", async (device) => {
  const x = device.tensor([-Infinity, -1]);
  assert.deepEqual([...await pow(x, 0.5).data()], [Infinity, NaN]);
  assert.deepEqual([...await pow(x, 3).data()], [-Infinity, -1]);
  assert.deepEqual([...await pow(x, 2 ** 24 + 1).data()], [-Infinity, -1]); // odd
  assert.deepEqual([...await pow(x, 2 + 2 ** -40).data()], [Infinity, NaN]); // not whole
});

onEachDevice(
  "relu, maximum, minimum, clamp: the gradient passes where the input is NaN",
  async (device) => {
    const x = device.tensor([NaN, 1, -1]);
    const other = device.tensor([0, NaN, 0]);
    type Pair = { a: Tensor; b: Tensor };
    const check = async (f: (p: Pair) => Tensor, a: number[], b: number[]): Promise<void> => {
      const { grads } = valueAndGrad((p: Pair) => sum(mul(f(p), 3)))({ a: x, b: other });
      await equals(grads.a, [3], a);
      await equals(grads.b, [3], b);
    };
    await check(({ a }) => relu(a), [3, 3, 0], [0, 0, 0]);
    await check(({ a }) => clamp(a, -0.5, 2), [3, 3, 0], [0, 0, 0]);
    await check(({ a, b }) => maximum(a, b), [3, 3, 0], [3, 3, 3]);
    await check(({ a, b }) => minimum(a, b), [3, 3, 3], [3, 3, 0]);
  },
);

onEachDevice("ops: NaN propagates", async (device) => {
  const x = device.tensor([NaN, 1, 2]);
  for (const op of [neg, abs, exp, log, sqrt, square, tanh, sigmoid, relu, silu, softplus]) {
    const [first, ...rest] = await op(x).data();
    assert.ok(
      Number.isNaN(first) && rest.every(Number.isFinite),
      `${op.spec.name}: ${first}, ${rest}`,
    );
  }
  for (const op of [add, sub, mul, div, maximum, minimum]) {
    for (const out of [op(x, 1), op(1, x), op(x, device.tensor([1, 1, 1]))]) {
      assert.deepEqual([...await out.data()].map(Number.isNaN), [true, false, false]);
    }
  }
  assert.deepEqual([...await clamp(x, 0, 1).data()], [NaN, 1, 1]);
  assert.deepEqual([...await notEqual(x, x).data()], [1, 0, 0]);
});

onEachDevice(
  "div: the gradient neither overflows nor underflows where b^2 does",
  async (device) => {
    const f = valueAndGrad((p: { a: Tensor; b: Tensor }) => sum(div(p.a, p.b)));
    const a = [1e-25, 1e20, 1e-30].map(Math.fround);
    const b = [1e-23, 1e20, 2].map(Math.fround);
    const { grads } = f({ a: device.tensor(a), b: device.tensor(b) });
    const [da, db] = await device.read([grads.a, grads.b]);
    b.forEach((y, i) => {
      assert.ok(Math.abs(da[i] * y - 1) < 1e-6, `da[${i}] is ${da[i]}`);
      assert.ok(Math.abs(db[i] / (-a[i] / y / y) - 1) < 1e-6, `db[${i}] is ${db[i]}`);
    });
  },
);

onEachDevice(
  "unary ops: sine and cosine of angles up to 10,000, and of multiples of pi",
  async (device) => {
    const spread = Array.from({ length: 4001 }, (_, i) => (i - 2000) * 4.99);
    const turns = [1, 2, 3, 100, 3000].flatMap((n) => [n * Math.PI, (n + 0.5) * Math.PI]);
    const x = [...spread, ...turns, 1e-30, -1e-4].map(Math.fround);
    for (const [op, f] of [[sin, Math.sin], [cos, Math.cos]] as const) {
      const values = await op(device.tensor(x)).data();
      values.forEach((value, i) => {
        const error = Math.abs(value - f(x[i]));
        assert.ok(error < 3e-7, `${op.spec.name} of ${x[i]}: ${value}, not ${f(x[i])}`);
      });
    }
    const far = await sin(device.tensor([1e7, -1e30])).data();
    assert.ok(far.every((y) => Math.abs(y) <= 1));
    assert.ok((await cos(device.tensor([Infinity, NaN])).data()).every(Number.isNaN));
  },
);

test("unary ops: gelu in float64 against values with 50 digits, and its tail", async () => {
  const known = [ // x, x P(x)
    [-20, -5.507248237212468e-88],
    [-5, -1.4332578593959695e-06],
    [-2.5, -0.015524163314440337],
    [-1, -0.15865525393145705],
    [-0.125, -0.056282721896235885],
    [0.001, 0.000500398942213911],
    [0.5, 0.34573123063700656],
    [1, 0.8413447460685429],
    [3, 2.99595030590511],
    [7, 6.999999999991041],
  ];
  const values = await gelu(float64.tensor(known.map(([x]) => x))).data();
  known.forEach(([x, y], i) => {
    assert.ok(Math.abs(values[i] / y - 1) < 4e-15 * (1 + x * x), `${x}: ${values[i]}, not ${y}`);
  });
  assert.throws(() => gelu(float64.tensor([1]), "exact" as "none"), ArgumentError);
});

const ARITHMETIC: readonly [op: typeof add, f: (a: number, b: number) => number][] = [
  [add, (a, b) => a + b],
  [sub, (a, b) => a - b],
  [mul, (a, b) => a * b],
  [maximum, (a, b) => a > b ? a : b],
  [minimum, (a, b) => a < b ? a : b],
];

const COMPARISONS: readonly [op: typeof greater, f: (a: number, b: number) => boolean][] = [
  [greater, (a, b) => a > b],
  [greaterEqual, (a, b) => a >= b],
  [less, (a, b) => a < b],
  [lessEqual, (a, b) => a <= b],
  [equal, (a, b) => a === b],
  [notEqual, (a, b) => a !== b],
];

/**
 * Two shapes that broadcast: a common one, with axes of each set to 1 and leading axes of each
 * dropped.
 */
const pairs = shapes(4).chain((shape) =>
  fc.tuple(...[0, 1].map(() =>
    fc.record({
      squeeze: fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
      drop: fc.nat({ max: shape.length }),
    }).map(({ squeeze, drop }) => shape.map((n, i) => squeeze[i] ? 1 : n).slice(drop))
  ))
).chain(([a, b]) =>
  fc.record({
    a: fc.constant(a),
    b: fc.constant(b),
    x: integerTensors(a),
    y: integerTensors(b),
  })
);

onEachDevice("binary ops: broadcasting by the naive rule, floats and integers", async (device) => {
  await fc.assert(
    fc.asyncProperty(pairs, async ({ a, b, x, y }) => {
      using _scope = device.arena();
      const rank = Math.max(a.length, b.length);
      const padded = [a, b].map((s) => [...Array<number>(rank - s.length).fill(1), ...s]);
      const shape = padded[0].map((n, i) => Math.max(n, padded[1][i]));
      const size = shape.reduce((p, n) => p * n, 1);
      const expect = (f: (p: number, q: number) => number): number[] =>
        Array.from({ length: size }, (_, at) => {
          const index = indexOf(shape, at);
          return f(x[placeOf(a, index)], y[placeOf(b, index)]);
        });
      const floats = [device.tensor(x, a), device.tensor(y, b)] as const;
      const ints = [device.tensor(x, a, "int32"), device.tensor(y, b, "int32")] as const;
      for (const [op, f] of ARITHMETIC) {
        await equals(op(...floats), shape, expect(f));
        const out = op(...ints);
        assert.equal(out.dtype, "int32");
        await equals(out, shape, expect(f));
      }
      for (const [op, f] of COMPARISONS) {
        for (const args of [floats, ints]) {
          const out = op(...args);
          assert.equal(out.dtype, "int32");
          await equals(out, shape, expect((p, q) => f(p, q) ? 1 : 0));
        }
      }
      const nonZero = y.map((v) => v === 0 ? 1 : 2 ** v);
      const quotient = div(floats[0], device.tensor(nonZero, b));
      const scale = (at: number): number => nonZero[placeOf(b, indexOf(shape, at))];
      const numerator = (at: number): number => x[placeOf(a, indexOf(shape, at))];
      const wanted = Array.from({ length: size }, (_, at) => numerator(at) / scale(at));
      await equals(quotient, shape, wanted, 1e-6);
    }),
    { ...runs(device), numRuns: device.kind === "webgpu" ? 4 : 50 },
  );
});

onEachDevice("binary ops: a number stands for a scalar", async (device) => {
  const x = device.tensor([1, 2, 3, 4]);
  await equals(sub(10, x), [4], [9, 8, 7, 6]);
  await equals(div(x, 2), [4], [0.5, 1, 1.5, 2]);
  await equals(greater(2.5, x), [4], [1, 1, 0, 0]);
  await equals(clamp(x, 1.5, 3.5), [4], [1.5, 2, 3, 3.5]);
  await equals(add(device.tensor([1, 2], [2], "int32"), 1), [2], [2, 3]);
});

test("binary ops: where equal, the gradient of maximum and minimum goes to the first", async () => {
  for (const op of [maximum, minimum]) {
    const { grads } = valueAndGrad((p: { a: Tensor; b: Tensor }) => sum(op(p.a, p.b)))({
      a: float64.tensor([1, 1]),
      b: float64.tensor([1, 1]),
    });
    await equals(grads.a, [2], [1, 1]);
    await equals(grads.b, [2], [0, 0]);
  }
});

test("binary ops: the gradient of abs and relu at 0 is 0, and clamp passes nothing outside", async () => {
  const at = (f: (x: Tensor) => Tensor, x: number[]): Tensor =>
    valueAndGrad((p: Tensor) => sum(f(p)))(float64.tensor(x)).grads;
  await equals(at(abs, [-2, 0, 2]), [3], [-1, 0, 1]);
  await equals(at(relu, [-2, 0, 2]), [3], [0, 0, 1]);
  await equals(at((x) => clamp(x, -1, 1), [-2, 0, 2]), [3], [0, 1, 0]);
});

test("binary ops: what does not fit is refused", () => {
  const x = float64.tensor([[1, 2, 3], [4, 5, 6]]);
  assert.throws(() => add(x, float64.tensor([1, 2])), {
    name: "ShapeError",
    message: "Cannot add (2, 3) and (2): sizes must be equal or 1, got 3 and 2",
  });
  assert.throws(() => mul(x, float64.tensor([1, 2, 3], [3], "int32")), {
    name: "DTypeError",
    message: "Cannot mul tensors of two dtypes: they must be equal, got float64 and int32",
  });
  assert.throws(() => sub(x, cpu({ float: "float64" }).tensor([1, 2, 3])), {
    name: "DeviceError",
    message: "Cannot apply sub: all tensors must be on one device, got two different cpu devices",
  });
  assert.throws(() => add(x, [1, 2, 3] as never), {
    name: "ArgumentError",
    message: "Cannot apply add: b must be a tensor or a number, got an Array; " +
      "device.tensor(...) makes one",
  });
  assert.throws(() => pow(x, x as never), {
    name: "ArgumentError",
    message: "Cannot apply pow: exponent must be a number, got a Tensor",
  });
  assert.throws(() => sum(float64.tensor([4], [1], "int32")), {
    name: "DTypeError",
    message: "Cannot apply sum: x must be float64, got int32",
  });
  assert.throws(() => greater(1, 2), ArgumentError);
  assert.throws(() => div(float64.tensor([4], [1], "int32"), 2), DTypeError);
  assert.throws(() => add(float64.tensor([4], [1], "int32"), 0.5), {
    name: "ArgumentError",
    message: "Cannot fill an int32 tensor: the value must be an integer of 32 bits, got 0.5",
  });
});

onEachDevice("fill: full, zeros, ones, fullLike", async (device) => {
  await equals(full(device, [2, 2], 0.5), [2, 2], [0.5, 0.5, 0.5, 0.5]);
  await equals(zeros(device, []), [], [0]);
  await equals(ones(device, [3], "int32"), [3], [1, 1, 1]);
  const like = fullLike(device.tensor([1, 2], [2], "int32"), -7);
  assert.equal(like.dtype, "int32");
  await equals(like, [2], [-7, -7]);
});

test("fill and arithmetic: float16 is refused", () => {
  const device = cpu();
  const refused = { name: "DTypeError", message: /must be float32.*got float16$/ };
  assert.throws(() => full(device, [4], 1, "float16"), refused);
  const half = device.tensor([1, 2, 3, 4], [4], "float16");
  assert.throws(() => fullLike(half, 1), refused);
  assert.throws(() => add(half, 1), refused);
  assert.throws(() => equal(half, half), refused);
});

onEachDevice("where: broadcasting among three, floats and integers", async (device) => {
  const cond = device.tensor([[1], [0]], undefined, "int32");
  await equals(where(cond, device.tensor([1, 2, 3]), -1), [2, 3], [1, 2, 3, -1, -1, -1]);
  await equals(where(cond, 5, 6), [2, 1], [5, 6]);
  const ints = where(cond, device.tensor([7, 8], [2], "int32"), 0);
  assert.equal(ints.dtype, "int32");
  await equals(ints, [2, 2], [7, 8, 0, 0]);
  assert.throws(() => where(device.tensor([1, 0]), 5, 6), DTypeError);
});

onEachDevice("cast: towards zero, and back", async (device) => {
  const x = device.tensor([-1.75, -0.5, 0, 2.5, 1000]);
  const ints = cast(x, "int");
  assert.equal(ints.dtype, "int32");
  await equals(ints, [5], [-1, 0, 0, 2, 1000]);
  const floats = cast(ints, "float");
  assert.equal(floats.dtype, device.float);
  await equals(floats, [5], [-1, 0, 0, 2, 1000]);
});

test("cast: to float or int alone", () => {
  for (const to of ["int32", "float32", undefined, 1]) {
    assert.throws(() => cast(float64.tensor([1.5]), to as "int"), {
      name: "ArgumentError",
      message: /^Cannot cast a tensor: it must be to "float" or "int", got /,
    });
  }
});

onEachDevice("cast: beyond 32 bits to the nearest end, NaN to 0", async (device) => {
  const x = device.tensor([NaN, Infinity, -Infinity, 3e9, -3e9, 2 ** 31, -(2 ** 31), 2147483520]);
  const most = 2 ** 31 - 1;
  const ends = [0, most, -(2 ** 31), most, -(2 ** 31), most, -(2 ** 31), 2147483520];
  await equals(cast(x, "int"), [8], ends);
});

onEachDevice("integers: products and sums wrap at 32 bits", async (device) => {
  const ints = (values: number[]): Tensor => device.tensor(values, [values.length], "int32");
  const [a, b] = [[2147483647, -(2 ** 31), 123456789, 65536], [2147483647, -1, 987654321, 65536]];
  await equals(mul(ints(a), ints(b)), [4], a.map((x, i) => Math.imul(x, b[i])));
  await equals(add(ints(a), ints(b)), [4], a.map((x, i) => x + b[i] | 0));
  await equals(mul(ints([2147483647]), 2147483647), [1], [1]);
});

onEachDevice("integers: a number beyond 32 bits is refused, also in a captured step", (device) => {
  const one = device.tensor([1], [1], "int32");
  for (const bad of [2 ** 31, -(2 ** 31) - 1, 3e9, 0.5, NaN, Infinity]) {
    const refused = {
      name: "ArgumentError",
      message: new RegExp(`integer of 32 bits, got ${bad}`),
    };
    assert.throws(() => full(device, [2], bad, "int32"), refused);
    assert.throws(() => add(one, bad), refused);
    assert.throws(() => capture(device, () => add(one, bad))({}), refused);
  }
  return Promise.resolve();
});

test("stopGradient: a constant to the walk, the same elements to the eye", async () => {
  const f = valueAndGrad((x: Tensor) => sum(mul(x, stopGradient(x))));
  const { value, grads } = f(float64.tensor([3, -2]));
  assert.equal(await value.item(), 13);
  await equals(grads, [2], [3, -2]);
});
