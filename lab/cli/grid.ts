/**
 * What compare.ts and sweep.ts do with their arguments.
 *
 * @module
 */
import process from "node:process";
import { compareLosses, type FinishedGrid } from "../compare/compare.ts";
import {
  type GridCommand,
  type GridCommandOptions,
  gridHelp,
  parseGridOptions,
} from "../compare/compare_options.ts";
import { describeDataset } from "../data/describe.ts";
import { createProgress, type Progress } from "../progress.ts";
import { fail } from "./fail.ts";
import { Interrupt } from "./interrupt.ts";
import { print, say } from "../terminal.ts";

/** What a command does after its runs. */
export type AfterRuns = (
  grid: FinishedGrid,
  options: GridCommandOptions,
  show: (label: string, done: number, total: number) => void,
) => Promise<void>;

/** Reads the arguments, trains and judges what they ask for, and goes on with `after`. */
export async function runGrid(
  command: GridCommand,
  args: readonly string[],
  after: AfterRuns,
): Promise<void> {
  let bar: Progress | undefined;
  const show = (label: string, done: number, total: number, unit = ""): void => {
    bar ??= createProgress({ label, total });
    bar.update(done, {});
    if (done === total) bar = void bar.finish(`${label}: ${total}${unit}`);
  };
  try {
    const options = parseGridOptions(command, args);
    if (options.help) return print(gridHelp(command));
    const interrupt = new Interrupt("the same command");
    let place = ""; // of the run among all
    let trained = { step: 0, fields: {} }; // how far its training is
    const finished = await compareLosses(options, {
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
      running({ name }, index, count, isFinished): void {
        place = `${index + 1}/${count}`;
        if (isFinished) say(`${place} ${name}: finished before`);
      },
      training(run, { step, steps, loss, tokensPerSecond, epoch }): void {
        interrupt.watch(run);
        bar ??= createProgress({ label: `${place} train ${run}`, total: steps });
        trained = { step, fields: { epoch: `${epoch + 1}`, loss: loss.toFixed(3) } };
        bar.update(step, { ...trained.fields, "tokens/s": `${tokensPerSecond}` });
      },
      validating(_, done, total): void {
        bar?.update(trained.step, { ...trained.fields, validating: `${done}/${total}` });
      },
      evaluating(run, done, total): void {
        show(`${place} judge ${run}`, done, total, " users");
        if (done === total) interrupt.release();
      },
      untrained: (run, done, total) => show(`${place} untrained ${run}`, done, total, " users"),
      verifying: (run, done, total) => show(`${place} verify ${run}`, done, total, " users"),
      trained(run, { epochs, bestEpoch, validation }): void {
        const best = validation.find(({ epoch }) => epoch === bestEpoch);
        const found = best ? `, best ${bestEpoch}, NDCG@10 ${best.ndcg.toFixed(4)}` : "";
        bar = void bar?.finish(
          `${place} train ${run}: ${epochs} ${epochs === 1 ? "epoch" : "epochs"}${found}`,
        );
      },
    });
    if (!finished.isValidated) {
      say("There are no validation cases: the last epoch of each run was kept.");
    }
    const { results, failed } = finished;
    if (failed.length > 0) process.exitCode = 1;
    if (results.length > 0) await after(finished, options, show);
    if (failed.length > 0) {
      const names = failed.map(({ name }) => name).join(", ");
      say(`${failed.length} of ${failed.length + results.length} runs failed: ${names}`);
    }
  } catch (error) {
    bar?.finish("stopped");
    fail(error);
  }
}
