/**
 * What some values on the command line of train.ts may be.
 *
 * @module
 */
import { LORA_TARGETS, type LoraTarget } from "../../models/lora.ts";
import { isLossName, lossNames } from "../../models/losses/index.ts";
import type { Fail } from "./flags.ts";
import { isLossPath, lossNameOf } from "../train/loss_module.ts";

/** A share of what is dropped. */
export function isRate(x: number): boolean {
  return x >= 0 && x < 1;
}

/** An ascending list of beam widths. */
export function readBeams(given: string, fail: Fail): number[] {
  const beams = given.split(",").map((part) =>
    /^\s*[1-9]\d{0,5}\s*$/.test(part) ? Number(part) : fail("a list of integers from 1 to 999999")
  );
  const ascending = beams.every((beam, i) => i === 0 || beam > beams[i - 1]);
  return ascending ? beams : fail("an ascending list without repetition");
}

/** A list of matrices to adapt. */
export function readTargets(given: string, fail: Fail): LoraTarget[] {
  const names = given.split(",").map((name) =>
    LORA_TARGETS.find((known) => known === name.trim()) ??
      fail(`a list of ${LORA_TARGETS.join(", ")}`)
  );
  return new Set(names).size === names.length ? names : fail("a list without repetition");
}

/** A list of losses: names, and paths of modules. */
export function readLosses(given: string, fail: Fail): string[] {
  const losses = given.split(",").map((name) => name.trim());
  if (!losses.every((loss) => isLossName(loss) || isLossPath(loss))) {
    fail(`a list of ${lossNames.join(", ")}, or of paths of modules`);
  }
  const names = new Set(losses.map(lossNameOf)); // by which runs are told apart
  return names.size === losses.length ? losses : fail("a list without repetition");
}
