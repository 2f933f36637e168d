/**
 * Which kind of data a folder holds, by the names of its files, and which of them are read.
 *
 * @module
 */
import { DataError, UsageError } from "../../core/errors.ts";
import { oneLine } from "../../models/json.ts";
import type { Folder } from "../folder.ts";
import { isInteractionFile } from "./interactions.ts";
import type { SequenceFiles } from "./semantic_ids.ts";
import type { SplitFiles } from "./split_rows.ts";
import { TITLES } from "./title_files.ts";

/** A kind of data, and the files to read. */
export type Format =
  | { readonly kind: "titles" }
  | { readonly kind: "sequences"; readonly files: SequenceFiles }
  | { readonly kind: "split rows"; readonly files: SplitFiles }
  | { readonly kind: "interactions"; readonly file: string };

/** What chooses among the files of a folder. */
export interface FormatChoice {
  /** The one file that was named as the data. */
  readonly file?: string;
  /** The file of codes: its path in the folder, its name, or `X` of `X.index.json`. */
  readonly index?: string;
  /** The columns of interactions, if they are named. The data are then interactions. */
  readonly columns?: object;
}

/** A file of the data set `set`: `X` of `X.index.json`, the empty text of `index.json`. */
interface Named {
  readonly file: string;
  readonly set: string;
}

// The first group is the data set.
const INDEX = /^(?:(.*)\.)?index(?:[._-].*)?\.json$/;
const USERS = /^(?:(.*)\.)?inter\.json$|^sequential_data\.txt$/;
const INFO = /^(?:(.*)\.)?info\.txt$/;
const LINES = "sequential_data.txt";
const TABLE = /\.(csv|tsv|jsonl)$/;
const NAMED_TABLE = /\.(csv|tsv|jsonl|json|txt|dat)$/;
const PACKED = /\.(gz|zip|tgz|bz2|xz|zst)$/;
const ITEMS = ["items.json", "item.json"];
const KINDS = "it must hold data of a known kind (docs/data.md): semantic ids (index.json and " +
  `inter.json, X.index.json and X.inter.json, ${LINES}, or train.csv, test.csv and info.txt), ` +
  "titles (id2name4Rec.json) or interactions (X.inter, ratings.csv, u.data or ratings.dat; --data " +
  "may name another file)";

/**
 * Finds the kind of data in a folder. `index.json` is the file of codes, if it is there. Among
 * others, `index` chooses.
 *
 * @throws {DataError} if no kind is known, a file is missing, or there are several data sets.
 * @throws {UsageError} if `index` does not name one of the files of codes.
 */
export function findFormat(folder: Folder, { file, index, columns }: FormatChoice = {}): Format {
  if (!folder.has()) refuse(folder, "the folder or file must exist", []);
  if (columns !== undefined) return interactionsIn(folder, file, index);
  const isUsers = file !== undefined && USERS.test(file);
  const isIndex = file !== undefined && INDEX.test(file);
  if (index === undefined && (file ?? TITLES) === TITLES && folder.has(TITLES)) {
    return { kind: "titles" };
  }
  if (file !== undefined && !isUsers && !isIndex) {
    if (!isInteractionFile(file) && !NAMED_TABLE.test(file)) {
      refuse(folder, PACKED.test(file) ? "its files must be unpacked" : KINDS, [file]);
    }
    return interactionsIn(folder, file, index);
  }

  const names = folder.names();
  const inters = filesOf(folder, "", USERS);
  const splits = splitsOf(folder);
  const infos = [...filesOf(folder, "", INFO), ...filesOf(folder, "info", /^(.*)\.txt$/)];
  const indices = [...filesOf(folder, "", INDEX), ...filesOf(folder, "index", INDEX)]
    .filter(({ file }) => !file.endsWith(".safetensors.index.json"));
  const catalogues = indices.length > 0 || splits.length === 0 ? indices : infos;
  // X.faiss-rq.index.json has codes of X, if that is the data set that there is.
  const dataSet = (named: string): string => {
    const isThere = (set: string): boolean =>
      inters.some((one) => one.set === set) || splits.some((one) => belongs(one.set, set));
    for (let set = named; set !== ""; set = /^(.*)\./.exec(set)?.[1] ?? "") {
      if (isThere(set)) return set;
    }
    return named;
  };
  const ofFile = isUsers && file !== LINES && index === undefined
    ? catalogues.filter(({ set }) => dataSet(set) === setOf(file, USERS))
    : catalogues;
  const wanted = index ?? (isIndex ? file : undefined);
  const codes = chooseCodes(folder, ofFile, wanted);

  const usersOf = (set: string): string | undefined =>
    (inters.find((one) => one.set === set && one.file !== LINES) ??
      inters.find(({ file }) => file === LINES))?.file;
  const users = isUsers ? file : codes ? usersOf(dataSet(codes.set)) : onlyFile(folder, inters);
  const set = codes ? dataSet(codes.set) : setOf(users ?? "", USERS);
  const name = set === "" ? undefined : set;
  const titles = [`${set}.item.json`, `${set}.items.json`, ...(set === "" ? ITEMS : [])]
    .flatMap((name) => [name, `index/${name}`]).find((path) => folder.has(path));
  if (users !== undefined) {
    return { kind: "sequences", files: { name, codes: codes?.file, users, titles } };
  }
  if (codes === undefined) {
    if (infos.length > 0 && names.includes("train.csv") && splits.length === 0) {
      refuse(folder, "beside train.csv it must hold test.csv", names);
    }
    if (splits.length > 0 && !names.some(isInteractionFile)) {
      const requirement = `beside ${splits[0].train} it must hold codes, in info.txt or ` +
        "X.index.json, or --data must name its file of interactions";
      refuse(folder, requirement, names);
    }
    return interactionsIn(folder, undefined, index);
  }

  const rows = splits.filter((split) => belongs(split.set, set));
  if (rows.length === 0) {
    const inter = set === "" ? "inter.json" : `${set}.inter.json`;
    const users = `${inter}, ${LINES} or train.csv and test.csv`;
    refuse(folder, `beside ${codes.file} it must hold ${users}`, names);
  }
  if (rows.length > 1) refuse(folder, "it must hold one data set", rows.map(({ train }) => train));
  const [{ set: split, ...parts }] = rows;
  const info = infos.find((one) => one.set === split || belongs(one.set, set))?.file;
  const isOther = wanted !== undefined && wanted !== set;
  return {
    kind: "split rows",
    files: { name, codes: codes.file, info, titles, ...parts, isOther },
  };
}

/** The file of interactions: the one that was named, or the only one. */
function interactionsIn(folder: Folder, named: string | undefined, index?: string): Format {
  if (index !== undefined) {
    throw new UsageError("Cannot use --index: --data must have files of codes, got interactions");
  }
  if (named !== undefined) return { kind: "interactions", file: named };
  const usual = folder.names().filter(isInteractionFile);
  const files = usual.length > 0 ? usual : folder.names().filter((name) => TABLE.test(name));
  if (files.length > 1) refuse(folder, "--data must name one of its files", files);
  if (files.length === 0) {
    const isPacked = folder.names().some((name) => PACKED.test(name));
    refuse(folder, isPacked ? "its files must be unpacked" : KINDS, folder.names());
  }
  return { kind: "interactions", file: files[0] };
}

/** The files in a folder of the folder whose names match. The first group is the data set. */
function filesOf(folder: Folder, inside: string, pattern: RegExp): Named[] {
  return folder.names(inside).filter((name) => pattern.test(name)).map((name) => ({
    file: inside === "" ? name : `${inside}/${name}`,
    set: setOf(name, pattern),
  }));
}

function setOf(name: string, pattern: RegExp): string {
  return pattern.exec(name)?.[1] ?? "";
}

/** Whether a name such as `Pens_5_2016` is of the data set `Pens`. An empty name is of any. */
function belongs(name: string, set: string): boolean {
  return name === "" || set === "" || name === set || name.startsWith(`${set}_`);
}

/** The given splits: `train.csv` and so on, or CSV files of one name in `train` and so on. */
function splitsOf(folder: Folder): (Named & Pick<SplitFiles, "train" | "valid" | "test">)[] {
  const flat = filesOf(folder, "", /^()train\.csv$/).map((one) => ({
    ...one,
    ...{ train: "train.csv", valid: "valid.csv", test: "test.csv" },
  }));
  const deep = filesOf(folder, "train", /^(.*)\.csv$/).map((one) => ({
    ...one,
    train: one.file,
    valid: one.file.replace(/^train/, "valid"),
    test: one.file.replace(/^train/, "test"),
  }));
  return [...flat, ...deep].filter(({ test }) => folder.has(test)).map(({ valid, ...one }) => ({
    ...one,
    valid: folder.has(valid) ? valid : undefined,
  }));
}

/** The file of codes that `wanted` names, or the usual one. */
function chooseCodes(
  folder: Folder,
  catalogues: readonly Named[],
  wanted: string | undefined,
): Named | undefined {
  const listed = catalogues.map(({ file }) => file);
  if (wanted === undefined) {
    const usual = catalogues.find(({ file }) => file === "index.json");
    if (usual === undefined && catalogues.length > 1) {
      refuse(folder, "--index must choose its file of codes", listed);
    }
    return usual ?? catalogues[0];
  }
  const byFile = catalogues.filter(({ file }) => file === wanted || file.endsWith(`/${wanted}`));
  const found = byFile.length > 0 ? byFile : catalogues.filter(({ set }) => set === wanted);
  if (found.length === 1) return found[0];
  const choice = catalogues.length === 0
    ? `${folder.path} must hold files of codes such as index.json`
    : `it must be one of ${listed.join(", ")}`;
  throw new UsageError(`Cannot use --index: ${choice}, got "${wanted}"`);
}

/** The only file of users, if there is one. */
function onlyFile(folder: Folder, found: readonly Named[]): string | undefined {
  if (found.length > 1) {
    refuse(folder, "--data must name one of its files", found.map(({ file }) => file));
  }
  return found[0]?.file;
}

function refuse(folder: Folder, requirement: string, found: readonly string[]): never {
  const actual = found.length === 0 ? "none" : oneLine(found.join(", "));
  throw new DataError(`Cannot load ${folder.path}: ${requirement}, got ${actual}`);
}
