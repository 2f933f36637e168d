/**
 * Compiled kernels and bind groups of a webgpu device, and the limits of its adapter.
 *
 * @module
 */
import type { Region } from "./backend.ts";
import { DeviceError } from "./errors.ts";
import type { Kernel } from "./kernel.ts";
import type { Block } from "./webgpu_pool.ts";

/** A bit of GPUShaderStage, which is not a global in every runtime. */
const STAGE_COMPUTE = 4;

/** Bytes of a parameter block: an offset alignment that every WebGPU device allows. */
export const PARAM_BLOCK = 256;

/** The most bind groups that are kept for reuse. */
const MAX_GROUPS = 8192;

/** A compiled kernel and its bind groups. */
export interface Compiled {
  /** The pipeline. */
  readonly pipeline: GPUComputePipeline;
  /** Its buffers, then its parameters at a dynamic offset. */
  readonly layout: GPUBindGroupLayout;
  /** Bind groups by the keys of their blocks. */
  readonly groups: Map<string, GPUBindGroup>;
}

/** The compiled kernels of one device. */
export class WebgpuKernels {
  /** The compilations that have not finished. */
  readonly compiling = new Set<Promise<unknown>>();
  readonly #device: GPUDevice;
  readonly #onError: (error: DeviceError) => void;
  readonly #compiled = new Map<Kernel, Compiled>();
  #groupCount = 0;

  /** `onError` is called for kernels that do not compile, some time after `get`. */
  constructor(device: GPUDevice, onError: (error: DeviceError) => void) {
    this.#device = device;
    this.#onError = onError;
  }

  /**
   * The compiled kernel.
   *
   * @throws {DeviceError} if the kernel exceeds a limit of the adapter.
   */
  get(kernel: Kernel): Compiled {
    let compiled = this.#compiled.get(kernel);
    if (compiled === undefined) this.#compiled.set(kernel, compiled = this.#compile(kernel));
    return compiled;
  }

  /** A bind group with parameters in `params`, kept for the next launch with the same blocks. */
  cachedGroup(
    { layout, groups }: Compiled,
    regions: readonly Region[],
    params: GPUBuffer,
  ): GPUBindGroup {
    let key = "";
    for (const { memory } of regions) key += `${(memory as Block).key} `;
    let group = groups.get(key);
    if (group === undefined) {
      if (++this.#groupCount > MAX_GROUPS) this.forgetGroups();
      groups.set(key, group = this.group(layout, regions, params));
    }
    return group;
  }

  /** Makes a bind group. It binds whole blocks, because kernels take sizes from parameters. */
  group(layout: GPUBindGroupLayout, regions: readonly Region[], params: GPUBuffer): GPUBindGroup {
    const entries = regions.map(({ memory }, binding): GPUBindGroupEntry => {
      const { buffer, offset, bytes } = memory as Block;
      return { binding, resource: { buffer, offset, size: bytes } };
    });
    entries.push({ binding: regions.length, resource: { buffer: params, size: PARAM_BLOCK } });
    return this.#device.createBindGroup({ layout, entries });
  }

  /** Forgets the bind groups, which keep their blocks alive. */
  forgetGroups(): void {
    for (const { groups } of this.#compiled.values()) groups.clear();
    this.#groupCount = 0;
  }

  #compile(kernel: Kernel): Compiled {
    const device = this.#device;
    checkLimits(kernel, device.limits);
    const label = kernel.name;
    const uses = Object.values(kernel.buffers);
    const entries = uses.map((use, binding): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: STAGE_COMPUTE,
      buffer: { type: use.startsWith("read") ? "read-only-storage" : "storage" },
    }));
    entries.push({
      binding: uses.length,
      visibility: STAGE_COMPUTE,
      buffer: { type: "uniform", hasDynamicOffset: true },
    });
    device.pushErrorScope("validation");
    const layout = device.createBindGroupLayout({ label, entries });
    const pipeline = device.createComputePipeline({
      label,
      layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ label, code: kernel.module }) },
    });
    const fail = (message: string): void => {
      this.#compiled.delete(kernel);
      this.#onError(
        new DeviceError(`Cannot compile kernel ${label}: its WGSL must be valid, got: ${message}`),
      );
    };
    const compiling = device.popErrorScope()
      .then((error) => error && fail(oneLine(error.message)), fail)
      .finally(() => this.compiling.delete(compiling));
    this.compiling.add(compiling);
    return { pipeline, layout, groups: new Map() };
  }
}

/** The limits that kernels are checked against. */
export type KernelLimits = Pick<
  GPUSupportedLimits,
  "maxStorageBuffersPerShaderStage" | "maxComputeWorkgroupStorageSize"
>;

/**
 * The bytes from one element of a WGSL array to the next.
 *
 * @throws {DeviceError} for types other than numbers and vectors.
 */
function strideOf(kernel: string, type: string): number {
  if (/^([fiu]32|atomic<[iu]32>)$/.test(type)) return 4;
  if (/^vec[234][fiu]$/.test(type)) return type[3] === "2" ? 8 : 16;
  throw new DeviceError(
    `Cannot run ${kernel}: its workgroup variables must be numbers, vectors, ` +
      `or arrays of these, got ${type}`,
  );
}

/**
 * Checks a kernel against the limits of an adapter. Not every runtime does, and a kernel past a
 * limit may crash a driver.
 *
 * @throws {DeviceError} if the kernel exceeds one.
 */
export function checkLimits(kernel: Kernel, limits: KernelLimits): void {
  const refuse = (allowed: number, what: string, got: number): void => {
    if (got <= allowed) return;
    throw new DeviceError(
      `Cannot run ${kernel.name}: this adapter allows ${allowed} ${what}, got ${got}`,
    );
  };
  const { maxStorageBuffersPerShaderStage, maxComputeWorkgroupStorageSize } = limits;
  refuse(maxStorageBuffersPerShaderStage, "buffers", Object.keys(kernel.buffers).length);
  refuse(maxComputeWorkgroupStorageSize, "bytes of workgroup memory", workgroupBytes(kernel));
}

/**
 * The bytes of a kernel's workgroup variables, each rounded up to 16 as WebGPU counts them. Their
 * types must be scalars, vectors with one-word names (`vec4f`), or arrays of these with literal
 * sizes.
 *
 * @throws {DeviceError} if a variable is of another type.
 */
export function workgroupBytes({ name, wgsl }: Pick<Kernel, "name" | "wgsl">): number {
  const aliases = Object.fromEntries(
    [...wgsl.matchAll(/\balias\s+(\w+)\s*=\s*(\w+)\s*;/g)].map(([, from, to]) => [from, to]),
  );
  const bytesOf = (type: string): number => {
    const array = /^array<(.+),(\d+)u?>$/.exec(type);
    if (array) return bytesOf(array[1]) * Number(array[2]);
    return strideOf(name, aliases[type] ?? type);
  };
  let total = 0;
  for (const [, type] of wgsl.matchAll(/var<workgroup>\s*\w+\s*:\s*([^;]+);/g)) {
    total += Math.ceil(bytesOf(type.replace(/\s/g, "")) / 16) * 16;
  }
  return total;
}

/** A driver's message on one line, without the frames that it draws around source code. */
export function oneLine(message: string): string {
  return message.replace(/[\s│┌─^]+/g, " ").trim();
}
