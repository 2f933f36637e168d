/**
 * Matrix product, one matrix or a batch of them, either operand transposed by its strides.
 *
 * @module
 */
import type { Device, Tensor } from "../core/tensor.ts";
import { layOut, type Product, rowsOf } from "./matmul_form.ts";
import { matmulTiled, matmulTiledHalf } from "./matmul_hardware.ts";
import {
  fitsGrid,
  matmulColumns,
  matmulColumnsHalf,
  matmulElements,
  matmulRows,
  matmulStrided,
} from "./matmul_software.ts";

export type { Product } from "./matmul_form.ts";

/** An output matrix of at most this many elements leaves a tile of a workgroup nearly empty. */
const FEW = 64;

/** out (batch, M, N) = a b, where b may be float16. The one place that decides how. */
export function runMatmul(
  device: Device,
  buffers: { readonly a: Tensor; readonly b: Tensor; readonly out: Tensor },
  product: Product,
): void {
  const { batch, M, N, K, transposeB } = product;
  const params = layOut(product);
  const tile = rowsOf(M) === 16 ? 0 : 1;
  const half = buffers.b.dtype === "float16";
  const tiled = half ? matmulTiledHalf : matmulTiled;
  const columns = half ? matmulColumnsHalf : matmulColumns;
  const scattered = !fitsGrid(product) || (batch > 1 && M * N <= FEW);
  if (device.software && scattered && !half) device.run(matmulElements, buffers, params);
  else if (!device.software || !fitsGrid(product)) device.run(tiled, buffers, params);
  else if (transposeB && K % 4 === 0) device.run(columns[tile], buffers, params);
  else if (half) device.run(tiled, buffers, params);
  else if (!transposeB && N % 4 === 0) device.run(matmulRows[tile], buffers, params);
  else device.run(matmulStrided[tile], buffers, params);
}
