/**
 * Turns of the event loop in long work.
 *
 * @module
 */

/**
 * Lets the event loop run, so that Ctrl-C or a message to a worker is heard: a cpu device never
 * waits. `setImmediate` would not do, as Deno may miss signals after it.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
