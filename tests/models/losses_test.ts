/**
 * The losses against golden values, against plain float64 evaluations of their formulas, and at the
 * edges.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import type { TypedArray } from "../../core/dtype.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { gradientWeights } from "../../lab/train/loss_probe.ts";
import { apaoPair, apaoPoint } from "../../models/losses/apao.ts";
import { beamExact } from "../../models/losses/beam_exact.ts";
import { bear } from "../../models/losses/bear.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { fitsFlag } from "../../models/losses/flags.ts";
import {
  isLossName,
  losses,
  lossFlagNames,
  lossFlags,
  lossNamed,
  type LossOptions,
  readersOf,
} from "../../models/losses/index.ts";
import { msl } from "../../models/losses/msl.ts";
import { mslAts } from "../../models/losses/msl_ats.ts";
import { sft } from "../../models/losses/sft.ts";
import { sum } from "../../ops/reduce.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { testDevices } from "../devices.ts";
import {
  assertClose,
  type Batch,
  bearOptions,
  evaluate,
  goldenLosses,
  type GoldenName,
  goldenNames,
  run,
  runAll,
  type Settings,
  sigmoid,
  targets,
  token,
  type Value,
} from "./loss_cases.ts";

interface Golden extends Batch, Settings {
  readonly name: string;
  readonly margin: readonly number[];
  readonly losses: Readonly<Record<GoldenName, Value>>;
}

const golden = (JSON.parse(readFileSync("tests/golden/losses.json", "utf8")) as { cases: Golden[] })
  .cases;

/**
 * A golden value. The golden file was made with a softplus that is x itself above 20, so the weight
 * of such a token in the convex form is 1 + lambda / xi there, where the formula has
 * 1 + lambda / xi sigma(x): 5e-10 apart.
 */
function expectedOf(kase: Golden, loss: GoldenName): Value {
  const { value, grad } = kase.losses[loss];
  if (loss !== "bear_convex") return { value, grad };
  const weight = (slope: number): number => 1 + (kase.lambda / kase.xi) * slope;
  const exact = kase.margin.map((m) =>
    m / kase.xi > 20 ? weight(sigmoid(m / kase.xi)) / weight(1) : 1
  );
  return { value, grad: grad.map((row, n) => row.map((g) => g * exact[n])) };
}

/** Checks all golden losses on a batch against what `expected` says of each. */
async function assertAll(
  device: Device,
  batch: Batch,
  settings: Settings,
  tolerance: number,
  expected: (name: GoldenName) => Value = (name) => evaluate(name, batch, settings),
): Promise<void> {
  const actual = await runAll(device, goldenLosses(settings), batch);
  for (const name of goldenNames) assertClose(actual[name], expected(name), tolerance, name);
}

for (const { name, skip, open } of testDevices) {
  const tolerance = name === "cpu float64" ? 1e-10 : 1e-5;
  test(`losses: all golden values and gradients on ${name}`, { skip }, async () => {
    const device = await open();
    assert.equal(golden.length, 20);
    for (const kase of golden) {
      await assertAll(device, kase, kase, tolerance, (loss) => expectedOf(kase, loss));
    }
  });
}

test("losses: the margins are the golden ones", async () => {
  const device = cpu({ float: "float64" });
  for (const kase of golden) {
    const { trie, nodes, labels } = targets(device, kase);
    const options = { normalization: "children", beam: kase.B, tau: kase.tau } as const;
    const z = device.tensor(kase.logits);
    const { logProb, logBeta, choices } = trieLogProb(z, trie, nodes, labels, options);
    const [p, beta, count] = await device.read([logProb, logBeta, choices]);
    kase.margin.forEach((margin, n) => {
      assert.ok(Math.abs(beta[n] - p[n] - margin) <= 1e-10 * Math.max(1, Math.abs(margin)));
      assert.equal(count[n], kase.children[n].length);
    });
  }
});

/** Batches of up to 5 rows: ties, rows without siblings, rows that are no target. */
const batches: fc.Arbitrary<Batch> = fc.record({
  V: fc.integer({ min: 5, max: 16 }),
  N: fc.integer({ min: 1, max: 5 }),
})
  .chain(({ V, N }) => {
    const logit = fc.oneof(
      fc.integer({ min: -2, max: 2 }),
      fc.double({ min: -9, max: 9, noNaN: true }),
    );
    const tokens = [...Array(V).keys()];
    const row = fc.record({
      logits: fc.array(logit, { minLength: V, maxLength: V }),
      children: fc.subarray(tokens),
      at: fc.nat(V - 1),
    });
    return fc.array(row, { minLength: N, maxLength: N }).map((rows) => ({
      logits: rows.map((r) => r.logits),
      children: rows.map((r) => r.children),
      label: rows.map((r) => r.children.length === 0 ? 0 : r.children[r.at % r.children.length]),
    }));
  });

const settings: fc.Arbitrary<Settings> = fc.record({
  B: fc.integer({ min: 1, max: 20 }),
  tau: fc.constantFrom(0.5, 1, 2),
  xi: fc.constantFrom(0.25, 1, 2.75),
  lambda: fc.constantFrom(0, 0.25, 1, 4),
});

test("losses: values and gradients are those of the formulas", async () => {
  const device = cpu({ float: "float64" });
  await fc.assert(
    fc.asyncProperty(batches, settings, (batch, s) => assertAll(device, batch, s, 1e-10)),
    { numRuns: 60 },
  );
});

test("losses: gradient weights as functions of the margin (docs/theory.md, S1 to S6)", async () => {
  const device = cpu({ float: "float64" });
  const property = fc.asyncProperty(batches, settings, async (batch, s) => {
    const { xi, lambda } = s;
    const msl_sum = msl({ tau: s.tau, reduction: "sum" });
    const actual = await runAll(device, { msl_sum, ...goldenLosses(s) }, batch);
    const { trie, nodes, labels } = targets(device, batch);
    const options = { normalization: "children", beam: s.B, tau: s.tau } as const;
    const z = device.tensor(batch.logits);
    const { logProb, logBeta } = trieLogProb(z, trie, nodes, labels, options);
    const [p, beta] = await device.read([logProb, logBeta]);
    const safe = batch.logits.map((_, n) => sigmoid((p[n] - beta[n]) / xi));
    const w = safe.map((x, n) => batch.children[n].length > 1 ? 1 + lambda * x : 0);
    const total = w.reduce((a, b) => a + b, 0) || 1;
    const weights = {
      bear_released: w.map((x) => x / total),
      bear_paper: safe.map((x) => 1 + (lambda / xi) * x),
      bear_convex: safe.map((x) => 1 + (lambda / xi) * (1 - x)),
    };
    for (const name of ["bear_released", "bear_paper", "bear_convex"] as const) {
      const grad = actual.msl_sum.grad.map((row, n) => row.map((g) => weights[name][n] * g));
      assertClose(actual[name], { value: actual[name].value, grad }, 1e-10, name);
    }
  });
  await fc.assert(property, { numRuns: 30 });
});

test("losses: the regularisers bound the violation from the side that their documentation says", async () => {
  const device = cpu({ float: "float64" });
  const property = fc.asyncProperty(batches, settings, async (batch, { B, tau }) => {
    const s = { B, tau, xi: 1, lambda: 1 };
    const sums = {
      plain: msl({ tau, reduction: "sum" }),
      whole: sft({ tau, reduction: "sum" }),
      ...goldenLosses(s),
    };
    const { plain, whole, bear_paper, bear_convex } = await runAll(device, sums, batch);
    const below = bear_paper.value - plain.value;
    const above = (bear_convex.value - plain.value) / Math.LN2;
    const tokens = batch.children.flatMap((children, n) =>
      children.length > 1 ? [token(batch.logits[n], children, children, batch.label[n], s)] : []
    );
    const violations = tokens.filter((t) => t.logBeta > t.logP).length;
    assert.ok(below <= violations + 1e-9);
    assert.ok(above >= violations - 1e-9);
    assert.ok(plain.value / Math.log(B + 1) >= violations - 1e-9);
    assert.ok(whole.value >= plain.value - 1e-9);
  });
  await fc.assert(property, { numRuns: 30 });
});

for (const { name, skip, open } of testDevices) {
  test(
    `losses: logits of 1e4, certain tokens, no siblings, no targets on ${name}`,
    { skip },
    async () => {
      const device = await open();
      const s = { B: 2, tau: 1, xi: 1, lambda: 1 };
      const large: Batch = {
        logits: [[1e4, -1e4, 0, 5], [-1e4, 1e4, 1e4, -1e4], [60, 0, 0, 0]],
        children: [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3]],
        label: [1, 1, 0],
      };
      await assertAll(device, large, s, 1e-5);
      const single: Batch = { logits: [[3, 1, 2], [0, 7, 0]], children: [[1], [2]], label: [1, 2] };
      const none: Batch = { ...single, children: [[], []], label: [0, 0] };
      const zero: Value = { value: 0, grad: [[0, 0, 0], [0, 0, 0]] };
      await assertAll(device, none, s, 0, () => zero);
      const { sft: _, ...others } = goldenLosses(s);
      for (const [loss, { value, grad }] of Object.entries(await runAll(device, others, single))) {
        assert.equal(Math.abs(value), 0, loss);
        assert.ok(grad.flat().every((g) => g === 0), loss);
      }
    },
  );
}

test("losses: paper and convex default to the mean over target tokens", async () => {
  const kase = golden.find((k) => k.name === "some single-child") as Golden;
  for (const form of ["paper", "convex"] as const) {
    const { value } = await run(cpu({ float: "float64" }), bear(bearOptions(kase, form)), kase);
    assert.ok(Math.abs(value - kase.losses[`bear_${form}`].value / kase.label.length) < 1e-10);
  }
});

/** What the names in recipes mean. */
const MADE: Readonly<Record<string, (options: Required<LossOptions>) => Loss>> = {
  sft: ({ tau }) => sft({ tau }),
  msl: ({ tau }) => msl({ tau }),
  "msl-ats": () => mslAts(),
  bear: ({ beam, tau, xi, lambda }) => bear({ beam, tau, xi, lambda }),
  "bear-paper": ({ beam, tau, xi, lambda }) => bear({ form: "paper", beam, tau, xi, lambda }),
  "bear-convex": ({ beam, tau, xi, lambda }) => bear({ form: "convex", beam, tau, xi, lambda }),
  "apao-point": ({ tau, xi, beta, eta }) => apaoPoint({ tau, xi, beta, eta }),
  "apao-pair": ({ tau, xi, beta, eta }) => apaoPair({ tau, xi, beta, eta }),
  "beam-exact": ({ tau, xi, lambda }) => beamExact({ tau, xi, lambda }),
};

test("losses: each definition makes its loss of the flags that it names", async () => {
  const device = cpu({ float: "float64" });
  const kase = golden.find((k) => k.name === "tau 2, xi 2.75") as Golden;
  const { B: beam, tau, xi, lambda } = kase;
  const all = { beam, tau, xi, lambda, beta: 0.3, eta: 2, negatives: 7, searchEvery: 9 };
  assert.deepEqual(Object.keys(MADE).filter((name) => !isLossName(name)), []);
  for (const { name, needs, flags, make } of losses) {
    const direct = (MADE[name] ?? make)(all);
    const own = Object.fromEntries(lossFlagNames.flatMap((f) => f in flags ? [[f, all[f]]] : []));
    for (const made of [make(all), make(own)]) { // it reads what it says
      if (needs.negatives || needs.thresholds) {
        await assert.rejects(run(device, made, kase), /must have (negatives|thresholds), got none/);
        assert.deepEqual(await gradientWeights(made, 3), await gradientWeights(direct, 3));
      } else {
        assert.deepEqual(await run(device, made, kase), await run(device, direct, kase));
      }
    }
  }
  assert.throws(() => lossNamed("nll"), /must be one of sft, msl, .* got nll/);
  assert.throws(() => lossNamed("toString"), ArgumentError);
});

test("losses: flags are the same for all losses that read them, and defaults are in the domain", () => {
  const old = ["beam", "xi", "lambda", "tau", "beta", "eta", "negatives", "searchEvery"];
  assert.deepEqual(lossFlagNames.slice(0, old.length), old); // as in recipes and names of runs
  for (const name of lossFlagNames) {
    const flag = lossFlags[name];
    assert.ok(fitsFlag(flag, flag.default), name);
    assert.ok(readersOf(name).length > 0, name);
    for (const { flags } of losses) assert.ok(!(name in flags) || flags[name] === flag, name);
  }
});

test("losses: a token outside the trie matters to those that normalise over the vocabulary", async () => {
  const device = cpu({ float: "float64" });
  const batch = (outside: number): Batch => (
    { logits: [[1, 0, 2, outside]], children: [[0, 1, 2]], label: [1] }
  );
  for (const { name, needs, normalization, make } of losses) {
    if (needs.negatives || needs.thresholds) continue; // in prefix_losses_test.ts
    const [{ value }, other] = [
      await run(device, make({}), batch(0)),
      await run(device, make({}), batch(3)),
    ];
    assert.equal(value !== other.value, normalization === "vocabulary", name);
  }
});

test("losses: arguments outside their domain are refused", () => {
  for (const tau of [0, -1, NaN, Infinity]) {
    for (const make of [sft, msl, bear]) assert.throws(() => make({ tau }), ArgumentError);
  }
  for (const xi of [0, -1, NaN]) assert.throws(() => bear({ xi }), ArgumentError);
  for (const lambda of [-0.1, NaN]) assert.throws(() => bear({ lambda }), ArgumentError);
  for (const beam of [0, -3, 1.5, NaN]) assert.throws(() => bear({ beam }), ArgumentError);
  for (const make of [apaoPoint, apaoPair]) {
    for (const wrong of [{ tau: 0 }, { xi: 0 }, { beta: -1 }, { eta: NaN }]) {
      assert.throws(() => make(wrong), ArgumentError);
    }
  }
  for (const wrong of [{ tau: -1 }, { xi: NaN }, { lambda: -1 }]) {
    assert.throws(() => beamExact(wrong), ArgumentError);
  }
  assert.throws(() => bear({ form: "other" as "paper" }), ArgumentError);
  assert.throws(() => bear({ form: "released", reduction: "sum" }), ArgumentError);
  const reduction = "none" as "sum";
  for (
    const [name, make] of [
      ["an sft", () => sft({ reduction })],
      ["an msl", () => msl({ reduction })],
      ["a bear", () => bear({ form: "paper", reduction })],
    ] as const
  ) {
    assert.throws(make, {
      name: "ArgumentError",
      message: `Cannot make ${name} loss: reduction must be "mean" or "sum", got "none"`,
    });
  }
});

test("trieLogProb: shapes and arguments that do not fit are refused", () => {
  const device = cpu();
  const { trie, nodes, labels } = targets(device, { logits: [], children: [[0, 3]], label: [3] });
  const narrow = device.tensor([[1, 2, 3]]);
  const logits = device.tensor([[1, 2, 3, 4]]);
  const children = { normalization: "children" } as const;
  assert.throws(() => trieLogProb(narrow, trie, nodes, labels, children), ShapeError);
  assert.throws(
    () => trieLogProb(device.tensor([1, 2, 3, 4]), trie, nodes, labels, children),
    ShapeError,
  );
  const two = device.tensor(new Int32Array(2));
  assert.throws(() => trieLogProb(logits, trie, two, labels, children), ShapeError);
  assert.throws(() => trieLogProb(logits, trie, nodes, two, children), ShapeError);
  for (const wrong of [{ beam: 0 }, { beam: 2.5 }, { tau: 0 }, { tau: NaN }]) {
    assert.throws(
      () => trieLogProb(logits, trie, nodes, labels, { ...children, ...wrong }),
      ArgumentError,
    );
  }
});

for (const { name, skip, open } of testDevices) {
  test(`trieLogProb: the widest beams take the last child on ${name}`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const { trie, nodes, labels } = targets(device, {
      logits: [],
      children: [[0, 2, 3], [1, 2]],
      label: [3, 1],
    });
    const logits = device.tensor([[1, 9, -2, 4], [7, 3, 5, 0]]);
    const logBeta = (z: Tensor, beam: number): Tensor =>
      trieLogProb(z, trie, nodes, labels, { normalization: "children", beam }).logBeta;
    const gradOf = valueAndGrad((z: Tensor, beam: number) => sum(logBeta(z, beam)));
    const run = (beam: number): Promise<TypedArray[]> =>
      device.read([logBeta(logits, beam), gradOf(logits, beam).grads]);
    const expected = await run(3);
    const lasts = [
      -2 - Math.log(Math.exp(1) + Math.exp(-2) + Math.exp(4)),
      -Math.log1p(Math.exp(2)),
    ];
    lasts.forEach((last, n) => assert.ok(Math.abs(expected[0][n] - last) < 1e-5));
    for (const beam of [4, 2 ** 31, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
      assert.deepEqual(await run(beam), expected, `${beam}`);
    }
  });
}
