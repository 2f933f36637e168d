/**
 * How commands show how far they are.
 *
 * @module
 */
import { createProgress, type Progress } from "../progress.ts";

/** The stages of a command, one after the other, on the standard error. */
export class Stages {
  #bar: Progress | undefined;

  /** Shows how far a stage is. */
  readonly show = (stage: string, done: number, total: number): void => {
    this.#bar ??= createProgress({ label: stage, total });
    this.#bar.update(done, {});
    if (done === total) this.#bar = void this.#bar.finish(`${stage}: ${total}`);
  };

  /** Ends the stage that an error has ended. */
  stop(): void {
    this.#bar?.finish("stopped");
  }
}
