/**
 * Opens devices by name, in every runtime.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { cpu } from "../core/cpu_backend.ts";
import type { Device } from "../core/tensor.ts";
import { DeviceError } from "../core/errors.ts";
import { webgpu } from "../core/webgpu.ts";
import { say } from "./terminal.ts";

/** The names of devices. `auto` is webgpu where a hardware adapter answers, else cpu. */
export type DeviceChoice = "auto" | "cpu" | "webgpu";

/** The default number of threads is at most this: more rarely pay. */
const MOST_THREADS = 8;

/**
 * Opens a device. `webgpu` accepts a software adapter, such as llvmpipe; `auto` does not. A cpu
 * device has `threads` threads, default one for each core, at most 8; it refuses indices that are
 * out of range, such as tokens that a model does not have. `onNote`, default a line on the standard
 * error, is called if WebGPU fails, so that `auto` is the cpu, or if there are fewer threads.
 *
 * @throws {DeviceError} if there is no adapter and the choice is `webgpu`.
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
    // An adapter that fails, rather than none.
    if (error.cause !== undefined) onNote(`--device auto is cpu. ${error.message}`);
    return openCpu();
  }
}

/**
 * The runtime's own WebGPU, else that of the npm package `webgpu`. It is kept in `navigator.gpu`,
 * as its object must live as long as the process, and one is enough.
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
