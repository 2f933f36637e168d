/**
 * JSON files of models and adapters.
 *
 * @module
 */
import { join } from "node:path";
import { CheckpointError } from "../core/errors.ts";
import { parseJson } from "../models/json.ts";
import { isPresent, openFile } from "./files.ts";

/** Bytes of the largest file that is read. */
const MAX_JSON = 100_000_000;

/**
 * What a JSON file of a folder holds.
 *
 * @throws {CheckpointError} if it is missing, too large or malformed.
 * @throws {DataError} if the system refuses to read.
 */
export function readJson(folder: string, name: string): unknown {
  const path = join(folder, name);
  if (!isPresent(path)) fail(folder, `it must hold ${name}`, "none");
  const file = openFile(path);
  try {
    if (file.size > MAX_JSON) {
      fail(path, `it must have at most ${MAX_JSON} bytes`, `${file.size}`);
    }
    return parseJson(file.read(0, file.size), "it", (...what) => fail(path, ...what));
  } finally {
    file.close();
  }
}

function fail(place: string, requirement: string, actual: string): never {
  throw new CheckpointError(`Cannot load ${place}: ${requirement}, got ${actual}`);
}
