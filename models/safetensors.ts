/**
 * The safetensors format: 8 bytes of header length, a JSON header, and the elements of every tensor one after the
 * other, all little-endian, as every machine that runs JavaScript is (https://github.com/huggingface/safetensors).
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";

/** A tensor on the host, as a file holds it. */
export type SafeTensor =
  | { readonly dtype: "F32"; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: "F64"; readonly shape: readonly number[]; readonly data: Float64Array }
  | { readonly dtype: "I32"; readonly shape: readonly number[]; readonly data: Int32Array };

/** Tensors by name. */
export type SafeTensors = Readonly<Record<string, SafeTensor>>;

/** What a file holds. */
export interface SafeFile {
  /** The tensors. */
  readonly tensors: SafeTensors;
  /** Free text by name. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes of the header's length. */
const PREFIX = 8;
const METADATA = "__metadata__";

/** Bytes of an element of each dtype that can be read. */
const BYTES: Readonly<Record<string, number>> = { F64: 8, F32: 4, I32: 4, BF16: 2, F16: 2 };

/**
 * The bytes of a file. Tensors are aligned to their elements: float64 first, and the header is padded to a multiple of 8.
 *
 * @throws {CheckpointError} if a tensor's shape does not fit its data, or its name is reserved.
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
  const wide = (t: SafeTensor): number => t.dtype === "F64" ? 0 : 1;
  const entries = Object.entries(tensors).sort(([, a], [, b]) => wide(a) - wide(b));
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

function checkTensor(name: string, shape: readonly number[], length: number): void {
  if (name === METADATA) {
    throw new CheckpointError(
      `Cannot write safetensors: a tensor's name must not be the reserved one, got ${METADATA}`,
    );
  }
  if (!shape.every(isCount) || elements(shape) !== length) {
    throw new CheckpointError(
      `Cannot write safetensors: tensor ${JSON.stringify(name)} of shape (${
        shape.join(", ")
      }) must have ` +
        `${elements(shape)} elements, got ${length}`,
    );
  }
}

/**
 * Reads a file. BF16 and F16 become float32, exactly; other dtypes than these, F32, F64 and I32 are refused. `source` names
 * the file in errors.
 *
 * @throws {CheckpointError} if the bytes are not a complete and consistent file.
 *
 * @example
 * ```ts
 * import { decodeSafetensors, encodeSafetensors } from "beargrad";
 *
 * const bytes = encodeSafetensors({ n: { dtype: "I32", shape: [], data: Int32Array.of(3) } });
 * console.log(decodeSafetensors(bytes).tensors.n); // { dtype: "I32", shape: [], data: Int32Array [3] }
 * ```
 */
export function decodeSafetensors(bytes: Uint8Array, source = "safetensors"): SafeFile {
  const fail: Fail = (requirement, actual) => {
    throw new CheckpointError(`Cannot read ${source}: ${requirement}, got ${actual}`);
  };
  const { header, start } = readHeader(bytes, fail);
  const { [METADATA]: metadata = {}, ...entries } = header;
  if (!isTexts(metadata)) {
    fail(`${METADATA} must be an object of strings`, JSON.stringify(metadata));
  }
  const places = Object.entries(entries).map(([name, entry]) => readPlace(name, entry, fail));
  checkLayout(places, bytes.length - start, fail);
  const tensors = places.map((place) => {
    // A copy, so aligned; `slice` would not copy where `bytes` is a Node Buffer.
    const raw = new Uint8Array(bytes.subarray(start + place.begin, start + place.end));
    return [place.name, toTensor(place, raw.buffer)] as const;
  });
  return { tensors: Object.fromEntries(tensors), metadata };
}

type Fail = (requirement: string, actual: string | number) => never;

/** Where a tensor lies behind the header. */
interface Place {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readHeader(
  bytes: Uint8Array,
  fail: Fail,
): { header: Record<string, unknown>; start: number } {
  if (bytes.length < PREFIX) {
    fail(`it must begin with ${PREFIX} bytes of header length`, `${bytes.length} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(bytes.length - PREFIX)) {
    fail(`its header of ${length} bytes must be complete`, `${bytes.length - PREFIX} bytes`);
  }
  const start = PREFIX + Number(length);
  let header: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(PREFIX, start));
    header = JSON.parse(text);
  } catch {
    fail("its header must be JSON", "something else");
  }
  if (!isRecord(header)) fail("its header must be a JSON object", JSON.stringify(header));
  return { header, start };
}

function readPlace(name: string, entry: unknown, fail: Fail): Place {
  const what = `tensor ${JSON.stringify(name)}`;
  const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
  if (typeof dtype !== "string" || !Object.hasOwn(BYTES, dtype)) {
    fail(
      `${what} must have dtype ${Object.keys(BYTES).join(", ")}`,
      JSON.stringify(dtype) ?? "none",
    );
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    fail(`${what} must have a shape of counts`, JSON.stringify(shape) ?? "none");
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    fail(`${what} must have two data_offsets`, JSON.stringify(offsets) ?? "none");
  }
  const [begin, end] = offsets;
  const place: Place = { name, dtype, shape, begin, end };
  const needed = elements(place.shape) * BYTES[place.dtype];
  if (end - begin !== needed) {
    fail(`${what} of ${dtype} (${place.shape.join(", ")}) must have ${needed} bytes`, end - begin);
  }
  return place;
}

/** The tensors must fill the bytes behind the header: no hole, no overlap, nothing missing, nothing left. */
function checkLayout(places: readonly Place[], size: number, fail: Fail): void {
  let at = 0;
  for (
    const { name, begin, end } of places.toSorted((a, b) => a.begin - b.begin || a.end - b.end)
  ) {
    if (begin !== at) {
      const fault = begin < at ? "must not overlap the one before" : "must follow without a hole";
      fail(`tensor ${JSON.stringify(name)} ${fault}, at byte ${at}`, begin);
    }
    if (end > size) {
      fail(`tensor ${JSON.stringify(name)} must end within the file's ${size} bytes of data`, end);
    }
    at = end;
  }
  if (at !== size) fail(`its tensors must fill its ${size} bytes of data`, at);
}

function toTensor({ dtype, shape }: Place, raw: ArrayBuffer): SafeTensor {
  if (dtype === "F64") return { dtype, shape, data: new Float64Array(raw) };
  if (dtype === "I32") return { dtype, shape, data: new Int32Array(raw) };
  if (dtype === "F32") return { dtype, shape, data: new Float32Array(raw) };
  const data = dtype === "BF16" ? fromBfloat16(raw) : Float32Array.from(new Float16Array(raw));
  return { dtype: "F32", shape, data };
}

/** A bfloat16 is the upper half of a float32. */
function fromBfloat16(raw: ArrayBuffer): Float32Array {
  return new Float32Array(Uint32Array.from(new Uint16Array(raw), (half) => half << 16).buffer);
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTexts(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === "string");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
