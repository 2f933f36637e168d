/**
 * The worker: answers the calls of the page.
 *
 * @module
 */
import { BeargradError } from "beargrad/engine";
import { Explorer } from "./explorer.ts";
import type { Calls, Failure, Reply, Request, WorkerEvent } from "./protocol.ts";

/** The part of a worker's global scope that is used. */
declare const self: {
  onmessage: ((message: { readonly data: Request }) => void) | null;
  postMessage(reply: Reply): void;
};

type Handlers = {
  readonly [M in keyof Calls]: (
    ...args: Parameters<Calls[M]>
  ) => ReturnType<Calls[M]> | Promise<ReturnType<Calls[M]>>;
};

const send = (event: WorkerEvent): void => self.postMessage({ event });
const handlers: Handlers = new Explorer(send);

self.onmessage = async ({ data: { id, method, args } }): Promise<void> => {
  try {
    const run = handlers[method] as (...args: unknown[]) => unknown;
    self.postMessage({ id, result: await run.apply(handlers, args) });
  } catch (error) {
    self.postMessage({ id, error: failureOf(error) });
  }
};

/** An error as it crosses. */
function failureOf(error: unknown): Failure {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { name, message, isBug: !(error instanceof BeargradError) };
}
