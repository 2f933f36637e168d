/**
 * A captured step between its recording and its replays: what it launched, which of its tensors
 * share memory, and the program that runs again.
 *
 * @module
 */
import type { Backend, Launch, Memory, Program } from "./backend.ts";
import type { TypedArray } from "./dtype.ts";
import type { Storage } from "./tensor.ts";

/** A launch and the storages of its regions. */
export interface RecordedLaunch {
  /** The launch. */
  readonly launch: Launch;
  /** The storages of its buffers. */
  readonly storages: readonly Storage[];
  /** The storage of `leading.count`. */
  readonly count?: Storage;
}

/** Where a storage lies in a larger memory, in bytes. */
export interface Part {
  /** Where it begins. */
  readonly offset: number;
  /** The room that it has. */
  readonly bytes: number;
}

/** Storages that will lie in one memory of their own. */
export interface Collection {
  /** The storage that covers all of it. */
  readonly whole: Storage;
  /** The others in it. */
  readonly parts: ReadonlyMap<Storage, Part>;
}

/** A step that is being recorded. */
export interface Recording {
  /** How many arenas were open when the recording began. They do not own what the step makes. */
  readonly depth: number;
  /** What the step launched. */
  readonly launches: RecordedLaunch[];
  /** Storages made in the step, which get memory when it ends. */
  readonly transients: Set<Storage>;
  /** Storages made in the step with contents from the host. */
  readonly constants: Set<Storage>;
  /** The transients that will lie together. */
  readonly collections: Collection[];
  /** Constants whose contents the host computes anew before each run. */
  readonly feeds: { readonly storage: Storage; readonly values: () => TypedArray }[];
}

/** What a recorded step runs on. */
export interface StepProgram {
  /** Runs all launches. */
  readonly program: Program;
  /** Storages from outside the step that it uses. */
  readonly externals: readonly Storage[];
}

/**
 * Gives memory to the storages of a recording and compiles its launches. Intermediates whose
 * lifetimes do not overlap share a slot of `scratch`. Outputs and collections get memory of their
 * own, which is added to `memories`. The program is compiled again before a run if a storage from
 * outside or `scratch` has moved.
 */
export function layOut(
  backend: Backend,
  scratch: Scratch,
  { launches, transients, constants, collections }: Recording,
  outputs: ReadonlySet<Storage>,
  memories: Memory[],
): StepProgram {
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
  const isExternal = (s: Storage): boolean => !transients.has(s) && !constants.has(s);
  const externals = new Set(used.flat().filter(isExternal));

  let compiled: Program | undefined;
  let version: number | undefined; // of `share`, when compiled
  const places = new Map<Storage, Memory | undefined>(); // of externals, when compiled
  const compile = (): void => {
    for (const [storage, slot] of slotOf) storage.memory = share.slot(slot);
    for (const { launch, storages, count } of launches) {
      launch.regions.forEach((region, i) => region.memory = storages[i].memory as Memory);
      if (launch.leading && count) launch.leading.count.memory = count.memory as Memory;
    }
    const before = compiled;
    compiled = backend.compile(launches.map((l) => l.launch));
    before?.dispose();
    version = share.version; // if compiling fails, the next run tries again
    for (const storage of externals) places.set(storage, storage.memory);
  };
  const hasMoved = (): boolean => {
    if (share.version !== version) return true;
    for (const [storage, memory] of places) if (storage.memory !== memory) return true;
    return false;
  };
  try {
    compile();
  } catch (error) {
    share.release();
    throw error;
  }
  const program: Program = {
    run: () => {
      if (hasMoved()) compile();
      compiled?.run();
    },
    dispose: () => {
      compiled?.dispose();
      share.release();
    },
  };
  return { program, externals: [...externals] };
}

/** Slots of memory, and the slot of each intermediate. */
export interface SlotPlan<S> {
  /** The bytes of each slot. */
  readonly bytes: readonly number[];
  /** The slot of each intermediate that a launch uses. */
  readonly slotOf: ReadonlyMap<S, number>;
}

/** The first and the last launch that use an intermediate. */
interface Lifetime<S> {
  readonly storage: S;
  first: number;
  last: number;
}

/**
 * Assigns slots of memory to intermediates, largest first: each gets the smallest slot that is free
 * from its first use to its last. Storages outside `transients` get none.
 */
export function planSlots<S extends { readonly bytes: number }>(
  launches: readonly (readonly S[])[],
  transients: ReadonlySet<S>,
): SlotPlan<S> {
  const lifetimes = new Map<S, Lifetime<S>>();
  launches.forEach((storages, i) => {
    for (const storage of storages) {
      if (!transients.has(storage)) continue;
      const lifetime = lifetimes.get(storage);
      if (lifetime) lifetime.last = i;
      else lifetimes.set(storage, { storage, first: i, last: i });
    }
  });
  const ordered = [...lifetimes.values()].sort((a, b) =>
    b.storage.bytes - a.storage.bytes || a.first - b.first
  );
  const bytes: number[] = [];
  const slots: Lifetime<S>[][] = []; // from the largest to the smallest
  const slotOf = new Map<S, number>();
  for (const lifetime of ordered) {
    const { storage, first, last } = lifetime;
    let slot = slots.findLastIndex((others) =>
      others.every((other) => other.last < first || last < other.first)
    );
    if (slot < 0) {
      slot = bytes.push(storage.bytes) - 1;
      slots.push([]);
    }
    slots[slot].push(lifetime);
    slotOf.set(storage, slot);
  }
  return { bytes, slotOf };
}

/** One step's share of {@link Scratch}. */
export interface ScratchShare {
  /** Changes whenever the memory has moved. */
  readonly version: number;
  /**
   * The memory of the step's i-th slot.
   *
   * @throws {DeviceError} if the slots do not fit the device any more.
   */
  slot(i: number): Memory;
  /** Ends the share. */
  release(): void;
}

/**
 * Memory for the intermediates of captured steps. Steps run one after another and read nothing that
 * an earlier run left, so all steps of a device share it. It is as large as the largest step needs.
 */
export class Scratch {
  readonly #backend: Backend;
  #slots: readonly Memory[] = []; // from the largest to the smallest
  #bytes: readonly number[] = [];
  #shares = 0;
  #version = 0;

  /** Slots in the memory of `backend`. */
  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Makes room for slots of these sizes. The largest gets the largest slot, and so on, so steps
   * that differ only in their shapes need as much as one of them.
   *
   * @throws {DeviceError} if they do not fit; other steps then get new slots when they run next.
   */
  share(bytes: readonly number[]): ScratchShare {
    const order = [...bytes.keys()].sort((a, b) => bytes[b] - bytes[a]);
    const rank = new Map(order.map((slot, place) => [slot, place]));
    const wanted = order.map((slot) => bytes[slot]);
    const length = Math.max(wanted.length, this.#bytes.length);
    const grown = Array.from({ length }, (_, i) => Math.max(wanted[i] ?? 0, this.#bytes[i] ?? 0));
    if (grown.some((size, i) => size > (this.#bytes[i] ?? -1))) this.#resize(grown);
    this.#shares++;
    const version = (): number => this.#version;
    return {
      get version(): number {
        return version();
      },
      slot: (i) => {
        if (this.#slots.length === 0) this.#allocate(); // an earlier attempt to grow has failed
        return this.#slots[rank.get(i) as number];
      },
      release: () => {
        if (--this.#shares === 0) this.#clear();
      },
    };
  }

  #resize(bytes: readonly number[]): void {
    const before = this.#bytes;
    this.#clear();
    this.#bytes = bytes;
    try {
      this.#allocate();
    } catch (error) {
      this.#bytes = before;
      throw error;
    }
  }

  #allocate(): void {
    const slots: Memory[] = [];
    try {
      for (const size of this.#bytes) slots.push(this.#backend.allocate(size));
    } catch (error) {
      for (const slot of slots) this.#backend.release(slot);
      throw error;
    }
    this.#slots = slots;
  }

  #clear(): void {
    for (const slot of this.#slots) this.#backend.release(slot);
    this.#slots = [];
    this.#bytes = [];
    this.#version++;
  }
}
