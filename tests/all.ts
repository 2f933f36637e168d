/**
 * Runs the whole suite in Deno, Bun, Node and browsers, and ends with one line: `N passed, N
 * failed, N skipped`.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { stripVTControlCharacters } from "node:util";

/** The tasks that test, each with what finds its counts: passed, failed and skipped. */
const TASKS: Readonly<Record<string, readonly [RegExp, RegExp, RegExp]>> = {
  // A summary of each of its test commands.
  "ok": [/\| (\d+) passed/g, /\| (\d+) failed/g, /\| (\d+) ignored/g],
  "test:bun": [/^ *(\d+) pass$/gm, /^ *(\d+) fail$/gm, /^ *(\d+) skip$/gm],
  "test:node": [/^ℹ pass (\d+)$/gm, /^ℹ (?:fail|cancelled) (\d+)$/gm, /^ℹ skipped (\d+)$/gm],
  "test:browser": [/^(\d+) passed,/gm, /^\d+ passed, (\d+) failed/gm, /, (\d+) skipped$/gm],
};

interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** Runs a command, showing its output as it comes. */
function run(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
        process.stdout.write(chunk);
      });
    }
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code: code ?? 1, output: stripVTControlCharacters(output) });
    });
  });
}

/** The sum of all numbers that `pattern` captures. */
function total(output: string, pattern: RegExp): number {
  return [...output.matchAll(pattern)].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Says what is wrong beside failed tests. */
function fail(message: string): void {
  problems.push(message);
  process.exitCode = 1;
}

const problems: string[] = [];
const counts = [0, 0, 0];
for (const [task, patterns] of Object.entries(TASKS)) {
  const { code, output } = await run(process.execPath, ["task", task]);
  const found = patterns.map((pattern) => total(output, pattern));
  found.forEach((count, i) => counts[i] += count);
  if (code !== 0) fail(`deno task ${task} failed with code ${code}.`);
  if (found[0] === 0) fail(`deno task ${task} says of no test that it passed.`);
  if (task === "ok" && process.env.BEARGRAD_REQUIRE_WEBGPU && !/webgpu.*\bok\b/.test(output)) {
    fail("The WebGPU suite did not run under Deno, and BEARGRAD_REQUIRE_WEBGPU is set.");
  }
}
const [passed, failed, skipped] = counts;
process.stdout.write(
  [...problems, `${passed} passed, ${failed} failed, ${skipped} skipped`, ""].join("\n"),
);
