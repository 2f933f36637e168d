// deno-lint-ignore-file no-console -- prints the report
/**
 * Verifies the theory of what beam search prunes: `deno task verify --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { cpu } from "../../core/cpu_backend.ts";
import { BeargradError, DeviceError, UsageError } from "../../core/errors.ts";
import { openDevice } from "../devices.ts";
import { createProgress, formatDuration, type Progress } from "../progress.ts";
import { renderVerification, verificationJson } from "../theorems/report.ts";
import { isVerified, type VerifiedDevice, verifyTheory } from "../theorems/verification.ts";

const HELP =
  `Verifies every theorem, refutation, surrogate and mutant of docs/theory.md on random catalogues, and the
search of every device against exact beams.

  deno task verify [options]

  --cases N   worlds a theorem (20000)
  --seed S    where the generators start (1)
  --json      print one JSON object and nothing else to the standard output
  --help      print this and stop`;

interface Options {
  readonly cases: number;
  readonly seed: number;
  readonly json: boolean;
  readonly help: boolean;
}

/** @throws {UsageError} if an option is unknown or outside its domain. */
function parse(args: readonly string[]): Options {
  const options = { cases: 20_000, seed: 1, json: false, help: false };
  const rest = args.flatMap((arg) => /^--[a-z]+=/.test(arg) ? splitOnce(arg) : [arg]);
  while (rest.length > 0) {
    const flag = rest.shift();
    if (flag === "--json" || flag === "--help") options[flag === "--json" ? "json" : "help"] = true;
    else if (flag === "--cases") options.cases = integer(flag, rest.shift(), 1);
    else if (flag === "--seed") options.seed = integer(flag, rest.shift(), 0);
    else {
      throw new UsageError(
        `Cannot use the command line: options must be among those that --help lists, got ${flag}`,
      );
    }
  }
  return options;
}

function splitOnce(arg: string): string[] {
  const at = arg.indexOf("=");
  return [arg.slice(0, at), arg.slice(at + 1)];
}

function integer(flag: string, text: string | undefined, least: number): number {
  const n = /^\d+$/.test(text ?? "") ? Number(text) : NaN;
  if (n >= least && n < 2 ** 31) return n;
  throw new UsageError(
    `Cannot use ${flag}: it must be an integer of at least ${least}, got ${text ?? "none"}`,
  );
}

/** Every device; a webgpu device that is not there is left out and says why. */
async function devicesHere(): Promise<VerifiedDevice[]> {
  const gpu = await openDevice("webgpu").catch((error: unknown) => {
    if (error instanceof DeviceError) return error.message;
    throw error;
  });
  return [
    { name: "cpu float32", device: cpu() },
    { name: "cpu float64", device: cpu({ float: "float64" }) },
    { name: "webgpu", device: gpu, share: 0.01 },
  ];
}

async function main(args: readonly string[]): Promise<void> {
  const { cases, seed, json, help } = parse(args);
  if (help) return console.log(HELP);
  const began = performance.now();
  let bar: Progress | undefined;
  const report = await verifyTheory({
    cases,
    seed,
    searches: 8,
    devices: await devicesHere(),
    progress(stage, done, total): void {
      bar ??= createProgress({ label: stage, total });
      bar.update(done, {});
      if (done === total) bar = void bar.finish(`${stage}: ${total}`);
    },
  });
  console.error(`Verified in ${formatDuration(performance.now() - began)}`);
  console.log(json ? JSON.stringify(verificationJson(report)) : renderVerification(report));
  if (!isVerified(report)) process.exitCode = 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BeargradError)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
