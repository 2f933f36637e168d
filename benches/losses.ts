// deno-lint-ignore-file no-console -- it prints
/**
 * What a training step costs by loss, with all that a loss is fed: `deno task bench:losses --help`
 * lists the options.
 *
 * @module
 */
import process from "node:process";
import { synthetic } from "../lab/data/synthetic.ts";
import { openDevice } from "../lab/devices.ts";
import { type CommandLine, runCommand } from "../lab/cli/flags.ts";
import { choice, flag, integer } from "../lab/cli/kinds.ts";
import { lossesFlag, parseOptions, trainFlags } from "../lab/cli/options.ts";
import { openLoss } from "../lab/train/loss_module.ts";
import { recipeOf } from "../lab/train/recipe.ts";
import { renderTable } from "../lab/table.ts";
import { newModel } from "../lab/train/models.ts";
import { Trainer } from "../lab/train/trainer.ts";
import { Trie } from "../models/decode/trie.ts";
import { lossNames } from "../models/losses/index.ts";
import { type Cost, costOf, rounded } from "./measure.ts";

interface Options {
  readonly losses: readonly string[];
  readonly device: "cpu" | "webgpu";
  readonly users: number;
  readonly negatives: number;
  readonly searchEvery: number;
  readonly rounds: number;
}

const LINE: CommandLine<Options> = {
  name: "bench:losses",
  usage: "[options]",
  does: "Measures a training step by loss, with all that a loss is fed.",
  flags: {
    losses: {
      ...lossesFlag(lossNames),
      help: "losses to measure; the first is what the others are compared with",
      shown: "default all",
    },
    device: flag(choice(["cpu", "webgpu"]), "where to compute", "cpu"),
    users: flag(integer(40), "users of the synthetic data", 300),
    negatives: trainFlags.negatives,
    searchEvery: trainFlags.searchEvery,
    rounds: flag(integer(1), "epochs of each loss after its first, in turn; the least counts", 3),
  },
  run,
};

/** One loss in training, and what its epochs cost. */
interface Contender {
  readonly name: string;
  readonly trainer: Trainer;
  readonly costs: Cost[];
}

async function run({ losses, device: kind, users, rounds, ...more }: Options): Promise<void> {
  const device = await openDevice(kind);
  const shop = synthetic({ users });
  const trie = new Trie(shop.paths).upload(device);
  const options = { ...parseOptions([]), ...more };
  const contenders: Contender[] = [];
  for (const given of losses) {
    const opened = await openLoss(given);
    const recipe = recipeOf(options, opened, shop, device);
    const model = newModel(device, shop, recipe);
    const trainer = new Trainer(shop, trie, recipe, model, { loss: opened });
    await trainer.runEpoch(() => {}); // records its programs
    contenders.push({ name: opened.name, trainer, costs: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { trainer, costs } of contenders) {
      costs.push(await costOf(() => trainer.runEpoch(() => {})));
    }
  }
  const least = ({ trainer, costs }: Contender, of: (cost: Cost) => number): number =>
    Math.min(...costs.map(of)) / trainer.stepsPerEpoch;
  const [first] = contenders;
  console.log(renderTable(
    ["", "CPU ms a step", "wall ms a step", `CPU, ${first.name} = 1`],
    contenders.map((c) => [
      c.name,
      rounded(least(c, ({ cpu }) => cpu), 3),
      rounded(least(c, ({ wall }) => wall), 3),
      rounded(least(c, ({ cpu }) => cpu) / least(first, ({ cpu }) => cpu), 3),
    ]),
  ));
}

await runCommand(LINE, process.argv.slice(2));
