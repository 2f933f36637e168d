/**
 * Compiled kernels and bind groups of the webgpu device.
 *
 * @module
 */
import type { Region } from "./backend.ts";
import { DeviceError } from "./errors.ts";
import type { Kernel } from "./kernel.ts";
import { checkLimits } from "./webgpu_limits.ts";
import type { Block } from "./webgpu_pool.ts";

/** A bit of GPUShaderStage, which not every runtime has as a global. */
const STAGE_COMPUTE = 4;

/** The bytes from one parameter block to the next: an offset alignment that every WebGPU device allows. */
export const PARAM_BLOCK = 256;

/** The bind groups kept for reuse. */
const MAX_GROUPS = 8192;

/** A compiled kernel, and the bind groups that it was launched with. */
export interface Compiled {
  /** The pipeline. */
  readonly pipeline: GPUComputePipeline;
  /** Its buffers, then its parameters at a dynamic offset. */
  readonly layout: GPUBindGroupLayout;
  /** By the keys of the blocks. */
  readonly groups: Map<string, GPUBindGroup>;
}

/** The compiled kernels of one device. */
export class WebgpuKernels {
  /** The compilations whose outcome is not known yet. */
  readonly compiling = new Set<Promise<unknown>>();
  readonly #device: GPUDevice;
  readonly #onError: (error: DeviceError) => void;
  readonly #compiled = new Map<Kernel, Compiled>();
  #groupCount = 0;

  /** `onError` hears of kernels that do not compile, some time after `get` was asked for them. */
  constructor(device: GPUDevice, onError: (error: DeviceError) => void) {
    this.#device = device;
    this.#onError = onError;
  }

  /**
   * The compiled kernel.
   *
   * @throws {DeviceError} if it exceeds what the adapter allows.
   */
  get(kernel: Kernel): Compiled {
    let compiled = this.#compiled.get(kernel);
    if (compiled === undefined) this.#compiled.set(kernel, compiled = this.#compile(kernel));
    return compiled;
  }

  /** A bind group of blocks and parameters in `params`, kept for the next launch with the same blocks. */
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

  /** Whole blocks are bound, so that a group serves every size: kernels take sizes from their parameters. */
  group(layout: GPUBindGroupLayout, regions: readonly Region[], params: GPUBuffer): GPUBindGroup {
    const entries = regions.map(({ memory }, binding): GPUBindGroupEntry => {
      const { buffer, offset, bytes } = memory as Block;
      return { binding, resource: { buffer, offset, size: bytes } };
    });
    entries.push({ binding: regions.length, resource: { buffer: params, size: PARAM_BLOCK } });
    return this.#device.createBindGroup({ layout, entries });
  }

  /** Forgets the bind groups, which hold on to their blocks. */
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

/** A driver's message on one line, without the frames it draws around source code. */
export function oneLine(message: string): string {
  return message.replace(/[\s│┌─^]+/g, " ").trim();
}
