/**
 * Clocks and meters of the process.
 *
 * @module
 */
import process from "node:process";

export { median, rounded } from "../lab/device/measure.ts";

/** What something took. */
export interface Cost {
  /** Milliseconds that passed. */
  readonly wall: number;
  /** Milliseconds of processor time, user and system, of all threads of the process. */
  readonly cpu: number;
}

/** Runs something and tells what it took. */
export async function costOf(run: () => unknown): Promise<Cost> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  await run();
  const wall = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  return { wall, cpu: (user + system) / 1000 };
}

/** The most memory that the process has had so far, MiB. */
export function peakRssMiB(): number {
  return process.resourceUsage().maxRSS / 1024;
}

/** The memory that the process has now, MiB. */
export function rssMiB(): number {
  return process.memoryUsage.rss() / 2 ** 20;
}
