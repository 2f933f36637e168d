/**
 * What a kernel asks of an adapter. Not every runtime checks all of it, and a kernel past a limit may crash a driver.
 *
 * @module
 */
import { DeviceError } from "./errors.ts";
import type { Kernel } from "./kernel.ts";

/** The limits that kernels are held against. */
export type KernelLimits = Pick<
  GPUSupportedLimits,
  "maxStorageBuffersPerShaderStage" | "maxComputeWorkgroupStorageSize"
>;

/** Sizes of elements in WGSL, each from one element of an array to the next. */
const STRIDES: Readonly<Record<string, number>> = {
  ...{ f32: 4, i32: 4, u32: 4, "atomic<i32>": 4, "atomic<u32>": 4 },
  ...{
    vec2f: 8,
    vec2i: 8,
    vec2u: 8,
    vec3f: 16,
    vec3i: 16,
    vec3u: 16,
    vec4f: 16,
    vec4i: 16,
    vec4u: 16,
  },
};

/** Throws {@link DeviceError} if a kernel exceeds what the adapter allows. */
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
 * The bytes of a kernel's workgroup variables, each rounded up to 16 as WebGPU counts them. They must be scalars,
 * vectors, or arrays of these whose size is a number, by names of one word (`vec4f`).
 *
 * @throws {DeviceError} if a variable is of another type.
 */
export function workgroupBytes({ name, wgsl }: Pick<Kernel, "name" | "wgsl">): number {
  const aliases = Object.fromEntries(
    [...wgsl.matchAll(/\balias\s+(\w+)\s*=\s*(\w+)\s*;/g)].map(([, from, to]) => [from, to]),
  );
  const bytesOf = (type: string): number => {
    const array = /^array<(.+),(\d+)u?>$/.exec(type);
    const bytes = array ? bytesOf(array[1]) * Number(array[2]) : STRIDES[aliases[type] ?? type];
    if (bytes !== undefined) return bytes;
    throw new DeviceError(
      `Cannot run ${name}: its workgroup variables must be numbers, vectors, or arrays of these, got ${type}`,
    );
  };
  let total = 0;
  for (const [, type] of wgsl.matchAll(/var<workgroup>\s*\w+\s*:\s*([^;]+);/g)) {
    total += Math.ceil(bytesOf(type.replace(/\s/g, "")) / 16) * 16;
  }
  return total;
}
