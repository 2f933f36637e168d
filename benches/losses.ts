// deno-lint-ignore-file no-console -- it prints
/**
 * What a training step costs by loss, with all that a loss is fed: `deno task bench:losses --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { BeargradError, UsageError } from "../core/errors.ts";
import { synthetic } from "../lab/data/synthetic.ts";
import { openDevice } from "../lab/devices.ts";
import { choice, flagHelp, type Flags, integer, parseFlags, toggle } from "../lab/cli/flags.ts";
import { readLosses } from "../lab/cli/option_values.ts";
import { openLoss } from "../lab/train/loss_module.ts";
import { parseOptions } from "../lab/cli/options.ts";
import { recipeOf } from "../lab/train/recipe.ts";
import { renderTable } from "../lab/table.ts";
import { newModel } from "../lab/train/trainable_model.ts";
import { Trainer } from "../lab/train/trainer.ts";
import { Trie } from "../models/decode/trie.ts";
import { lossNames } from "../models/losses/index.ts";
import { type Cost, costOf, rounded } from "./measure.ts";

interface Options {
  readonly loss: readonly string[];
  readonly device: "cpu" | "webgpu";
  readonly users: number;
  readonly negatives: number;
  readonly searchEvery: number;
  readonly rounds: number;
  readonly help: boolean;
}

const FLAGS: Flags<Options> = {
  loss: {
    value: "LIST",
    default: lossNames,
    shown: "all",
    help: "which losses; the first is what the others are compared with",
    read: readLosses,
  },
  device: choice(["cpu", "webgpu"], "cpu", "where to compute"),
  users: integer(40, 300, "users of the synthetic data"),
  negatives: integer(1, 4, "negatives of apao-pair"),
  searchEvery: integer(1, 1, "beam-exact searches in every so many steps"),
  rounds: integer(1, 3, "epochs of each loss after its first, in turn; the least counts"),
  help: toggle("print this and stop"),
};

/** One loss in training, and what its epochs cost. */
interface Contender {
  readonly name: string;
  readonly trainer: Trainer;
  readonly costs: Cost[];
}

async function run({ loss, device: kind, users, rounds, ...more }: Options): Promise<void> {
  const device = await openDevice(kind);
  const shop = synthetic({ users });
  const trie = new Trie(shop.paths).upload(device);
  const options = { ...parseOptions([]), ...more };
  const contenders: Contender[] = [];
  for (const given of loss) {
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

try {
  const options = parseFlags(process.argv.slice(2), FLAGS);
  if (options.help) {
    console.log(flagHelp("What a training step costs.", "deno task bench:losses [options]", FLAGS));
  } else await run(options);
} catch (error) {
  if (!(error instanceof BeargradError)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
