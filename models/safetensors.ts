/**
 * The safetensors format: 8 bytes with the length of the header, the header as JSON, and then the
 * elements of one tensor after the other. Everything is little-endian, as is every machine that
 * runs JavaScript. See https://github.com/huggingface/safetensors.
 *
 * The header of a file with one tensor `w` of two floats and one piece of metadata is
 *
 *     {"__metadata__": {"format": "pt"},
 *      "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
 *
 * Nothing here touches a file: callers pass and receive bytes.
 *
 * @module
 */
import { halfArray, type TypedArray } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { formatShape, type Shape, sizeOf } from "../core/shape.ts";
import { isRecord, parseJson, shown } from "./json.ts";

/** A tensor on the host. */
export type SafeTensor =
  | { readonly dtype: "F32"; readonly shape: Shape; readonly data: Float32Array }
  | { readonly dtype: "F64"; readonly shape: Shape; readonly data: Float64Array }
  | { readonly dtype: "I32"; readonly shape: Shape; readonly data: Int32Array };

/** Tensors by name. */
export type SafeTensors = Readonly<Record<string, SafeTensor>>;

/** The contents of a file. */
export interface SafeFile {
  /** The tensors by name. */
  readonly tensors: SafeTensors;
  /** Free text by name. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes that can be read in pieces, such as those of an open file. */
export interface ByteSource {
  /** The number of bytes. */
  readonly size: number;
  /** Reads `length` bytes from `offset`. The next read may overwrite the result. */
  read(offset: number, length: number): Uint8Array;
}

/** The element types that can be read. */
export type SafeDType = "F64" | "F32" | "I32" | "BF16" | "F16";

/** A tensor in a file. */
export interface SafeEntry {
  /** The name of the tensor. */
  readonly name: string;
  /** The element type in the file. */
  readonly dtype: SafeDType;
  /** The shape. */
  readonly shape: Shape;
  /** The number of bytes in the file. */
  readonly bytes: number;
}

/** An open safetensors file. */
export interface SafeReader {
  /** The name of the file in errors. */
  readonly source: string;
  /** The tensors by name, in the order of their bytes. */
  readonly entries: ReadonlyMap<string, SafeEntry>;
  /** Free text by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * Reads `count` elements of a tensor from element `first`; default all. BF16 and F16 are returned
   * as float32, which is exact. With `room`, the elements lie in that buffer, so that many reads
   * can share one; it must be large enough.
   *
   * @throws {CheckpointError} if the file has no such tensor.
   */
  read(name: string, first?: number, count?: number, room?: ArrayBuffer): TypedArray;
}

/** Bytes that hold the header's length. */
const PREFIX = 8;
/** The key of the header that is not a tensor. */
const METADATA = "__metadata__";
/** The most bytes of a header. The format's own library has the same limit. */
const MAX_HEADER = 100_000_000;

/** Bytes of an element. */
const BYTES: Readonly<Record<SafeDType, number>> = { F64: 8, F32: 4, I32: 4, BF16: 2, F16: 2 };

type Fail = (requirement: string, actual: string | number | bigint) => never;

/** A tensor and its place behind the header. */
interface Place extends SafeEntry {
  readonly begin: number;
  readonly end: number;
}

/**
 * Encodes tensors as a file. Float64 tensors come first and the header is padded to a multiple of
 * 8, so that every tensor is aligned to its elements.
 *
 * @throws {CheckpointError} if a shape does not fit its data, or a name is reserved.
 *
 * @example
 * ```ts
 * import { decodeSafetensors, encodeSafetensors } from "beargrad";
 *
 * const bytes = encodeSafetensors(
 *   { w: { dtype: "F32", shape: [2, 1], data: new Float32Array([1, 2]) } },
 *   { step: "7" },
 * );
 * const { tensors, metadata } = decodeSafetensors(bytes);
 * console.log(tensors.w.data, metadata.step); // Float32Array [1, 2] 7
 * ```
 */
export function encodeSafetensors(
  tensors: SafeTensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const order = ({ dtype }: SafeTensor): number => dtype === "F64" ? 0 : 1;
  const entries = Object.entries(tensors).sort(([, a], [, b]) => order(a) - order(b));
  const header: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) header.push([METADATA, metadata]);
  let end = 0;
  for (const [name, { dtype, shape, data }] of entries) {
    checkTensor(name, shape, data.length);
    const begin = end;
    end += data.byteLength;
    header.push([name, { dtype, shape, data_offsets: [begin, end] }]);
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const start = Math.ceil((PREFIX + text.length) / 8) * 8;
  const bytes = new Uint8Array(start + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - PREFIX), true);
  bytes.fill(0x20, PREFIX, start);
  bytes.set(text, PREFIX);
  let at = start;
  for (const [, { data }] of entries) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

function checkTensor(name: string, shape: Shape, length: number): void {
  if (name === METADATA) {
    throw new CheckpointError(
      `Cannot write safetensors: a tensor must not have the reserved name, got ${METADATA}`,
    );
  }
  if (!shape.every(isSize) || sizeOf(shape) !== length) {
    throw new CheckpointError(
      `Cannot write safetensors: tensor ${shown(name)} of shape ${formatShape(shape)} must have ` +
        `${sizeOf(shape)} elements, got ${length}`,
    );
  }
}

/**
 * Decodes a whole file. BF16 and F16 become float32, which is exact. `source` is the name of the
 * file in errors.
 *
 * @throws {CheckpointError} if the bytes are not a complete and consistent file, or a tensor has
 * another dtype than F64, F32, I32, BF16 and F16.
 */
export function decodeSafetensors(bytes: Uint8Array, source = "safetensors"): SafeFile {
  const read = (offset: number, length: number): Uint8Array =>
    bytes.subarray(offset, offset + length);
  const file = openSafetensors({ size: bytes.length, read }, source);
  const tensors = [...file.entries].map(([name, { shape }]): [string, SafeTensor] => [
    name,
    safeTensor(shape, file.read(name)),
  ]);
  return { tensors: Object.fromEntries(tensors), metadata: file.metadata };
}

/** A tensor with the dtype of its elements. */
export function safeTensor(shape: Shape, data: TypedArray): SafeTensor {
  if (data instanceof Float64Array) return { dtype: "F64", shape, data };
  if (data instanceof Int32Array) return { dtype: "I32", shape, data };
  return { dtype: "F32", shape, data };
}

/**
 * Opens a file that is read in pieces: reads the header, and checks that the tensors fill the rest
 * without a hole, an overlap or a byte left. `source` is the name of the file in errors.
 *
 * @throws {CheckpointError} as {@link decodeSafetensors}.
 *
 * @example
 * ```ts
 * import { encodeSafetensors, openSafetensors } from "beargrad";
 *
 * const data = new Float32Array([1, 2, 3]);
 * const bytes = encodeSafetensors({ w: { dtype: "F32", shape: [3], data } });
 * const file = openSafetensors({
 *   size: bytes.length,
 *   read: (offset, length) => bytes.subarray(offset, offset + length),
 * });
 * console.log(file.entries.get("w")?.shape, file.read("w", 1)); // [3] Float32Array [2, 3]
 * ```
 */
export function openSafetensors(bytes: ByteSource, source = "safetensors"): SafeReader {
  const fail: Fail = (requirement, actual) => {
    throw new CheckpointError(`Cannot read ${source}: ${requirement}, got ${actual}`);
  };
  const { header, start } = readHeader(bytes, fail);
  const { [METADATA]: metadata = {} } = header;
  if (!isTexts(metadata)) fail(`${METADATA} must be an object of strings`, shown(metadata));
  const places = Object.entries(header)
    .filter(([name]) => name !== METADATA)
    .map(([name, entry]) => readPlace(name, entry, fail))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(places, bytes.size - start, fail);
  const entries = new Map(places.map((place) => [place.name, place]));
  return {
    source,
    entries,
    metadata,
    read: (name, first = 0, count, room) => {
      const { dtype, begin, end } = entries.get(name) ??
        fail(`it must hold ${shown(name)}`, "none");
      const at = begin + first * BYTES[dtype];
      const length = count === undefined ? end - at : count * BYTES[dtype];
      return toElements(dtype, bytes.read(start + at, length), room);
    },
  };
}

function readHeader(
  bytes: ByteSource,
  fail: Fail,
): { header: Record<string, unknown>; start: number } {
  const rest = bytes.size - PREFIX;
  if (rest < 0) fail(`it must begin with ${PREFIX} bytes of header length`, `${bytes.size} bytes`);
  const prefix = bytes.read(0, PREFIX);
  const length = new DataView(prefix.buffer, prefix.byteOffset, PREFIX).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER)) {
    fail(`its header must have at most ${MAX_HEADER} bytes`, length);
  }
  if (length > BigInt(rest)) {
    fail(`its header of ${length} bytes must be complete`, `${rest} bytes`);
  }
  const header = parseJson(bytes.read(PREFIX, Number(length)), "its header", fail);
  if (!isRecord(header)) fail("its header must be a JSON object", shown(header));
  return { header, start: PREFIX + Number(length) };
}

function readPlace(name: string, entry: unknown, fail: Fail): Place {
  const what = `tensor ${shown(name)}`;
  const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
  if (!isSafeDType(dtype)) {
    fail(`${what} must have dtype ${Object.keys(BYTES).join(", ")}`, shown(dtype));
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    fail(`${what} must have a shape of integers from 0`, shown(shape));
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    fail(`${what} must have two data_offsets`, shown(offsets));
  }
  const [begin, end] = offsets;
  const needed = sizeOf(shape) * BYTES[dtype];
  if (end - begin !== needed) {
    fail(`${what} of ${dtype} ${shown(shape)} must have ${needed} bytes`, end - begin);
  }
  return { name, dtype, shape, bytes: needed, begin, end };
}

/** Checks that tensors, sorted by place, fill `size` bytes exactly. */
function checkLayout(places: readonly Place[], size: number, fail: Fail): void {
  let at = 0;
  for (const { name, begin, end } of places) {
    if (begin !== at) {
      const fault = begin < at ? "must not overlap the one before" : "must follow without a hole";
      fail(`tensor ${shown(name)} ${fault}, at byte ${at}`, begin);
    }
    if (end > size) {
      fail(`tensor ${shown(name)} must end within the file's ${size} bytes of data`, end);
    }
    at = end;
  }
  if (at !== size) fail(`its tensors must fill its ${size} bytes of data`, at);
}

/** Elements from bytes that need not be aligned, in `room` or in new memory. */
function toElements(dtype: SafeDType, bytes: Uint8Array, room?: ArrayBuffer): TypedArray {
  const count = bytes.length / BYTES[dtype];
  if (dtype === "BF16" || dtype === "F16") {
    const { buffer, byteOffset } = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
    const floats = new Float32Array(room ?? new ArrayBuffer(4 * count), 0, count);
    if (dtype === "F16") floats.set(new (halfArray())(buffer, byteOffset, count));
    else widen(new Uint16Array(buffer, byteOffset, count), floats);
    return floats;
  }
  const copy = new Uint8Array(room ?? new ArrayBuffer(bytes.length));
  copy.set(bytes);
  if (dtype === "F64") return new Float64Array(copy.buffer, 0, count);
  if (dtype === "I32") return new Int32Array(copy.buffer, 0, count);
  return new Float32Array(copy.buffer, 0, count);
}

/** Converts bfloat16, which is the upper half of a float32. */
function widen(halves: Uint16Array, floats: Float32Array): void {
  const bits = new Uint32Array(floats.buffer, 0, floats.length);
  for (let i = 0; i < bits.length; i++) bits[i] = halves[i] << 16;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSafeDType(value: unknown): value is SafeDType {
  return typeof value === "string" && Object.hasOwn(BYTES, value);
}

function isTexts(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === "string");
}
