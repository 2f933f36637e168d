/** The transformer against its arithmetic written out, and what training relies on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { foldIn, keyOf, normal } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { treeEntries } from "../../core/tree.ts";
import { integers } from "../../kernels/cases.ts";
import {
  initTransformer,
  parameterCount,
  type RopeScaling,
  ropeTable,
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import { mul } from "../../ops/binary.ts";
import { sample } from "../../ops/cases.ts";
import { reshape } from "../../ops/layout.ts";
import { sum } from "../../ops/reduce.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice, testDevices } from "../devices.ts";
import {
  grouped,
  inputSizeOf,
  livelyParams,
  reader,
  referenceLogits,
  untied,
  weightsOf,
} from "./llamas.ts";

const B = 2;
const T = 9;

const tokensOf = (config: TransformerConfig, seed: number): Int32Array =>
  integers(B * T, inputSizeOf(config), seed);

function logitsOf(
  device: Device,
  config: TransformerConfig,
  params: TransformerParams,
  tokens: Int32Array,
): Tensor {
  const model = new Transformer(device, config);
  return model.logits(params, model.hidden(params, device.tensor(tokens, [B, T])));
}

for (const { name, skip, open } of testDevices) {
  for (const [what, config] of Object.entries({ grouped, untied, reader })) {
    test(`transformer on ${name}: ${what} logits are those written out`, { skip }, async () => {
      const device = await open();
      using _scope = device.arena();
      const params = livelyParams(device, config, 1);
      const tokens = tokensOf(config, 1);
      const weights = await weightsOf(params);
      const expected = [0, 1].flatMap((b) =>
        referenceLogits(weights, config, [...tokens.subarray(b * T, (b + 1) * T)]).flat()
      );
      assert.ok(Math.max(...expected) > 1, "the logits must be worth comparing");
      const allowed = device.float === "float64" ? 1e-10 : 1e-4;
      const actual = await logitsOf(device, config, params, tokens).data();
      assert.equal(actual.length, expected.length);
      actual.forEach((z, i) =>
        assert.ok(Math.abs(z - expected[i]) <= allowed, `[${i}]: ${z}, not ${expected[i]}`)
      );
    });
  }
}

onEachDevice("transformer: a token changes nothing before it", async (device) => {
  const params = livelyParams(device, grouped, 2);
  const model = new Transformer(device, grouped);
  const before = tokensOf(grouped, 2);
  const after = before.slice();
  const changed = 5;
  after[changed] = (after[changed] + 1) % grouped.vocabSize;
  const [x, y] = await device.read(
    [before, after].map((t) => model.hidden(params, device.tensor(t, [B, T]))),
  );
  const C = grouped.dim;
  assert.deepEqual(x.subarray(0, changed * C), y.subarray(0, changed * C));
  assert.deepEqual(x.subarray(T * C), y.subarray(T * C)); // the other sequence
  for (let t = changed; t < T; t++) {
    assert.notDeepEqual(x.subarray(t * C, (t + 1) * C), y.subarray(t * C, (t + 1) * C), `${t}`);
  }
});

onEachDevice("transformer: a captured pass gives the bits of an eager one", async (device) => {
  const params = livelyParams(device, grouped, 3);
  const model = new Transformer(device, grouped);
  using step = capture(device, ({ tokens, key }: { tokens: Tensor; key: Tensor }) => ({
    hidden: model.hidden(params, tokens, key),
  }));
  for (const seed of [1, 2, 1]) {
    const tokens = { data: tokensOf(grouped, seed), shape: [B, T] };
    const key = { data: Int32Array.of(seed, 7), shape: [2] };
    const captured = await step({ tokens, key }).hidden.data();
    const eager = model.hidden(
      params,
      device.tensor(tokens.data, [B, T]),
      device.tensor(key.data),
    );
    assert.deepEqual(captured, await eager.data());
  }
  assert.equal(step.programs, 1);
});

test("transformer: dropout changes the hidden states, the same way for the same key", async () => {
  const device = cpu();
  const params = livelyParams(device, grouped, 4);
  const model = new Transformer(device, grouped);
  const tokens = device.tensor(tokensOf(grouped, 4), [B, T]);
  const [plain, one, two, again] = await device.read(
    [undefined, 1, 2, 1].map((k) =>
      model.hidden(
        params,
        tokens,
        k === undefined ? undefined : device.tensor(Int32Array.of(k, 0)),
      )
    ),
  );
  assert.notDeepEqual(one, plain);
  assert.notDeepEqual(one, two);
  assert.deepEqual(one, again);
});

test("transformer: gradients of every weight against central differences", async () => {
  for (const config of [grouped, untied, reader, { ...reader, codeHeads: 2 }]) {
    const device = cpu({ float: "float64" });
    const params = livelyParams(device, config, 5);
    const model = new Transformer(device, config);
    const tokens = device.tensor(tokensOf(config, 5), [B, T]);
    const key = device.tensor(Int32Array.of(3, 1));
    const { codeHeads, vocabSize, dim } = config;
    const weights = sample(device, [B * T, codeHeads ?? 1, vocabSize], 6);
    const loss = (p: TransformerParams): Tensor => {
      const hidden = reshape(model.hidden(p, tokens, key), [B * T, dim]);
      const states = codeHeads ? model.codeStates(p, hidden) : reshape(hidden, [B * T, 1, dim]);
      return sum(mul(model.logits(p, states), weights));
    };
    const { grads } = valueAndGrad(loss)(params);
    const gradients = treeEntries(grads);
    for (const [i, [path, weight]] of treeEntries(params).entries()) {
      const values = await weight.data() as Float64Array;
      const gradient = await gradients[i][1].data();
      let largest = 0;
      for (const at of [0, Math.floor(values.length / 2), values.length - 1]) {
        const step = 1e-5;
        const moved = async (by: number): Promise<number> => {
          using _scope = device.arena();
          device.write(weight, values.map((x, j) => j === at ? x + by : x));
          return await loss(params).item();
        };
        const expected = (await moved(step) - await moved(-step)) / (2 * step);
        const error = Math.abs(gradient[at] - expected);
        assert.ok(
          error <= 1e-7 * (1 + Math.abs(expected)),
          `${path}[${at}]: ${gradient[at]}, not ${expected}`,
        );
        largest = Math.max(largest, Math.abs(expected));
      }
      device.write(weight, values);
      assert.ok(largest > 1e-4 || path === "embed", `${path} must matter`);
    }
  }
});

test("initTransformer: the same numbers everywhere, N(0, 0.02), norms at 1", async () => {
  const config = { ...untied, itemCodes: [[1, 2], [3]], codeHeads: 2 };
  const single = treeEntries(initTransformer(cpu(), config, 3));
  const double = treeEntries(initTransformer(cpu({ float: "float64" }), config, 3));
  const other = treeEntries(initTransformer(cpu(), config, 4));
  const matrices: number[] = [];
  let count = 0;
  for (const [i, [path, weight]] of double.entries()) {
    const values = await weight.data();
    assert.deepEqual(await single[i][1].data(), Float32Array.from(values), path);
    count += weight.size;
    if (weight.rank === 1) {
      assert.ok(values.every((x) => x === 1), path);
    } else {
      matrices.push(...values);
      assert.notDeepEqual(await other[i][1].data(), await single[i][1].data(), path);
    }
  }
  assert.equal(count, parameterCount(config));
  const n = matrices.length;
  const mean = matrices.reduce((a, x) => a + x, 0) / n;
  const std = Math.sqrt(matrices.reduce((a, x) => a + (x - mean) ** 2, 0) / n);
  assert.ok(Math.abs(mean) < 4 * 0.02 / Math.sqrt(n), `mean ${mean}`);
  assert.ok(Math.abs(std - 0.02) < 4 * 0.02 / Math.sqrt(2 * n), `deviation ${std}`);
  assert.equal(new Set(matrices).size, n, "no two matrices are drawn from one key");
  assert.equal(initTransformer(cpu(), grouped, 3).head, undefined);
});

test("initTransformer: the matrices of a fused weight are drawn one after the other", async () => {
  const { dim, heads, kvHeads, headDim, ffn } = grouped;
  const [layer] = initTransformer(cpu({ float: "float64" }), grouped, 3).layers;
  const draw = (i: number, rows: number): number[] =>
    // draw 0 is the embedding
    Array.from(normal(foldIn(foldIn(keyOf(3), 0), i), rows * dim), (z) => 0.02 * z);
  const [H, KVH] = [heads * headDim, kvHeads * headDim];
  const qkv = [...draw(1, H), ...draw(2, KVH), ...draw(3, KVH)];
  assert.deepEqual([...await layer.qkv.data()], qkv);
  assert.deepEqual([...await layer.gateUp.data()], [...draw(5, ffn), ...draw(6, ffn)]); // 4 is the output's
});

test("ropeTable: short waves stay, long ones become longer, and between it is blended", () => {
  // 2 pi / f positions a wave; of 40 positions, waves from 10 to 40 are blended.
  const scaling = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxLength: 40 };
  const waves = [8, 20, 50].map((length) => 2 * Math.PI / length);
  for (const f of waves) { // the second of two frequencies is theta^(-1/2)
    const [, cos, , sin] = ropeTable(2, 4, f ** -2, scaling).subarray(4);
    const blend = (40 * f / (2 * Math.PI) - 1) / 3; // 40 / 20 waves: a third of the way from 1 to 4
    const expected = [f, (1 - blend) * f / 8 + blend * f, f / 8][waves.indexOf(f)];
    assert.ok(Math.abs(Math.atan2(sin, cos) - expected) < 1e-12);
  }
});

test("ropeTable: an odd head size is refused", () => {
  assert.throws(() => ropeTable(2, 3, 1e4), {
    name: "ArgumentError",
    message: "Cannot make rotary angles: the head size must be even, got 3",
  });
});

test("transformer: more items than a function takes as arguments", () => {
  const itemCodes = Array.from({ length: 300_000 }, () => [1, 2]);
  using model = new Transformer(cpu(), { ...grouped, itemCodes });
  assert.equal(model.config.itemCodes?.length, 300_000);
});

test("transformer: an impossible configuration, too long a sequence", () => {
  const refuse = (change: Partial<TransformerConfig>, message: string): void => {
    const build = (): unknown => new Transformer(cpu(), { ...grouped, ...change });
    const expected = `Cannot build a transformer: ${message}`;
    assert.throws(build, (e) => e instanceof ArgumentError && e.message === expected);
    assert.throws(() => initTransformer(cpu(), { ...grouped, ...change }, 0), ArgumentError);
  };
  refuse({ layers: 0 }, "layers must be a positive integer, got 0");
  refuse({ dim: 2.5 }, "dim must be a positive integer, got 2.5");
  refuse({ kvHeads: 4 }, "heads must be a multiple of kvHeads (4), got 6");
  refuse({ headDim: 6 }, "headDim must be a multiple of 4, at most 128, got 6");
  refuse({ headDim: 132 }, "headDim must be a multiple of 4, at most 128, got 132");
  refuse({ dropout: 1 }, "dropout must be in [0, 1), got 1");
  refuse({ itemCodes: [] }, "itemCodes must be of at least 1 item, got 0");
  refuse({ itemCodes: [[1], [11]] }, "itemCodes must be tokens below 11, got 11");
  refuse({ codeHeads: 2 }, "codeHeads must come with itemCodes, got 2");
  refuse({ itemCodes: [[1]], codeHeads: 0 }, "codeHeads must be a positive integer, got 0");
  refuse({ ropeTheta: NaN }, "ropeTheta must be positive, got NaN");
  refuse({ normEps: -1 }, "normEps must not be negative, got -1");
  const ropeScaling = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxLength: 64 };
  const scaling = (change: Partial<RopeScaling>): Partial<TransformerConfig> => ({
    ropeScaling: { ...ropeScaling, ...change },
  });
  refuse(scaling({ factor: 0.5 }), "ropeScaling.factor must be at least 1, got 0.5");
  refuse(scaling({ lowFreqFactor: NaN }), "ropeScaling.lowFreqFactor must be positive, got NaN");
  refuse(
    scaling({ highFreqFactor: 1 }),
    "ropeScaling.highFreqFactor must be above lowFreqFactor (1), got 1",
  );
  refuse(
    scaling({ originalMaxLength: 0 }),
    "ropeScaling.originalMaxLength must be a positive integer, got 0",
  );
  const device = cpu();
  const model = new Transformer(device, grouped);
  const params = initTransformer(device, grouped, 0);
  const tokens = device.tensor(new Int32Array(25), [1, 25]);
  assert.throws(() => model.hidden(params, tokens), ShapeError);
});
