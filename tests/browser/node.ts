/**
 * What the tests use of `node:` modules but `node:assert`, for browsers. A test that needs more of
 * the disk than files of `tests/golden` is skipped.
 *
 * @module
 */
export { isDeepStrictEqual } from "./assert.ts";

type Body = () => unknown;
type Options = { readonly skip?: boolean | string; readonly timeout?: number };

/** What became of a test. */
export interface Result {
  /** The title of the test. */
  readonly title: string;
  /** What became of it. */
  readonly outcome: "passed" | "failed" | "skipped";
  /** The error, or why it was skipped. */
  readonly detail?: string;
}

/** Thrown by what needs the disk. */
class NeedsDisk extends Error {}

const tests: { title: string; options: Options; body: Body }[] = [];
const first: Body[] = [];
const last: Body[] = [];

// node:test

/** Registers a test. */
export function test(title: string, ...rest: [Body] | [Options, Body]): void {
  const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest;
  tests.push({ title, options, body });
}

/** Registers what runs before all tests. */
export const before = (body: Body): unknown => first.push(body);

/** Registers what runs after all tests. */
export const after = (body: Body): unknown => last.push(body);

/** Runs the tests one after another and sends each result, then null, to the server. */
export async function runTests(): Promise<void> {
  const failed = (title: string, error: unknown): Promise<void> => {
    const detail = error instanceof Error ? `${error}\n${error.stack}` : `${error}`;
    return send({ title, outcome: "failed", detail });
  };
  addEventListener("error", (event) => failed("(an uncaught error)", event.error ?? event.message));
  addEventListener("unhandledrejection", (event) => failed("(a rejection)", event.reason));
  // deno-lint-ignore no-console -- an error in the console fails the run
  console.error = (...values: unknown[]) => failed("(console.error)", values.join(" "));
  for (const body of first) await body();
  for (const { title, options: { skip, timeout = 60_000 }, body } of tests) {
    if (skip !== undefined && skip !== false) {
      await send({ title, outcome: "skipped", detail: `${skip}` });
      continue;
    }
    try {
      const late = Promise.withResolvers<never>();
      const timer = globalThis.setTimeout(() => late.reject(new Error("it timed out")), timeout);
      await Promise.race([body(), late.promise]).finally(() => clearTimeout(timer));
      await send({ title, outcome: "passed" });
    } catch (error) {
      if (!(error instanceof NeedsDisk)) await failed(title, error);
      else await send({ title, outcome: "skipped", detail: error.message });
    }
  }
  for (const body of last) await body();
  await send(null);
}

async function send(result: Result | null): Promise<void> {
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });
}

// node:fs and node:path

/** Reads a file of `tests/golden`, in a worker. */
export function readFileSync(file: string, encoding?: "utf8"): string | Uint8Array {
  if (!file.startsWith("tests/golden/")) throw new NeedsDisk("a browser has no disk");
  const { XMLHttpRequest } = globalThis as unknown as {
    XMLHttpRequest: new () => {
      responseType: string;
      readonly response: ArrayBuffer;
      open(method: string, url: string, later: boolean): void;
      send(): void;
    };
  };
  const request = new XMLHttpRequest();
  request.open("GET", `/${file}`, false);
  request.responseType = "arraybuffer";
  request.send();
  const bytes = new Uint8Array(request.response);
  return encoding === "utf8" ? new TextDecoder().decode(bytes) : bytes;
}

/** A browser has no folders. */
export function readdirSync(): never {
  throw new NeedsDisk("a browser has no disk");
}

/** Joins parts of a path. */
export const join = (...parts: readonly string[]): string => parts.join("/");

// node:process, node:util, node:buffer, node:timers/promises, node:worker_threads, node:v8, node:vm

/** The environment is empty. */
export default { env: {} };

/** A value as text. */
export const inspect = (value: unknown): string =>
  typeof value === "object" ? Object.prototype.toString.call(value) : String(value);

/** Bytes. */
export class Buffer extends Uint8Array {
  /** All parts in one. */
  static concat(parts: readonly Uint8Array[]): Buffer {
    return new Buffer(parts.flatMap((part) => [...part]));
  }

  /** Whether it has the same bytes. */
  equals(other: Uint8Array): boolean {
    return this.length === other.length && this.every((byte, i) => byte === other[i]);
  }
}

/** Resolves after `ms` milliseconds. */
export const setTimeout = (ms: number): Promise<void> =>
  new Promise((resolve) => void globalThis.setTimeout(resolve, ms));

/** The browser's own. */
export const Worker = globalThis.Worker;

/** Flags are set when the browser starts. */
export const setFlagsFromString = (): void => {};

/** Evaluates the name of a global. */
export const runInNewContext = (name: string): unknown =>
  (globalThis as Readonly<Record<string, unknown>>)[name];
