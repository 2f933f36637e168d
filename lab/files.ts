/**
 * The file system: writes that leave either the old file or the new one after a crash, and errors
 * that say what to do.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { constants as system } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { DataError, NonFiniteError } from "../core/errors.ts";
import type { SafeTensors } from "../models/safetensors.ts";

/** What to do about the system's error codes. */
const REQUIREMENTS: Readonly<Record<string, string>> = {
  EACCES: "the user must be allowed to",
  EPERM: "the user must be allowed to",
  EROFS: "its file system must be writable",
  ENOSPC: "its disk must have room",
  EDQUOT: "the user's quota must have room",
  ENOENT: "it and its folder must exist",
  ENOTDIR: "its folder must not be a file",
  EISDIR: "it must not be a folder",
  EEXIST: "it must not be a file",
  ENOTEMPTY: "it must not be a folder",
  ELOOP: "its links must lead to a file or folder",
  EPIPE: "its reader must still be running",
  ESTALE: "its network file system must still have it",
  ENOLCK: "its file system must have locks to give",
};

/** Opens a new file for writing, never an existing one or a link. Windows has no O_NOFOLLOW. */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL |
  (constants.O_NOFOLLOW ?? 0);

/** The names of Deno's permission errors, which have no code. */
const DENO_ERRORS = ["NotCapable", "PermissionDenied"];

/**
 * Writes or replaces a file in one atomic step: the data goes to a new file beside it, which is
 * then renamed. If anything fails, the old file is unchanged and the new one is removed.
 *
 * @throws {DataError} if the system refuses.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const folder = dirname(path);
  const unique = `${process.pid}-${randomBytes(4).toString("hex")}`;
  const beside = join(folder, `.${basename(path)}.${unique}.tmp`);
  attempt("write", path, () => {
    writeNewFile(beside, data);
    try {
      renameSync(beside, path);
    } catch (error) {
      quietly(() => rmSync(beside));
      throw error;
    }
  });
  // Without this a power cut may bring the old file back. Not every system can do it.
  quietly(() => withFile(folder, "r", fsyncSync));
}

/** Whether a name is that of a file that a killed {@link writeFileAtomic} left behind. */
export function isTemporary(name: string): boolean {
  return /^\..+\.tmp$/.test(name);
}

/** Creates a file that must not exist. When this returns it is on the disk, or was removed. */
export function writeNewFile(path: string, data: string | Uint8Array): void {
  withFile(path, NEW_FILE, (file) => {
    try {
      writeFileSync(file, data);
      fsyncSync(file);
    } catch (error) {
      quietly(() => rmSync(path));
      throw error;
    }
  });
}

function withFile(path: string, flags: string | number, use: (file: number) => void): void {
  const file = openSync(path, flags);
  try {
    use(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Removes a file, if it exists.
 *
 * @throws {DataError} if the system refuses.
 */
export function removeFile(path: string): void {
  attempt("remove", path, () => rmSync(path, { force: true }));
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
  attempt("write", path, () => withFile(path, "a", (file) => writeFileSync(file, `${line}\n`)));
}

/** Flushes a file to the disk, where the system can. */
export function syncFile(path: string): void {
  quietly(() => withFile(path, "r+", fsyncSync));
}

/**
 * Creates a folder and its parents, where they do not exist.
 *
 * @throws {DataError} if the system refuses.
 */
export function makeFolder(path: string): void {
  attempt("make the folder", path, () => mkdirSync(path, { recursive: true }));
}

/**
 * Whether a file or folder exists.
 *
 * @throws {DataError} if the system refuses to say, as in a folder that must not be read.
 */
export function isPresent(path: string): boolean {
  return attempt("read", path, () => {
    try {
      statSync(path);
      return true;
    } catch (error) { // existsSync hides all errors
      if (["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "")) return false;
      throw error;
    }
  });
}

/** Refuses named pipes, sockets and devices: reading them could block or never end. */
function refuseSpecial(path: string): void {
  const found = statSync(path);
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
      return readFileSync(path);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  });
}

/** A file that is open for reading in pieces. */
export interface OpenFile {
  /** The number of bytes. */
  readonly size: number;
  /**
   * Reads `length` bytes from `offset`. The next read overwrites the result.
   *
   * @throws {DataError} if the system refuses, or the file ends earlier.
   */
  read(offset: number, length: number): Uint8Array;
  /** Closes the file. */
  close(): void;
}

/**
 * Opens a file for reading in pieces.
 *
 * @throws {DataError} if the system refuses, or the path is a named pipe, a socket or a device.
 */
export function openFile(path: string): OpenFile {
  const file = attempt("read", path, () => {
    refuseSpecial(path);
    return openSync(path, "r");
  });
  let buffer = new Uint8Array(0);
  return {
    size: attempt("read", path, () => fstatSync(file).size),
    read: (offset, length) => {
      if (buffer.length < length) buffer = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const left = length - done;
        const got = attempt("read", path, () => readSync(file, buffer, done, left, offset + done));
        if (got === 0) {
          const at = offset + done;
          throw new DataError(`Cannot read ${path}: it must not become shorter, got ${at} bytes`);
        }
        done += got;
      }
      return buffer.subarray(0, length);
    },
    close: () => closeSync(file),
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
  const named = Object.entries(system.errno).find(([, errno]) => errno === Number(number));
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
