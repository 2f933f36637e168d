/**
 * The file system: writes that leave either the old file or the new one after a crash, and errors
 * that say what to do.
 *
 * Nothing here imports a module of Node: they are asked for when they are needed. So a bundle for a
 * browser holds no `node:` import, and only a path, which a browser cannot read, is refused there.
 *
 * @module
 */
import { DataError, NonFiniteError } from "../core/errors.ts";
import type { SafeTensors } from "../models/safetensors.ts";
import type { Folder, OpenFile } from "./folder.ts";

/** Node's modules, which Deno and Bun have too. */
const node = {
  get fs() {
    return runtime().getBuiltinModule("node:fs");
  },
  get os() {
    return runtime().getBuiltinModule("node:os");
  },
  get path() {
    return runtime().getBuiltinModule("node:path");
  },
};

/** The global that has Node's modules. `path` is what they are needed for. */
function runtime(path = "a path"): NodeJS.Process {
  const { process } = globalThis;
  if (process !== undefined && "getBuiltinModule" in process) return process;
  throw new DataError(`Cannot use ${path}: the runtime must have a file system, got none`);
}

/** What to do about the system's error codes. */
const REQUIREMENTS: Readonly<Record<string, string>> = {
  EACCES: "the user must be allowed to",
  EPERM: "the user must be allowed to",
  EROFS: "its file system must be writable",
  ENOSPC: "its disk must have room",
  EDQUOT: "the user's quota must have room",
  ENOENT: "its folder must exist",
  ENOTDIR: "its folder must not be a file",
  EISDIR: "it must not be a folder",
  EEXIST: "it must not be a file",
  ENOTEMPTY: "it must not be a folder",
  ELOOP: "its links must lead to a file or folder",
  EPIPE: "its reader must still be running",
  ESTALE: "its network file system must still have it",
  ENOLCK: "its file system must have locks to give",
};

/** The names of Deno's permission errors, which have no code. */
const DENO_ERRORS = ["NotCapable", "PermissionDenied"];

/**
 * Writes or replaces a file in one atomic step: the data goes to a new file beside it, which is
 * then renamed. If anything fails, the old file is unchanged and the new one is removed.
 *
 * @throws {DataError} if the system refuses.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const beside = besideOf(path);
  attempt("write", path, () => {
    writeNewFile(beside, data);
    renameInto(path, beside);
  });
}

/**
 * Writes or replaces a file in pieces: they go to a new file beside it, which `commit` renames. The
 * file does not change before that. Disposing it without `commit` removes the new file.
 */
export class AtomicFile implements Disposable {
  readonly #path: string;
  readonly #beside: string;
  readonly #file: number;
  #isOpen = true;

  /**
   * Creates the new file.
   *
   * @throws {DataError} if the system refuses.
   */
  constructor(path: string) {
    this.#path = path;
    this.#beside = besideOf(path);
    // Now, not after the work whose result it holds.
    if (isPresent(path) && node.fs.statSync(path).isDirectory()) {
      throw new DataError(`Cannot write ${path}: it must not be a folder, got one`);
    }
    this.#file = attempt("write", path, () => node.fs.openSync(this.#beside, newFileFlags()));
  }

  /**
   * Adds a text.
   *
   * @throws {DataError} if the system refuses.
   */
  write(text: string): void {
    attempt("write", this.#path, () => node.fs.writeFileSync(this.#file, text));
  }

  /**
   * Puts the new file in place.
   *
   * @throws {DataError} if the system refuses; then the old file is unchanged.
   */
  commit(): void {
    attempt("write", this.#path, () => {
      node.fs.fsyncSync(this.#file);
      this.#close();
      renameInto(this.#path, this.#beside);
    });
  }

  /** Removes the new file, unless it is in place. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#close();
    quietly(() => node.fs.rmSync(this.#beside));
  }

  #close(): void {
    this.#isOpen = false;
    node.fs.closeSync(this.#file);
  }
}

/** A new name in the folder of a file. */
function besideOf(path: string): string {
  const unique = `${runtime().pid}-${crypto.randomUUID().slice(0, 8)}`;
  return node.path.join(
    node.path.dirname(path),
    `.${node.path.basename(path)}.${unique}.tmp`,
  );
}

/** Renames a file that is complete, or removes it. */
function renameInto(path: string, beside: string): void {
  try {
    node.fs.renameSync(beside, path);
  } catch (error) {
    quietly(() => node.fs.rmSync(beside));
    throw error;
  }
  // Without this a power cut may bring the old file back. Not every system can do it.
  quietly(() => withFile(node.path.dirname(path), "r", node.fs.fsyncSync));
}

/** Removes what killed {@link writeFileAtomic}s left behind in a folder. */
export function removeTemporaries(folder: string): void {
  for (const name of node.fs.readdirSync(folder)) {
    if (/^\..+\.tmp$/.test(name)) quietly(() => node.fs.rmSync(node.path.join(folder, name)));
  }
}

/**
 * Writes the files of a folder, which is made if it is missing, one after the other in one atomic
 * step each.
 *
 * @throws {DataError} if the system refuses.
 */
export function writeFiles(folder: string, files: Iterable<readonly [string, Uint8Array]>): void {
  for (const [name, bytes] of files) {
    makeFolder(folder);
    writeFileAtomic(node.path.join(folder, name), bytes);
  }
}

/** Creates a file that must not exist. When this returns it is on the disk, or was removed. */
export function writeNewFile(path: string, data: string | Uint8Array): void {
  withFile(path, newFileFlags(), (file) => {
    try {
      node.fs.writeFileSync(file, data);
      node.fs.fsyncSync(file);
    } catch (error) {
      quietly(() => node.fs.rmSync(path));
      throw error;
    }
  });
}

/** Never an existing file or a link. Windows has no O_NOFOLLOW. */
function newFileFlags(): number {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW = 0 } = node.fs.constants;
  return O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
}

function withFile(path: string, flags: string | number, use: (file: number) => void): void {
  const file = node.fs.openSync(path, flags);
  try {
    use(file);
  } finally {
    node.fs.closeSync(file);
  }
}

/**
 * Removes a file, if it exists.
 *
 * @throws {DataError} if the system refuses.
 */
export function removeFile(path: string): void {
  attempt("remove", path, () => node.fs.rmSync(path, { force: true }));
}

/** Runs something whose failure does not matter. */
export function quietly(run: () => void): void {
  try {
    run();
  } catch {
    // ignored
  }
}

/**
 * Appends a line to a file, which is created if necessary.
 *
 * @throws {DataError} if the system refuses.
 */
export function appendLine(path: string, line: string): void {
  // Not appendFileSync: with it, Deno lets everybody write to a new file.
  attempt(
    "write",
    path,
    () => withFile(path, "a", (file) => node.fs.writeFileSync(file, `${line}\n`)),
  );
}

/** Flushes a file to the disk, where the system can. */
export function syncFile(path: string): void {
  quietly(() => withFile(path, "r+", node.fs.fsyncSync));
}

/**
 * Creates a folder and its parents, where they do not exist.
 *
 * @throws {DataError} if the system refuses.
 */
export function makeFolder(path: string): void {
  attempt("make the folder", path, () => node.fs.mkdirSync(path, { recursive: true }));
}

/**
 * Whether a file or folder exists.
 *
 * @throws {DataError} if the system refuses to say, as in a folder that must not be read.
 */
export function isPresent(path: string): boolean {
  return attempt("read", path, () => {
    try {
      node.fs.statSync(path);
      return true;
    } catch (error) { // existsSync hides all errors
      if (["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "")) return false;
      throw error;
    }
  });
}

/** Refuses named pipes, sockets and devices: reading them could block or never end. */
function refuseSpecial(path: string): void {
  const found = node.fs.statSync(path);
  if (found.isFile() || found.isDirectory()) return;
  const kind = found.isFIFO() ? "a named pipe" : found.isSocket() ? "a socket" : "a device";
  throw new DataError(`Cannot read ${path}: it must be a regular file, got ${kind}`);
}

/**
 * The bytes of a file, or undefined if it does not exist.
 *
 * @throws {DataError} if the system refuses, or the path is a named pipe, a socket or a device.
 */
export function readIfPresent(path: string): Uint8Array | undefined {
  return attempt("read", path, () => {
    try {
      refuseSpecial(path);
      return node.fs.readFileSync(path);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  });
}

/**
 * A folder on the disk by its path. A {@link Folder} is returned as it is.
 *
 * @throws {DataError} if the runtime has no file system, as a browser.
 */
export function folderAt(place: string | Folder): Folder {
  if (typeof place !== "string") return place;
  runtime(place);
  const pathOf = (file: string): string => node.path.join(place, file);
  return {
    path: place,
    get name() {
      return node.path.basename(node.path.resolve(place));
    },
    pathOf,
    has: (file) => isPresent(file === undefined ? place : pathOf(file)),
    names: (folder = "") => filesIn(pathOf(folder)),
    read: (file) => readIfPresent(pathOf(file)),
    open: (file) => openFile(pathOf(file)),
  };
}

/** The names of the files in a folder, sorted by code units. Empty if it does not exist. */
function filesIn(path: string): readonly string[] {
  const leadsToFolder = (name: string): boolean =>
    node.fs.statSync(node.path.join(path, name), { throwIfNoEntry: false })?.isDirectory() ?? false;
  return attempt("read", path, () => {
    try {
      return node.fs.readdirSync(path, { withFileTypes: true })
        .filter((one) => !(one.isSymbolicLink() ? leadsToFolder(one.name) : one.isDirectory()))
        .map(({ name }) => name).sort();
    } catch (error) {
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    }
  });
}

/**
 * The folder of a data set. Where a path leads to a file, it is the folder of the file, and `file`
 * is its name.
 *
 * @throws {DataError} if the runtime has no file system, or the system refuses.
 */
export function placeOf(
  place: string | Folder,
): { readonly folder: Folder; readonly file?: string } {
  const folder = folderAt(place);
  if (typeof place !== "string" || !isPresent(place)) return { folder };
  if (attempt("read", place, () => node.fs.statSync(place)).isDirectory()) return { folder };
  const [parent, file] = splitPath(place);
  return { folder: parent, file };
}

/** The folder of a file on the disk, and the file's name. */
export function splitPath(path: string): readonly [folder: Folder, file: string] {
  return [folderAt(node.path.dirname(path)), node.path.basename(path)];
}

/**
 * Opens a file for reading in pieces.
 *
 * @throws {DataError} if the system refuses, or the path is a named pipe, a socket or a device.
 */
export function openFile(path: string): OpenFile {
  const file = attempt("read", path, () => {
    refuseSpecial(path);
    return node.fs.openSync(path, "r");
  });
  let buffer = new Uint8Array(0);
  return {
    size: attempt("read", path, () => node.fs.fstatSync(file).size),
    read: (offset, length) => {
      if (buffer.length < length) buffer = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const left = length - done;
        const got = attempt(
          "read",
          path,
          () => node.fs.readSync(file, buffer, done, left, offset + done),
        );
        if (got === 0) {
          const at = offset + done;
          throw new DataError(`Cannot read ${path}: it must not become shorter, got ${at} bytes`);
        }
        done += got;
      }
      return buffer.subarray(0, length);
    },
    close: () => node.fs.closeSync(file),
  };
}

function attempt<T>(action: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw fileError(action, path, error);
  }
}

/** Converts an error of the system to a {@link DataError}. Other errors are returned unchanged. */
export function fileError(action: string, path: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined) return error;
  const flag = action === "read" ? "--allow-read" : "--allow-write";
  const requirement = DENO_ERRORS.includes(code)
    ? `Deno must be allowed to (run with ${flag}, or as deno task)`
    : code === "ENOENT" && action === "read"
    ? "it must exist"
    : REQUIREMENTS[code] ?? "the system must allow it";
  return new DataError(`Cannot ${action} ${path}: ${requirement}, got ${code}`, { cause: error });
}

/** The code of an error of the system; undefined for other errors. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (DENO_ERRORS.includes(error.name)) return error.name;
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return code;
  // Deno gives only the more common errors a code.
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  if (number === undefined) return undefined;
  const named = Object.entries(node.os.constants.errno).find(([, errno]) =>
    errno === Number(number)
  );
  return named?.[0] ?? `error ${number}`;
}

/**
 * Rejects NaN and infinities before they overwrite a good file.
 *
 * @throws {NonFiniteError} if a number is not finite.
 */
export function checkFinite(folder: string, tensors: SafeTensors): void {
  for (const [path, { data }] of Object.entries(tensors)) {
    const bad = data.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) {
      throw new NonFiniteError(
        `Cannot save ${folder}: its tensors must be finite, got ${data[bad]} in ${path}`,
      );
    }
  }
}
