/**
 * The program of seven commands.
 *
 * @module
 */
import { compare, sweep } from "./compare.ts";
import { gridLine } from "./compare_options.ts";
import { Display } from "./display.ts";
import { explain, explainLine } from "./explain.ts";
import { type CommandLine, Program } from "./flags.ts";
import { judge, judgeLine } from "./judge.ts";
import { trainLine } from "./options.ts";
import { report, reportLine } from "./report.ts";
import { train } from "./train.ts";
import { verify, verifyLine } from "./verify.ts";

/** Runs the command that the first argument names. */
export async function runProgram(args: readonly string[]): Promise<void> {
  const program = new Program(
    "Trains small recommenders, compares losses, and shows what beam search prunes.",
    args,
  );
  const add = <G, O>(
    line: CommandLine<G, O>,
    run: (options: O, display: Display) => void | Promise<void>,
  ): void => {
    program.add(line, async (options) => {
      using display = new Display();
      await run(options, display);
    });
  };
  add(trainLine, train);
  add(gridLine("compare"), compare);
  add(gridLine("sweep"), sweep);
  add(judgeLine, judge);
  add(reportLine, report);
  add(verifyLine, verify);
  add(explainLine, explain);
  await program.run();
}
