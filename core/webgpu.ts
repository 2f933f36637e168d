/**
 * Opens webgpu devices.
 *
 * @module
 */
import type { AdapterDetails } from "./backend.ts";
import { checkOptions } from "./checks.ts";
import { BackendDevice } from "./device.ts";
import { DeviceError } from "./errors.ts";
import type { Device } from "./tensor.ts";
import { WebgpuBackend } from "./webgpu_backend.ts";

/** Limits that kernels may need above the default; the adapter's maximum is requested. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Features that are used where the adapter has them. */
const FEATURES = ["timestamp-query"] as const;

/** Options of `webgpu()`. */
export interface WebgpuOptions {
  /** Whether a software adapter, such as llvmpipe, is accepted. Default false. */
  readonly allowSoftware?: boolean;
}

/** What is used of `GPU` to open a device. Types of `GPU` differ, and some programs have none. */
export interface GpuEntry {
  /** Asks for an adapter. */
  requestAdapter(options?: { readonly powerPreference?: "high-performance" }): Promise<unknown>;
}

/**
 * Opens a webgpu device. `gpu` is `navigator.gpu` in Deno and in browsers, and the result of
 * `create([])` of the npm package `webgpu` in Bun and Node.
 *
 * @throws {DeviceError} if there is no adapter, or only a software adapter and `allowSoftware` is
 * not set; with a `cause` if the runtime failed.
 *
 * @example
 * ```ts
 * import { cpu, webgpu } from "beargrad";
 *
 * const device = await webgpu(navigator.gpu).catch(() => cpu());
 * console.log(device.adapter);
 * ```
 */
export async function webgpu(
  gpu: GpuEntry | undefined,
  options: WebgpuOptions = {},
): Promise<Device> {
  checkOptions("open a webgpu device", options, ["allowSoftware"]);
  if (gpu === undefined) {
    throw new DeviceError("Cannot open a webgpu device: the runtime must offer WebGPU, got none");
  }
  const adapter = await attempt(
    "requestAdapter",
    () => gpu.requestAdapter({ powerPreference: "high-performance" }) as Promise<GPUAdapter | null>,
  );
  if (adapter === null) {
    throw new DeviceError("Cannot open a webgpu device: an adapter must be present, got none");
  }
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture, device].join(" ").trim() || "unnamed adapter";
  const software = isFallbackAdapter || /llvmpipe|swiftshader|basic render/i.test(name);
  if (software && !options.allowSoftware) {
    throw new DeviceError(
      "Cannot open a webgpu device: " +
        `without allowSoftware the adapter must be hardware, got ${name}`,
    );
  }
  const requiredLimits = Object.fromEntries(LIMITS.map((l) => [l, adapter.limits[l]]));
  const requiredFeatures = FEATURES.filter((feature) => adapter.features.has(feature));
  const opened = await attempt(
    `requestDevice of ${name}`,
    () => adapter.requestDevice({ requiredLimits, requiredFeatures }),
  );
  return new BackendDevice(
    new WebgpuBackend(gpu as GPU, opened, name, software, detailsOf(adapter)),
  );
}

function detailsOf({ info, limits, features }: GPUAdapter): AdapterDetails {
  const { vendor, architecture, device, description } = info;
  // They are getters of the prototype, which not every runtime makes enumerable.
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(limits)).sort();
  const values = names.map((name) => [name, Reflect.get(limits, name)] as const);
  return {
    ...{ vendor, architecture, device, description },
    limits: Object.fromEntries(values.filter(([, value]) => typeof value === "number")),
    features: [...features].sort(),
  };
}

async function attempt<T>(what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    const [got] = `${cause instanceof Error ? cause.message : cause}`.split("\n");
    throw new DeviceError(`Cannot open a webgpu device: ${what} must not fail, got: ${got}`, {
      cause,
    });
  }
}
