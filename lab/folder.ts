/**
 * Folders that readers read: one on the disk (`folderAt` in `files.ts`) or one in memory.
 *
 * @module
 */
import { DataError } from "../core/errors.ts";
import type { ByteSource } from "../models/safetensors.ts";

/** A file that is open for reading in pieces. */
export interface OpenFile extends ByteSource {
  /**
   * Reads `length` bytes from `offset`. The next read may overwrite the result.
   *
   * @throws {DataError} if the system refuses, or the file ends earlier.
   */
  read(offset: number, length: number): Uint8Array;
  /** Closes the file. */
  close(): void;
}

/** A folder of files. Files are named by their paths in it. */
export interface Folder {
  /** Its path, for messages. */
  readonly path: string;
  /** Its own name: the last part of its path. */
  readonly name: string;
  /** The path of a file, for messages. */
  pathOf(file: string): string;
  /**
   * Whether it has a file or folder of this name. Without a name, whether the folder exists.
   *
   * @throws {DataError} if the system refuses to say.
   */
  has(file?: string): boolean;
  /**
   * The names of the files in it, or in a folder of it, without those in deeper folders, sorted by
   * code units. Empty where there is no such folder.
   *
   * @throws {DataError} if the system refuses, or it is a file.
   */
  names(folder?: string): readonly string[];
  /**
   * The bytes of a file, or undefined if it does not exist.
   *
   * @throws {DataError} if the system refuses.
   */
  read(file: string): Uint8Array | undefined;
  /**
   * Opens a file for reading in pieces.
   *
   * @throws {DataError} if it does not exist, or the system refuses.
   */
  open(file: string): OpenFile;
}

/**
 * A folder in memory, such as one that was dropped on a page. The keys of `files` are paths in it,
 * such as `index.json` and `checkpoint/config.json`. Messages name its files `NAME/index.json`.
 *
 * @example
 * ```ts
 * import { loadDataset, memoryFolder } from "beargrad/lab";
 *
 * const file = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));
 * const folder = memoryFolder("pens", new Map([
 *   ["index.json", file({ "0": ["<a>", "<c>"], "1": ["<a>", "<d>"], "2": ["<b>", "<c>"] })],
 *   ["inter.json", file({ "7": [0, 1, 2] })],
 * ]));
 * console.log((await loadDataset(folder)).name); // pens
 * ```
 */
export function memoryFolder(name: string, files: ReadonlyMap<string, Uint8Array>): Folder {
  const pathOf = (file: string): string => `${name}/${file}`;
  return {
    path: name,
    name: name.replace(/\/+$/, "").replace(/^.*\//, ""),
    pathOf,
    has: (file) =>
      file === undefined || files.has(file) ||
      files.keys().some((path) => path.startsWith(`${file}/`)),
    names: (folder = "") => {
      const start = folder === "" ? "" : `${folder}/`;
      return [...files.keys()].filter((path) => path.startsWith(start))
        .map((path) => path.slice(start.length)).filter((path) => !path.includes("/")).sort();
    },
    read: (file) => files.get(file),
    open: (file) => {
      const refuse = (requirement: string, actual: string): never => {
        throw new DataError(`Cannot read ${pathOf(file)}: ${requirement}, got ${actual}`);
      };
      const bytes = files.get(file) ?? refuse("it must exist", "none");
      return {
        size: bytes.length,
        read: (offset, length) => {
          const piece = bytes.subarray(offset, offset + length);
          if (piece.length === length) return piece;
          return refuse("it must not end earlier", `${bytes.length} bytes`);
        },
        close: () => {},
      };
    },
  };
}
