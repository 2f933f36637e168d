/**
 * Tensors one after another in one memory, so that an optimiser updates all of them with one
 * launch. Each begins at a multiple of `PACK_ALIGN` elements, and the gaps are zero. 64 elements
 * are at least 256 bytes, where a WebGPU binding and a cache line may begin.
 *
 * @module
 */
import type { Memory } from "./backend.ts";
import { internals } from "./device.ts";
import { bytesPerElement } from "./dtype.ts";
import { ArgumentError, DTypeError } from "./errors.ts";
import { defineKernel, type Kernel } from "./kernel.ts";
import type { Part, Recording } from "./recording.ts";
import { formatShape } from "./shape.ts";
import type { Pack, Storage, Tensor } from "./tensor.ts";

/** Tensors in a pack begin at multiples of this many elements. */
const PACK_ALIGN = 64;

/**
 * The elements that a tensor of `size` occupies in a pack. An empty tensor occupies some too,
 * because WebGPU binds no empty memory.
 */
export function packedSize(size: number): number {
  return Math.ceil(Math.max(size, 1) / PACK_ALIGN) * PACK_ALIGN;
}

/**
 * Moves tensors into one memory and returns a tensor (N) over all of it. Views and captured steps
 * follow. The memory is freed when the returned tensor and all of the others are. Tensors that are
 * packed again leave their old pack, whose tensor cannot be used any more.
 *
 * @throws {ArgumentError} if the list is empty, or a tensor is not all of its memory, appears
 * twice, or belongs to a captured step.
 * @throws {CaptureError} inside a captured step.
 * @throws {DTypeError} if a tensor is not of the device's float type.
 * @throws {DisposedError} if a tensor's memory was freed.
 * @throws {DeviceError} if two tensors are on two devices, or the pack does not fit.
 */
export function pack(tensors: readonly Tensor[]): Tensor {
  checkAny("pack", tensors);
  const { backend, memory } = internals(tensors[0].device);
  memory.refuseRecording("pack tensors");
  checkMovable(tensors);
  const { whole, parts } = placed("pack", tensors);
  const { storage } = whole;
  const packed = storage.memory as Memory;
  const pack: Pack = { memory: packed, whole: storage, live: 1 + tensors.length };
  storage.pack = pack;
  for (const [part, { offset, bytes }] of parts) {
    memory.move(part, backend.part(packed, offset, bytes), pack);
  }
  return whole;
}

/**
 * A tensor (N) with the elements of others, laid out as {@link pack} does, without moving them. In
 * a captured step, tensors made in the step are computed there in the first place if possible, and
 * only the rest are copied; so neither they nor the result may be written to afterwards.
 *
 * @throws {ArgumentError} if the list is empty.
 * @throws {DTypeError} if a tensor is not of the device's float type.
 * @throws {DisposedError} if a tensor's memory was freed.
 * @throws {DeviceError} if two tensors are on two devices, or the result does not fit.
 */
export function collect(tensors: readonly Tensor[]): Tensor {
  checkAny("collect", tensors);
  const { recording } = internals(tensors[0].device).memory;
  if (recording === undefined) return placed("collect", tensors).whole;
  const inPlace = collectable(recording, tensors);
  const { whole, parts } = placed("collect", tensors, inPlace);
  for (const storage of parts.keys()) if (!inPlace.has(storage)) parts.delete(storage);
  recording.collections.push({ whole: whole.storage, parts });
  return whole;
}

/**
 * The storages of `tensors` that may lie in one memory: those made in the step that no collection
 * holds yet, and that one tensor covers alone. A launch that reads one of them and writes another
 * would use one buffer in two roles, which WebGPU forbids, so the one that is read is left out.
 */
function collectable(
  { launches, transients, collections }: Recording,
  tensors: readonly Tensor[],
): Set<Storage> {
  const taken = new Set(collections.flatMap(({ whole, parts }) => [whole, ...parts.keys()]));
  const fit = new Set<Storage>();
  const seen = new Set<Storage>();
  for (const tensor of tensors) {
    const { storage } = tensor;
    const once = !seen.has(storage);
    if (once && isAll(tensor) && transients.has(storage) && !taken.has(storage)) fit.add(storage);
    else fit.delete(storage);
    seen.add(storage);
  }
  for (const { launch, storages: used } of launches) {
    const uses = Object.values(launch.kernel.buffers);
    const reads = (i: number): boolean => uses[i].startsWith("read");
    if (!used.some((s, i) => fit.has(s) && !reads(i))) continue;
    used.forEach((s, i) => reads(i) && fit.delete(s));
  }
  return fit;
}

/**
 * A new tensor over a pack of `tensors`, and the place of each. Copies all elements except those of
 * storages that are `inPlace`.
 */
function placed(
  action: string,
  tensors: readonly Tensor[],
  inPlace: ReadonlySet<Storage> = new Set(),
): { whole: Tensor; parts: Map<Storage, Part> } {
  const { device } = tensors[0];
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
      if (inPlace.has(x.storage)) return;
      device.run(place, { x, out: whole }, { N: x.size, at: starts[i], room: packedSize(x.size) });
    });
  } catch (error) {
    whole.dispose();
    throw error;
  }
  return { whole, parts };
}

/** Whether a tensor covers its memory. */
function isAll({ size, dtype, storage }: Tensor): boolean {
  return size * bytesPerElement(dtype) === storage.bytes;
}

function checkAny(action: string, tensors: readonly Tensor[]): void {
  if (tensors.length > 0) return;
  throw new ArgumentError(`Cannot ${action} no tensors: there must be at least one, got 0`);
}

/** Refuses tensors that cannot be moved. */
function checkMovable(tensors: readonly Tensor[]): void {
  const seen = new Set<Storage>();
  for (const tensor of tensors) {
    const { storage, shape } = tensor;
    const refuse = (requirement: string): never => {
      throw new ArgumentError(
        `Cannot pack a tensor of shape ${formatShape(shape)} from ${storage.label}: ${requirement}`,
      );
    };
    if (storage.captured) refuse("it must not belong to a captured step, but it does");
    if (storage.pack?.whole === storage) refuse("it must not be a pack, but it is");
    if (seen.has(storage)) refuse("no other may share its memory, but one does");
    if (!isAll(tensor)) refuse(`it must be all of its memory, got ${storage.bytes} bytes`);
    seen.add(storage);
  }
}

/**
 * out[at + i] = x[i] for i below N, then zeros up to `room` elements. One invocation for each
 * element of the room.
 */
export const place: Kernel<
  { readonly x: "read float"; readonly out: "update float" },
  { readonly N: "u32"; readonly at: "u32"; readonly room: "u32" }
> = defineKernel({
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
