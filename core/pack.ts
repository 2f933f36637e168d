/**
 * How tensors lie one after another in one memory: each begins at a multiple of `PACK_ALIGN` elements, and what is left
 * up to the next is zero. 64 elements are 256 bytes at least, where a WebGPU binding and a line of the cache may begin.
 *
 * @module
 */
import { bytesPerElement } from "./dtype.ts";
import { ArgumentError, DTypeError } from "./errors.ts";
import { defineKernel } from "./kernel.ts";
import { formatShape } from "./shape.ts";
import type { Device } from "./device.ts";
import type { Storage, Tensor } from "./tensor.ts";

/** Tensors in a pack begin at multiples of this many elements. */
export const PACK_ALIGN = 64;

/**
 * The elements that a tensor of `size` takes up in a pack. An empty tensor takes up some too: WebGPU
 * binds no empty memory.
 */
export function packedSize(size: number): number {
  return Math.ceil(Math.max(size, 1) / PACK_ALIGN) * PACK_ALIGN;
}

/** out[at + i] = x[i] for i below N, then zeros for the rest of `room` elements. One invocation an element of the room. */
export const place = defineKernel({
  name: "place",
  buffers: { x: "read float", out: "update float" },
  params: { N: "u32", at: "u32", room: "u32" },
  cpu({ x, out }, { N, at, room }): void {
    for (let i = 0; i < N; i++) out[at + i] = x[i];
    out.fill(0, at + N, at + room);
  },
  invocations: ({ room }) => room,
  wgsl: `
fn kernel(i: u32) {
  var value = 0.0;
  if (i < p.N) { value = x[i]; }
  out[p.at + i] = value;
}`,
  cases: () => [
    {
      name: "between others",
      params: { N: 3, at: 2, room: 5 },
      buffers: { x: [1, 2, 3], out: [9, 9, 9, 9, 9, 9, 9, 9] },
    },
    {
      name: "a full room",
      params: { N: 2, at: 0, room: 2 },
      buffers: { x: [1, 2], out: [9, 9, 9] },
    },
  ],
});

/** Where a storage lies in a pack, and how far it may reach, in bytes. */
export interface Part {
  /** Where it begins. */
  readonly offset: number;
  /** Its room. */
  readonly bytes: number;
}

/** A new tensor over a pack of `tensors`, to which all elements are copied but those of storages that are `laid` there. */
export function laidOut(
  device: Device,
  action: string,
  tensors: readonly Tensor[],
  laid: ReadonlySet<Storage> = new Set(),
): { whole: Tensor; parts: Map<Storage, Part> } {
  if (tensors.length === 0) {
    throw new ArgumentError(`Cannot ${action} no tensors: there must be one at least, got 0`);
  }
  const elementBytes = bytesPerElement(device.float);
  const parts = new Map<Storage, Part>();
  let total = 0;
  const starts = tensors.map((tensor) => {
    const { size, dtype, storage } = tensor;
    tensor.region(action);
    if (dtype !== device.float) {
      throw new DTypeError(
        `Cannot ${action} tensors: all must be ${device.float}, got one of ${dtype}`,
      );
    }
    const at = total;
    total += packedSize(size);
    parts.set(storage, { offset: at * elementBytes, bytes: packedSize(size) * elementBytes });
    return at;
  });
  const whole = device.empty([total], device.float, action);
  try {
    tensors.forEach((x, i) => {
      if (laid.has(x.storage)) return;
      device.run(place, { x, out: whole }, { N: x.size, at: starts[i], room: packedSize(x.size) });
    });
  } catch (error) {
    whole.dispose();
    throw error;
  }
  return { whole, parts };
}

/** Whether a tensor is all that its memory holds. */
export function isAll({ size, dtype, storage }: Tensor): boolean {
  return size * bytesPerElement(dtype) === storage.bytes;
}

/** Refuses tensors that cannot be moved. */
export function checkMovable(tensors: readonly Tensor[]): void {
  const seen = new Set<Storage>();
  for (const tensor of tensors) {
    const { storage, shape } = tensor;
    const refuse = (requirement: string): never => {
      throw new ArgumentError(
        `Cannot pack a tensor of shape ${formatShape(shape)} from ${storage.label}: ${requirement}`,
      );
    };
    if (storage.owned) refuse("it must not be a captured step's, but it is");
    if (storage.pack?.whole === storage) refuse("it must not be a pack, but it is");
    if (seen.has(storage)) refuse("no other may share its memory, but one does");
    if (!isAll(tensor)) refuse(`it must be all of its memory, got ${storage.bytes} bytes`);
    seen.add(storage);
  }
}
