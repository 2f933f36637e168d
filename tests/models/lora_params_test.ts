/** How adapters are drawn and merged, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { treeEntries } from "../../core/tree.ts";
import {
  defaultLora,
  initLora,
  LORA_TARGETS,
  type LoraConfig,
  mergeLora,
  withLora,
} from "../../models/lora.ts";
import { Transformer } from "../../models/transformer.ts";
import { every, livelyAdapter } from "./adapters.ts";
import { grouped, livelyParams, untied, weightsOf } from "./llamas.ts";

test("initLora: the same numbers everywhere, uniform in +-1 / sqrt(in), B at 0", async () => {
  const doubles = new Map(treeEntries(initLora(cpu({ float: "float64" }), grouped, every, 3)));
  const other = new Map(treeEntries(initLora(cpu(), grouped, every, 4)));
  const some = { ...every, targets: ["down", "v"] } as const;
  const alone = new Map(treeEntries(initLora(cpu(), grouped, some, 3)));
  const drawn: number[] = [];
  for (const [path, factor] of treeEntries(initLora(cpu(), grouped, every, 3))) {
    const values = await doubles.get(path)?.data() ?? [];
    assert.deepEqual(await factor.data(), Float32Array.from(values), path);
    if (path.endsWith(".b")) assert.ok(Array.from(values).every((x) => x === 0), path);
    else {
      drawn.push(...Array.from(values, (x) => x * Math.sqrt(factor.shape[1])));
      assert.notDeepEqual(await other.get(path)?.data(), await factor.data(), path);
    }
    const same = await alone.get(path)?.data();
    if (same) assert.deepEqual(same, await factor.data(), path);
  }
  assert.equal(alone.size, 2 * 2 * 2);
  const n = drawn.length;
  assert.ok(drawn.every((u) => Math.abs(u) <= 1) && Math.max(...drawn) > 0.98);
  const [mean, square] = [1, 2].map((p) => drawn.reduce((total, u) => total + u ** p, 0) / n);
  assert.ok(Math.abs(mean) < 4 / Math.sqrt(3 * n), `mean ${mean}`);
  assert.ok(Math.abs(square - 1 / 3) < 4 * Math.sqrt(4 / 45 / n), `mean square ${square}`);
  assert.equal(new Set(drawn).size, n, "no two matrices are drawn from one key");
});

test("lora: paths are in one order, whatever the order of the targets", () => {
  const paths = (targets: LoraConfig["targets"]): string[] =>
    treeEntries(initLora(cpu(), untied, { ...every, targets }, 0)).map(([path]) => path);
  assert.deepEqual(paths(["v", "q"]), paths(["q", "v"]));
  assert.deepEqual(
    paths(LORA_TARGETS.toReversed()),
    LORA_TARGETS.flatMap((target) => [`layers.0.${target}.a`, `layers.0.${target}.b`]),
  );
});

test("lora: an impossible adapter, one for another model, one without settings", () => {
  const device = cpu();
  const refuse = (change: object, message: string): void => {
    const lora = { ...every, ...change } as LoraConfig;
    const expected = { name: "ArgumentError", message: `Cannot build an adapter: ${message}` };
    assert.throws(() => new Transformer(device, grouped, lora), expected);
    assert.throws(() => initLora(device, grouped, lora, 0), expected);
  };
  refuse({ targets: [] }, "there must be a target, got none");
  refuse({ targets: ["q", "w"] }, "targets must be q, k, v, o, gate, up, down, got w");
  refuse({ targets: ["q", "v", "q"] }, "targets must differ, got q, v, q");
  refuse({ rank: 0 }, "rank must be a positive integer, got 0");
  refuse({ rank: 1.5 }, "rank must be a positive integer, got 1.5");
  refuse({ alpha: 0 }, "alpha must be above 0, got 0");
  refuse({ alpha: NaN }, "alpha must be above 0, got NaN");
  refuse({ dropout: 1 }, "dropout must be in [0, 1), got 1");
  const params = livelyParams(device, grouped, 1);
  const short = initLora(device, untied, every, 1);
  assert.throws(() => withLora(params, short), /a model with 2 blocks: .* as many, got 1$/);
  assert.throws(() => mergeLora(params, short, grouped, every), ArgumentError);
  const tokens = device.tensor([[1, 2]], [1, 2], "int32");
  const adapted = withLora(params, initLora(device, grouped, every, 1));
  assert.throws(() => new Transformer(device, grouped).hidden(adapted, tokens), ArgumentError);
});

test("mergeLora: the base is left alone, what is not adapted is shared, nothing else stays", async () => {
  const device = cpu();
  const params = livelyParams(device, grouped, 1);
  const adapter = livelyAdapter(device, grouped, defaultLora, 1);
  const before = await weightsOf(params);
  const bytes = device.stats.liveBytes;
  const merged = mergeLora(params, adapter, grouped, defaultLora);
  const added = merged.layers.map(({ qkv }) => qkv);
  assert.equal(device.stats.liveBytes - bytes, added.reduce((n, w) => n + 4 * w.size, 0));
  assert.deepEqual(await weightsOf(params), before);
  for (const [l, layer] of merged.layers.entries()) {
    const { qkv, ...rest } = layer;
    const { qkv: own, ...others } = params.layers[l];
    assert.notEqual(qkv, own);
    for (const [name, w] of Object.entries(rest)) {
      assert.equal(w, others[name as keyof typeof others]);
    }
  }
});
