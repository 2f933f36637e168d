/**
 * The owner of all storages of a device: it makes and frees them, keeps the arenas that are open,
 * and records captured steps.
 *
 * A storage gets memory when it is made or, inside a captured step, when the recording ends. It is
 * freed by hand, with its arena, or with the captured step that it belongs to.
 *
 * @module
 */
import type { Backend, Memory, Region } from "./backend.ts";
import { CaptureError } from "./errors.ts";
import { layOut, type Recording, Scratch } from "./recording.ts";
import type { Arena, Pack, Storage, StorageOwner, Tensor } from "./tensor.ts";

/** A recorded step: its program and the memory that it runs in. */
export interface Recorded {
  /** Runs the step again. @throws {CaptureError} inside another recording. */
  run(): void;
  /** Storages from outside the step that must be alive when it runs. */
  readonly externals: readonly Storage[];
  /** Frees the step's memory. */
  dispose(): void;
}

/** A value, and the tensors that were made for it. */
export interface Held<T> extends Disposable {
  /** The value. */
  readonly value: T;
  /** Frees these tensors, and no others. */
  dispose(): void;
}

/** The storages of one device. */
export class DeviceMemory implements StorageOwner {
  /** The step that is being recorded, if there is one. */
  recording: Recording | undefined;
  readonly #backend: Backend;
  /** What was made in each open arena and has not left it. */
  readonly #arenas: Set<Storage>[] = [];
  /** How many storages outside captured steps are alive, by what made them. */
  readonly #alive = new Map<string, number>();
  readonly #scratch: Scratch;

  /** Storages in the memory of `backend`. */
  constructor(backend: Backend) {
    this.#backend = backend;
    this.#scratch = new Scratch(backend);
    backend.census = () => this.#census();
  }

  /**
   * Makes a storage. `fromHost` says that the host writes it now, so it needs memory even in a
   * recording.
   */
  make(bytes: number, label: string, fromHost: boolean): Storage {
    const storage: Storage = {
      memory: undefined,
      bytes,
      label,
      state: "live",
      captured: false,
      owner: this,
    };
    const { recording } = this;
    if (recording === undefined || fromHost) storage.memory = this.#backend.allocate(bytes);
    if (recording === undefined) this.#count(label, 1);
    else if (fromHost) recording.constants.add(storage);
    else recording.transients.add(storage);
    if (this.#arenas.length > (recording?.depth ?? 0)) this.#arenas.at(-1)?.add(storage);
    return storage;
  }

  /** Opens an arena inside those that are open. */
  arena(): Arena {
    const arenas = this.#arenas;
    const made = new Set<Storage>();
    arenas.push(made);
    const dispose = (): void => {
      const depth = arenas.indexOf(made);
      if (depth < 0) return;
      for (const inner of arenas.splice(depth)) for (const storage of inner) this.free(storage);
    };
    return {
      keep: (tensor: Tensor): Tensor => {
        const depth = arenas.indexOf(made);
        if (made.delete(tensor.storage) && depth > 0) arenas[depth - 1].add(tensor.storage);
        return tensor;
      },
      dispose,
      [Symbol.dispose]: dispose,
    };
  }

  /** Runs `body`, whose tensors belong to the result and to no arena. See {@link Held}. */
  hold<T>(body: () => T): Held<T> {
    const arenas = this.#arenas;
    const depth = arenas.length;
    const made = new Set<Storage>();
    const dispose = (): void => {
      for (const storage of made) this.free(storage);
      made.clear();
    };
    arenas.push(made);
    try {
      return { value: body(), dispose, [Symbol.dispose]: dispose };
    } catch (error) {
      dispose();
      throw error;
    } finally {
      arenas.length = depth;
    }
  }

  /**
   * Frees a storage. Does nothing if it is free already or belongs to a captured step, which frees
   * it.
   *
   * @throws {CaptureError} if a step is being recorded that did not make the storage.
   */
  free(storage: Storage): void {
    if (storage.state !== "live" || storage.captured) return;
    if (this.recording) {
      const { transients, constants } = this.recording;
      if (!transients.has(storage) && !constants.has(storage)) {
        throw new CaptureError(
          `Cannot free a tensor from ${storage.label} inside a captured step: ` +
            "it must be made in the step",
        );
      }
      storage.state = "freed";
      return;
    }
    storage.state = "freed";
    this.#count(storage.label, -1);
    for (const made of this.#arenas) made.delete(storage);
    this.#release(storage);
  }

  /** The elements in place, if the host can see them. */
  peek(region: Region): ArrayLike<number> | undefined {
    return this.#backend.view?.(region);
  }

  /** Moves a storage to a place in a pack. A pack that it leaves cannot be used any more. */
  move(storage: Storage, memory: Memory, pack: Pack): void {
    const old = storage.pack?.whole;
    this.#release(storage);
    if (old?.state === "live") {
      this.free(old);
      old.state = "repacked";
    }
    storage.memory = memory;
    storage.pack = pack;
  }

  /**
   * Records `step`: runs it without launching anything, then gives memory to what it made. Its
   * outputs stay alive as long as the recorded step.
   *
   * @throws {CaptureError} inside another recording.
   * @throws {DeviceError} if its memory does not fit.
   */
  record(step: () => readonly Tensor[]): Recorded {
    this.refuseRecording("capture a step");
    const backend = this.#backend;
    const recording: Recording = {
      depth: this.#arenas.length,
      launches: [],
      transients: new Set(),
      constants: new Set(),
      collections: [],
      feeds: [],
    };
    const { transients, constants, feeds } = recording;
    const memories: Memory[] = [];
    const release = (): void => {
      for (const storage of [...transients, ...constants]) storage.state = "freed";
      for (const storage of constants) memories.push(storage.memory as Memory);
      for (const memory of memories) backend.release(memory);
    };
    try {
      this.recording = recording;
      const outputs = new Set(step().map((t) => (t.region("return"), t.storage)));
      const { program, externals } = layOut(backend, this.#scratch, recording, outputs, memories);
      for (const storage of transients) {
        if (!outputs.has(storage)) storage.state = "reused";
        storage.captured = true;
      }
      for (const storage of constants) storage.captured = true;
      return {
        externals,
        run: (): void => {
          this.refuseRecording("run a captured step");
          for (const { storage, values } of feeds) {
            backend.upload(storage.memory as Memory, values());
          }
          program.run();
        },
        dispose: (): void => {
          program.dispose();
          release();
        },
      };
    } catch (error) {
      release();
      throw error;
    } finally {
      this.#arenas.length = recording.depth;
      this.recording = undefined;
    }
  }

  /** Refuses an action inside a recording. @throws {CaptureError} */
  refuseRecording(action: string): void {
    if (this.recording) {
      throw new CaptureError(
        `Cannot ${action} inside a captured step: ` +
          "a step must be free of reads and writes by the host",
      );
    }
  }

  #count(label: string, by: 1 | -1): void {
    this.#alive.set(label, (this.#alive.get(label) ?? 0) + by);
  }

  /** The end of an out-of-memory error. */
  #census(): string {
    const counts = [...this.#alive].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
    if (counts.length === 0) return "";
    const total = counts.reduce((sum, [, n]) => sum + n, 0);
    const most = counts.slice(0, 3).map(([label, n]) => `${n} from ${label}`).join(", ");
    return `; tensors alive: ${total} (${most}${counts.length > 3 ? ", ..." : ""}); ` +
      "those made below `using scope = device.arena()` are freed at the end of its block";
  }

  /** Releases a storage's memory, or its share of a pack. */
  #release({ memory, pack }: Storage): void {
    if (pack === undefined) {
      if (memory) this.#backend.release(memory);
    } else if (--pack.live === 0) this.#backend.release(pack.memory);
  }
}
