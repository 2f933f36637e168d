/**
 * Lifetimes. A storage is born with memory of its own or, inside a captured step, without; it ends by hand, with the
 * arena that it was born in, or with the captured step that owns it.
 *
 * @module
 */
import { type Arena, openArena } from "./arena.ts";
import type { Backend, Memory } from "./backend.ts";
import { CaptureError } from "./errors.ts";
import type { Recording } from "./recording.ts";
import { Scratch } from "./scratch.ts";
import type { Pack, Storage } from "./tensor.ts";

/** The storages of a device. */
export class Heap {
  readonly #backend: Backend;
  readonly #scopes: Set<Storage>[] = [];
  /** How many storages are alive that belong to no captured step, by what made them. */
  readonly #alive = new Map<string, number>();
  /** The captured step that is being recorded, if one is. */
  recording: Recording | undefined;
  /** What captured steps have their intermediates in. */
  readonly scratch: Scratch;

  /** Storages in this backend's memory. */
  constructor(backend: Backend) {
    this.#backend = backend;
    backend.census = () => this.#census();
    this.scratch = new Scratch(backend);
  }

  /** How many arenas are open. */
  get depth(): number {
    return this.#scopes.length;
  }

  /** A storage; `constant` says that the host will write it now, so that it needs memory even in a recording. */
  store(bytes: number, label: string, constant: boolean): Storage {
    const storage: Storage = { memory: undefined, bytes, label, state: "live", owned: false };
    const { recording } = this;
    if (recording && !constant) recording.transients.add(storage);
    else storage.memory = this.#backend.allocate(bytes);
    if (recording && constant) recording.constants.add(storage);
    if (!recording) this.#count(label, 1);
    if (this.depth > (recording?.depth ?? 0)) this.#scopes.at(-1)?.add(storage);
    return storage;
  }

  /** Opens an arena inside those that are open. */
  arena(): Arena {
    return openArena(this.#scopes, (storage) => this.free(storage));
  }

  /** Forgets the arenas beyond the first `depth`, without freeing what was born in them. */
  forget(depth: number): void {
    this.#scopes.length = depth;
  }

  /**
   * Ends a storage, once; one that a captured step owns ends with that step.
   *
   * @throws {CaptureError} if a step is being recorded and the storage is not born in it.
   */
  free(storage: Storage): void {
    if (storage.state !== "live" || storage.owned) return;
    if (this.recording) {
      const { transients, constants } = this.recording;
      if (!transients.has(storage) && !constants.has(storage)) {
        throw new CaptureError(
          `Cannot free a tensor from ${storage.label} inside a captured step: it must be born in the step`,
        );
      }
      storage.state = "freed";
      return;
    }
    storage.state = "freed";
    this.#count(storage.label, -1);
    for (const born of this.#scopes) born.delete(storage);
    this.#release(storage);
  }

  /** Gives a storage another place, in a pack. A pack that it was in before is of no use any more. */
  move(storage: Storage, memory: Memory, pack: Pack): void {
    const old = storage.pack?.whole;
    this.#release(storage);
    if (old?.state === "live") {
      this.free(old);
      old.state = "left";
    }
    storage.memory = memory;
    storage.pack = pack;
  }

  /** @throws {CaptureError} if a step is being recorded. */
  refuseRecording(action: string): void {
    if (this.recording) {
      throw new CaptureError(
        `Cannot ${action} inside a captured step: a step must be free of reads and writes by the host`,
      );
    }
  }

  #count(label: string, by: 1 | -1): void {
    this.#alive.set(label, (this.#alive.get(label) ?? 0) + by);
  }

  #census(): string {
    const counts = [...this.#alive].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
    if (counts.length === 0) return "";
    const total = counts.reduce((sum, [, n]) => sum + n, 0);
    const most = counts.slice(0, 3).map(([label, n]) => `${n} from ${label}`).join(", ");
    return `; tensors alive: ${total} (${most}${counts.length > 3 ? ", ..." : ""}); ` +
      "those made below `using scope = device.arena()` are freed at the end of its block";
  }

  /** Gives a storage's memory back, or its share of a pack. */
  #release({ memory, pack }: Storage): void {
    if (pack === undefined) {
      if (memory) this.#backend.release(memory);
    } else if (--pack.live === 0) this.#backend.release(pack.memory);
  }
}
