/**
 * Runs the whole suite under Deno and under Bun and ends with one line: `N passed, N failed, N
 * skipped`.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { stripVTControlCharacters } from "node:util";

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
      stream.on("data", (chunk: Uint8Array) => {
        output += chunk;
        process.stdout.write(chunk);
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** The last number that `pattern` captures. */
function count(output: string, pattern: RegExp): number {
  return Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0);
}

const deno = await run(process.execPath, ["task", "ok"]);
const bun = await run(process.execPath, ["task", "test:bun"]);
const [ours, theirs] = [deno.output, bun.output].map(stripVTControlCharacters);

/** Deno prints a summary for each of its test commands, so all of them are added up. */
const total = (pattern: RegExp): number =>
  [...ours.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);

const passed = total(/\| (\d+) passed/g) + count(theirs, /^\s*(\d+) pass$/gm);
const failed = total(/\| (\d+) failed/g) + count(theirs, /^\s*(\d+) fail$/gm);
const skipped = total(/\| (\d+) ignored/g) + count(theirs, /^\s*(\d+) skip$/gm);
const webgpu = /webgpu.*\bok\b/.test(ours);

if (process.env.BEARGRAD_REQUIRE_WEBGPU && !webgpu) {
  process.stdout.write(
    "The WebGPU suite did not run under Deno, and BEARGRAD_REQUIRE_WEBGPU is set.\n",
  );
  process.exitCode = 1;
}
for (const [name, { code }] of Object.entries({ "deno task ok": deno, "bun test": bun })) {
  if (code === 0) continue;
  process.stdout.write(`${name} failed with code ${code}.\n`);
  process.exitCode = 1;
}
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
