/** Files of vectors, written without the code under test. */
import { rawSafetensors } from "./model_files.ts";

/** The items. */
export const VECTOR_ITEMS = ["7", "8", "a,b"];

/** Their vectors. */
export const VECTORS = Array.from({ length: 48 }, (_, i) => ((i * 7) % 11 - 5) / 4);

/** An array in NumPy's format. */
export function npy(
  data: Float32Array | Float64Array,
  shape: readonly number[],
  { version = 1, order = "False", type = `<f${data.BYTES_PER_ELEMENT}` } = {},
): Uint8Array {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const header = `{'descr': '${type}', 'fortran_order': ${order}, 'shape': ${tuple}, }`;
  const prefix = version === 1 ? 10 : 12;
  const length = Math.ceil((prefix + header.length + 1) / 64) * 64 - prefix;
  const start = new Uint8Array(prefix);
  start.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  const view = new DataView(start.buffer);
  if (version === 1) view.setUint16(8, length, true);
  else view.setUint32(8, length, true);
  const text = new TextEncoder().encode(`${header.padEnd(length - 1)}\n`);
  const elements = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return new Uint8Array([...start, ...text, ...elements]);
}

/** The same vectors in files of each kind. */
export function vectorFiles(): Record<string, Uint8Array | string> {
  const [f4, f8] = [Float32Array.from(VECTORS), Float64Array.from(VECTORS)];
  const [first, second, third] = [0, 16, 32].map((at) => VECTORS.slice(at, at + 16).join(","));
  return {
    "one.npy": npy(f4, [3, 16]),
    "two.npy": npy(f8, [3, 16], { version: 2 }),
    "three.safetensors": rawSafetensors({
      items: { dtype: "F32", shape: [3, 16], bytes: new Uint8Array(f4.buffer) },
    }),
    "four.csv": `id,x1${",x".repeat(15)}\n8,${second}\n"a,b",${third}\nelse,${first}\n7,${first}\n`,
  };
}
