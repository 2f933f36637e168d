// deno-lint-ignore-file no-console -- it prints
/**
 * What decoding costs: `deno task bench:decode --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { capture } from "../core/capture.ts";
import type { Device } from "../core/device.ts";
import { BeargradError, UsageError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { loadSemanticIds } from "../lab/data/semantic_ids.ts";
import { openDevice } from "../lab/devices.ts";
import { choice, flagHelp, type Flags, integer, parseFlags, text, toggle } from "../lab/flags.ts";
import { renderTable } from "../lab/table.ts";
import { BeamSearch } from "../models/decode/beam_search.ts";
import type { Decoder } from "../models/decode/decoder.ts";
import { type Path, Trie } from "../models/decode/trie.ts";
import { initTransformer, Transformer } from "../models/transformer.ts";
import { zeros } from "../ops/fill.ts";
import { TransformerDecoder } from "../models/transformer_decoder.ts";
import { type Cost, costOf, median, peakRssMiB, rounded } from "./measure.ts";
import { SEED } from "./train_step.ts";
import {
  catalogue,
  type ConfigName,
  configNames,
  decoderConfig,
  histories,
  ITEMS,
} from "./workload.ts";

interface Options {
  readonly config: ConfigName;
  readonly device: "cpu" | "webgpu";
  readonly half: boolean;
  readonly data: string | undefined;
  readonly threads: number | undefined;
  readonly beam: number;
  readonly history: number;
  readonly users: number;
  readonly batch: number;
  readonly rounds: number;
  readonly json: boolean;
  readonly help: boolean;
}

const FLAGS: Flags<Options> = {
  config: choice(configNames, "S", "size of the decoder, which has random weights"),
  device: choice(["cpu", "webgpu"], "cpu", "where to compute"),
  half: toggle("decode with weights in half precision"),
  threads: { ...integer(1, undefined, "threads of the cpu device", 64), shown: "cores" },
  data: { ...text("FOLDER", undefined, "catalogue and users"), shown: "synthetic ones" },
  beam: integer(1, 10, "beam width B", 1000),
  history: integer(1, 20, "items of every user's history", 1000),
  users: integer(1, 64, "users of a search"),
  batch: integer(1, 64, "users that go through the model at once", 4096),
  rounds: integer(1, 3, "searches, after one that warms up", 1000),
  json: toggle("print one line of JSON and nothing else"),
  help: toggle("print this and stop"),
};

/** What was measured. Times are medians over the searches. */
interface Report {
  readonly config: ConfigName;
  readonly device: string;
  readonly weights: string;
  readonly data: string;
  readonly beam: number;
  readonly users: number;
  readonly batch: number;
  readonly usersPerSecond: number;
  /** Processor milliseconds of all threads. */
  readonly cpuMsPerUser: number;
  /** Read-backs of a search of one batch. */
  readonly readBacks: number;
  /** Kernel launches of a batch. */
  readonly dispatches: number;
  /**
   * The share of the time that is not the blocks': the children's logits, the trie, the beams and the results. What they take
   * is a search that asks the model about all beams, less the model alone.
   */
  readonly trieShare: number;
  readonly peakRssMiB: number;
}

/** A catalogue, and histories of items that are all equally long. */
interface Data {
  readonly name: string;
  readonly paths: readonly Path[];
  readonly histories: readonly (readonly number[])[];
}

/** Users of a folder with their last items, those with fewer from the beginning again; or made-up ones. */
function readData({ data, users, history }: Options): Data {
  if (data === undefined) {
    const name = `synthetic, ${ITEMS} items`;
    return { name, paths: catalogue(ITEMS), histories: histories(users, history, ITEMS) };
  }
  const dataset = loadSemanticIds(data);
  const chosen = Array.from({ length: users }, (_, u) => {
    const items = dataset.users[u % dataset.users.length].items.slice(-history);
    return Array.from({ length: history }, (_, i) => items[i % items.length]);
  });
  return { name: dataset.name, paths: dataset.paths, histories: chosen };
}

async function measure(options: Options): Promise<Report> {
  const { beam, config: name, device: kind, half, users, batch, history } = options;
  const { name: data, paths, histories } = readData(options);
  const device = await openDevice(kind, options.threads);
  const trie = new Trie(paths).upload(device);
  const depth = trie.trie.maxDepth;
  const config = decoderConfig(name, 8 * Math.ceil((1 + history * depth) / 8) + depth);
  const decoder = new TransformerDecoder(
    new Transformer(device, config),
    initTransformer(device, config, SEED),
    half ? { weights: "float16" } : {},
  );
  const prompts = histories.map((items) => [0, ...items.flatMap((item) => paths[item])]);
  using search = new BeamSearch(decoder as Decoder, trie, { beam, batch });
  using model = modelAlone(device, decoder as Decoder, trie.trie, prompts, options);
  using whole = new BeamSearch(askedOfAll(decoder as Decoder), trie, { beam, batch });
  await search.search(prompts);
  await whole.search(prompts);
  await model.run();
  const searches: Cost[] = [];
  const wholes: Cost[] = [];
  const models: Cost[] = [];
  const counts = { downloads: 0, launches: 0 };
  for (let i = 0; i < options.rounds; i++) {
    const before = { ...device.stats };
    searches.push(await costOf(() => search.search(prompts)));
    counts.downloads += device.stats.downloads - before.downloads;
    counts.launches += device.stats.launches - before.launches;
    wholes.push(await costOf(() => whole.search(prompts)));
    models.push(await costOf(() => model.run()));
  }
  const wall = median(searches.map((c) => c.wall));
  const batches = Math.ceil(users / batch);
  const modelWall = median(models.map((c) => c.wall)) * users / Math.min(batch, users);
  const rest = median(wholes.map((c) => c.wall)) - modelWall;
  return {
    ...{
      config: name,
      device: kind,
      weights: half ? device.half : device.float,
      data,
      beam,
      users,
      batch,
    },
    usersPerSecond: rounded(1000 * users / wall),
    cpuMsPerUser: rounded(median(searches.map((c) => c.cpu)) / users),
    readBacks: counts.downloads / options.rounds / batches,
    dispatches: counts.launches / options.rounds / batches,
    trieShare: rounded(rest / wall, 3),
    peakRssMiB: Math.round(peakRssMiB()),
  };
}

/** The same model, which is asked about every beam at every step. */
function askedOfAll(decoder: Decoder): Decoder {
  return {
    vocabSize: decoder.vocabSize,
    prefill: (...args) => decoder.prefill(...args),
    step: (cache, step, tokens, ancestors) => decoder.step(cache, step, tokens, ancestors),
  };
}

/** The blocks of one batch's forward passes alone: no logits, no trie, no beams. */
function modelAlone(
  device: Device,
  decoder: Decoder,
  { fanOuts }: Trie,
  prompts: readonly (readonly number[])[],
  { beam, batch }: Options,
): Disposable & { run(): Promise<unknown> } {
  const U = Math.min(batch, prompts.length);
  const T = prompts[0].length;
  const choices = fanOuts.findLastIndex((n) => n > 1) + 1;
  const L = Math.max(choices - 1, 1);
  const program = capture(device, ({ tokens, lengths }: Record<"tokens" | "lengths", Tensor>) => {
    const { logits, cache } = decoder.prefill(tokens, lengths, beam, L);
    let last = logits;
    const fed = zeros(device, [U * beam], "int32");
    const ancestors = zeros(device, [U * beam, L], "int32");
    for (let step = 0; step + 1 < choices; step++) {
      last = decoder.step(cache, step, fed, ancestors);
    }
    return { last: last instanceof Tensor ? last : last.hidden };
  });
  const probe = device.tensor([0]);
  const tokens = new Int32Array(U * T);
  prompts.slice(0, U).forEach((prompt, u) => tokens.set(prompt, u * T));
  const lengths = Int32Array.from(prompts.slice(0, U), (prompt) => prompt.length);
  const inputs = {
    tokens: { data: tokens, shape: [U, T] },
    lengths: { data: lengths, shape: [U] },
  };
  return {
    run(): Promise<unknown> {
      program(inputs);
      return probe.data(); // waits for the device
    },
    [Symbol.dispose]: () => program.dispose(),
  };
}

async function main(args: readonly string[]): Promise<void> {
  const options = parseFlags(args, FLAGS);
  if (options.help) {
    const does = "Measures beam search over a catalogue's trie.";
    return console.log(flagHelp(does, "deno task bench:decode [options]", FLAGS));
  }
  const report = await measure(options);
  if (options.json) return console.log(JSON.stringify(report));
  console.log(renderTable(["decoding", ""], Object.entries(report)));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BeargradError)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
