/**
 * Locks of folders that one process at a time may write to.
 *
 * @module
 */
import { closeSync, lstatSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import process from "node:process";
import * as v from "valibot";
import { DataError } from "../../core/errors.ts";
import { codeOf, fileError, quietly, readIfPresent } from "../files.ts";

const FILE = ".lock";

/** The process that holds a lock, as the file names it. */
const Holder = v.object({
  pid: v.number(),
  host: v.string(),
  since: v.string(),
  /** Whether the process also has the system's lock of the file, which ends with it. */
  locked: v.boolean(),
});
const holderText = v.pipe(v.string(), v.parseJson(), Holder);

/** What is used of Deno; undefined in other runtimes. */
const { Deno: deno } = globalThis as {
  readonly Deno?: {
    openSync(path: string, options: { readonly read: true; readonly write: true }): Disposable & {
      lockSync(exclusive: true): void;
      tryLockSync(exclusive: true): boolean;
      close(): void;
    };
    readonly permissions: { querySync(what: Permission): { readonly state: string } };
  };
};

/** What Deno may have to be allowed. */
type Permission = { readonly name: "run" } | { readonly name: "sys"; readonly kind: "hostname" };

/** The locks that this process holds. */
const held = new Set<FolderLock>();
let endsWithProcess = false;

/**
 * A lock of a folder, held until it is disposed or the process ends. A killed process leaves the
 * file behind.
 */
export class FolderLock implements Disposable {
  /** The path of its file. */
  readonly path: string;
  #text = "";
  #file: Disposable | undefined;

  /**
   * Locks a folder. The lock of a process that no longer runs on this host is replaced.
   *
   * @throws {DataError} if another process holds or may hold the lock, or the system refuses.
   */
  constructor(folder: string) {
    const path = join(folder, FILE);
    this.path = path;
    try {
      while (!this.#create()) breakStale(folder, path);
    } catch (error) {
      throw fileError("write", path, error);
    }
    held.add(this);
    if (!endsWithProcess) process.once("exit", releaseAll);
    endsWithProcess = true;
  }

  /** Unlocks the folder. */
  [Symbol.dispose](): void {
    held.delete(this);
    quietly(() => {
      if (readFileSync(this.path, "utf8") === this.#text) rmSync(this.path);
    });
    this.#file?.[Symbol.dispose]();
  }

  /** Makes the file. Returns false if there is one. */
  #create(): boolean {
    const file = openNew(this.path);
    if (file === undefined) return false;
    try {
      this.#file = systemLock(this.path, true);
      const holder: v.InferOutput<typeof Holder> & { readonly id: string } = {
        id: crypto.randomUUID(),
        pid: process.pid,
        host: hostName(),
        since: new Date().toISOString(),
        locked: this.#file !== undefined,
      };
      this.#text = `${JSON.stringify(holder)}\n`;
      writeFileSync(file, this.#text);
    } catch (error) {
      quietly(() => rmSync(this.path));
      this.#file?.[Symbol.dispose]();
      throw error;
    } finally {
      closeSync(file);
    }
    return true;
  }
}

function releaseAll(): void {
  for (const lock of held) lock[Symbol.dispose]();
}

/** Opens a new file. Returns undefined if there is one. */
function openNew(path: string): number | undefined {
  try {
    return openSync(path, "wx");
  } catch (error) {
    if (codeOf(error) === "EEXIST") return undefined;
    throw error;
  }
}

/**
 * Removes a lock whose process is gone. Several processes may try at once, so one claims the right
 * to: each lock has a text of its own, and if that is unchanged once the claim is held, nobody
 * replaces it meanwhile.
 */
function breakStale(folder: string, path: string): void {
  const text = textOf(path);
  if (text === undefined) return; // released just now
  const { output: holder, success } = v.safeParse(holderText, text);
  if (success && isRunning(holder, path) === false) {
    const claim = `${path}.${holder.pid}`;
    const file = openNew(claim);
    if (file !== undefined) {
      closeSync(file);
      try {
        if (textOf(path) === text) rmSync(path);
      } finally {
        rmSync(claim);
      }
      return;
    }
  }
  const who = success
    ? `process ${holder.pid} on ${holder.host || "some host"} since ${holder.since}`
    : "another";
  throw new DataError(
    `Cannot write to ${folder}: one process at a time may, got ${who}; ` +
      `if that is no longer running, remove ${path}`,
  );
}

/** The text of a lock; "" for a link to nowhere, undefined if there is no lock. */
function textOf(path: string): string | undefined {
  const bytes = readIfPresent(path);
  if (bytes) return new TextDecoder().decode(bytes);
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? "" : undefined;
}

/** Whether the process that holds a lock still runs; undefined if there is no way to tell. */
function isRunning(
  { pid, host, locked }: v.InferOutput<typeof Holder>,
  path: string,
): boolean | undefined {
  if (host !== hostName()) return undefined;
  if (locked && deno !== undefined) {
    try {
      using lock = systemLock(path, false);
      return lock === undefined;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    }
  }
  if (pid === process.pid) return [...held].some((lock) => lock.path === path);
  if (!isAllowed({ name: "run" })) return undefined;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ESRCH" ? false : code === "EPERM" ? true : undefined;
  }
}

/**
 * Takes the system's lock of a file, which ends with the process. Returns undefined if the file
 * system has no locks, or another process holds it and `wait` is false. Only Deno offers these
 * locks, and only Deno needs them: without --allow-run it does not say which processes run.
 */
function systemLock(path: string, wait: boolean): Disposable | undefined {
  if (deno === undefined) return undefined;
  const file = deno.openSync(path, { read: true, write: true });
  try {
    if (wait) file.lockSync(true); // at most for a process that tests whether this one runs
    if (file.tryLockSync(true)) return file;
  } catch {
    // A network file system may have no locks.
  }
  file.close();
  return undefined;
}

/** The name of this machine, or "" if Deno does not allow to read it. */
function hostName(): string {
  if (isAllowed({ name: "sys", kind: "hostname" })) return hostname();
  try {
    return readFileSync("/etc/hostname", "utf8").trim();
  } catch {
    return "";
  }
}

/** Whether Deno allows something without a prompt. */
function isAllowed(what: Permission): boolean {
  return deno === undefined || deno.permissions.querySync(what).state === "granted";
}
