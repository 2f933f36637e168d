/**
 * Verifies the theory of what beam search prunes, in itself or on a trained model: `deno task verify --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { cpu } from "../../core/cpu_backend.ts";
import { DeviceError } from "../../core/errors.ts";
import { openDevice } from "../devices.ts";
import { formatDuration } from "../progress.ts";
import {
  isVerified,
  renderVerification,
  type VerifiedDevice,
  verifyTheory,
} from "../theorems/verification.ts";
import { verifyModel } from "../analysis/verify_model.ts";
import { renderModelVerification } from "../analysis/verification_text.ts";
import { parseVerifyOptions, VERIFY_HELP, type VerifyOptions } from "./verify_options.ts";
import { fail } from "./fail.ts";
import { Stages } from "./stages.ts";
import { print, say } from "../terminal.ts";

/** From how many seeds a refutation is looked for, to print the smallest. */
const SEARCHES = 8;

const stages = new Stages();

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

/** What there is to print, and whether everything holds. */
interface Verdict {
  readonly text: string;
  readonly json: object;
  readonly holds: boolean;
}

async function onTheory({ cases, seed }: VerifyOptions): Promise<Verdict> {
  const devices = await devicesHere();
  const report = await verifyTheory({
    cases,
    seed,
    searches: SEARCHES,
    devices,
    progress: stages.show,
  });
  return { text: renderVerification(report), json: report, holds: isVerified(report) };
}

async function onModel(checkpoint: string, options: VerifyOptions): Promise<Verdict> {
  const { data, beam, limitUsers } = options;
  const onProgress = (done: number, total: number): void => stages.show("users", done, total);
  const found = await verifyModel({ checkpoint, data, beam, limitUsers, onProgress });
  return { text: renderModelVerification(found), json: found, holds: found.violations === 0 };
}

async function main(args: readonly string[]): Promise<void> {
  const options = parseVerifyOptions(args);
  const { help, json, checkpoint } = options;
  if (help) return print(VERIFY_HELP);
  const began = performance.now();
  const verdict =
    await (checkpoint === undefined ? onTheory(options) : onModel(checkpoint, options));
  say(`Verified in ${formatDuration(performance.now() - began)}`);
  print(json ? JSON.stringify(verdict.json) : verdict.text);
  if (!verdict.holds) process.exitCode = 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  stages.stop();
  fail(error);
}
