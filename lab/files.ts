/**
 * Files, written so that a crash leaves either the old one or the new one, and errors that say what to do.
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
import { DataError } from "../core/errors.ts";

/** What the system's error codes ask for. */
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
  EPIPE: "what reads it must still be running",
  ESTALE: "its network file system must still have it",
  ENOLCK: "its file system must have locks to give",
};

/** Opens a new file for writing: not one that exists, nor through a link (which Windows cannot say). */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL |
  (constants.O_NOFOLLOW ?? 0);

/** Errors of Deno's permissions have a name instead of a code. */
const DENO_ERRORS = ["NotCapable", "PermissionDenied"];

/**
 * Replaces a file, or makes it, in one atomic step: the data goes to a new file beside it that is then renamed. If anything
 * fails the old file is untouched and the one beside it is removed.
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
  // Until the folder is on the disk, too, a power cut may bring the old file back. Not every system can do this.
  quietly(() => withFile(folder, "r", fsyncSync));
}

/** Whether a file is one that a {@link writeFileAtomic} left which was killed, if no other is at work. */
export function isTemporary(name: string): boolean {
  return /^\..+\.tmp$/.test(name);
}

/** Makes a file, which must not be there. It is on the disk, or removed, when this returns. */
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
 * Removes a file, if it is there.
 *
 * @throws {DataError} if the system refuses.
 */
export function removeFile(path: string): void {
  attempt("remove", path, () => rmSync(path, { force: true }));
}

/** Does what is worth a try and no error. */
export function quietly(run: () => void): void {
  try {
    run();
  } catch {
    // It was only a try.
  }
}

/**
 * Adds a line to the end of a file, which is made if need be.
 *
 * @throws {DataError} if the system refuses.
 */
export function appendLine(path: string, line: string): void {
  // Not appendFileSync, with which Deno gives everybody the right to write to a new file.
  attempt("write", path, () => withFile(path, "a", (file) => writeFileSync(file, `${line}\n`)));
}

/** Brings a file that was appended to onto the disk, as far as the system can. */
export function syncFile(path: string): void {
  quietly(() => withFile(path, "r+", fsyncSync));
}

/**
 * Makes a folder, and those above it, where they are missing.
 *
 * @throws {DataError} if the system refuses.
 */
export function makeFolder(path: string): void {
  attempt("make the folder", path, () => mkdirSync(path, { recursive: true }));
}

/**
 * Whether there is a file or folder.
 *
 * @throws {DataError} if the system refuses to say, as it does of what is in a folder that may not be read.
 */
export function isPresent(path: string): boolean {
  return attempt("read", path, () => {
    try {
      statSync(path);
      return true;
    } catch (error) { // existsSync would hide every error
      if (["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "")) return false;
      throw error;
    }
  });
}

/** Refuses what would be waited for, or never end: named pipes, sockets and devices. */
function refuseSpecial(path: string): void {
  const found = statSync(path);
  if (found.isFile() || found.isDirectory()) return;
  const kind = found.isFIFO() ? "a named pipe" : found.isSocket() ? "a socket" : "a device";
  throw new DataError(`Cannot read ${path}: it must be a regular file, got ${kind}`);
}

/**
 * The bytes of a file, or undefined where there is none.
 *
 * @throws {DataError} if the system refuses, or it is a named pipe, a socket or a device.
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
  /** Its bytes. */
  readonly size: number;
  /**
   * `length` bytes from `offset` on; the next read overwrites them.
   *
   * @throws {DataError} if the system refuses, or the file ends before.
   */
  read(offset: number, length: number): Uint8Array;
  /** Closes it. */
  close(): void;
}

/**
 * Opens a file for reading in pieces.
 *
 * @throws {DataError} if the system refuses, or it is a named pipe, a socket or a device.
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

/** The typed error for one of the system's; anything else is returned as it is. Internal. */
export function fileError(action: string, path: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined) return error;
  const flag = action === "read" ? "--allow-read" : "--allow-write";
  const requirement = DENO_ERRORS.includes(code)
    ? `Deno must be allowed to (run with ${flag}, or as deno task)`
    : REQUIREMENTS[code] ?? "the system must allow it";
  return new DataError(`Cannot ${action} ${path}: ${requirement}, got ${code}`, { cause: error });
}

/** The code of one of the system's errors. Internal. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (DENO_ERRORS.includes(error.name)) return error.name;
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return code;
  // Deno knows codes of the more common errors only.
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  if (number === undefined) return undefined;
  const named = Object.entries(system.errno).find(([, errno]) => errno === Number(number));
  return named?.[0] ?? `error ${number}`;
}
