/**
 * Calls of a worker, for the page.
 *
 * @module
 */
import type { Calls, Reply, WorkerEvent } from "./protocol.ts";

/** A worker that answers calls. */
export interface WorkerClient {
  /** Calls a method. A failure is an `Error` with the worker's name and message. */
  call<M extends keyof Calls>(
    method: M,
    ...args: Parameters<Calls[M]>
  ): Promise<ReturnType<Calls[M]>>;
  /** Hears what the worker sends while it works. */
  onEvent(listener: (event: WorkerEvent) => void): void;
  /** Ends the worker. Calls that are open fail. */
  terminate(): void;
}

/** Starts a worker, from the file beside the page's script. */
export function createWorker(): WorkerClient {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const open = new Map<number, PromiseWithResolvers<unknown>>();
  const listeners: ((event: WorkerEvent) => void)[] = [];
  let calls = 0;
  const failAll = (error: Error): void => {
    for (const { reject } of open.values()) reject(error);
    open.clear();
  };
  worker.onmessage = ({ data }: MessageEvent<Reply>): void => {
    if ("event" in data) return listeners.forEach((listener) => listener(data.event));
    const waiting = open.get(data.id);
    open.delete(data.id);
    if ("error" in data) waiting?.reject(Object.assign(new Error(), data.error));
    else waiting?.resolve(data.result);
  };
  worker.onerror = ({ message }): void => failAll(new Error(message || "The worker cannot start"));
  return {
    call: (method, ...args) => {
      const id = ++calls;
      const waiting = Promise.withResolvers<unknown>();
      open.set(id, waiting);
      worker.postMessage({ id, method, args });
      return waiting.promise as Promise<ReturnType<Calls[typeof method]>>;
    },
    onEvent: (listener) => void listeners.push(listener),
    terminate: () => {
      worker.terminate();
      failAll(new Error("The worker was ended"));
    },
  };
}
