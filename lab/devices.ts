/**
 * Opening devices by name, in whichever runtime this is.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { cpu } from "../core/cpu_backend.ts";
import type { Device } from "../core/device.ts";
import { DeviceError } from "../core/errors.ts";
import { webgpu } from "../core/webgpu.ts";
import { say } from "./terminal.ts";

/** The names of devices. `auto` is webgpu where an adapter of hardware answers, else cpu. */
export type DeviceChoice = "auto" | "cpu" | "webgpu";

/** Threads of a cpu device unless told: more than this rarely pay. */
const MOST_THREADS = 8;

/**
 * Opens a device. `webgpu` makes do with a software adapter, such as llvmpipe; `auto` does not. A
 * cpu device has `threads` threads: default one for each core, at most 8. It refuses indices out of
 * range, such as tokens that a model does not have. `onNote`, default a line on the standard error,
 * is told that WebGPU failed, so that `auto` is the cpu, or that there are fewer threads.
 *
 * @throws {DeviceError} if `webgpu` is asked for and there is no adapter.
 * @throws {ArgumentError} if threads is not a positive integer.
 *
 * @example
 * ```ts
 * import { openDevice } from "beargrad/lab";
 *
 * const device = await openDevice("auto");
 * console.log(device.kind, device.adapter);
 * ```
 */
export async function openDevice(
  choice: DeviceChoice,
  threads: number = Math.min(availableParallelism(), MOST_THREADS),
  onNote: (text: string) => void = say,
): Promise<Device> {
  const openCpu = (): Device => cpu({ threads, Worker, checked: true, onNote });
  if (choice === "cpu") return openCpu();
  if (choice === "webgpu") return webgpu(await findGpu(), { allowSoftware: true });
  try {
    return await webgpu(await findGpu());
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    if (error.cause !== undefined) onNote(`--device auto is cpu. ${error.message}`); // not for want of an adapter
    return openCpu();
  }
}

/**
 * The runtime's own WebGPU, else that of the npm package `webgpu`, which is then kept in `navigator.gpu`: its object
 * must live as long as the process, and one is enough.
 */
async function findGpu(): Promise<GPU | undefined> {
  if ("gpu" in navigator || "Deno" in globalThis) return navigator.gpu;
  const { create } = await import("webgpu").catch((cause) => {
    throw new DeviceError(
      `Cannot open a webgpu device: the npm package webgpu must load, got: ${cause}`,
      { cause },
    );
  });
  const gpu: GPU = create([]);
  Object.defineProperty(navigator, "gpu", { value: gpu });
  return gpu;
}
