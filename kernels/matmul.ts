/**
 * Matrix product, one matrix or a batch of them, either operand transposed by its strides.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import type { Tensor } from "../core/tensor.ts";
import { layOut, type Product } from "./matmul_form.ts";
import { matmulTiled } from "./matmul_hardware.ts";
import { fitsGrid, matmulColumns, matmulRows, matmulStrided } from "./matmul_software.ts";

export type { Product } from "./matmul_form.ts";

/** out (batch, M, N) = a b. The one place that decides how. */
export function runMatmul(
  device: Device,
  buffers: { readonly a: Tensor; readonly b: Tensor; readonly out: Tensor },
  product: Product,
): void {
  const { N, K, transposeB } = product;
  const params = layOut(product);
  if (!device.software || !fitsGrid(product)) device.run(matmulTiled, buffers, params);
  else if (!transposeB && N % 4 === 0) device.run(matmulRows, buffers, params);
  else if (transposeB && K % 4 === 0) device.run(matmulColumns, buffers, params);
  else device.run(matmulStrided, buffers, params);
}
