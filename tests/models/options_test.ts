/**
 * Every public function that takes options refuses one that it does not know, what untyped callers
 * give to functions that are no ops is refused with typed errors, and what is disposable has
 * dispose().
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect, isDeepStrictEqual } from "node:util";
import * as engine from "../../mod.ts";

/** As an untyped caller sees it. */
// deno-lint-ignore no-explicit-any
const { Trie, ...b } = engine as any;

const device = b.cpu();
const trie = new Trie([[0, 1], [2, 3]]).upload(device);
const decoder: engine.Decoder<null> = {
  vocabSize: 4,
  prefill: ({ shape: [U] }) => ({ logits: b.full(device, [U, 4], 0), cache: null }),
  step: (_cache, { tokens }) => b.full(device, [tokens.size, 4], 0),
};
const x = device.tensor([[1, 2, 3, 4]]);
const ids = device.tensor(Int32Array.of(0));
const config = {
  ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
  ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
};
const model = new b.Transformer(device, config);
const schedule = { peak: 1, warmup: 0, steps: 1, floor: 0 };
const lora = { targets: ["q"], rank: 1, alpha: 1, dropout: 0 };

/** By what they are called with: the least that they take, and more. */
const CALLS: Readonly<Record<string, (more: object) => unknown>> = {
  cpu: (more) => b.cpu(more),
  webgpu: (more) => b.webgpu(undefined, more),
  capture: (more) => b.capture(device, () => x, more),
  matmul: (more) => b.matmul(x, x, { transposeB: true, ...more }),
  trieLogProb: (more) => b.trieLogProb(x, trie, ids, ids, { normalization: "children", ...more }),
  crossEntropy: (more) => b.crossEntropy(x, ids, more),
  SGD: (more) => new b.SGD({ x: device.tensor([1]) }, more),
  AdamW: (more) => new b.AdamW({ x: device.tensor([1]) }, more),
  cosineSchedule: (more) => b.cosineSchedule({ ...schedule, ...more }),
  Transformer: (more) => new b.Transformer(device, { ...config, ...more }),
  lora: (more) => new b.Transformer(device, config, { ...lora, ...more }),
  TransformerDecoder: (more) =>
    new b.TransformerDecoder(model, b.initTransformer(device, config, 0), more),
  loadWeights: (more) => b.loadWeights(device, config, [], more),
  sft: (more) => b.sft(more),
  msl: (more) => b.msl(more),
  bear: (more) => b.bear(more),
  beamExact: (more) => b.beamExact(more),
  apaoPoint: (more) => b.apaoPoint(more),
  apaoPair: (more) => b.apaoPair(more),
  BeamSearch: (more) => new b.BeamSearch(decoder, trie, { beam: 1, ...more }),
  openSearch: (more) => b.openSearch(decoder, trie, { method: "beam", beam: 1, ...more }),
  exactTopK: (more) => b.exactTopK(decoder, trie, [[0]], 1, more),
  exactRanks: (more) => b.exactRanks(decoder, trie, [], 1, more),
  scoreCatalogue: (more) => b.scoreCatalogue(decoder, trie, [0], more),
  referenceBeamSearch: (more) =>
    b.referenceBeamSearch(trie.trie, () => [0, 0, 0, 0], { beam: 1, ...more }),
};

for (const [name, call] of Object.entries(CALLS)) {
  test(`options: ${name} refuses one that it does not know`, async () => {
    await assert.rejects(async () => await call({ lr: 1 }), {
      name: "ArgumentError",
      message: /^Cannot [^:]*: its options must be among (\w+, )*\w+, got lr$/,
    });
  });
}

const bare = Object.create(null);
const empty: readonly unknown[] = [];
const five = [5];
const noNumber = [NaN];
const view = new DataView(new ArrayBuffer(8));
const noop = (): void => {};
const record = {};
/** What untyped callers give. */
const VALUES: readonly unknown[] = [
  ...[undefined, null, 5, NaN, 1n, "23", true, Symbol("s"), noop, bare, record, new Map()],
  ...[empty, five, noNumber, [1.5], [-1], [undefined], [null], ["12"], [Symbol("s")], [bare], [
    ,
    1,
  ]],
  ...[[[undefined]], [[null]], [[1, undefined, 2]], [[1, , 2]], [, [1]], [["a"]], [[1.5]]],
  ...[new BigInt64Array(1), view],
];
const one = b.zeros(device, [1], "int32");
const attended = { history: b.zeros(device, [1, 1, 3, 4]), generated: b.zeros(device, [1, 2, 4]) };
const rows = { users: one, depths: one, slots: one.view([1, 1]) };
const captured = (inputs: unknown): unknown => b.capture(device, () => x)(inputs);

/** By function and argument: a call with a value for it, and those of the values that it takes. */
const ARGUMENTS: Readonly<Record<string, readonly [(value: unknown) => unknown, unknown[]?]>> = {
  "zeros: shape": [(v) => b.zeros(device, v), [empty, five]],
  "ones: shape": [(v) => b.ones(device, v), [empty, five]],
  "mean: axis": [(v) => b.mean(x, v), [undefined, empty, [-1]]],
  "mean: keepDims": [(v) => b.mean(x, 0, v), [undefined, true]],
  "device.tensor: data": [(v) => device.tensor(v), [5, NaN, empty, five, noNumber, [1.5], [-1], [[
    1.5,
  ]]]],
  "device.tensor: shape": [(v) => device.tensor([1], v), [undefined, empty]],
  "device.tensor: dtype": [(v) => device.tensor([1], [1], v), [undefined]],
  "device.empty: shape": [(v) => device.empty(v), [empty, five]],
  "device.read": [(v) => device.read(v), [empty]],
  "device.write": [(v) => device.write(v, new Float32Array(1))],
  "tensor.to": [(v) => x.to(v)],
  "capture: device": [(v) => b.capture(v, () => x)],
  "capture: step": [(v) => b.capture(device, v), [noop]],
  "captured step: inputs": [captured, [bare, record, new Map(), empty, view]],
  "captured step: data": [(data) => captured({ x: { data, shape: [1] } })],
  "captured step: shape": [(shape) => captured({ x: { data: new Float32Array(1), shape } }), [
    empty,
  ]],
  valueAndGrad: [(v) => b.valueAndGrad(v), [noop]],
  "mapTree: tree": [(v) => b.mapTree(v, noop), [bare, record, new Map(), empty, [bare], view]],
  "mapTree: f": [(v) => b.mapTree(x, v), [noop]],
  "cachedAttention: cache": [
    (v) => b.cachedAttention(b.ones(device, [1, 3, 4]), v, one, rows),
  ],
  "cachedAttention: rows": [
    (v) => b.cachedAttention(b.ones(device, [1, 3, 4]), attended, one, v),
  ],
  allLogits: [(v) => b.allLogits(v)],
  Trie: [(v) => new Trie(v)],
  "TransformerDecoder: model": [(v) => new b.TransformerDecoder(v, {})],
  "BeamSearch.search: histories": [(v) => search.search(v), [empty]],
  "BeamSearch.search: excluded": [(v) => search.search([[0]], v), [undefined]],
  "BeamSearch.search: floors": [(v) => search.search([[0]], [[]], v), [undefined, five, [1.5], [
    -1,
  ]]],
};
const search = new b.BeamSearch(decoder, trie, { beam: 1 });

for (const [name, [call, takes = []]] of Object.entries(ARGUMENTS)) {
  test(`arguments: ${name} takes its type and refuses all else with typed errors`, async () => {
    for (const value of VALUES) {
      const fits = takes.some((other) => isDeepStrictEqual(other, value));
      try {
        await call(value);
        assert.ok(fits, `${inspect(value)} is accepted`);
      } catch (error) {
        assert.ok(!fits && error instanceof engine.BeargradError, `${inspect(value)}: ${error}`);
      }
    }
  });
}

test("memory: what `using` frees can also be freed by dispose()", () => {
  const classes = Object.entries(engine).filter(([, value]) =>
    typeof value === "function" && Symbol.dispose in (value.prototype ?? {})
  );
  assert.ok(classes.length >= 8, classes.map(([name]) => name).join());
  const missing = classes.filter(([, value]) => !("dispose" in (value as () => void).prototype));
  assert.deepEqual(missing.map(([name]) => name), []);
  const arena = device.arena();
  const made = b.zeros(device, [1]);
  arena.dispose();
  assert.throws(() => b.add(made, 1), { name: "DisposedError" });
});
