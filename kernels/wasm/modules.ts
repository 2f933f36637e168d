/**
 * The WebAssembly module that kernels of the cpu device call. `assembly/index.ts` lists its
 * functions. They take the buffers and parameters of their kernel, a range of items, and the
 * address of scratch memory.
 *
 * @module
 */
import type { WasmModule } from "../../core/kernel.ts";
import { plain, relaxed } from "./bytes.ts";

/** SIMD versions of the kernels that take most of the time of training and decoding. */
export const simd: WasmModule = {
  variants: [relaxed, plain],
  scratchBytes: 1151184, // GEMM_SCRATCH of assembly/gemm.ts
};
