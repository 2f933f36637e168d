/**
 * Reading safetensors piece by piece, so that a file of any size needs little memory. Nothing here touches a file: bytes come
 * from whoever has them.
 *
 * @module
 */
import type { TypedArray } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { isRecord, parseJson, shown } from "./json.ts";

/** Bytes that can be read in pieces, such as those of an open file. */
export interface ByteSource {
  /** How many there are. */
  readonly size: number;
  /** `length` bytes from `offset` on; both lie inside. What is returned may be overwritten by the next read. */
  read(offset: number, length: number): Uint8Array;
}

/** The element types that are read. */
export type SafeDType = "F64" | "F32" | "I32" | "BF16" | "F16";

/** A tensor in a file. */
export interface SafeEntry {
  /** Its name. */
  readonly name: string;
  /** The type of its elements in the file. */
  readonly dtype: SafeDType;
  /** Its shape. */
  readonly shape: readonly number[];
  /** Its bytes in the file. */
  readonly bytes: number;
}

/** An open safetensors file. */
export interface SafeReader {
  /** What errors call it. */
  readonly source: string;
  /** Its tensors by name, in the order of their bytes. */
  readonly entries: ReadonlyMap<string, SafeEntry>;
  /** Free text by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The elements of a tensor from the `first`-th on, `count` of them or all; BF16 and F16 as float32, which is exact. They lie in
   * `room` where it is given, which must hold them: what is read often makes no garbage so.
   *
   * @throws {CheckpointError} if the file has no such tensor.
   */
  read(name: string, first?: number, count?: number, room?: ArrayBuffer): TypedArray;
}

/** Bytes of the header's length. */
export const PREFIX = 8;
/** The header's key that is no tensor. */
export const METADATA = "__metadata__";
/** Bytes of the longest header, as in the format's own library. */
const MAX_HEADER = 100_000_000;

/** Bytes of an element. */
const BYTES: Readonly<Record<SafeDType, number>> = { F64: 8, F32: 4, I32: 4, BF16: 2, F16: 2 };

type Fail = (requirement: string, actual: string | number | bigint) => never;

/** Where a tensor lies behind the header. */
interface Place extends SafeEntry {
  readonly begin: number;
  readonly end: number;
}

/**
 * Opens a file: reads its header and checks that its tensors fill the rest without a hole, an overlap or a byte left. Other
 * dtypes than F64, F32, I32, BF16 and F16 are refused. `source` names the file in errors.
 *
 * @throws {CheckpointError} if it is not a complete and consistent file.
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
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    fail(`${what} must have a shape of counts`, shown(shape));
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    fail(`${what} must have two data_offsets`, shown(offsets));
  }
  const [begin, end] = offsets;
  const needed = elements(shape) * BYTES[dtype];
  if (end - begin !== needed) {
    fail(`${what} of ${dtype} ${shown(shape)} must have ${needed} bytes`, end - begin);
  }
  return { name, dtype, shape, bytes: needed, begin, end };
}

/** The tensors must fill the bytes behind the header: no hole, no overlap, nothing missing, nothing left. */
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

/** Elements out of bytes that need not be aligned to them, in `room` or in memory of their own. */
function toElements(dtype: SafeDType, bytes: Uint8Array, room?: ArrayBuffer): TypedArray {
  const count = bytes.length / BYTES[dtype];
  if (dtype === "BF16" || dtype === "F16") {
    const { buffer, byteOffset } = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
    const floats = new Float32Array(room ?? new ArrayBuffer(4 * count), 0, count);
    if (dtype === "F16") floats.set(new Float16Array(buffer, byteOffset, count));
    else widen(new Uint16Array(buffer, byteOffset, count), floats);
    return floats;
  }
  const copy = new Uint8Array(room ?? new ArrayBuffer(bytes.length));
  copy.set(bytes);
  if (dtype === "F64") return new Float64Array(copy.buffer, 0, count);
  if (dtype === "I32") return new Int32Array(copy.buffer, 0, count);
  return new Float32Array(copy.buffer, 0, count);
}

/** A bfloat16 is the upper half of a float32. */
function widen(halves: Uint16Array, floats: Float32Array): void {
  const bits = new Uint32Array(floats.buffer, 0, floats.length);
  for (let i = 0; i < bits.length; i++) bits[i] = halves[i] << 16;
}

/** The number of elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Whether a value can be a size. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSafeDType(value: unknown): value is SafeDType {
  return typeof value === "string" && Object.hasOwn(BYTES, value);
}

function isTexts(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === "string");
}
