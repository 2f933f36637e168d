/**
 * Every op, because it is registered: gradients against central differences, all devices against
 * float64, and tensors with a size of 0.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { inspect } from "node:util";
import { cpu } from "../../core/cpu_backend.ts";
import type { DType, TypedArray } from "../../core/dtype.ts";
import { BeargradError } from "../../core/errors.ts";
import type { InputKind } from "../../core/checks.ts";
import type { Op, OpCase, OpOutput } from "../../core/op.ts";
import { sameShape, type Shape, sizeOf } from "../../core/shape.ts";
import { type Device, Tensor } from "../../core/tensor.ts";
import { add, mul } from "../../ops/binary.ts";
import { sample } from "../../ops/cases.ts";
import { zeros } from "../../ops/fill.ts";
import { ops } from "../../ops/index.ts";
import { sum } from "../../ops/reduce.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { testDevices } from "../devices.ts";

type AnyOp = Op<readonly unknown[], OpOutput>;

/** Ops of floats to floats through which nothing flows back on purpose. */
const BARRIERS = ["fullLike", "stopGradient"];

/** The float tensors among arguments, also those in an argument that is an array. */
function floatsOf(args: readonly unknown[]): Tensor[] {
  return args.flat().filter((arg): arg is Tensor => arg instanceof Tensor && arg.dtype !== "int32");
}

/** The arguments with their float tensors replaced, in the order of {@link floatsOf}. */
function withFloats(args: readonly unknown[], floats: readonly Tensor[]): unknown[] {
  let next = 0;
  const replace = (arg: unknown): unknown =>
    Array.isArray(arg)
      ? arg.map(replace)
      : arg instanceof Tensor && arg.dtype !== "int32"
      ? floats[next++]
      : arg;
  return args.map(replace);
}

/** Whether gradients flow back through an op. */
function flowsThrough({ spec }: AnyOp): boolean {
  return spec.backward !== undefined || spec.composite === true;
}

/** The outputs of an op as a list. */
function outputsOf(out: OpOutput): Tensor[] {
  return out instanceof Tensor ? [out] : Object.values(out);
}

/** The sum over an op's float outputs of their product with fixed random numbers. */
function projection(op: AnyOp, args: readonly unknown[], floats: readonly Tensor[]): Tensor {
  const device = floats[0].device;
  return outputsOf(op(...withFloats(args, floats)))
    .filter((out) => out.dtype !== "int32")
    .map((out, i) => sum(mul(out, sample(device, out.shape, 100 + i, 0.5, 1.5))))
    .reduce((a, b) => add(a, b), zeros(device, []));
}

function gradientsOf(op: AnyOp, args: readonly unknown[], floats: readonly Tensor[]): Tensor[] {
  const f = valueAndGrad((params: readonly Tensor[]) => projection(op, args, params));
  const { grads } = f(floats);
  assert.deepEqual(grads.map(({ shape }) => shape), floats.map(({ shape }) => shape));
  return [...grads];
}

/** The derivatives of the projection with respect to one float tensor, by central differences. */
async function differences(
  op: AnyOp,
  args: readonly unknown[],
  floats: readonly Tensor[],
  which: number,
): Promise<Float64Array> {
  const { device, shape } = floats[which];
  const x = await floats[which].data();
  const at = async (i: number, value: number): Promise<number> => {
    using _scope = device.arena();
    const moved = Float64Array.from(x);
    moved[i] = value;
    return await projection(op, args, floats.with(which, device.tensor(moved, shape))).item();
  };
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const step = 1e-5 * Math.max(1, Math.abs(x[i]));
    out[i] = (await at(i, x[i] + step) - await at(i, x[i] - step)) / (2 * step);
  }
  return out;
}

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
}

function norm(values: ArrayLike<number>): number {
  return Math.hypot(...Array.from(values));
}

const float64 = cpu({ float: "float64" });

const isShape = (arg: unknown): arg is readonly number[] =>
  Array.isArray(arg) && arg.length > 0 && arg.every((n) => typeof n === "number");

/**
 * The arguments of a case with sizes of 0: each size in turn wherever it stands, also in an
 * argument that is a shape, and each axis of each tensor alone.
 */
async function emptied(
  { name, args }: OpCase<readonly unknown[]>,
): Promise<(readonly [what: string, args: (device: Device) => readonly unknown[]])[]> {
  using _scope = float64.arena();
  const given = args(float64);
  const tensors = given.flat().filter((arg) => arg instanceof Tensor);
  const data = await float64.read(tensors);
  type Change = (shape: Shape, which?: number) => Shape;
  const changed = (change: Change) => (device: Device): readonly unknown[] => {
    let next = 0;
    const replace = (arg: unknown): unknown => {
      if (isShape(arg)) return change(arg);
      if (Array.isArray(arg)) return arg.map(replace);
      if (!(arg instanceof Tensor)) return arg;
      const shape = change(arg.shape, next);
      const values = data[next++].slice(0, sizeOf(shape));
      return device.tensor(values instanceof Int32Array ? values : values.map(Math.fround), shape);
    };
    return args(device).map(replace);
  };
  const sizes = [...given.filter(isShape), ...tensors.map((t) => t.shape)].flat();
  const changes: [string, Change][] = [...new Set(sizes)].map((n) => [
    `each size of ${n}`,
    (shape) => shape.map((m) => m === n ? 0 : m),
  ]);
  tensors.forEach(({ shape }, t) => {
    shape.forEach((n, axis) => {
      if (sizes.indexOf(n) === sizes.lastIndexOf(n)) return; // this size has had its turn
      changes.push([
        `axis ${axis} of tensor ${t}`,
        (other, which) => which === t ? other.with(axis, 0) : other,
      ]);
    });
  });
  return changes.map(([what, change]) => [`"${name}", 0 for ${what}`, changed(change)]);
}

for (const op of ops) {
  const { name, cases } = op.spec;
  const flows = flowsThrough(op);

  test(`gradient: ${name} against central differences`, async () => {
    const device = float64;
    let steepest = 0;
    for (const kase of cases()) {
      const args = kase.args(device);
      const floats = floatsOf(args);
      const outputs = outputsOf(op(...args));
      const floatToFloat = floats.length > 0 && outputs.some((out) => out.dtype !== "int32");
      if (!flows) {
        const declared = !floatToFloat || BARRIERS.includes(name);
        assert.ok(declared, `${name} has neither a backward nor a place among the barriers`);
      }
      if (!floatToFloat) continue;
      for (const [which, gradient] of gradientsOf(op, args, floats).entries()) {
        const what = `${name}, "${kase.name}", float argument ${which}`;
        const actual = await gradient.data();
        if (!flows) {
          assert.equal(largest(actual), 0, what);
          continue;
        }
        const expected = await differences(op, args, floats, which);
        steepest = Math.max(steepest, largest(expected));
        const floor = 1e-8 + 1e-2 * largest(expected);
        actual.forEach((value, i) => {
          const error = Math.abs(value - expected[i]);
          const allowed = 1e-6 * Math.max(Math.abs(expected[i]), floor);
          if (error <= allowed + 1e-9) return;
          assert.fail(`${what}, [${i}]: ${value}, not ${expected[i]}`);
        });
        const error = norm(actual.map((value, i) => value - expected[i]));
        assert.ok(error <= 1e-6 * norm(expected) + 1e-9, `${what}: off by ${error}`);
      }
    }
    const differentiable = flows && cases().some((c) => floatsOf(c.args(device)).length);
    if (differentiable) assert.ok(steepest > 0, `no case of ${name} has a gradient other than 0`);
  });

  const empties = once(async () => {
    const all = (await Promise.all(cases().map(emptied))).flat();
    const results: (readonly [...(typeof all)[number], Outcome])[] = [];
    for (const [what, args] of all) results.push([what, args, await outcome(op, args, float64)]);
    return results;
  });

  test(`empty: ${name} works on a size of 0 somewhere`, async () => {
    const all = await empties();
    const worked = all.length === 0 || all.some(([, , expected]) => typeof expected !== "string");
    assert.ok(worked, `${name} refuses all tensors with a size of 0`);
  });

  const expectations = once(async () => {
    const results: TypedArray[][] = [];
    for (const { args } of cases()) results.push(await resultsOf(op, args, float64));
    const finite = results.flat().every((values) => values.every(Number.isFinite));
    assert.ok(finite, `a case of ${name} has a result that is not finite`);
    return results;
  });

  for (const { name: deviceName, skip, open } of testDevices) {
    if (deviceName === "cpu float64") continue;
    test(`empty: ${name} on ${deviceName} works as in float64, or refuses`, { skip }, async () => {
      for (const [what, args, expected] of await empties()) {
        const actual = await outcome(op, args, await open());
        if (typeof actual === "string" || typeof expected === "string") {
          assert.deepEqual(actual, expected, what);
        } else assertNear(actual, expected, what);
      }
    });

    test(`op: ${name} on ${deviceName} against float64`, { skip }, async () => {
      const expected = await expectations();
      for (const [i, { name: caseName, args }] of cases().entries()) {
        const actual = await resultsOf(op, args, await open());
        assertNear(actual, expected[i], `${name}, "${caseName}"`);
      }
    });
  }
}

/** The results of an op and its gradients, or the name of the error that it throws. */
type Outcome = TypedArray[] | string;

async function outcome(
  op: AnyOp,
  argsOn: (device: Device) => readonly unknown[],
  device: Device,
): Promise<Outcome> {
  using _scope = device.arena();
  try {
    return await device.read(applied(op, argsOn(device)));
  } catch (error) {
    if (error instanceof BeargradError) return error.name;
    throw new Error(`${op.spec.name} on ${device.kind}: ${error}`, { cause: error });
  }
}

/** Fails unless floats agree to 1e-4 of the largest of their tensor, and integers exactly. */
function assertNear(
  actual: readonly TypedArray[],
  expected: readonly TypedArray[],
  what: string,
): void {
  assert.deepEqual(actual.map((v) => v.length), expected.map((v) => v.length), what);
  actual.forEach((values, k) => {
    const allowed = values instanceof Int32Array ? 0 : 1e-4 * largest(expected[k]);
    const bad = values.findIndex((x, i) => {
      const y = expected[k][i];
      return !Object.is(x, y) && !(Math.abs(x - y) <= allowed);
    });
    const shown = `${what}, result ${k}, [${bad}]: ${values[bad]}, not ${expected[k][bad]}`;
    assert.equal(bad, -1, shown);
  });
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** A tensor of x's shape and device with another dtype. */
const cast = ({ device, shape, size }: Tensor, dtype: DType): Tensor =>
  device.tensor(new Float64Array(size), shape, dtype);

const foreignDevice = cpu();

/**
 * Stand-ins for a tensor: some never do, others only where their dtype, rank or device is right.
 */
const STAND_INS: readonly (readonly [what: string, make: (x: Tensor) => unknown])[] = [
  ["undefined", () => undefined],
  ["null", () => null],
  ["text", () => "x"],
  ["a record", () => ({})],
  ["an array", () => [1, 2, 3]],
  ["a typed array", ({ size }) => new Float32Array(size)],
  ["a function", (x) => () => x],
  ["a freed tensor", (x) => ((gone) => (gone.dispose(), gone))(cast(x, x.dtype))],
  ["a number", () => 2],
  ["another dtype", (x) => cast(x, x.dtype === "int32" ? "float32" : "int32")],
  ["halves", (x) => x.size % 4 === 0 ? cast(x, "float16") : x],
  ["a scalar", ({ device, dtype }) => device.empty([], dtype)],
  ["more axes", ({ device, dtype, shape }) => device.empty([...shape, 2, 3, 2, 3, 2], dtype)],
  ["a tensor of another device", ({ shape, dtype }) => foreignDevice.empty(shape, dtype)],
];
const NEVER = 8;

/**
 * A value with a tensor replaced: itself, one in an array, or all in a record, whose dtypes and
 * shapes are its own business.
 */
function replaced(value: unknown, by: (x: Tensor) => unknown): readonly unknown[] {
  if (value instanceof Tensor) return [by(value)];
  if (Array.isArray(value)) {
    return value.flatMap((part, i) => replaced(part, by).map((other) => value.with(i, other)));
  }
  const entries = Object.entries(value ?? {});
  const first = entries.find(([, part]) => part instanceof Tensor)?.[1] as Tensor | undefined;
  const other = first && by(first);
  if (!(other instanceof Tensor)) return first ? [other] : [];
  if (other.dtype !== first?.dtype || !sameShape(other.shape, first.shape)) return [];
  return [
    Object.fromEntries(entries.map(([k, part]) => [k, part instanceof Tensor ? by(part) : part])),
  ];
}

test("ops: what is no tensor, of another dtype, rank or device, or freed, is refused in words of the op", () => {
  const device = cpu();
  for (const op of ops) {
    const args = op.spec.cases()[0].args(device);
    const tensors = args.flatMap((arg) => replaced(arg, (x) => x)).length;
    args.forEach((arg, i) => {
      STAND_INS.forEach(([what, make], k) => {
        const foreign = k === STAND_INS.length - 1 && tensors > 1;
        for (const value of replaced(arg, make)) {
          const call = `${op.spec.name} with ${what} for argument ${i}`;
          try {
            op(...args.with(i, value));
            assert.ok(k >= NEVER && !foreign, `${call} is accepted`);
          } catch (error) {
            assert.ok(error instanceof BeargradError, `${call}: ${error}`);
            assert.doesNotMatch(error.message, /^Cannot run|gradient|object Object/, call);
          }
        }
      });
    });
  }
});

/** What an untyped caller may give: what no argument may be, and what some may. */
const NEVER_RIGHT: readonly unknown[] = [
  ...[null, "1", "text", 1n, Symbol("s"), Object.create(null), () => 1, new Map(), new Date(0)],
  ...[["1"], [null], [undefined], [, 1], [[1]], [Symbol("s")], [Object.create(null)], { 0: 1 }],
];
const AT_TIMES: readonly unknown[] = [
  ...[undefined, NaN, Infinity, 1.5, -1, true, {}, [], [1.5], [NaN], [-1, -1], [0, 0, 0]],
  ...[[2 ** 53], new BigInt64Array(2), new DataView(new ArrayBuffer(8))],
];
/** Kinds of which the op itself looks at the value, or into it. */
const LOOKED_INTO: readonly (InputKind | undefined)[] = ["string", "options", undefined];

test("ops: whatever an argument is, an op works or throws a typed error", () => {
  const device = cpu();
  for (const op of ops) {
    const args = op.spec.cases()[0].args(device);
    const kinds = Object.values(op.spec.inputs ?? {});
    const record = { x: args.flat().find((arg) => arg instanceof Tensor) };
    for (let i = 0; i < Math.max(args.length, kinds.length); i++) {
      [...NEVER_RIGHT, ...AT_TIMES, record].forEach((value, k) => {
        const call = `${op.spec.name} with ${inspect(value)} for argument ${i}`;
        const given = Array.from({ length: Math.max(args.length, i + 1) }, (_, j) => args[j]);
        let refused = false;
        try {
          op(...given.with(i, value));
        } catch (error) {
          assert.ok(error instanceof BeargradError, `${call}: ${error}`);
          refused = true;
        }
        const may = k >= NEVER_RIGHT.length || LOOKED_INTO.includes(kinds[i]);
        assert.ok(refused || may, `${call} is accepted`);
      });
    }
  }
});

/** The outputs and gradients of an op, from arguments rounded to float32. */
async function resultsOf(
  op: AnyOp,
  argsOn: (device: Device) => readonly unknown[],
  device: Device,
): Promise<TypedArray[]> {
  using _scope = device.arena();
  const args = argsOn(device);
  const floats = floatsOf(args);
  const data = await device.read(floats);
  const rounded = floats.map((x, i) => device.tensor(Float32Array.from(data[i]), x.shape));
  return await device.read(applied(op, withFloats(args, rounded)));
}

/** The outputs and gradients of an op. */
function applied(op: AnyOp, args: readonly unknown[]): Tensor[] {
  const floats = floatsOf(args);
  const outputs = outputsOf(op(...args));
  const flows = flowsThrough(op) && floats.length > 0;
  return [...outputs, ...(flows ? gradientsOf(op, args, floats) : [])];
}

test("ops: every exported op is registered, under a name of its own, with a case", async () => {
  const room = new URL("../../ops/", import.meta.url);
  const registered = new Set<unknown>(ops);
  for (const file of readdirSync(room).filter((f) => f.endsWith(".ts") && f !== "index.ts")) {
    const module: Record<string, unknown> = await import(new URL(file, room).href);
    for (const [exported, value] of Object.entries(module)) {
      if (typeof value !== "function" || !("spec" in value)) continue;
      assert.ok(registered.has(value), `${exported} of ops/${file} is not registered`);
      assert.equal((value as AnyOp).spec.name, exported);
    }
  }
  assert.ok(registered.size > 20);
  assert.equal(new Set(ops.map((op) => op.spec.name)).size, ops.length);
  for (const op of ops) assert.ok(op.spec.cases().length > 0, op.spec.name);
});

test("every op refuses hidden states and a head in place of logits, and names allLogits", () => {
  const device = cpu();
  const logits = { hidden: sample(device, [2, 4], 1), head: sample(device, [3, 4], 2) };
  for (const op of ops as readonly AnyOp[]) {
    const args = op.spec.cases()[0].args(device);
    args.forEach((arg, i) => {
      if (!(arg instanceof Tensor)) return;
      assert.throws(() => op(...args.with(i, logits)), {
        name: "ArgumentError",
        message: /^Cannot apply \w+: .* got { hidden, head }; allLogits\(logits\) makes one$/,
      });
    });
  }
});
