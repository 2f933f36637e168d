/** Decoding with weights in half precision. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import { NonFiniteError } from "../../core/errors.ts";
import { mapTree, treeEntries } from "../../core/tree.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import type { BeamResult } from "../../models/decode/results.ts";
import { type Path, Trie } from "../../models/decode/trie.ts";
import {
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { onEachDevice, testDevices } from "../devices.ts";
import { grouped, livelyParams, reader, untied } from "./llamas.ts";

/**
 * Vocabularies so large that child logits are computed alone; one with matrices that cannot be
 * halves, one without.
 */
const configs = {
  grouped: { ...grouped, vocabSize: 48 },
  untied: { ...untied, vocabSize: 48 },
  head: { ...untied, vocabSize: 48, dim: 12, ffn: 20 },
  reader: { ...reader, vocabSize: 40, itemCodes: Array.from({ length: 8 }, (_, i) => [i, 30 - i]) },
};
const HISTORIES = [[1, 5, 9], [40, 2], [7, 7, 7, 30, 12, 3]];
/** 64 items: four tokens a level, three levels. */
const PATHS: readonly Path[] = Array.from({ length: 64 }, (_, i) => [
  i >> 4,
  10 + (i >> 2 & 3),
  20 + (i & 3),
]);

async function search(
  device: Device,
  decoder: Decoder,
  normalization: "children" | "vocabulary" = "children",
): Promise<BeamResult[]> {
  using trie = new Trie(PATHS).upload(device);
  using searching = new BeamSearch(decoder, trie, { beam: 6, normalization });
  return await searching.search(HISTORIES);
}

/** The weights on another device, the matrices that can be rounded to halves. */
async function roundedTo(
  device: Device,
  params: TransformerParams,
): Promise<TransformerParams> {
  const entries = treeEntries(params);
  const values = await params.embed.device.read(entries.map(([, w]) => w));
  const read = new Map(entries.map(([path], i) => [path, values[i]]));
  return mapTree(params, ({ shape }, path) => {
    const all = read.get(path) as Float32Array;
    const isSummed = params.items !== undefined && !path.startsWith("layers");
    const halves = shape.length === 2 && shape[1] % 4 === 0 && !isSummed;
    return device.tensor(halves ? Float32Array.from(Float16Array.from(all)) : all, shape);
  });
}

const items = (results: readonly BeamResult[]): (readonly number[])[][] =>
  results.map(({ ranking }) => ranking.map((item) => item.items));

const scores = (results: readonly BeamResult[]): number[] =>
  results.flatMap(({ ranking }) => ranking.map((item) => item.logProb));

const furthest = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((score, i) => Math.abs(score - b[i])));

for (const { name, skip, open } of testDevices) {
  for (const [what, config] of Object.entries(configs)) {
    test(
      `half weights on ${name}: ${what}, as float64 finds with rounded weights`,
      { skip },
      async () => {
        const device = await open();
        using _scope = device.arena();
        const float64 = cpu({ float: "float64" });
        const params = livelyParams(device, config, 1);
        const model = new Transformer(device, config);
        const before = await params.embed.data();
        using decoder = new TransformerDecoder(model, params, { weights: "float16" });
        const rounded = await roundedTo(float64, params);
        const exact = new TransformerDecoder(new Transformer(float64, config), rounded);
        for (const normalization of ["children", "vocabulary"] as const) {
          const actual = await search(device, decoder, normalization);
          const expected = await search(float64, exact, normalization);
          assert.deepEqual(items(actual), items(expected));
          assert.ok(furthest(scores(actual), scores(expected)) <= 5e-5);
        }
        const given = await search(device, new TransformerDecoder(model, params));
        assert.ok(
          furthest(scores(given), scores(await search(device, decoder))) > 5e-5,
          "rounding must show",
        );
        assert.equal(params.embed.dtype, device.float);
        assert.deepEqual(await params.embed.data(), before);
      },
    );
  }
}

onEachDevice("half weights: the copy is given back, and those it shares stay", async (device) => {
  const params = livelyParams(device, configs.untied, 2);
  const model = new Transformer(device, configs.untied);
  const before = device.stats.liveBytes;
  const decoder = new TransformerDecoder(model, params, { weights: "float16" });
  const copied = device.stats.liveBytes - before;
  const matrices = treeEntries(params).filter(([, { shape: [, n] }]) => n % 4 === 0);
  const elements = matrices.reduce((sum, [, w]) => sum + w.size, 0);
  const room = 256 * matrices.length; // a device rounds sizes up
  const bytes = device.float === "float64" ? 8 : 2;
  assert.ok(copied >= bytes * elements && copied <= 1.25 * bytes * elements + room);
  decoder.dispose();
  assert.equal(device.stats.liveBytes, before);
  await device.read(treeEntries(params).map(([, w]) => w));
});

onEachDevice("half weights: a weight beyond their range ends the search", async (device) => {
  const config: TransformerConfig = configs.head;
  const params = livelyParams(device, config, 3);
  const values = await params.layers[0].down.data();
  values[5] = -7e4;
  device.write(params.layers[0].down, values);
  const model = new Transformer(device, config);
  await search(device, new TransformerDecoder(model, params));
  using decoder = new TransformerDecoder(model, params, { weights: "float16" });
  await assert.rejects(search(device, decoder), NonFiniteError);
});
