/**
 * One program of seven commands.
 *
 * @module
 */
import { compare, sweep } from "./compare.ts";
import { gridLine } from "./compare_options.ts";
import { Display } from "./display.ts";
import { explain, explainLine } from "./explain.ts";
import { type CommandLine, emptyCommand, execute, runnable } from "./flags.ts";
import { judge, judgeLine } from "./judge.ts";
import { trainLine } from "./options.ts";
import { report, reportLine } from "./report.ts";
import { train } from "./train.ts";
import { verify, verifyLine } from "./verify.ts";

/** Runs the command that the first argument names. */
export async function runProgram([name, ...args]: readonly string[]): Promise<void> {
  const display = new Display();
  const program = emptyCommand("deno task")
    .usage("<command> [options]")
    .description("Trains small recommenders, compares losses, and shows what beam search prunes.");
  const add = <G, O>(
    line: CommandLine<G, O>,
    run: (options: O, display: Display) => void | Promise<void>,
  ): void => {
    program.addCommand(runnable(line, args, (options) => run(options, display)));
  };
  add(trainLine, train);
  add(gridLine("compare"), compare);
  add(gridLine("sweep"), sweep);
  add(judgeLine, judge);
  add(reportLine, report);
  add(verifyLine, verify);
  add(explainLine, explain);
  await execute(program, name === undefined ? ["--help"] : [name, ...args], () => display.close());
}
