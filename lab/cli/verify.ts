/**
 * `verify`: verifies the theory of what beam search prunes, in itself or on a trained model.
 *
 * @module
 */
import process from "node:process";
import { cpu } from "../../core/cpu_backend.ts";
import { DeviceError } from "../../core/errors.ts";
import { verifyModel, type VerifyModelOptions } from "../analysis/verify_model.ts";
import { renderModelVerification } from "../analysis/verification_text.ts";
import { openDevice } from "../devices.ts";
import { formatDuration } from "../progress.ts";
import { print, say } from "../terminal.ts";
import type { VerifiedDevice } from "../theorems/verification.ts";
import { Display } from "./display.ts";
import { type CommandLine, flagName, refuse } from "./flags.ts";
import { flag, integer, jsonFlag, optional, text } from "./kinds.ts";
import { savedRunFlags, trainFlags } from "./options.ts";

/** What `verify` does. Without a checkpoint the theory itself is verified. */
export type VerifyOptions = Omit<VerifyModelOptions, "checkpoint" | "onProgress"> & {
  readonly cases: number;
  readonly seed: number;
  readonly checkpoint: string | undefined;
  readonly json: boolean;
};

/** The largest number of worlds, and the largest seed. */
const MOST = 2 ** 31 - 1;

/** From how many seeds a refutation is looked for. The smallest one is printed. */
const SEARCHES = 8;

/** The command line of `verify`. */
export const verifyLine: CommandLine<VerifyOptions> = {
  name: "verify",
  usage: "[--checkpoint <folder>] [options]",
  does: "Verifies every theorem, refutation and surrogate of docs/theory.md on random " +
    "catalogues, and the search of every device against exact beams; or, with --checkpoint, the " +
    "theorems on a trained model.",
  flags: {
    cases: flag(integer(1, MOST), "worlds for each theorem", 20_000),
    seed: flag(integer(0, MOST), "seed of the worlds", 1),
    ...savedRunFlags,
    checkpoint: optional(
      text("<folder>"),
      savedRunFlags.checkpoint.help,
      "default none: the theory itself",
    ),
    limitUsers: { ...trainFlags.limitUsers, help: "check the first n users only" },
    json: jsonFlag,
  },
  complete({ options, given }): VerifyOptions {
    const isModel = options.checkpoint !== undefined;
    const others = isModel ? ["cases", "seed"] as const : ["data", "beam", "limitUsers"] as const;
    const other = others.find((key) => given.has(key));
    if (other !== undefined) {
      const requirement = `it must come ${isModel ? "without" : "with"} --checkpoint`;
      refuse(flagName(other), requirement, isModel ? "both" : undefined);
    }
    return options;
  },
  async run({ cases, seed, checkpoint, json, ...options }): Promise<void> {
    using display = new Display();
    const began = performance.now();
    // Here, as what generates worlds takes long to load.
    const theory = await import("../theorems/verification.ts");
    const verdict = checkpoint === undefined
      ? await theory.verifyTheory({
        cases,
        seed,
        searches: SEARCHES,
        devices: await devicesHere(),
        progress: (what, done, total) => display.stage(what, done, total),
      })
      : await verifyModel({
        ...options,
        checkpoint,
        onProgress: (done, total) => display.stage("users", done, total),
      });
    say(`Verified in ${formatDuration(performance.now() - began)}`);
    const [text, holds] = "violations" in verdict
      ? [renderModelVerification(verdict), verdict.violations === 0]
      : [theory.renderVerification(verdict), theory.isVerified(verdict)];
    print(json ? JSON.stringify(verdict) : text);
    if (!holds) process.exitCode = 1;
  },
};

/** Every device. A webgpu device that is not there is left out, with the reason. */
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
