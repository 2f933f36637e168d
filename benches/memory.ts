// deno-lint-ignore-file no-console -- it prints
/**
 * Whether memory stays flat over thousands of steps and searches: `deno task bench:memory --help`
 * lists the options.
 *
 * @module
 */
import process from "node:process";
import type { Device } from "../core/tensor.ts";
import { openDevice } from "../lab/devices.ts";
import { type CommandLine, runCommand } from "../lab/cli/flags.ts";
import { choice, flag, integer, jsonFlag } from "../lab/cli/kinds.ts";
import { renderTable } from "../lab/table.ts";
import { BeamSearch } from "../models/decode/beam_search.ts";
import type { Decoder } from "../models/decode/decoder.ts";
import { Trie } from "../models/decode/trie.ts";
import { initTransformer, Transformer } from "../models/transformer.ts";
import { TransformerDecoder } from "../models/transformer_decoder.ts";
import { rounded, rssMiB } from "./measure.ts";
import { SEED, trainingSteps } from "../lab/device/training_steps.ts";
import { catalogue, decoderConfig, histories } from "../lab/device/workload.ts";

interface Options {
  readonly device: "cpu" | "webgpu";
  readonly steps: number;
  readonly searches: number;
  readonly json: boolean;
}

const LINE: CommandLine<Options> = {
  name: "bench:memory",
  usage: "[options]",
  does: "Fails if memory grows over many training steps and searches.",
  flags: {
    device: flag(choice(["cpu", "webgpu"]), "where to compute", "cpu"),
    steps: flag(integer(10), "training steps of a tiny decoder", 10_000),
    searches: flag(integer(10), "beam searches of 4 users each", 1000),
    json: jsonFlag,
  },
  run: main,
};

/** How often to look. */
const LOOKS = 10;
/** The process may grow by so much after the first look, MiB: garbage that is not collected yet. */
const SLACK = 24;

/** The memory after so many turns. */
interface Look {
  readonly what: string;
  readonly turns: number;
  readonly rssMiB: number;
  readonly liveBytes: number;
  readonly heldBytes: number;
}

/** Takes `turns` turns and looks every tenth of them. */
async function watch(
  device: Device,
  what: string,
  turns: number,
  turn: (i: number) => Promise<unknown>,
): Promise<Look[]> {
  const looks: Look[] = [];
  for (let i = 1; i <= turns; i++) {
    await turn(i);
    if (i % Math.ceil(turns / LOOKS) !== 0 && i !== turns) continue;
    const { liveBytes, heldBytes } = device.stats;
    looks.push({ what, turns: i, rssMiB: rounded(rssMiB()), liveBytes, heldBytes });
  }
  return looks;
}

function watchSteps(device: Device, steps: number): Promise<Look[]> {
  const run = trainingSteps(device, "tiny", "bear");
  return watch(device, "steps", steps, () => run.next());
}

/**
 * Searches with other histories each time, of lengths that come back; every shape is met before.
 */
async function watchSearches(device: Device, searches: number): Promise<Look[]> {
  const paths = catalogue(300);
  const model = new Transformer(device, decoderConfig("tiny"));
  const decoder = new TransformerDecoder(model, initTransformer(device, model.config, SEED));
  const trie = new Trie(paths).upload(device);
  const search = new BeamSearch(decoder as Decoder, trie, { beam: 10 });
  const items = histories(4 * 16, 4, paths.length);
  const turn = (i: number): Promise<unknown> => {
    const users = items.slice(4 * (i % 16), 4 * (i % 16) + 4);
    return search.search(
      users.map((history) => [0, ...history.flatMap((item) => paths[item])]),
      users.map((history) => history.slice(0, i % 3)),
    );
  };
  for (let i = 0; i < 48; i++) await turn(i); // every shape
  return await watch(device, "searches", searches, turn);
}

/** What grew after the first look: device memory at all, or the process by more than the slack. */
function growth(looks: readonly Look[]): string[] {
  const [first, last] = [looks[0], looks[looks.length - 1]];
  const grown = (["liveBytes", "heldBytes"] as const).filter((key) => last[key] > first[key]);
  const rss = last.rssMiB - first.rssMiB > SLACK ? ["rssMiB"] : [];
  return [...grown, ...rss].map((key) => `${key} grew over ${last.what}`);
}

async function main(options: Options): Promise<void> {
  const device = await openDevice(options.device);
  const steps = await watchSteps(device, options.steps);
  const searches = await watchSearches(device, options.searches);
  const looks = [...steps, ...searches];
  const problems = [...growth(steps), ...growth(searches)];
  if (options.json) console.log(JSON.stringify({ device: options.device, looks, problems }));
  else {
    const head = ["", "turns", "RSS MiB", "live bytes", "held bytes"];
    console.log(renderTable(head, looks.map((look) => Object.values(look))));
    for (const problem of problems) console.error(problem);
    if (problems.length === 0) console.log("Memory is flat.");
  }
  if (problems.length > 0) process.exitCode = 1;
}

await runCommand(LINE, process.argv.slice(2));
