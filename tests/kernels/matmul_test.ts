/** The matrix product on the cpu, and which kernel a software adapter runs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noise } from "../../kernels/cases.ts";
import { matmulElements, matmulHardware } from "../../kernels/matmul.ts";
import { paramsOf, type Product } from "../../kernels/matmul_cpu.ts";
import { matmulSoftware, softwareKernel } from "../../kernels/matmul_software.ts";

const products: readonly Product[] = [[1, 1, 1], [2, 4, 256], [5, 7, 257], [3, 9, 600]].flatMap(
  ([M, N, K]) =>
    [false, true].flatMap((transposeA) =>
      [false, true].map((transposeB) => ({
        batch: 3,
        M,
        N,
        K,
        transposeA,
        transposeB,
        sharedA: transposeB,
        sharedB: !transposeA,
      }))
    ),
);

test("matmul: packed, it agrees with the reference", () => {
  for (const product of products) {
    const { batch, M, N, K, sharedA, sharedB } = product;
    const params = paramsOf(product);
    const a = noise((sharedA ? 1 : batch) * M * K, 1);
    const b = noise((sharedB ? 1 : batch) * K * N, 2);
    const [packed, expected] = [0, 1].map(() => new Float64Array(batch * M * N).fill(NaN));
    matmulHardware[0].cpu({ a, b, out: packed }, params);
    matmulElements[0].cpu({ a, b, out: expected }, params);
    expected.forEach((x, i) =>
      assert.ok(Math.abs(packed[i] - x) <= 1e-12, `${JSON.stringify(product)}[${i}]: ${packed[i]}`)
    );
  }
});

test("matmul: all tiles share the packed product", () => {
  const { cpu } = matmulHardware[0];
  assert.ok([...matmulHardware, ...matmulSoftware].every((kernel) => kernel.cpu === cpu));
});

test("matmul: a software adapter runs the tile that wastes least", () => {
  const chosen = (M: number, N: number, half: 0 | 1, change: Partial<Product> = {}): unknown =>
    softwareKernel(paramsOf({ ...products[0], K: 8, M, N, transposeB: true, ...change }), half)
      ?.name;
  assert.equal(chosen(2560, 128, 0), "matmulSoftware 32x128 float");
  assert.equal(chosen(2560, 64, 0), "matmulSoftware 64x64 float");
  assert.equal(chosen(10, 1024, 0), "matmulSoftware 16x128 float");
  assert.equal(chosen(10, 1024, 0, { K: 6 }), "matmulSoftware 16x128 float");
  assert.equal(chosen(10, 1024, 1), "matmulSoftware 16x128 half4");
  assert.equal(chosen(10, 1024, 1, { K: 6 }), undefined);
  assert.equal(chosen(10, 1024, 1, { transposeB: false }), undefined);
});
