/**
 * What Ctrl-C says.
 *
 * @module
 */
import process from "node:process";
import { say } from "../terminal.ts";

/** Ends a command that trains in good order: says where it can go on, and gives its folders free. */
export class Interrupt {
  readonly #again: string | undefined;
  #run = "";
  #saved = "";
  #isWatched = false;

  /** `again` says with what a run goes on; without it no run is saved. */
  constructor(again?: string) {
    this.#again = again;
  }

  /** A run has been saved. */
  saved(run: string, epoch: number, epochs: number): void {
    this.#run = run;
    this.#saved = `after epoch ${epoch} of ${epochs}`;
  }

  /** A run is at work, and signals are heard soon. */
  watch(run: string): void {
    if (this.#run !== run) this.#saved = "";
    this.#run = run;
    if (!this.#isWatched) {
      for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, this.#end);
    }
    this.#isWatched = true;
  }

  /** Nothing is lost, or what follows does not wait: signals end the process at once, as if this were not there. */
  release(): void {
    if (this.#isWatched) {
      for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, this.#end);
    }
    this.#isWatched = false;
  }

  readonly #end = (signal: string): void => {
    const from = this.#saved === ""
      ? "starts afresh: it was not saved yet"
      : `goes on ${this.#saved}`;
    say(
      this.#again === undefined
        ? "Stopped. Nothing was kept; with --out FOLDER runs are saved after each epoch."
        : `Stopped. With ${this.#again} ${this.#run} ${from}.`,
    );
    process.exit(signal === "SIGINT" ? 130 : 143); // which releases locks
  };
}
