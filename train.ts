/**
 * Trains a small decoder with each of some losses, decodes it with beam search over the catalogue, and prints what
 * was retrieved and what was pruned. `--help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { type Progress } from "./lab/progress.ts";
import {
  createProgress,
  describeDataset,
  helpText,
  parseOptions,
  renderReport,
  runExperiment,
} from "beargrad/lab";
import { fail } from "./lab/cli/fail.ts";
import { Interrupt } from "./lab/cli/interrupt.ts";
import { print, say } from "./lab/terminal.ts";

/** What is being shown, if anything is. */
let bar: Progress | undefined;

/** Prints progress to the standard error, the report to the standard output. */
async function main(args: readonly string[]): Promise<void> {
  const options = parseOptions(args);
  if (options.help) return print(helpText());

  const show = (label: string, done: number, total: number, unit = ""): void => {
    bar ??= createProgress({ label, total });
    bar.update(done, {});
    if (done === total) bar = void bar.finish(`${label}: ${total}${unit}`);
  };
  const interrupt = new Interrupt(options.out === undefined ? undefined : "--resume");
  let trained = { step: 0, loss: "" }; // how far a run is
  const report = await runExperiment(options, {
    preparing(what, done, total): void {
      interrupt.release();
      show(what, done, total);
    },
    saved: (run, epoch, epochs) => interrupt.saved(run, epoch, epochs),
    note(text): void {
      bar = void bar?.finish("stopped");
      say(text);
    },
    started(dataset, trie, device): void {
      say(describeDataset(dataset, trie));
      say(`${device.kind}: ${device.adapter}`);
    },
    training(run, { step, steps, loss, tokensPerSecond }): void {
      interrupt.watch(run);
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
    evaluating(run, done, users): void {
      show(`judge ${run}`, done, users, " users");
      if (done === users) interrupt.release();
    },
  });
  interrupt.release();
  if (report.failed.length > 0) process.exitCode = 1;
  print(renderReport(report));
  if (report.unwritten) throw report.unwritten;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  bar?.finish("stopped");
  fail(error);
}
