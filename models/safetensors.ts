/**
 * The safetensors format: 8 bytes of header length, a JSON header, and the elements of every tensor one after the
 * other, all little-endian, as every machine that runs JavaScript is (https://github.com/huggingface/safetensors).
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { shown } from "./json.ts";
import { elements, isCount, METADATA, openSafetensors, PREFIX } from "./safetensors_reader.ts";

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
      `Cannot write safetensors: tensor ${shown(name)} of shape (${shape.join(", ")}) must have ` +
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
  const read = (offset: number, length: number): Uint8Array =>
    bytes.subarray(offset, offset + length);
  const file = openSafetensors({ size: bytes.length, read }, source);
  const tensors = [...file.entries].map(([name, { shape }]): [string, SafeTensor] => {
    const data = file.read(name);
    if (data instanceof Float64Array) return [name, { dtype: "F64", shape, data }];
    if (data instanceof Int32Array) return [name, { dtype: "I32", shape, data }];
    return [name, { dtype: "F32", shape, data }];
  });
  return { tensors: Object.fromEntries(tensors), metadata: file.metadata };
}
