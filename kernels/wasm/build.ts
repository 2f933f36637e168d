/**
 * Compiles the AssemblyScript sources in `assembly/` and writes their bytes to `bytes.ts`, so that
 * users need no build step. Run it after every change: `deno task wasm`.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";

const FLAGS = [
  "-O3",
  "--noAssert",
  "--runtime",
  "stub",
  "--importMemory",
  "--sharedMemory",
  "--initialMemory",
  "1",
  "--maximumMemory",
  "65536",
];

/** Compiles the sources with the given WebAssembly features. */
export async function compile(features: string): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    ["kernels/wasm/assembly/index.ts", "--outFile", "out.wasm", "--enable", features, ...FLAGS],
    {
      writeFile: (file: string, data: Uint8Array | string): void => {
        if (file === "out.wasm") bytes = data as Uint8Array;
      },
    },
  );
  if (error || bytes === undefined) throw new Error(`The sources do not compile: ${stderr}`);
  return bytes;
}

/** The text of `bytes.ts`. */
export async function generate(): Promise<string> {
  const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
  return `// Written by build.ts from assembly/; do not edit.
// deno-fmt-ignore-file

/** assembly/index.ts with relaxed SIMD (fused multiply-add). */
export const relaxed =
  "${base64(await compile("simd,relaxed-simd,threads"))}";

/** assembly/index.ts with plain SIMD. */
export const plain =
  "${base64(await compile("simd,threads"))}";
`;
}

if (import.meta.main) writeFileSync("kernels/wasm/bytes.ts", await generate());
