/**
 * Data sets whose items are written with codes that were made, and the file of a run's folder that
 * keeps them.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import * as v from "valibot";
import { ArgumentError, CheckpointError } from "../../core/errors.ts";
import { BOS, type Dataset, plainPrompt } from "../data/dataset.ts";
import { isPlainCodes } from "../data/derived.ts";
import { codedPaths } from "../data/semantic_ids.ts";
import { digestOfParts, jsonParts } from "../digest.ts";
import { folderAt, splitPath, writeFiles } from "../files.ts";
import type { Folder } from "../folder.ts";
import { mapOf, readJson } from "../read_file.ts";
import { type CodeData, makeCodes, type MakeOptions } from "./make.ts";
import { formatSpec, parseSpec, wholeSpec } from "./spec.ts";

/** The file that keeps made codes. */
const CODES = "codes.json";

const schema = v.object({
  version: v.literal(1),
  codes: v.string(),
  hash: v.string(),
  index: mapOf(v.array(v.string())),
});

/** Options of {@link withMadeCodes}. */
export interface CodedOptions extends Pick<MakeOptions, "openDevice" | "onProgress"> {
  /** A folder that may keep made codes in a codes.json. They are then read and not made again. */
  readonly keptCodes?: string | Folder;
}

/**
 * A data set with made codes: items, users and targets stay the same. If the folder `keptCodes` has
 * the codes of an earlier run in `codes.json`, they are read from it.
 *
 * @throws {ArgumentError} if prompts are text.
 * @throws {UsageError} if the specification is malformed.
 * @throws {CheckpointError} if `codes.json` is malformed, or has codes of other data or another
 * specification.
 * @throws {DataError} if vectors are missing or malformed, or there are too few codes.
 */
export async function withMadeCodes(
  dataset: Dataset,
  spec: string,
  { keptCodes: kept, openDevice, onProgress }: CodedOptions = {},
): Promise<Dataset> {
  const { eos: _none, promptPerTarget, ...rest } = dataset;
  if (promptPerTarget) {
    throw new ArgumentError(
      `Cannot write the items of ${dataset.name} with codes: prompts must be of items, ` +
        "got prompts of text",
    );
  }
  const known = kept === undefined ? undefined : keptCodes(kept, dataset, spec);
  const codes = known ?? await makeCodes(dataset, spec, { openDevice, onProgress });
  const coded = codedPaths(codes);
  return {
    ...rest,
    codes: formatSpec(parseSpec(spec)),
    ...coded,
    bos: BOS,
    prompt: plainPrompt(coded.paths),
  };
}

/** Codes by item id, in the shape of index.json. */
export function indexOf({ items, paths, tokens }: Dataset): Record<string, string[]> {
  return Object.fromEntries(
    items.map((item, i) => [item, paths[i].map((token) => tokens[token])]),
  );
}

/**
 * Keeps the codes of a data set in a folder, if they were made and are not there yet.
 *
 * @throws {DataError} if the system refuses.
 */
export function keepCodes(folder: string, dataset: Dataset): void {
  const { codes = "semantic" } = dataset;
  if (isPlainCodes(codes) || folderAt(folder).has(CODES)) return;
  const index = indexOf(dataset);
  const spec = wholeSpec(codes);
  const hash = hashOf(dataset, spec, dataset.items.map((item) => index[item]));
  const file = { version: 1, codes: spec, hash, index };
  writeFiles(folder, [[CODES, new TextEncoder().encode(`${JSON.stringify(file)}\n`)]]);
}

/** The codes that a folder keeps, if it does. */
function keptCodes(
  place: string | Folder,
  data: CodeData,
  given: string,
): readonly (readonly string[])[] | undefined {
  const folder = folderAt(place);
  if (!folder.has(CODES)) return undefined;
  const refuse = (requirement: string, actual: string): never => {
    throw new CheckpointError(
      `Cannot use ${folder.pathOf(CODES)}: ${requirement}, got ${actual}; remove it, or name ` +
        "another --out",
    );
  };
  const kept = readJson(folder, CODES, schema, CheckpointError);
  if (kept === undefined) return undefined;
  const spec = wholeSpec(given);
  if (kept.codes !== spec) refuse(`its codes must be ${spec}`, kept.codes);
  const codes = data.items.map((item) => kept.index.get(item) ?? []);
  if (kept.hash === hashOf(data, spec, codes)) return codes;
  return refuse("it must be as it was written, of the same data and vectors", "another hash");
}

/** A digest of codes, their specification and all that they are made from but a model's weights. */
function hashOf(data: CodeData, spec: string, codes: readonly (readonly string[])[]): string {
  return digestOfParts(partsOf(data, spec, codes));
}

function* partsOf(
  { items, titles, training }: CodeData,
  spec: string,
  codes: readonly (readonly string[])[],
): Generator<string | Uint8Array> {
  for (const value of [spec, codes, items, training]) yield* jsonLine(value);
  for (const { kind, place } of parseSpec(spec).from) {
    if (kind === "titles") yield* jsonLine(titles ?? []);
    if (kind !== "file") continue;
    const [folder, file] = splitPath(place);
    yield sha256(folder.read(file) ?? new Uint8Array());
  }
}

function* jsonLine(value: unknown): Generator<string> {
  yield* jsonParts(value, 2);
  yield "\n";
}
