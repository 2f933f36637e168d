/**
 * A Hugging Face tokenizer.json, checked before it is used: every token that a part refers to must
 * exist.
 *
 * @module
 */
import * as v from "valibot";
import { shown } from "../../models/json.ts";
import type { Folder } from "../folder.ts";
import { loadJson, mapOf, refuseFile } from "../read_file.ts";

const FILE = "tokenizer.json";

/** The limit of token ids. Larger ones would make tables that no vocabulary needs. */
const MAX_TOKENS = 2 ** 22;

/** How deeply parts may nest. It protects the stack. */
const MAX_DEPTH = 100;

const id = v.pipe(
  v.number(),
  v.integer("it must be an integer"),
  v.minValue(0, "it must not be negative"),
  v.maxValue(MAX_TOKENS - 1, `it must be below ${MAX_TOKENS}`),
);
const vocab = mapOf(id);
const part = v.optional(v.nullable(v.looseObject({ type: v.string() })), null);
const layout = v.looseObject({
  model: v.variant("type", [
    v.looseObject({
      type: v.literal("BPE"),
      vocab,
      merges: v.array(v.unknown()),
      unk_token: v.optional(v.nullable(v.string())),
      continuing_subword_prefix: v.optional(v.unknown()),
    }),
    v.looseObject({ type: v.literal("WordPiece"), vocab, unk_token: v.string() }),
    v.looseObject({
      type: v.literal("Unigram"),
      vocab: v.pipe(
        v.array(v.tuple([v.string(), v.number()])),
        v.minLength(1, "it must have tokens"),
      ),
      unk_id: v.optional(v.nullable(id)),
    }),
  ]),
  added_tokens: v.optional(
    v.array(
      v.looseObject({ id, content: v.pipe(v.string(), v.minLength(1, "it must have characters")) }),
    ),
    [],
  ),
  normalizer: part,
  pre_tokenizer: part,
  decoder: part,
});

type Refuse = (place: string, requirement: string, actual: unknown) => never;

/** A tokenizer.json that holds together. */
export interface TokenizerFile {
  /** The parts as the file has them, for a library that runs them. */
  readonly parts: Readonly<Record<string, unknown>>;
  /** The ids of all tokens, the added ones included. */
  readonly ids: ReadonlyMap<string, number>;
}

/**
 * Reads the tokenizer.json of a folder.
 *
 * @throws {DataError} if it is missing, malformed, or refers to a token that it does not have.
 */
export function readTokenizerFile(folder: Folder): TokenizerFile {
  const file = loadJson(folder, FILE, layout);
  const refuse: Refuse = (place, requirement, actual) =>
    refuseFile(folder, `${FILE} at "${place}"`, requirement, shown(actual));
  const { model } = file;
  const ids = model.type === "Unigram"
    ? new Map(model.vocab.map(([token], i) => [token, i]))
    : model.vocab;
  if (model.type === "Unigram") {
    if (model.unk_id != null && model.unk_id >= ids.size) {
      refuse("model.unk_id", `it must be one of the ${ids.size} tokens`, model.unk_id);
    }
  } else if (model.unk_token != null && !ids.has(model.unk_token)) {
    refuse("model.unk_token", "it must be in the vocabulary", model.unk_token);
  }
  if (model.type === "BPE") {
    checkMerges(model.merges, model.continuing_subword_prefix, ids, refuse);
  }
  const all = new Map(ids);
  for (const { content, id } of file.added_tokens) all.set(content, id);
  if (all.size === 0) refuse("model.vocab", "it must have tokens", undefined);
  const owners = new Map(all.entries().map(([token, id]) => [id, token]));
  const shared = all.entries().find(([token, id]) => owners.get(id) !== token);
  if (shared) refuse("model.vocab", "every token must have an id of its own", shared);
  for (const name of ["normalizer", "pre_tokenizer", "decoder"] as const) {
    checkPart(file[name], name, refuse);
  }
  const own = model.type === "Unigram" ? model.vocab : Object.fromEntries(model.vocab);
  return { parts: { ...file, model: { ...model, vocab: own } }, ids: all };
}

/** Checks that each merge joins two tokens of the vocabulary to a third. */
function checkMerges(
  merges: readonly unknown[],
  prefix: unknown,
  ids: ReadonlyMap<string, number>,
  refuse: Refuse,
): void {
  const arePairs = Array.isArray(merges[0]); // the library takes all merges to be like the first
  merges.forEach((merge, i) => {
    const pair = arePairs ? merge : typeof merge === "string" ? merge.split(" ") : undefined;
    const [left, right] = Array.isArray(pair) && pair.length === 2 ? pair : [];
    if (typeof left !== "string" || typeof right !== "string") {
      refuse(`model.merges.${i}`, "it must be a pair of tokens, written like the first", merge);
    }
    const inner = typeof prefix === "string" && right.startsWith(prefix) ? prefix.length : 0;
    const unknown = [left, right, left + right.slice(inner)].find((token) => !ids.has(token));
    if (unknown !== undefined) {
      refuse(`model.merges.${i}`, "it must merge two tokens of the vocabulary to a third", unknown);
    }
  });
}

/** Checks what would make the library loop forever, or fail only when it is used. */
function checkPart(given: unknown, place: string, refuse: Refuse, depth = 0): void {
  if (typeof given !== "object" || given === null) return;
  if (depth > MAX_DEPTH) {
    refuse(place.split(".")[0], `its parts must nest at most ${MAX_DEPTH} deep`, "more");
  }
  const { type, length, pattern } = given as Readonly<Record<string, unknown>>;
  if (type === "FixedLength" && !(Number.isInteger(length) && (length as number) > 0)) {
    refuse(`${place}.length`, "it must be a positive integer", length);
  }
  if (type === "Split" || type === "Replace") {
    const { Regex, String } = (pattern ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof (Regex ?? String) !== "string") {
      refuse(`${place}.pattern`, "it must be a Regex or a String", pattern);
    }
  }
  for (const [key, inner] of Object.entries(given)) {
    checkPart(inner, `${place}.${key}`, refuse, depth + 1);
  }
}
