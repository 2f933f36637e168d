// deno-lint-ignore-file no-console -- it prints
/**
 * What decoding costs: `deno task bench:decode --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import type { Device, Tensor } from "../core/tensor.ts";
import { loadSemanticIds } from "../lab/data/semantic_ids.ts";
import { randomDecoder } from "../lab/device/decoding.ts";
import {
  catalogue,
  type ConfigName,
  configNames,
  histories,
  ITEMS,
} from "../lab/device/workload.ts";
import { openDevice } from "../lab/devices.ts";
import { type CommandLine, runCommand } from "../lab/cli/flags.ts";
import { choice, flag, integer, jsonFlag, optional, text, toggle } from "../lab/cli/kinds.ts";
import { renderTable } from "../lab/table.ts";
import type { Decoder, Projection } from "../models/decode/decoder.ts";
import { openSearch, SEARCH_METHODS, type SearchMethod } from "../models/decode/open_search.ts";
import { type Path, Trie } from "../models/decode/trie.ts";
import { type Cost, costOf, median, peakRssMiB, rounded } from "./measure.ts";

interface Options {
  readonly config: ConfigName;
  readonly device: "cpu" | "webgpu";
  readonly half: boolean;
  readonly data: string | undefined;
  readonly threads: number | undefined;
  readonly search: SearchMethod;
  readonly beam: number;
  readonly budget: number | undefined;
  readonly history: number;
  readonly users: number;
  readonly batch: number;
  readonly rounds: number;
  readonly json: boolean;
}

const LINE: CommandLine<Options> = {
  name: "bench:decode",
  usage: "[options]",
  does: "Measures searches over a catalogue's trie.",
  flags: {
    config: flag(choice(configNames), "size of the decoder, which has random weights", "S"),
    device: flag(choice(["cpu", "webgpu"]), "where to compute", "cpu"),
    half: toggle("decode with weights in half precision"),
    threads: optional(integer(1, 64), "threads of the cpu device", "default one a core, at most 8"),
    data: optional(text("<folder>"), "catalogue and users", "default synthetic ones"),
    search: flag(choice(SEARCH_METHODS), "how to search", "beam"),
    beam: flag(integer(1, 1000), "beam width B, the length of the lists", 10),
    budget: optional(integer(1), "the most rows of best-first for a user", "default no limit"),
    history: flag(integer(1, 1000), "items of every user's history", 20),
    users: flag(integer(1), "users of a search", 64),
    batch: flag(integer(1, 4096), "users that go through the model at once", 64),
    rounds: flag(integer(1, 1000), "searches, after one that warms up", 3),
    json: jsonFlag,
  },
  run: main,
};

/** What was measured. Times are medians over the searches. */
interface Report {
  readonly config: ConfigName;
  readonly device: string;
  readonly weights: string;
  readonly data: string;
  readonly search: SearchMethod;
  readonly beam: number;
  readonly users: number;
  readonly batch: number;
  /** Generated tokens that the model was fed. */
  readonly rowsPerUser: number;
  readonly usersPerSecond: number;
  /** Processor milliseconds of all threads. */
  readonly cpuMsPerUser: number;
  /** Read-backs of a search of one batch. */
  readonly readBacks: number;
  /** Kernel launches of a batch. */
  readonly dispatches: number;
  /**
   * The time of the same search with a model that costs nothing, over the time of the search: the
   * children's logits, the trie, the beams, the read-back and the results. Only for beam search:
   * with another model, other searches feed other rows.
   */
  readonly trieShare?: number;
  readonly peakRssMiB: number;
}

/** A catalogue, and histories of items that are all equally long. */
interface Data {
  readonly name: string;
  readonly paths: readonly Path[];
  readonly histories: readonly (readonly number[])[];
}

/**
 * Users of a folder with their last items, those with fewer from the beginning again; or made-up
 * ones.
 */
function readData({ data, users, history }: Options): Data {
  if (data === undefined) {
    const name = `synthetic, ${ITEMS} items`;
    return { name, paths: catalogue(ITEMS), histories: histories(users, history, ITEMS) };
  }
  const dataset = loadSemanticIds(data);
  const chosen = Array.from({ length: users }, (_, u) => {
    const user = dataset.test[u % dataset.test.length];
    const items = [...user.history, user.target].slice(-history);
    return Array.from({ length: history }, (_, i) => items[i % items.length]);
  });
  return { name: dataset.name, paths: dataset.paths, histories: chosen };
}

async function measure(options: Options): Promise<Report> {
  const { search: method, beam, budget, config: name, device: kind, half, users } = options;
  const { batch, history } = options;
  const { name: data, paths, histories } = readData(options);
  const device = await openDevice(kind, options.threads);
  const trie = new Trie(paths).upload(device);
  const depth = trie.trie.maxDepth;
  const { decoder, head } = randomDecoder(device, name, 1 + history * depth, depth, half);
  const prompts = histories.map((items) => [0, ...items.flatMap((item) => paths[item])]);
  const how = { method, beam, budget, batch };
  using search = openSearch(decoder as Decoder, trie, how);
  using free = method === "beam" ? openSearch(freeOf(device, head), trie, how) : null;
  const rows = (await search.search(prompts)).reduce((sum, found) => sum + found.rows, 0);
  await free?.search(prompts);
  const searches: Cost[] = [];
  const frees: Cost[] = [];
  const counts = { downloads: 0, launches: 0 };
  for (let i = 0; i < options.rounds; i++) {
    const before = { ...device.stats };
    searches.push(await costOf(() => search.search(prompts)));
    counts.downloads += device.stats.downloads - before.downloads;
    counts.launches += device.stats.launches - before.launches;
    if (free) frees.push(await costOf(() => free.search(prompts)));
  }
  const wall = median(searches.map((c) => c.wall));
  const batches = Math.ceil(users / batch);
  return {
    ...{
      config: name,
      device: kind,
      weights: half ? device.half : device.float,
      data,
      search: method,
      beam,
      users,
      batch,
    },
    rowsPerUser: rounded(rows / users, 4),
    usersPerSecond: rounded(1000 * users / wall),
    cpuMsPerUser: rounded(median(searches.map((c) => c.cpu)) / users),
    readBacks: counts.downloads / options.rounds / batches,
    dispatches: counts.launches / options.rounds / batches,
    ...(free && { trieShare: rounded(median(frees.map((c) => c.wall)) / wall, 3) }),
    peakRssMiB: Math.round(peakRssMiB()),
  };
}

/** A model that costs nothing: the hidden states are the same whatever was read. */
function freeOf(device: Device, head: Tensor): Decoder<null> {
  const [vocabSize, C] = head.shape;
  const logits = (rows: number): Projection => ({
    hidden: device.tensor(Float32Array.from({ length: rows * C }, (_, i) => Math.sin(i)), [
      rows,
      C,
    ]),
    head,
  });
  return {
    vocabSize,
    prefill: (tokens) => ({ logits: logits(tokens.shape[0]), cache: null }),
    step: (_cache, { tokens }) => logits(tokens.size),
  };
}

async function main(options: Options): Promise<void> {
  const report = await measure(options);
  if (options.json) return console.log(JSON.stringify(report));
  console.log(renderTable(["decoding", ""], Object.entries(report)));
}

await runCommand(LINE, process.argv.slice(2));
