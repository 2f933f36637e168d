/**
 * The WebAssembly modules that kernels of the cpu device call.
 *
 * @module
 */
import type { WasmModule } from "../../core/kernel.ts";
import { gemmPlain, gemmRelaxed } from "./bytes.ts";

/**
 * `gemm(a, b, c, M, N, K, aRow, aColumn, bRow, bColumn, scratch)`: C = A B with A and B strided, C dense.
 * Scratch holds a packed panel of B, a packed block of A and a micro-tile (see assembly/gemm.ts).
 */
export const gemm: WasmModule = {
  variants: [gemmRelaxed, gemmPlain],
  scratchBytes: (256 * 1024 + 96 * 256 + 6 * 8) * 4,
};
