/**
 * A Hugging Face tokenizer.json, checked before it is used: what its parts refer to must be there.
 *
 * @module
 */
import * as v from "valibot";
import { shown } from "../../models/json.ts";
import { anyRecord, missingFile, readJson, refuseFile } from "../folder_files.ts";

const FILE = "tokenizer.json";

/** Ids above this would make tables that no vocabulary needs. */
const MOST_TOKENS = 2 ** 22;

/** Parts within parts within parts: more than this no tokenizer has, and the stack must hold them. */
const DEEPEST = 100;

const id = v.pipe(
  v.number(),
  v.integer("it must be an integer"),
  v.minValue(0, "it must not be negative"),
  v.maxValue(MOST_TOKENS - 1, `it must be below ${MOST_TOKENS}`),
);
const part = v.optional(v.nullable(v.looseObject({ type: v.string() })), null);
const addedToken = v.looseObject({
  id,
  content: v.pipe(v.string(), v.minLength(1, "it must have characters")),
});
const layout = v.looseObject({
  model: v.looseObject({ type: v.string() }),
  added_tokens: v.optional(v.array(addedToken), []),
  normalizer: part,
  pre_tokenizer: part,
  decoder: part,
});

/** What is used of a tokenizer.json. */
export type TokenizerFile = v.InferOutput<typeof layout>;

const unknownToken = v.optional(v.nullable(v.string()));
const models = {
  BPE: v.looseObject({ vocab: anyRecord, merges: v.array(v.unknown()), unk_token: unknownToken }),
  WordPiece: v.looseObject({ vocab: anyRecord, unk_token: v.string() }),
  Unigram: v.looseObject({
    vocab: v.pipe(
      v.array(v.tuple([v.string(), v.number()])),
      v.minLength(1, "it must have tokens"),
    ),
    unk_id: v.optional(v.nullable(id)),
  }),
};

/**
 * Reads a folder's tokenizer.json: the parts, and the tokens with their ids.
 *
 * @throws {DataError} if it is missing, malformed, or refers to tokens that it does not have.
 */
export function readTokenizerFile(
  folder: string,
): { file: TokenizerFile; ids: ReadonlyMap<string, number> } {
  const file = readJson(folder, FILE, layout) ?? missingFile(folder, FILE);
  const refuse = (place: string, requirement: string, actual: unknown): never =>
    refuseFile(folder, `${FILE} at "${place}"`, requirement, shown(actual));

  const { type } = file.model;
  if (!Object.hasOwn(models, type)) {
    refuse("model.type", `it must be ${Object.keys(models).join(", ")}`, type);
  }
  const parse = <S extends v.GenericSchema>(schema: S): v.InferOutput<S> => {
    const result = v.safeParse(schema, file.model);
    if (result.success) return result.output;
    const [issue] = result.issues;
    const requirement = issue.kind === "schema" ? `it must be ${issue.expected}` : issue.message;
    return refuse(`model.${v.getDotPath(issue)}`, requirement, issue.input);
  };

  const ids = new Map<string, number>();
  if (type === "Unigram") {
    const { vocab, unk_id } = parse(models.Unigram);
    vocab.forEach(([token], i) => ids.set(token, i));
    if (unk_id != null && unk_id >= vocab.length) {
      refuse("model.unk_id", `it must be one of the ${vocab.length} tokens`, unk_id);
    }
  } else {
    const { vocab, unk_token } = type === "BPE" ? parse(models.BPE) : parse(models.WordPiece);
    for (const [token, given] of Object.entries(vocab)) {
      const result = v.safeParse(id, given);
      if (!result.success) {
        const [{ kind, message }] = result.issues;
        refuse(`model.vocab.${token}`, kind === "schema" ? "it must be an id" : message, given);
      }
      ids.set(token, given as number);
    }
    if (unk_token != null && !ids.has(unk_token)) {
      refuse("model.unk_token", "it must be in the vocabulary", unk_token);
    }
    if (type === "BPE") checkMerges(parse(models.BPE), ids, refuse);
  }
  for (const { content, id } of file.added_tokens) ids.set(content, id);
  if (ids.size === 0) refuse("model.vocab", "it must have tokens", "none");
  if (new Set(ids.values()).size < ids.size) {
    refuse("model.vocab", "every token must have an id of its own", twice(ids));
  }
  for (const name of ["normalizer", "pre_tokenizer", "decoder"] as const) {
    checkPart(file[name], name, refuse);
  }
  return { file, ids };
}

type Refuse = (place: string, requirement: string, actual: unknown) => never;

/** A merge joins two tokens of the vocabulary to a third. */
function checkMerges(
  model: v.InferOutput<typeof models.BPE>,
  ids: ReadonlyMap<string, number>,
  refuse: Refuse,
): void {
  const { merges, continuing_subword_prefix: prefix } = model;
  // The library takes all merges to be written like the first.
  const asPairs = Array.isArray(merges[0]);
  merges.forEach((merge, i) => {
    const pair = asPairs ? merge : typeof merge === "string" ? merge.split(" ") : undefined;
    const [left, right] = Array.isArray(pair) && pair.length === 2 ? pair : [];
    if (typeof left !== "string" || typeof right !== "string") {
      refuse(`model.merges.${i}`, "it must be a pair of tokens, written like the first", merge);
    }
    const inner = typeof prefix === "string" && right.startsWith(prefix) ? prefix.length : 0;
    const unknown = [left, right, left + right.slice(inner)].find((token) => !ids.has(token));
    if (unknown !== undefined) {
      refuse(`model.merges.${i}`, "it must merge tokens of the vocabulary to another", unknown);
    }
  });
}

/** What would make the library go on for ever, or warn on the console and fail later. */
function checkPart(given: unknown, place: string, refuse: Refuse, depth = 0): void {
  if (typeof given !== "object" || given === null) return;
  if (depth > DEEPEST) {
    refuse(place.split(".")[0], `its parts must nest at most ${DEEPEST} deep`, "more");
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

/** The first two tokens with one id. */
function twice(ids: ReadonlyMap<string, number>): string[] {
  const owners = new Map<number, string>();
  for (const [token, id] of ids) {
    const owner = owners.get(id);
    if (owner !== undefined) return [owner, token];
    owners.set(id, token);
  }
  return [];
}
