/** Folders with given files, for tests of what reads them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Folder, memoryFolder } from "../../lab/folder.ts";

/** Text and bytes are written as they are, undefined not at all, anything else as JSON. */
export type Files = Readonly<Record<string, unknown>>;

/** Makes a folder with some files; remove it with `removeFolder`. */
export function makeFolder(files: Files): string {
  const folder = mkdtempSync(join(tmpdir(), "beargrad-"));
  for (const [file, contents] of Object.entries(files)) {
    if (contents === undefined) continue;
    const plain = typeof contents === "string" || contents instanceof Uint8Array;
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), plain ? contents : JSON.stringify(contents));
  }
  return folder;
}

/** The same files as a folder in memory. */
export function folderInMemory(name: string, files: Files): Folder {
  const bytesOf = (contents: unknown): Uint8Array => {
    if (contents instanceof Uint8Array) return contents;
    const text = typeof contents === "string" ? contents : JSON.stringify(contents);
    return new TextEncoder().encode(text);
  };
  const given = Object.entries(files).filter(([, contents]) => contents !== undefined);
  return memoryFolder(name, new Map(given.map(([file, contents]) => [file, bytesOf(contents)])));
}

/** Removes a folder. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true });
}

/** Runs `use`, which may be async, on a folder with some files. */
export function withFolder<T>(files: Files, use: (folder: string) => T): T {
  const folder = makeFolder(files);
  let pending = false;
  try {
    const result = use(folder);
    if (!(result instanceof Promise)) return result;
    pending = true;
    return result.finally(() => removeFolder(folder)) as T;
  } finally {
    if (!pending) removeFolder(folder);
  }
}
