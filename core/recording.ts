/**
 * What a captured step is between its recording and its replay: the launches, and where their tensors will lie.
 *
 * @module
 */
import type { Backend, Launch, Memory, Program } from "./backend.ts";
import type { TypedArray } from "./dtype.ts";
import type { Heap } from "./heap.ts";
import { isAll, type Part } from "./pack.ts";
import { planSlots } from "./plan.ts";
import type { Scratch } from "./scratch.ts";
import type { Storage, Tensor } from "./tensor.ts";

/** Storages that will lie in one memory of their own. */
export interface Collection {
  /** All of it. */
  readonly whole: Storage;
  /** The others in it. */
  readonly parts: ReadonlyMap<Storage, Part>;
}

/** A launch, and the storages that its regions are of. */
export interface RecordedLaunch {
  /** The launch. */
  readonly launch: Launch;
  /** Those of its buffers. */
  readonly storages: readonly Storage[];
  /** That of `leading.count`. */
  readonly count?: Storage;
}

/** A step that is being recorded. */
export interface Recording {
  /** How many arenas were open when the recording began: their lifetimes are not the step's. */
  readonly depth: number;
  /** What was launched. */
  readonly launches: RecordedLaunch[];
  /** Born in the step, and laid out when it ends. */
  readonly transients: Set<Storage>;
  /** Born in the step with contents from the host. */
  readonly constants: Set<Storage>;
  /** The transients that will lie together. */
  readonly collections: Collection[];
  /** Constants whose contents the host gives anew before each run. */
  readonly feeds: { readonly storage: Storage; readonly values: () => TypedArray }[];
}

/** A recorded step: its program, and the memory it lives in. Internal to capture. */
export interface Recorded {
  /** Runs the step again. @throws {CaptureError} inside another recording. */
  run(): void;
  /** Memory from outside the step that must still be alive when it runs. */
  readonly externals: readonly Storage[];
  /** Gives the step's memory back. */
  dispose(): void;
}

/**
 * Runs `step` without launching anything and lays out what it would have launched; the outputs that it returns stay
 * alive.
 *
 * @throws {CaptureError} inside another recording.
 */
export function record(backend: Backend, heap: Heap, step: () => readonly Tensor[]): Recorded {
  heap.refuseRecording("capture a step");
  const { depth } = heap;
  const recording: Recording = {
    depth,
    launches: [],
    transients: new Set(),
    constants: new Set(),
    collections: [],
    feeds: [],
  };
  const { transients, constants } = recording;
  const memories: Memory[] = [];
  const release = (): void => {
    for (const storage of [...transients, ...constants]) storage.state = "freed";
    for (const storage of constants) memories.push(storage.memory as Memory);
    for (const memory of memories) backend.release(memory);
  };
  try {
    heap.recording = recording;
    const outputs = new Set(step().map((t) => (t.region("return"), t.storage)));
    heap.recording = undefined;
    const { program, externals } = layOut(backend, heap.scratch, recording, outputs, memories);
    for (const storage of transients) {
      if (!outputs.has(storage)) storage.state = "captured";
      storage.owned = true;
    }
    for (const storage of constants) storage.owned = true;
    const run = (): void => {
      heap.refuseRecording("run a captured step");
      for (const { storage, values } of recording.feeds) {
        backend.upload(storage.memory as Memory, values());
      }
      program.run();
    };
    const dispose = (): void => {
      program.dispose();
      release();
    };
    return { run, externals, dispose };
  } catch (error) {
    release();
    throw error;
  } finally {
    heap.forget(depth);
    heap.recording = undefined;
  }
}

/**
 * The storages of `tensors` that may lie in one memory: those born in the step that lie in no such memory yet, and of
 * which one tensor is here and is all. A launch that reads one of them beside another that it writes would have one
 * buffer in two roles, which WebGPU forbids: those that are read so may not.
 */
export function collectable(
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
 * Lays out the storages of a recording. Intermediates whose lives do not overlap share a slot of `scratch`; outputs, and what
 * lies together, have memory of their own, which is added to `memories`. What has moved since, a tensor from outside or
 * `scratch`, is found where it is.
 */
function layOut(
  backend: Backend,
  scratch: Scratch,
  { launches, transients, constants, collections }: Recording,
  outputs: ReadonlySet<Storage>,
  memories: Memory[],
): { readonly program: Program; readonly externals: readonly Storage[] } {
  const allocate = (bytes: number): Memory => {
    const memory = backend.allocate(bytes);
    memories.push(memory);
    return memory;
  };
  const shared = new Set(transients);
  for (const { whole, parts } of collections) {
    whole.memory = allocate(whole.bytes);
    backend.upload(whole.memory, new Float32Array(whole.bytes / 4));
    shared.delete(whole);
    for (const [storage, { offset, bytes }] of parts) {
      storage.memory = backend.part(whole.memory, offset, bytes);
      shared.delete(storage);
    }
  }
  for (const storage of outputs) {
    if (shared.delete(storage)) storage.memory = allocate(storage.bytes);
  }
  const used = launches.map(({ storages, count }) => count ? [...storages, count] : storages);
  const { bytes, slotOf } = planSlots(used, shared);
  const share = scratch.share(bytes);
  const externals = new Map<Storage, Memory>();
  for (const storages of used) {
    for (const storage of storages) {
      if (transients.has(storage) || constants.has(storage)) continue;
      externals.set(storage, storage.memory as Memory);
    }
  }
  let version = -1;
  const bind = (): Program => {
    for (const [storage, slot] of slotOf) storage.memory = share.slot(slot);
    for (const { launch, storages, count } of launches) {
      launch.regions.forEach((region, i) => region.memory = storages[i].memory as Memory);
      if (launch.leading && count) launch.leading.count.memory = count.memory as Memory;
    }
    const compiled = backend.compile(launches.map((l) => l.launch));
    ({ version } = share); // where that failed, the next run tries again
    return compiled;
  };
  let program: Program;
  try {
    program = bind();
  } catch (error) {
    share.release();
    throw error;
  }
  const follow = (): void => {
    const before = program;
    program = bind();
    before.dispose();
    for (const storage of externals.keys()) externals.set(storage, storage.memory as Memory);
  };
  const hasMoved = (): boolean => {
    if (share.version !== version) return true;
    for (const [storage, memory] of externals) if (storage.memory !== memory) return true;
    return false;
  };
  const run = (): void => {
    if (hasMoved()) follow();
    program.run();
  };
  return {
    program: {
      run,
      dispose: () => {
        program.dispose();
        share.release();
      },
    },
    externals: [...externals.keys()],
  };
}
