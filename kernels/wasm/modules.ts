/**
 * The WebAssembly module that kernels of the cpu device call: `assembly/index.ts` lists its functions. They take the
 * buffers and parameters of their kernel, and scratch memory last where they need some.
 *
 * @module
 */
import type { WasmModule } from "../../core/kernel.ts";
import { plain, relaxed } from "./bytes.ts";

/** SIMD versions of the kernels that training and decoding spend their time in. */
export const simd: WasmModule = {
  variants: [relaxed, plain],
  scratchBytes: 1151184, // what gemm needs: see GEMM_SCRATCH
};
