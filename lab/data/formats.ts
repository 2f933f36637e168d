/**
 * Which kind of data a folder holds, by the names of its files, and which of them are read.
 *
 * @module
 */
import { DataError, UsageError } from "../../core/errors.ts";
import { oneLine } from "../../models/json.ts";
import type { Folder } from "../folder.ts";
import type { SequenceFiles } from "./semantic_ids.ts";
import type { SplitFiles } from "./split_rows.ts";
import { isTitleFolder } from "./title_files.ts";

/** A kind of data, and the files to read. */
export type Format =
  | { readonly kind: "titles" }
  | { readonly kind: "sequences"; readonly files: SequenceFiles }
  | { readonly kind: "split rows"; readonly files: SplitFiles };

/** What chooses among the files of a folder. */
export interface FormatChoice {
  /** The one file that was named as the data. */
  readonly file?: string;
  /** The file of codes: its path in the folder, its name, or `X` of `X.index.json`. */
  readonly index?: string;
}

/** A file of the data set `set`: `X` of `X.index.json`, the empty text of `index.json`. */
interface Named {
  readonly file: string;
  readonly set: string;
}

const INDEX = /^(?:(.*)\.)?index(?:[._-].*)?\.json$/;
const USERS = /^(?:(.*)\.)?inter\.json$/;
const LINES = "sequential_data.txt";

/**
 * Finds the kind of data in a folder. `index.json` is the file of codes, if it is there. Among
 * others, `index` chooses.
 *
 * @throws {DataError} if no kind is known, a file is missing, or there are several data sets.
 * @throws {UsageError} if `index` does not name one of the files of codes.
 */
export function findFormat(folder: Folder, { file, index }: FormatChoice = {}): Format {
  if (!folder.has()) refuse(folder, "the folder must exist", []);
  const isUsers = file !== undefined && (USERS.test(file) || file === LINES);
  const isIndex = file !== undefined && INDEX.test(file);
  if (index === undefined && !isUsers && !isIndex && isTitleFolder(folder)) {
    return { kind: "titles" };
  }
  const names = folder.names();
  if (file !== undefined && !isUsers && !isIndex) return refuseKind(folder, [file]);

  const splits = splitsOf(folder);
  const infos = [
    ...filesOf(folder, "", /^(?:(.*)\.)?info\.txt$/),
    ...filesOf(folder, "info", /^(.*)\.txt$/),
  ];
  const indices = [...filesOf(folder, "", INDEX), ...filesOf(folder, "index", INDEX)]
    .filter(({ file }) => !file.endsWith(".safetensors.index.json"));
  const catalogues = indices.length > 0 || splits.length === 0 ? indices : infos;
  const codes = chooseCodes(folder, catalogues, index ?? (isIndex ? file : undefined));

  const inters = filesOf(folder, "", USERS);
  const users = isUsers
    ? file
    : codes === undefined
    ? oneOf(folder, [...inters.map(({ file }) => file), ...names.filter((name) => name === LINES)])
    : inters.find(({ set }) => set === codes.set)?.file ??
      (names.includes(LINES) ? LINES : undefined);
  const set = codes?.set ?? USERS.exec(users ?? "")?.[1] ?? "";
  const titles = [`${set}.item.json`, `${set}.items.json`, ...(set === "" ? ITEMS : [])]
    .flatMap((name) => [name, `index/${name}`]).find((path) => folder.has(path));
  const name = set === "" ? undefined : set;
  if (users !== undefined) {
    return { kind: "sequences", files: { name, codes: codes?.file, users, titles } };
  }
  if (codes === undefined) return refuseKind(folder, names);
  const of = splits.filter(({ set: of }) => of === "" || set === "" || belongs(of, set));
  if (of.length === 0) {
    const inter = set === "" ? "inter.json" : `${set}.inter.json`;
    const requirement = `with ${codes.file} it must hold ${inter}, ${LINES}, or train.csv and ` +
      "test.csv";
    refuse(folder, requirement, names);
  }
  if (of.length > 1) refuse(folder, "it must hold one", of.map(({ train }) => train));
  const [{ set: split, ...rows }] = of;
  const info = infos.find(({ set: of }) => of === set || of === split)?.file;
  const isOther = index !== undefined && index !== set;
  return { kind: "split rows", files: { name, codes: codes.file, info, titles, ...rows, isOther } };
}
