/** The controls of examples/controls against their formulas, evaluated directly in float64. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { keyOf } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { openLoss } from "../../lab/train/loss_module.ts";
import { Trie } from "../../models/decode/trie.ts";
import { bear } from "../../models/losses/bear.ts";
import type { LossOptions } from "../../models/losses/index.ts";
import type { Loss, Targets } from "../../models/losses/loss.ts";
import { randomUniform } from "../../ops/random_uniform.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { testDevices } from "../devices.ts";
import { assertClose, sigmoid, type Token, token, type Value } from "./loss_cases.ts";

const NAMES = readdirSync("examples/controls").map((file) => file.replace(".ts", ""))
  .filter((name) => name !== "weighted").sort();

const make = async (name: string, options: LossOptions): Promise<Loss> =>
  (await openLoss(`examples/controls/${name}.ts`)).make(options);

/** Items of a catalogue that follow one another, with a row of logits for each of their tokens. */
type Items = {
  readonly paths: readonly (readonly number[])[];
  readonly items: readonly number[]; // -1: a row without a target
  readonly logits: readonly (readonly number[])[];
};

const V = 6;

/** Catalogues of up to 12 items of 2 to 4 tokens, with forced tokens; up to 6 items of them. */
const batches: fc.Arbitrary<Items> = fc.uniqueArray(
  fc.array(fc.nat(V - 2), { minLength: 1, maxLength: 3 }).map((path) => [...path, V - 1]),
  { minLength: 1, maxLength: 12, selector: (path) => path.join(" ") },
).chain((paths) =>
  fc.array(fc.integer({ min: -1, max: paths.length - 1 }), { minLength: 1, maxLength: 6 })
    .chain((items) => {
      const N = items.reduce((sum, item) => sum + (paths[item]?.length ?? 1), 0);
      const row = fc.array(fc.double({ min: -6, max: 6, noNaN: true }), {
        minLength: V,
        maxLength: V,
      });
      return fc.array(row, { minLength: N, maxLength: N }).map((logits) => ({
        paths,
        items,
        logits,
      }));
    })
);

const settings: fc.Arbitrary<Settings> = fc.record({
  beam: fc.integer({ min: 1, max: 4 }),
  tau: fc.constantFrom(0.5, 1, 2),
  xi: fc.constantFrom(0.25, 1, 2.75),
  lambda: fc.constantFrom(0, 1, 4),
});

type Settings = Required<Pick<LossOptions, "beam" | "tau" | "xi" | "lambda">>;

type Row = { readonly node: number; readonly label: number };

function rowsOf({ paths, items }: Items): { trie: Trie; rows: Row[] } {
  const trie = new Trie(paths.map((path) => [...path]));
  const rows = items.flatMap((item): Row[] => {
    let node = 0;
    return (paths[item] ?? [-1]).map((label) => {
      const row = { node: label < 0 ? -1 : node, label: Math.max(label, 0) };
      if (label >= 0) node = trie.child(node, label);
      return row;
    });
  });
  return { trie, rows };
}

async function run(device: Device, loss: Loss, batch: Items): Promise<Value> {
  using _scope = device.arena();
  const { trie, rows } = rowsOf(batch);
  const ints = (of: (row: Row) => number) => device.tensor(Int32Array.from(rows, of));
  const targets: Targets = {
    trie: trie.upload(device),
    nodes: ints(({ node }) => node),
    labels: ints(({ label }) => label),
  };
  const z = device.tensor(batch.logits);
  const { value, grads } = valueAndGrad((x: typeof z) => loss(x, targets))(z);
  const [[number], flat] = await device.read([value, grads]);
  return {
    value: number,
    grad: rows.map((_, n) => Array.from(flat).slice(n * V, (n + 1) * V)),
  };
}

/** What the formulas of the controls say of a batch. `order` has a random number for each row. */
function evaluate(
  name: string,
  batch: Items,
  { beam, tau, xi, lambda }: Settings,
  order: ArrayLike<number>,
): Value {
  const { trie, rows } = rowsOf(batch);
  const vocabulary = [...Array(V).keys()];
  const tokens = rows.map(({ node, label }, n) => {
    const children = node < 0 ? [] : vocabulary.filter((v) => trie.child(node, v) >= 0);
    const of = (over: readonly number[]): Token =>
      token(batch.logits[n], over, children, label, { B: beam, tau, xi, lambda });
    const own = of(node < 0 ? vocabulary : children);
    return { count: children.length, own, whole: of(vocabulary) };
  });
  const open = [...tokens.keys()].filter((n) => tokens[n].count >= 2);
  const bears = tokens.map(({ own }) => 1 + lambda * sigmoid((own.logP - own.logBeta) / xi));
  const byKey = open.toSorted((a, b) => order[b] - order[a]);
  const onVocabulary = (n: number): boolean =>
    name === "bear_on_sft" || name === "forced" && tokens[n].count === 1;
  const weight = (n: number): number => {
    const { own: { logP }, count } = tokens[n];
    if (name === "forced") return Math.min(count, 1);
    if (name === "bear_on_sft") return count >= 2 ? bears[n] : count;
    if (count < 2) return 0;
    if (name === "by_probability") return 1 + lambda * sigmoid((logP + Math.log(2 * beam)) / xi);
    if (name === "focal") return Math.max(1 - Math.exp(logP), 1e-6) ** (-lambda / 5);
    assert.equal(name, "shuffled");
    return bears[byKey[open.indexOf(n)]];
  };
  const w = tokens.map((_, n) => weight(n));
  const total = w.reduce((sum, x) => sum + x, 0) || 1;
  const at = (n: number): Token => onVocabulary(n) ? tokens[n].whole : tokens[n].own;
  return {
    value: w.reduce((sum, x, n) => x === 0 ? sum : sum - x * at(n).logP, 0) / total,
    grad: w.map((x, n) => at(n).dlogP.map((d) => x === 0 ? 0 : -x * d / total)),
  };
}

for (const name of NAMES) {
  test(`controls: ${name} has the value and the gradient of its formula`, async () => {
    const device = cpu({ float: "float64" });
    const property = fc.asyncProperty(batches, settings, async (batch, options) => {
      const N = batch.logits.length;
      const key = device.tensor(Int32Array.from(keyOf(0)));
      const order = await randomUniform(key, [N], 0).data();
      const actual = await run(device, await make(name, options), batch);
      assertClose(actual, evaluate(name, batch, options, order), 1e-10, name);
    });
    await fc.assert(property, { numRuns: 60 });
  });
}

/** Three items of a catalogue in which every token has siblings. */
const OPEN: Items = {
  paths: [[0, 2], [0, 3], [1, 4], [1, 5]],
  items: [0, 3, 2],
  logits: [
    [0, 1, 2, -1, 1, 3],
    [3, 1, 1, 0, 0, 0],
    [2, 0, 1, 4, -2, 1],
    [0, 0, 1, 0, 5, 2],
    [1, 2, 0, 0, 0, 0],
    [0, 0, 0, 0, 2, 9],
  ],
};

for (const { name, skip, open } of testDevices) {
  test(`controls: on ${name} they are as in float64`, { skip }, async () => {
    const [device, exact] = [await open(), cpu({ float: "float64" })];
    for (const control of NAMES) {
      const [loss, same] = [await make(control, { beam: 1 }), await make(control, { beam: 1 })];
      assertClose(await run(device, loss, OPEN), await run(exact, same, OPEN), 1e-5, control);
    }
  });
}

test("controls: shuffled weights are others than bear's", async () => {
  const device = cpu({ float: "float64" });
  const options = { beam: 1, lambda: 4 };
  const losses = [bear(options), await make("shuffled", options)];
  const values = await Promise.all(losses.map((loss) => run(device, loss, OPEN)));
  assert.notEqual(values[0].value, values[1].value);
});

test("controls: forced is at least log(B + 1) for each violation, as msl is", async () => {
  const device = cpu({ float: "float64" });
  const property = fc.asyncProperty(batches, settings, async (batch, options) => {
    const { trie, rows } = rowsOf(batch);
    const violations = rows.filter(({ node, label }, n) => {
      const z = batch.logits[n];
      const better = z.filter((x, v) => node >= 0 && trie.child(node, v) >= 0 && x > z[label]);
      return better.length >= options.beam;
    });
    const { value } = await run(device, await make("forced", options), batch);
    const counted = rows.filter(({ node }) => node >= 0).length;
    assert.ok(value * counted >= Math.log(options.beam + 1) * violations.length - 1e-9);
  });
  await fc.assert(property, { numRuns: 60 });
});
