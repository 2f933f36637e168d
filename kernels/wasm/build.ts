/**
 * Compiles the AssemblyScript sources beside this file and writes their bytes into `bytes.ts`, so that users need no
 * build step. Run it after every change: `deno task wasm`.
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

/** The bytes of one source under the given WebAssembly features. */
export async function compile(name: string, features: string): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined;
  const source = `kernels/wasm/assembly/${name}.ts`;
  const { error, stderr } = await asc.main(
    [source, "--outFile", "out.wasm", "--enable", features, ...FLAGS],
    {
      writeFile: (file: string, data: Uint8Array | string): void => {
        if (file === "out.wasm") bytes = data as Uint8Array;
      },
    },
  );
  if (error || bytes === undefined) throw new Error(`${source} does not compile: ${stderr}`);
  return bytes;
}

/** The text of `bytes.ts`. */
export async function generate(): Promise<string> {
  const relaxed = await compile("gemm", "simd,relaxed-simd,threads");
  const plain = await compile("gemm", "simd,threads");
  const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
  return `// Written by build.ts from assembly/; do not edit.
// deno-fmt-ignore-file

/** gemm.ts with relaxed SIMD (fused multiply-add). */
export const gemmRelaxed =
  "${base64(relaxed)}";

/** gemm.ts with plain SIMD. */
export const gemmPlain =
  "${base64(plain)}";
`;
}

if (import.meta.main) writeFileSync("kernels/wasm/bytes.ts", await generate());
