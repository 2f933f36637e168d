/**
 * Opens devices by name, in every runtime.
 *
 * @module
 */
import { cpu, type CpuOptions } from "../core/cpu_backend.ts";
import type { Device } from "../core/tensor.ts";
import { DeviceError } from "../core/errors.ts";
import { webgpu } from "../core/webgpu.ts";

/** The names of devices. `auto` is webgpu where a hardware adapter answers, else cpu. */
export type DeviceChoice = "auto" | "cpu" | "webgpu";

/** The default number of threads is at most this: more rarely pay. */
const MOST_THREADS = 8;

/** Globals that not every runtime has. */
const { process, Deno, Worker } = globalThis as {
  readonly process?: { getBuiltinModule?(name: string): { readonly Worker: CpuOptions["Worker"] } };
  readonly Deno?: unknown;
  readonly Worker?: CpuOptions["Worker"];
};

/**
 * Opens a device, in a page, a worker of a page, Deno, Bun or Node. `webgpu` accepts a software
 * adapter, such as llvmpipe; `auto` does not. A cpu device has `threads` threads, default one for
 * each core, at most 8; it refuses indices that are out of range, such as tokens that a model does
 * not have. `onNote`, default `console.warn`, is called if WebGPU fails, so that `auto` is the cpu,
 * or if there are fewer threads, as on a page that is not cross-origin isolated.
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
  threads: number = Math.min(navigator.hardwareConcurrency, MOST_THREADS),
  // deno-lint-ignore no-console -- the standard error, or a page's console
  onNote: (text: string) => void = console.warn,
): Promise<Device> {
  const openCpu = (): Device => {
    const threadWorker = process?.getBuiltinModule?.("node:worker_threads").Worker ?? Worker;
    if (threadWorker !== undefined) {
      return cpu({ threads, Worker: threadWorker, checked: true, onNote });
    }
    if (threads > 1) onNote("The cpu device has one thread: there are no workers here");
    return cpu({ checked: true });
  };
  if (choice === "cpu") return openCpu();
  if (choice === "webgpu") return webgpu(await findGpu(), { allowSoftware: true });
  try {
    return await webgpu(await findGpu());
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    // An adapter that fails, rather than none.
    if (error.cause !== undefined) onNote(`Using the cpu.\n${error.message}`);
    return openCpu();
  }
}

/**
 * The runtime's own WebGPU, else, in Node and Bun, that of the npm package `webgpu`. It is kept in
 * `navigator.gpu`, as its object must live as long as the process, and one is enough.
 */
async function findGpu(): Promise<GPU | undefined> {
  const isNode = process?.getBuiltinModule !== undefined && Deno === undefined;
  if ("gpu" in navigator || !isNode) return navigator.gpu;
  const { create } = await import("webgpu").catch((cause) => {
    throw new DeviceError(
      `Cannot open a webgpu device: the npm package webgpu must load (npm install webgpu), got ${
        cause?.code ?? cause
      }`,
      { cause },
    );
  });
  const gpu: GPU = create([]);
  Object.defineProperty(navigator, "gpu", { value: gpu });
  return gpu;
}
