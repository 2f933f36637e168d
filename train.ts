// deno-lint-ignore-file no-console -- the one place that prints
/**
 * Trains a small decoder with each of some losses, decodes it with beam search over the catalogue, and prints what
 * was retrieved and what was pruned. `--help` lists the options.
 *
 * @module
 */
import process from "node:process";
import {
  createProgress,
  describeDataset,
  helpText,
  parseOptions,
  type Progress,
  renderReport,
  runExperiment,
} from "./mod.ts";
import { fail } from "./lab/cli/fail.ts";

/** What is being shown, if anything is. */
let bar: Progress | undefined;

/** Prints progress to the standard error, the report to the standard output. */
async function main(args: readonly string[]): Promise<void> {
  const options = parseOptions(args);
  if (options.help) return console.log(helpText());

  const show = (label: string, done: number, total: number, unit = ""): void => {
    bar ??= createProgress({ label, total });
    bar.update(done, {});
    if (done === total) bar = void bar.finish(`${label}: ${total}${unit}`);
  };
  let trained = { step: 0, loss: "" }; // how far a run is
  const report = await runExperiment(options, {
    preparing: (what, done, total) => show(what, done, total),
    started(dataset, trie, device): void {
      console.error(describeDataset(dataset, trie));
      console.error(`${device.kind}: ${device.adapter}`);
    },
    training(run, { step, steps, loss, tokensPerSecond }): void {
      bar ??= createProgress({ label: `train ${run}`, total: steps });
      trained = { step, loss: loss.toFixed(3) };
      bar.update(step, { loss: trained.loss, "tokens/s": `${tokensPerSecond}` });
    },
    validating(_, done, users): void {
      bar?.update(trained.step, { loss: trained.loss, validating: `${done}/${users}` });
    },
    trained(run): void {
      bar = void bar?.finish(`train ${run}: ${trained.step} steps, loss ${trained.loss}`);
    },
    evaluating: (run, done, users) => show(`judge ${run}`, done, users, " users"),
  });
  console.log(renderReport(report));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  bar?.finish("stopped");
  fail(error);
}
