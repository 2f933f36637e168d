/** Data sets and folders for tests, and what a refusal must look like. */
import assert from "node:assert/strict";
import { DataError } from "../../core/errors.ts";
import {
  type Dataset,
  leaveOneOut,
  plainPrompt,
  type UserHistory,
} from "../../lab/data/dataset.ts";

/** A data set of some paths and users; items are named "0", "1" and so on. */
export function datasetOf(
  paths: Dataset["paths"],
  users: readonly UserHistory["items"][],
  changes: Partial<Dataset> = {},
): Dataset {
  const V = 1 + Math.max(...paths.flat());
  return {
    name: "hand-made",
    items: paths.map((_, item) => `${item}`),
    paths,
    tokens: Array.from({ length: V }, (_, token) => `<${token}>`),
    ...leaveOneOut(users.map((items, u) => ({ id: "uvwxyz"[u] ?? `${u}`, items }))),
    prompt: plainPrompt(paths),
    skipped: [],
    ...changes,
  };
}

/** Checks that an error is a DataError in one line that names `place` and matches `message`. */
export function isRefusal(error: unknown, place: string, message: RegExp): true {
  assert.ok(error instanceof DataError, `${(error as Error).stack}`);
  assert.ok(error.message.includes(place), error.message);
  assert.match(error.message, message);
  assert.ok(!error.message.includes("\n"), error.message);
  return true;
}
