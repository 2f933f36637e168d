/** Damaged files: valid bytes, changed in the ways that files and their writers go wrong. */
import assert from "node:assert/strict";
import process from "node:process";
import { BeargradError } from "../core/errors.ts";

/** Uniform numbers in [0, 1), the same for the same seed. */
export type Random = () => number;

/** Mulberry32. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How many inputs a fuzz test tries: `normal`, or as many as BEARGRAD_FUZZ says. */
export function fuzzRuns(normal: number): number {
  return Number(process.env.BEARGRAD_FUZZ) || normal;
}

/** What tokens of JSON and CSV are replaced by. */
const TOKENS =
  '{ } [ ] , : " \' \n null true -1 0 1 1.5 1e999 -0 4294967296 9007199254740993 \\u0000 \\ud800 {} [] [[ "" "__proto__"'
    .split(" ");

/** A changed copy of some bytes: one to four changes. */
export function mutate(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  let changed = new Uint8Array(bytes);
  for (let n = 1 + below(random, 4); n > 0; n--) changed = changeOnce(random, changed);
  return changed;
}

function changeOnce(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = below(random, bytes.length + 1);
  const length = Math.min(bytes.length - at, 1 + below(random, 16));
  const part = bytes.subarray(at, at + length);
  switch (below(random, 7)) {
    case 0: { // a flipped bit
      const copy = new Uint8Array(bytes);
      if (at < copy.length) copy[at] ^= 1 << below(random, 8);
      return copy;
    }
    case 1: // an end that is missing
      return new Uint8Array(bytes.subarray(0, at));
    case 2: // bytes that do not belong there
      return joined(
        bytes,
        at,
        0,
        Uint8Array.from({ length: 1 + below(random, 8) }, () => below(random, 256)),
      );
    case 3: // a slice twice
      return joined(bytes, at, 0, part);
    case 4: // a slice that is missing
      return joined(bytes, at, length, new Uint8Array());
    case 5: // another token in place of a number, a word or a sign
      return withToken(random, bytes, at);
    default: // a slice from elsewhere
      return joined(bytes, below(random, bytes.length + 1), 0, part);
  }
}

/** Replaces the token at or after a place. */
function withToken(random: Random, bytes: Uint8Array, from: number): Uint8Array<ArrayBuffer> {
  const isWord = (byte: number): boolean => /[\w.+-]/.test(String.fromCharCode(byte));
  let at = from;
  while (at < bytes.length && bytes[at] <= 0x20) at++;
  let to = Math.min(at + 1, bytes.length);
  if (at < bytes.length && isWord(bytes[at])) {
    while (at > 0 && isWord(bytes[at - 1])) at--;
    while (to < bytes.length && isWord(bytes[to])) to++;
  }
  const token = TOKENS[below(random, TOKENS.length)];
  return joined(bytes, at, to - at, new TextEncoder().encode(token));
}

function joined(
  bytes: Uint8Array,
  at: number,
  without: number,
  added: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const rest = bytes.subarray(Math.min(at + without, bytes.length));
  const result = new Uint8Array(at + added.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(rest, at + added.length);
  return result;
}

function below(random: Random, n: number): number {
  return Math.floor(random() * n);
}

/** Asserts that an error is one of this project's own, in one line that names a file. */
export function assertRefusal(error: unknown, file: string): void {
  assert.ok(error instanceof BeargradError, `${(error as Error).stack ?? error}`);
  assert.ok(error.message.includes(file), `it must name ${file}: ${error.message}`);
  assert.ok(!error.message.includes("\n"), error.message);
}
