/**
 * Explains the beam search of one user of a trained model: `deno task explain --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { renderExplanation, renderPruned } from "../analysis/explanation_text.ts";
import { explainUser, prunedUsers } from "../analysis/explain_user.ts";
import { createProgress, type Progress } from "../progress.ts";
import { explainHelp, parseExplainFlags } from "./explain_options.ts";
import { fail } from "./fail.ts";
import { print } from "../terminal.ts";

/** Before so many milliseconds have passed no bar is shown. */
const SHORT = 2000;

const began = performance.now();
let bar: Progress | undefined;

/** Shows how far a stage is, on the standard error, once it takes long. */
function show(what: string, done: number, total: number): void {
  if (bar === undefined && performance.now() - began < SHORT) return;
  bar ??= createProgress({ label: what, total });
  bar.update(done, {});
  if (done === total) bar = void bar.finish(`${what}: done`);
}

async function main(args: readonly string[]): Promise<void> {
  const flags = parseExplainFlags(args);
  if (flags.help) return print(explainHelp());
  const { checkpoint = "", user = "", json, list, ...rest } = flags;
  const options = { ...rest, checkpoint, onProgress: show };
  if (list) {
    const found = await prunedUsers(options);
    return print(json ? JSON.stringify(found) : renderPruned(found));
  }
  const found = await explainUser({ ...options, user });
  print(json ? JSON.stringify(found) : renderExplanation(found));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  bar?.finish("stopped");
  fail(error);
}
