/**
 * Vectors of items in files: `.npy`, `.safetensors` and `.csv`.
 *
 * @module
 */
import { openSafetensors } from "../../models/safetensors.ts";
import { csvFields, readLines } from "../data/lines.ts";
import { splitPath } from "../files.ts";
import type { Folder } from "../folder.ts";
import { refuseFile } from "../read_file.ts";
import type { Vectors } from "./vectors.ts";

/** Where a file of vectors is, and which tensor of it. */
export interface VectorFile {
  /** The folder that its name is in. Default the working directory. */
  readonly folder?: Folder;
  /** The name of a tensor of a safetensors file. Default its only one. */
  readonly tensor?: string;
}

/** Refuses a file, for a requirement and what it has instead. */
type Refuse = (requirement: string, actual: string) => never;

/**
 * Reads a vector for each item. An `.npy` file and a tensor of a `.safetensors` file have a row for
 * each item, in the order of the catalogue. A `.csv` file has lines of an item's id and its
 * numbers; the first line may be a header, and items that are not in the catalogue are ignored.
 *
 * @throws {DataError} if the file is missing or malformed, has no vector for an item, or a number
 * that is not finite or whose square is not.
 * @throws {CheckpointError} if a safetensors file is malformed.
 */
export function readVectors(
  path: string,
  items: readonly string[],
  { folder: given, tensor }: VectorFile = {},
): Vectors {
  const [folder, file] = given === undefined ? splitPath(path) : [given, path];
  const refuse: Refuse = (requirement, actual) => refuseFile(folder, file, requirement, actual);
  const vectors = file.endsWith(".csv")
    ? readVectorLines(folder, file, items)
    : file.endsWith(".npy")
    ? readNpy(folder, file, refuse)
    : readTensor(folder, file, tensor, refuse);
  const { data, dim } = vectors;
  const rows = data.length / dim;
  if (rows !== items.length) {
    refuse(
      "it must have a row for each item of the catalogue",
      `${rows} rows, ${items.length} items`,
    );
  }
  const bad = data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) {
    const place = `row ${Math.floor(bad / dim)}, column ${bad % dim}`;
    refuse("its numbers must be finite", `${data[bad]} in ${place}, counted from 0`);
  }
  // Squares of others become 0 or infinite.
  const most = data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  if (most !== 0 && !(most >= 1e-100 && most <= 1e100)) {
    refuse("its largest number must be from 1e-100 to 1e100 in size", `${most}`);
  }
  return vectors;
}

/** The bytes before the header's length. */
const NPY = [0x93, ...new TextEncoder().encode("NUMPY")];

/**
 * Reads an array in NumPy's format, version 1 to 3: eight bytes, the header's length, the header as
 * a Python dictionary, the elements.
 */
function readNpy(folder: Folder, file: string, refuse: Refuse): Vectors {
  const open = folder.open(file);
  try {
    const start = open.read(0, Math.min(12, open.size)).slice();
    if (start.length < 12 || NPY.some((byte, i) => start[i] !== byte)) {
      refuse("it must be an array in NumPy's format", "other bytes");
    }
    const view = new DataView(start.buffer);
    const version = start[6];
    if (version < 1 || version > 3) refuse("its version must be 1, 2 or 3", `${version}`);
    const from = version === 1 ? 10 : 12;
    const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
    if (from + length > open.size) {
      refuse("its header must not go beyond its end", `${length} bytes of header`);
    }
    const header = new TextDecoder().decode(open.read(from, length));
    const field = (name: string, value: string): string | undefined =>
      new RegExp(`'${name}'\\s*:\\s*(${value})\\s*[,}]`).exec(header)?.[1];
    const type = field("descr", "'[^']*'");
    if (type !== "'<f4'" && type !== "'<f8'") {
      refuse("its type must be '<f4' or '<f8'", type ?? "none");
    }
    if (field("fortran_order", "\\w+") !== "False") {
      refuse("its elements must lie row after row, with fortran_order False", "another order");
    }
    const shape = field("shape", "\\([^)]*\\)");
    const [rows, dim] = /^\((\d{1,9}), (\d{1,9}),?\)$/.exec(shape ?? "")?.slice(1).map(Number) ??
      [];
    if (!(rows >= 1 && dim >= 1)) {
      refuse("its shape must be (items, dimensions)", shape ?? "none");
    }
    const Elements = type === "'<f4'" ? Float32Array : Float64Array;
    const size = rows * dim * Elements.BYTES_PER_ELEMENT;
    const has = open.size - from - length;
    if (has !== size) refuse(`its elements must have ${size} bytes`, `${has}`);
    const bytes = open.read(from + length, size).slice(); // aligned
    return { data: Float64Array.from(new Elements(bytes.buffer)), dim };
  } finally {
    open.close();
  }
}

/** Reads a matrix of a safetensors file. */
function readTensor(
  folder: Folder,
  file: string,
  name: string | undefined,
  refuse: Refuse,
): Vectors {
  const open = folder.open(file);
  try {
    const { entries, read } = openSafetensors(open, folder.pathOf(file));
    const names = [...entries.keys()];
    if (name === undefined && names.length !== 1) {
      refuse("it must have one tensor, or #NAME must follow it", `${names.length} tensors`);
    }
    const entry = entries.get(name ?? names[0]);
    if (entry === undefined) return refuse(`it must have a tensor ${name}`, names.join(", "));
    const { shape, dtype } = entry;
    if (shape.length !== 2 || shape[0] === 0 || shape[1] === 0 || dtype === "I32") {
      refuse("its tensor must be (items, dimensions) of floats", `${dtype} of shape [${shape}]`);
    }
    return { data: Float64Array.from(read(entry.name)), dim: shape[1] };
  } finally {
    open.close();
  }
}

/** Reads lines of an item's id and its numbers. */
function readVectorLines(folder: Folder, file: string, items: readonly string[]): Vectors {
  const indexOf = new Map(items.map((id, i) => [id, i]));
  const seen = new Uint8Array(items.length);
  let data: Float64Array | undefined;
  let dim = 0;
  let count = 0;
  for (const text of readLines(folder, file)) {
    count++;
    if (text === "") continue;
    const refuse: Refuse = (requirement, actual) =>
      refuseFile(folder, `${file} line ${count}`, requirement, actual);
    const [id, ...fields] = csvFields(text) ?? refuse("its quotes must enclose fields", text);
    const numbers = fields.map((field) => field.trim() === "" ? NaN : Number(field));
    const bad = numbers.findIndex((x) => !Number.isFinite(x));
    if (count === 1 && bad === 0) continue; // a header
    if (bad >= 0) refuse(`column ${bad + 2} must be a finite number`, `"${fields[bad]}"`);
    if (data === undefined) {
      dim = numbers.length;
      data = new Float64Array(items.length * dim);
    }
    if (dim === 0 || numbers.length !== dim) {
      refuse(`an id must be followed by ${dim || "its"} numbers`, `${numbers.length}`);
    }
    const item = indexOf.get(id);
    if (item === undefined) continue;
    if (seen[item] === 1) refuse("an item must have one vector", `item "${id}" again`);
    seen[item] = 1;
    data.set(numbers, item * dim);
  }
  const missing = seen.indexOf(0);
  if (data !== undefined && missing < 0) return { data, dim };
  return refuseFile(folder, file, "every item must have a vector", `none for "${items[missing]}"`);
}
