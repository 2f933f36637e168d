/**
 * How far a command is, on the standard error, and what Ctrl-C says.
 *
 * @module
 */
import process from "node:process";
import { describeDataset } from "../data/describe.ts";
import { createProgress, type Progress } from "../progress.ts";
import { say } from "../terminal.ts";
import type { Observer } from "../train/run.ts";

/** Nothing is shown of what takes fewer milliseconds. */
export const SHORT = 2000;

/** Shows the stages of a command, one after the other. */
export class Display implements Disposable {
  readonly #began = performance.now();
  readonly #interrupt = new Interrupt();
  #bar: Progress | undefined;

  /** Shows how far a stage is, from `after` milliseconds after the command began. */
  stage(label: string, done: number, total: number, after = 0): void {
    if (this.#bar === undefined && performance.now() - this.#began < after) return;
    this.#update(label, done, total);
    if (done === total) this.#finish(`${label}: ${total}`);
  }

  /** Ends what is shown, as after an error. */
  [Symbol.dispose](): void {
    this.#finish("stopped");
    this.#interrupt.release();
  }

  /** Shows the runs of an experiment or a comparison. Ctrl-C says that they go on with `again`. */
  runs(again?: string): Observer {
    const interrupt = this.#interrupt;
    interrupt.again = again;
    let place = ""; // of the run among all
    let trained = { step: 0, steps: 0, loss: "", epoch: "" }; // how far the run is
    const users = (what: string, run: string, done: number, total: number): void => {
      this.#update(`${place}${what} ${run}`, done, total);
      if (done < total) return;
      this.#finish(`${place}${what} ${run}: ${total} users`);
      interrupt.release();
    };
    const train = (run: string, more: Readonly<Record<string, string>>): void => {
      const { step, steps, loss, epoch } = trained;
      this.#update(`${place}train ${run}`, step, steps, { epoch, loss, ...more });
    };
    return {
      preparing: (what, done, total) => {
        interrupt.release();
        this.stage(what, done, total);
      },
      started(dataset, trie, device): void {
        say(describeDataset(dataset, trie));
        say(`${device.kind}: ${device.adapter}`);
      },
      running(run, index, count, isFinished): void {
        place = `${index + 1}/${count} `;
        if (isFinished) say(`${place}${run}: finished before`);
      },
      training(run, { step, steps, loss, epoch, tokensPerSecond }): void {
        interrupt.watch(run);
        trained = { step, steps, loss: loss.toFixed(3), epoch: `${epoch + 1}` };
        train(run, { "tokens/s": `${tokensPerSecond}` });
      },
      validating: (run, done, total) => train(run, { validating: `${done}/${total}` }),
      saved: (run, epoch, epochs) => interrupt.saved(run, epoch, epochs),
      trained: (run, { epochs, bestEpoch, validation }) => {
        const best = validation.find(({ epoch }) => epoch === bestEpoch);
        const found = best && `best ${bestEpoch}, NDCG@10 ${best.ndcg.toFixed(4)}`;
        const count = `${epochs} ${epochs === 1 ? "epoch" : "epochs"}`;
        this.#finish(`${place}train ${run}: ${count}, ${found ?? `loss ${trained.loss}`}`);
      },
      untrained: (run, done, total) => users("judge untrained", run, done, total),
      evaluating: (run, done, total) => users("judge", run, done, total),
      measuring: (run, done, total) => {
        this.#update(`${place}compare searches of ${run}`, done, total);
        if (done === total) this.#finish(`${place}compare searches of ${run}: ${total} searches`);
      },
      verifying: (run, done, total) => users("verify", run, done, total),
      note: (text) => {
        this.#finish("stopped");
        say(text);
      },
    };
  }

  #update(
    label: string,
    done: number,
    total: number,
    fields: Readonly<Record<string, string>> = {},
  ): void {
    this.#bar ??= createProgress({ label, total });
    this.#bar.update(done, fields);
  }

  #finish(summary: string): void {
    this.#bar?.finish(summary);
    this.#bar = undefined;
  }
}

/** Ends a command in good order when a signal comes while it trains: locks are released. */
class Interrupt {
  /** What a run goes on with. Without it, nothing is saved. */
  again: string | undefined;
  #run = "";
  #saved = "";
  #isWatching = false;

  /** A run has been saved. */
  saved(run: string, epoch: number, epochs: number): void {
    this.#run = run;
    this.#saved = `after epoch ${epoch} of ${epochs}`;
  }

  /** A run is being trained, so from now on a signal says where it goes on. */
  watch(run: string): void {
    if (this.#run !== run) this.#saved = "";
    this.#run = run;
    if (!this.#isWatching) {
      for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, this.#end);
    }
    this.#isWatching = true;
  }

  /** Stops handling signals, so that they end the process at once. */
  release(): void {
    if (this.#isWatching) {
      for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, this.#end);
    }
    this.#isWatching = false;
  }

  readonly #end = (signal: string): void => {
    const from = this.#saved === ""
      ? "starts afresh: it was not saved yet"
      : `goes on ${this.#saved}`;
    say(
      this.again === undefined
        ? "Stopped. Nothing was kept; with --out FOLDER runs are saved after each epoch."
        : `Stopped. With ${this.again} ${this.#run} ${from}.`,
    );
    process.exit(signal === "SIGINT" ? 130 : 143); // which releases locks
  };
}
