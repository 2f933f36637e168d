/** Adapters against the arithmetic written out, and what training one costs and leaves alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import type { DType } from "../../core/dtype.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { mapTree, treeEntries } from "../../core/tree.ts";
import { integers } from "../../kernels/cases.ts";
import {
  defaultLora,
  initLora,
  type LoraConfig,
  type LoraParams,
  mergeLora,
  withLora,
} from "../../models/lora.ts";
import {
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { mul } from "../../ops/binary.ts";
import { sample } from "../../ops/cases.ts";
import { allLogits } from "../../ops/logits.ts";
import { sum } from "../../ops/reduce.ts";
import { take } from "../../ops/take.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice, testDevices } from "../devices.ts";
import { every, livelyAdapter, mergedOnHost } from "./adapters.ts";
import { grouped, livelyParams, referenceLogits, untied, weightsOf } from "./llamas.ts";

const B = 2;
const T = 9;

const tokensOf = (config: TransformerConfig, seed: number): Int32Array =>
  integers(B * T, config.vocabSize, seed);

/** The sum of the logits, each with its own weight: a scalar that depends on all of them. */
function weighedLogits(
  model: Transformer,
  params: TransformerParams,
  seed: number,
  key?: Tensor,
): Tensor {
  const { device, config } = model;
  const tokens = device.tensor(tokensOf(config, seed), [B, T]);
  const weights = sample(device, [B, T, config.vocabSize], seed);
  return sum(mul(model.logits(params, model.hidden(params, tokens, key)), weights));
}

const SETTINGS: readonly (readonly [what: string, TransformerConfig, LoraConfig])[] = [
  ["grouped, every target", grouped, every],
  ["grouped, default", grouped, defaultLora],
  ["grouped, k and up", grouped, { ...every, targets: ["up", "k"], rank: 4 }],
  ["untied, every target", untied, every],
];

for (const { name, skip, open } of testDevices) {
  for (const [what, config, lora] of SETTINGS) {
    test(
      `lora on ${name}: ${what}: logits are those written out`,
      { skip },
      async () => {
        const device = await open();
        using _scope = device.arena();
        const params = livelyParams(device, config, 1);
        const adapter = livelyAdapter(device, config, lora, 1);
        const tokens = tokensOf(config, 1);
        const merged = await mergedOnHost(await weightsOf(params), adapter, config, lora);
        const logits = (weights: Awaited<ReturnType<typeof weightsOf>>): number[] =>
          [0, 1].flatMap((b) =>
            referenceLogits(weights, config, [...tokens.subarray(b * T, (b + 1) * T)]).flat()
          );
        const expected = logits(merged);
        const distance = (a: ArrayLike<number>): number =>
          Math.max(...expected.map((z, i) => Math.abs(z - a[i])));
        assert.ok(distance(logits(await weightsOf(params))) > 0.1, "the adapter must matter");
        const ids = device.tensor(tokens, [B, T]);
        const adapted = new Transformer(device, config, lora);
        const plain = new Transformer(device, config);
        const [beside, added] = await device.read([
          adapted.logits(params, adapted.hidden(withLora(params, adapter), ids)),
          plain.logits(params, plain.hidden(mergeLora(params, adapter, config, lora), ids)),
        ]);
        const allowed = device.float === "float64" ? 1e-10 : 1e-4;
        assert.equal(beside.length, expected.length);
        assert.ok(distance(beside) <= allowed, `beside: ${distance(beside)}`);
        assert.ok(distance(added) <= allowed, `merged: ${distance(added)}`);
      },
    );
  }
}

onEachDevice("lora: a decoder with an adapter says what a whole pass says", async (device) => {
  const config = { ...grouped, dropout: 0 };
  const adapted = withLora(
    livelyParams(device, config, 3),
    livelyAdapter(device, config, every, 3),
  );
  const model = new Transformer(device, config, every);
  const ints = (values: number[], shape: number[]): Tensor => device.tensor(values, shape, "int32");
  const decoder = new TransformerDecoder(model, adapted);
  const { logits, cache } = decoder.prefill(ints([4, 1, 7], [1, 3]), ints([3], [1]), 1);
  const next = decoder.step(cache, {
    tokens: ints([9], [1]),
    users: ints([0], [1]),
    depths: ints([0], [1]),
    slots: ints([0], [1, 1]),
    count: ints([1], [1]),
  });
  const whole = model.logits(adapted, model.hidden(adapted, ints([4, 1, 7, 9], [1, 4])));
  const [first, second, all] = await device.read([allLogits(logits), allLogits(next), whole]);
  const expected = Array.from(all).slice(2 * config.vocabSize);
  [...first, ...second].forEach((z, i) => assert.ok(Math.abs(z - expected[i]) <= 1e-4, `[${i}]`));
});

onEachDevice(
  "lora: a base in half precision gives what its rounded numbers give",
  async (device) => {
    const config = { ...grouped, dropout: 0 };
    const lively = livelyParams(device, config, 2);
    const entries = treeEntries(lively);
    const values = new Map(
      (await device.read(entries.map(([, w]) => w))).map((v, i) => [entries[i][0], v]),
    );
    const stored = (dtype: DType): TransformerParams =>
      mapTree(lively, ({ shape }, path) => {
        const all = Float64Array.from(values.get(path) ?? []);
        if (shape.length === 1) return device.tensor(all, shape);
        return device.tensor(Float64Array.from(Float16Array.from(all)), shape, dtype);
      });
    const [halves, floats] = [stored(device.half), stored(device.float)];
    const adapter = livelyAdapter(device, config, every, 2);
    const model = new Transformer(device, config, every);
    const [half, float] = [halves, floats].map((base) =>
      valueAndGrad((p: LoraParams) => weighedLogits(model, withLora(base, p), 2))(adapter)
    );
    const merged = [halves, floats].map((base) => mergeLora(base, adapter, config, every));
    const close = async (a: readonly Tensor[], b: readonly Tensor[]): Promise<void> => {
      const [actual, expected] = await Promise.all([device.read(a), device.read(b)]);
      expected.forEach((v, i) => {
        const size = Math.max(...Array.from(v, Math.abs));
        v.forEach((x, j) => assert.ok(Math.abs(actual[i][j] - x) <= 1e-4 * size, `${i} [${j}]`));
      });
    };
    const leaves = (tree: LoraParams): Tensor[] => treeEntries(tree).map(([, t]) => t);
    await close([half.value, ...leaves(half.grads)], [float.value, ...leaves(float.grads)]);
    await close([merged[0].layers[1].qkv], [merged[1].layers[1].qkv]);
    assert.equal(halves.layers[0].qkv.dtype, device.half);
  },
);

test("lora: gradients of every factor against central differences", async () => {
  const device = cpu({ float: "float64" });
  const base = livelyParams(device, grouped, 5);
  const adapter = livelyAdapter(device, grouped, every, 5);
  const model = new Transformer(device, grouped, every);
  const key = device.tensor(Int32Array.of(3, 1));
  const loss = (p: LoraParams): Tensor => weighedLogits(model, withLora(base, p), 5, key);
  const gradients = treeEntries(valueAndGrad(loss)(adapter).grads);
  for (const [i, [path, factor]] of treeEntries(adapter).entries()) {
    const values = await factor.data() as Float64Array;
    const gradient = await gradients[i][1].data();
    assert.equal(gradients[i][0], path);
    assert.ok(gradient.some((g) => Math.abs(g) > 1e-3), `${path} must matter`);
    for (const at of [0, Math.floor(values.length / 2), values.length - 1]) {
      const step = 1e-5;
      const moved = async (by: number): Promise<number> => {
        using _scope = device.arena();
        device.write(factor, values.map((x, j) => j === at ? x + by : x));
        return await loss(adapter).item();
      };
      const expected = (await moved(step) - await moved(-step)) / (2 * step);
      const error = Math.abs(gradient[at] - expected);
      const shown = `${path}[${at}]: ${gradient[at]}, not ${expected}`;
      assert.ok(error <= 1e-7 * (1 + Math.abs(expected)), shown);
    }
    device.write(factor, values);
  }
});

/** How often a kernel whose name begins so is launched while `run` runs. */
function launches(device: Device, names: readonly string[], run: () => void): number[] {
  const counts = names.map(() => 0);
  const launch = device.run;
  device.run = ((kernel: { readonly name: string }, ...rest: readonly unknown[]): unknown => {
    names.forEach((name, i) => counts[i] += kernel.name.startsWith(name) ? 1 : 0);
    return Reflect.apply(launch, device, [kernel, ...rest]);
  }) as typeof device.run;
  run();
  return counts;
}

test("lora: nothing frozen is differentiated", () => {
  const config = { ...grouped, dropout: 0 };
  const lora: LoraConfig = { ...defaultLora, dropout: 0 };
  const names = ["matmul", "rmsNormBackwardWeight", "sumRows"];
  const open = (): [Device, Transformer, TransformerParams, LoraParams] => {
    const device = cpu();
    const model = new Transformer(device, config, lora);
    return [device, model, livelyParams(device, config, 1), livelyAdapter(device, config, lora, 1)];
  };
  // Products of the two blocks: 4 a block and the head. The first block's q, k and v need no
  // gradient of their input, which depends on nothing that is trained; nor do its adapters.
  const forward = 4 * 2 + 1;
  {
    const [device, model, base, adapter] = open();
    const counts = launches(device, names, () => {
      valueAndGrad((p: LoraParams) => weighedLogits(model, withLora(base, p), 1))(adapter);
    });
    const adapters = 2 * (2 + 3) + 2 * (2 + 4); // two products forward; a gradient of each factor, and of inputs
    assert.deepEqual(counts, [forward + adapters + (forward - 1), 0, 0]);
  }
  {
    const [device, model, base] = open();
    const counts = launches(device, names, () => {
      valueAndGrad((p: TransformerParams) => weighedLogits(model, p, 1))(base);
    });
    assert.deepEqual(counts[0], 3 * forward, "the count must show what is differentiated");
    assert.ok(counts[1] > 0 && counts[2] > 0);
  }
});

test("lora: dropout is the same for the same key, and reaches the adapter alone", async () => {
  const device = cpu();
  const config = { ...grouped, dropout: 0 };
  const base = livelyParams(device, config, 4);
  const fresh = initLora(device, config, every, 4);
  const lively = livelyAdapter(device, config, every, 4);
  const tokens = device.tensor(tokensOf(config, 4), [B, T]);
  const hidden = (adapter: LoraParams, k?: number, dropout = 0.3): Tensor => {
    const model = new Transformer(device, config, { ...every, dropout });
    const key = k === undefined ? undefined : device.tensor(Int32Array.of(k, 0));
    return model.hidden(withLora(base, adapter), tokens, key);
  };
  const [plain, one, two, again, none] = await device.read([
    hidden(lively),
    hidden(lively, 1),
    hidden(lively, 2),
    hidden(lively, 1),
    hidden(lively, 1, 0),
  ]);
  assert.notDeepEqual(one, plain);
  assert.notDeepEqual(one, two);
  assert.deepEqual(one, again);
  assert.deepEqual(none, plain);
  const model = new Transformer(device, config);
  const [before, after] = await device.read([model.hidden(base, tokens), hidden(fresh, 1)]);
  assert.deepEqual(after, before); // B is 0: the fresh adapter changes nothing, whatever is dropped
});

test("lora: each adapter of a fused matrix has a mask of its own", async () => {
  const device = cpu({ float: "float64" });
  const config = { ...grouped, dropout: 0, layers: 1 };
  const lora: LoraConfig = { targets: ["k", "v"], rank: 2, alpha: 2, dropout: 0.5 };
  const pair = livelyAdapter(device, config, lora, 1).layers[0].k;
  const params = mapTree(
    livelyParams(device, config, 1),
    (w, path) => path === "layers.0.qkv" ? device.tensor(new Float64Array(w.size), w.shape) : w,
  );
  const model = new Transformer(device, config, lora);
  const seen: Tensor[] = [];
  const { heads, kvHeads, headDim } = config;
  const tokens = device.tensor(tokensOf(config, 1), [B, T]);
  const positions = device.tensor(new Int32Array(T)); // all 0: nothing is turned
  model.forward(
    withLora(params, { layers: [{ k: pair, v: pair }] }),
    take(params.embed, tokens),
    positions,
    (_, qkv) => {
      seen.push(qkv);
      return device.tensor(new Float64Array(B * T * heads * headDim), [B, T, heads, headDim]);
    },
    { dropoutKey: device.tensor(Int32Array.of(1, 2)) },
  );
  const values = await seen[0].data();
  const width = (heads + 2 * kvHeads) * headDim;
  const part = (from: number): number[] =>
    Array.from({ length: B * T }, (_, n) => n * width + from).flatMap((
      at,
    ) => [...values.subarray(at, at + kvHeads * headDim)]);
  assert.notDeepEqual(part(heads * headDim), part((heads + kvHeads) * headDim));
  assert.ok(part(0).every((x) => x === 0), "no adapter on the queries");
});
