/** Model folders for tests: safetensors with any bytes, and folders that come and go. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A tensor as a safetensors file has it. */
export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Tensors by name. */
export type RawTensors = Readonly<Record<string, RawTensor>>;

/** A safetensors file, written without the code under test. */
export function rawSafetensors(tensors: RawTensors): Uint8Array<ArrayBuffer> {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
      const begin = end;
      end += bytes.length;
      return [name, { dtype, shape, data_offsets: [begin, end] }];
    }),
  );
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  let at = 8 + text.length;
  for (const { bytes } of Object.values(tensors)) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/** The tensors of a file, read without the code under test. */
export function rawTensors(file: Uint8Array): Record<string, RawTensor> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const { __metadata__: _, ...header } = JSON.parse(
    new TextDecoder().decode(file.subarray(8, start)),
  );
  return Object.fromEntries(
    Object.entries<{ dtype: string; shape: number[]; data_offsets: [number, number] }>(header)
      .map(([name, { dtype, shape, data_offsets: [begin, end] }]) => [
        name,
        { dtype, shape, bytes: new Uint8Array(file.subarray(start + begin, start + end)) },
      ]),
  );
}

/** A folder of a model of Hugging Face with its float64 logits. */
export function goldenFolder(name: "llama-tiny" | "llama-untied"): string {
  return join("tests", "golden", name);
}

/** The contents of a JSON file. */
// deno-lint-ignore no-explicit-any
export function jsonOf(folder: string, file: string): any {
  return JSON.parse(readFileSync(join(folder, file), "utf8"));
}

/** A new folder with these files; objects become JSON. */
export function folderOf(files: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(join(tmpdir(), "beargrad-model-"));
  for (const [name, contents] of Object.entries(files)) {
    const data = contents instanceof Uint8Array || typeof contents === "string"
      ? contents
      : JSON.stringify(contents);
    writeFileSync(join(folder, name), data);
  }
  return folder;
}
