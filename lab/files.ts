/**
 * Files, written so that a crash leaves either the old one or the new one, and errors that say what to do.
 *
 * @module
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
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
};

/** Deno's own errors have a name instead of a code. */
const DENO_ERRORS = ["NotCapable", "PermissionDenied"];

/**
 * Replaces a file, or makes it, in one atomic step: the data goes to a file beside it that is then renamed. If anything
 * fails the old file is untouched and the one beside it is removed.
 *
 * @throws {DataError} if the system refuses.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const beside = join(dirname(path), `.${basename(path)}.tmp`);
  try {
    const file = openSync(beside, "w");
    try {
      writeFileSync(file, data);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
  } catch (error) {
    removeQuietly(beside);
    throw fileError("write", path, error);
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The error that led here says more than this one.
  }
}

/**
 * Adds a line to the end of a file, which is made if need be.
 *
 * @throws {DataError} if the system refuses.
 */
export function appendLine(path: string, line: string): void {
  attempt("write", path, () => appendFileSync(path, `${line}\n`));
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
 * @throws {DataError} if the system refuses to say.
 */
export function isPresent(path: string): boolean {
  return attempt("read", path, () => existsSync(path));
}

/**
 * The bytes of a file, or undefined where there is none.
 *
 * @throws {DataError} if the system refuses.
 */
export function readIfPresent(path: string): Uint8Array | undefined {
  return attempt("read", path, () => {
    try {
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
 * @throws {DataError} if the system refuses.
 */
export function openFile(path: string): OpenFile {
  const file = attempt("read", path, () => openSync(path, "r"));
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
    ? `Deno must be allowed to (run with -P or ${flag})`
    : REQUIREMENTS[code] ?? "the system must allow it";
  return new DataError(`Cannot ${action} ${path}: ${requirement}, got ${code}`, { cause: error });
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (DENO_ERRORS.includes(error.name)) return error.name;
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}
