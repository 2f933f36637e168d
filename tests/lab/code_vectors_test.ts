/** Vectors of items that codes are made of: from interactions, files and titles. */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { portableLog, uniform } from "../../core/random.ts";
import { behaviourVectors, cooccurrences, shiftedPpmi } from "../../lab/codes/behaviour.ts";
import { type SparseMatrix, symmetricEigen, symmetricSvd } from "../../lab/codes/svd.ts";
import { titleVectors } from "../../lab/codes/title_vectors.ts";
import { readVectors } from "../../lab/codes/vector_files.ts";
import { mixVectors } from "../../lab/codes/vectors.ts";
import type { TrainingSequence } from "../../lab/data/dataset.ts";
import { memoryFolder } from "../../lab/folder.ts";
import { loadModel } from "../../lab/train/model_folder.ts";
import { Transformer } from "../../models/transformer.ts";
import { isRefusal } from "./datasets.ts";
import { goldenFolder, rawSafetensors } from "./model_files.ts";
import { npy, VECTOR_ITEMS, vectorFiles, VECTORS } from "./vector_files.ts";
import { inFolder } from "./small_folder.ts";
import { TOKENIZER } from "./tokenizer_folder.ts";

/** A sparse matrix as rows. */
function dense({ n, starts, columns, values }: SparseMatrix): number[][] {
  return Array.from({ length: n }, (_, i) => {
    const row = new Array<number>(n).fill(0);
    for (let e = starts[i]; e < starts[i + 1]; e++) row[columns[e]] = values[e];
    return row;
  });
}

function sparse(rows: readonly (readonly number[])[]): SparseMatrix {
  const entries = rows.map((row) => [...row.entries()].filter(([, x]) => x !== 0));
  const starts = new Float64Array(rows.length + 1);
  entries.forEach((row, i) => starts[i + 1] = starts[i] + row.length);
  return {
    n: rows.length,
    starts,
    columns: Int32Array.from(entries.flat(), ([j]) => j),
    values: Float64Array.from(entries.flat(), ([, x]) => x),
  };
}

/** A symmetric matrix of numbers in [-1, 1), of which a share is zero. */
function randomSymmetric(n: number, seed: number, zeros: number): number[][] {
  const numbers = uniform([seed, 7], 2 * n * n);
  const rows = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const at = i * n + j;
      if (numbers[n * n + at] >= zeros) rows[i][j] = rows[j][i] = 2 * numbers[at] - 1;
    }
  }
  return rows;
}

/** Eigenvalues by the QR algorithm without shifts: the diagonal of R Q, again and again. */
function naiveEigenvalues(rows: readonly (readonly number[])[]): number[] {
  const n = rows.length;
  let a = rows.map((row, i) => row.map((x, j) => i === j ? x + n : x)); // positive definite
  const times = (x: number[][], y: number[][]): number[][] =>
    x.map((row) => y[0].map((_, j) => row.reduce((sum, value, k) => sum + value * y[k][j], 0)));
  const transposed = (x: number[][]): number[][] => x[0].map((_, j) => x.map((row) => row[j]));
  for (let step = 0; step < 20_000; step++) {
    const q: number[][] = []; // columns
    for (const column of transposed(a)) {
      const left = column.slice();
      for (const before of q) {
        const share = before.reduce((sum, x, i) => sum + x * left[i], 0);
        before.forEach((x, i) => left[i] -= share * x);
      }
      const length = Math.hypot(...left);
      q.push(left.map((x) => x / length));
    }
    a = times(times(q, a), transposed(q));
    const off = a.flatMap((row, i) => row.slice(0, i)).reduce((sum, x) => sum + x * x, 0);
    if (off < 1e-26) break;
  }
  return a.map((row, i) => row[i] - n);
}

test("portableLog: Math.log to the last bits, also far from 1", () => {
  const numbers = [...uniform([1, 2], 2000)].flatMap((u) => [u + 2 ** -25, 1 + u, 1e6 * u + 1]);
  for (const x of [...numbers, 1, 2, 1e-300, 1e300, 2 ** -1074]) {
    const difference = Math.abs(portableLog(x) - Math.log(x));
    assert.ok(difference <= 1e-15 * Math.max(1, Math.abs(Math.log(x))), `${x}: ${difference}`);
  }
});

/** Checks that two matrices are the same up to rounding. */
function assertNear(actual: readonly number[][], expected: readonly number[][]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((row, i) =>
    row.forEach((x, j) => assert.ok(Math.abs(x - expected[i][j]) < 1e-14, `${i} ${j}: ${x}`))
  );
}

test("co-occurrence and shifted PPMI, by hand", () => {
  const training: TrainingSequence[] = [
    { items: [0, 1, 2, 0], context: 0 },
    { items: [1, 2, 3], context: 2 }, // 1 and 2 are a history that another row has
  ];
  const h = Math.SQRT1_2; // of two items with one between
  const counts = cooccurrences(training, 5, 2);
  assertNear(dense(counts), [
    [0, 1 + h, 1 + h, 0, 0],
    [1 + h, 0, 1, h, 0],
    [1 + h, 1, 0, 1, 0],
    [0, h, 1, 0, 0],
    [0, 0, 0, 0, 0],
  ]);
  assert.deepEqual(dense(cooccurrences(training, 5, 1)), [
    [0, 1, 1, 0, 0],
    [1, 0, 1, 0, 0],
    [1, 1, 0, 1, 0],
    [0, 0, 1, 0, 0],
    [0, 0, 0, 0, 0],
  ]);
  // Of these the rows sum to 2, 2, 3, 1 and 0, all to 8.
  const ppmi = dense(shiftedPpmi(cooccurrences(training, 5, 1), 1));
  const [two, four, eight] = [8 / 4, 8 / 6, 8 / 3].map(Math.log);
  assertNear(ppmi, [
    [0, two, four, 0, 0],
    [two, 0, four, 0, 0],
    [four, four, 0, eight, 0],
    [0, 0, eight, 0, 0],
    [0, 0, 0, 0, 0],
  ]);
  const less = [two, eight].map((x) => x - Math.log(1.5));
  assertNear(dense(shiftedPpmi(cooccurrences(training, 5, 1), 1.5)), [
    [0, less[0], 0, 0, 0], // log(8 / 6) is below the shift
    [less[0], 0, 0, 0, 0],
    [0, 0, 0, less[1], 0],
    [0, 0, less[1], 0, 0],
    [0, 0, 0, 0, 0],
  ]);
});

test("symmetricEigen and symmetricSvd: as the QR algorithm has it", () => {
  for (const [n, seed, zeros] of [[1, 1, 0], [2, 2, 0], [7, 3, 0.3], [12, 4, 0.6]] as const) {
    const rows = randomSymmetric(n, seed, zeros);
    const expected = naiveEigenvalues(rows).sort((a, b) => b - a);
    const { values } = symmetricEigen(rows.map((row) => Float64Array.from(row)));
    const found = [...values].sort((a, b) => b - a);
    found.forEach((x, i) => assert.ok(Math.abs(x - expected[i]) < 1e-9, `${x}, ${expected[i]}`));

    const sizes = expected.map(Math.abs).sort((a, b) => b - a);
    const rank = Math.min(3, n);
    const svd = symmetricSvd(sparse(rows), rank, [seed, 0], { tolerance: 0, iterations: 3000 });
    assert.equal(svd.vectors.length, rank);
    svd.values.forEach((x, i) => assert.ok(Math.abs(x - sizes[i]) < 1e-9, `${x}, ${sizes[i]}`));
    svd.vectors.forEach((u, i) => {
      // M u is u times its eigenvalue, of either sign.
      const image = rows.map((row) => row.reduce((sum, x, j) => sum + x * u[j], 0));
      const along = image.reduce((sum, x, j) => sum + x * u[j], 0);
      assert.ok(Math.abs(Math.abs(along) - svd.values[i]) < 1e-8);
      image.forEach((x, j) => assert.ok(Math.abs(x - along * u[j]) < 1e-5, `${x - along * u[j]}`));
    });
  }
});

test("symmetricSvd: ten iterations are enough where powers of the matrix are too slow", () => {
  const rows = randomSymmetric(100, 5, 0);
  const { values } = symmetricEigen(rows.map((row) => Float64Array.from(row)));
  const sizes = [...values].map(Math.abs).sort((a, b) => b - a);
  const svd = symmetricSvd(sparse(rows), 5, [5, 0], { tolerance: 0, iterations: 10 });
  // With powers of the matrix the differences are up to 0.2.
  svd.values.forEach((x, i) => assert.ok(Math.abs(x - sizes[i]) < 1e-3, `${x}, ${sizes[i]}`));
});

test("symmetricSvd: a matrix of low rank, and of zeros", () => {
  const u = [3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  const svd = symmetricSvd(sparse(u.map((x) => u.map((y) => x * y))), 4, [1, 1]);
  assert.ok(Math.abs(svd.values[0] - 25) < 1e-12);
  assert.ok(svd.values.slice(1).every((x) => x < 1e-12), `${svd.values}`);
  const none = symmetricSvd(sparse(u.map(() => u.map(() => 0))), 4, [1, 1]);
  assert.deepEqual([...none.values], [0, 0, 0, 0]);
});

test("behaviourVectors: of unit length, near for items in the same company", () => {
  // 0 and 1 occur with 2 and 3 alone; 4 and 5 with 6 and 7; 8 with none.
  const training = [[0, 2], [0, 3], [1, 2], [1, 3], [4, 6], [4, 7], [5, 6], [5, 7], [8]]
    .map((items) => ({ items, context: 0 }));
  for (const power of [0, 0.5, 1]) {
    const options = { window: 2, shift: 1, dim: 4, power, seed: 0 };
    const { data, dim } = behaviourVectors(training, 9, options);
    assert.equal(dim, 4);
    const dot = (a: number, b: number): number =>
      Array.from({ length: dim }, (_, j) => data[a * dim + j] * data[b * dim + j])
        .reduce((sum, x) => sum + x, 0);
    for (const [a, b, expected] of [[0, 0, 1], [0, 1, 1], [4, 5, 1], [0, 4, 0], [8, 8, 0]]) {
      assert.ok(Math.abs(dot(a, b) - expected) < 1e-6, `power ${power}: ${a} ${b} ${dot(a, b)}`);
    }
  }
});

test("mixVectors: each kind has its weight as the mean length", () => {
  const mixed = mixVectors([
    { data: Float64Array.of(3, 4, 0, 5), dim: 2, weight: 1 },
    { data: Float64Array.of(10, 0), dim: 1, weight: 0.5 },
  ]);
  assert.deepEqual([...mixed.data], [3, 4, 5, 0, 5, 0].map((x) => x * 0.2));
  assert.equal(mixed.dim, 3);
});

test("readVectors: the same vectors from every kind of file", () => {
  const files = vectorFiles();
  const folder = memoryFolder(
    "v",
    new Map(
      Object.entries(files).map(([name, contents]) => [
        name,
        typeof contents === "string" ? new TextEncoder().encode(contents) : contents,
      ]),
    ),
  );
  for (const name of Object.keys(files)) {
    const { data, dim } = readVectors(name, VECTOR_ITEMS, { folder });
    assert.deepEqual([...data, dim], [...VECTORS, 16], name);
  }
});

test("readVectors: refusals name file, place and requirement", () => {
  const data = Float32Array.of(1, 2, 3, 4, 5, 6);
  const tensor = { dtype: "F32", shape: [3, 2], bytes: new Uint8Array(data.buffer) };
  const odd = Float32Array.from([1, 2, 3, NaN, 5, 6]);
  const huge = Float64Array.from([1, 2, 3, -4e180, 5, 6e180]);
  const cases: readonly [file: string, contents: string | Uint8Array, message: RegExp][] = [
    ["a.npy", "no array", /NumPy's format, got other bytes/],
    ["a.npy", npy(data, [3, 2], { version: 9 }), /version must be 1, 2 or 3, got 9/],
    ["a.npy", npy(data, [3, 2], { order: "True" }), /row after row.*got another order/],
    ["a.npy", npy(data, [3, 2], { type: "<i4" }), /type must be '<f4' or '<f8', got '<i4'/],
    ["a.npy", npy(data, [6]), /shape must be \(items, dimensions\), got \(6,\)/],
    ["a.npy", npy(data, [3, 3]), /elements must have 36 bytes, got 24/],
    ["a.npy", npy(data, [2, 3]), /a row for each item .*got 2 rows, 3 items/],
    ["a.npy", npy(odd, [3, 2]), /must be finite, got NaN in row 1, column 1/],
    ["a.safetensors", rawSafetensors({ x: tensor, y: tensor }), /one tensor.*got 2 tensors/],
    [
      "a.safetensors",
      rawSafetensors({ x: { ...tensor, shape: [6] } }),
      /\(items, dimensions\) of floats, got F32 of shape \[6\]/,
    ],
    ["a.csv", "7,1,2\n8,1,x\n", /a\.csv line 2: column 3 must be a finite number, got "x"/],
    ["a.csv", "7,1,2\n8,1\n", /a\.csv line 2: an id must be followed by 2 numbers, got 1/],
    ["a.csv", "7,1,2\n7,1,3\n", /a\.csv line 2: an item must have one vector, got item "7" again/],
    ["a.csv", "7,1,2\n8,1,3\n", /every item must have a vector, got none for "a,b"/],
    ["a.csv", '7,1,2\n"8,1,3\n', /a\.csv line 2: its quotes must enclose fields/],
    ["a.csv", "", /every item must have a vector, got none for "7"/],
    ["a.csv", '7,1,2\n8,1e200,3\na,1,1\n"a,b",1,1\n', /from 1e-100 to 1e100 .*, got 1e\+200$/],
    ["a.npy", npy(huge, [3, 2]), /largest number must be from 1e-100 to .*, got 6e\+180$/],
    ["a.npy", npy(huge.map((x) => x * 1e-290), [3, 2]), /largest number must be from 1e-100/],
  ];
  for (const [file, contents, message] of cases) {
    const bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
    const folder = memoryFolder("v", new Map([[file, bytes]]));
    assert.throws(
      () => readVectors(file, VECTOR_ITEMS, { folder }),
      (error) => isRefusal(error, `v/${file}`, message),
    );
  }
  const two = memoryFolder(
    "v",
    new Map([["a.safetensors", rawSafetensors({ x: tensor, y: tensor })]]),
  );
  const { dim } = readVectors("a.safetensors", VECTOR_ITEMS, { folder: two, tensor: "y" });
  assert.equal(dim, 2);
});

test(
  "titleVectors: the mean hidden state over a title's tokens, alone or in a batch",
  inFolder(async (folder) => {
    for (const file of ["config.json", "model.safetensors"]) {
      copyFileSync(join(goldenFolder("llama-tiny"), file), join(folder, file));
    }
    // A tokenizer of a token a letter, without <s>, that fits the model's small vocabulary.
    const letters = [..."abcdefgh"];
    writeFileSync(
      join(folder, "tokenizer.json"),
      JSON.stringify({
        ...TOKENIZER,
        added_tokens: [],
        post_processor: null,
        model: {
          type: "BPE",
          vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])),
          merges: [],
        },
      }),
    );
    const titles = ["abc", "h", "", "abcdefgh", "ba"];
    const { data, dim } = await titleVectors(cpu(), titles, folder);
    const device = cpu();
    const { config, params } = await loadModel(device, folder);
    const model = new Transformer(device, config);
    for (const [item, title] of titles.entries()) {
      const mean = new Float64Array(dim);
      if (title !== "") {
        const ids = Int32Array.from(title, (letter) => letters.indexOf(letter));
        const hidden = await model.hidden(params, device.tensor(ids, [1, ids.length], "int32"))
          .data();
        hidden.forEach((x, at) => mean[at % dim] += x / ids.length);
      }
      mean.forEach((x, j) => assert.ok(Math.abs(x - data[item * dim + j]) < 1e-5));
    }

    const weights = readFileSync(join(folder, "model.safetensors"));
    weights.fill(0x7f, weights.length - 2 * dim); // 3.4e38, of the last norm in bfloat16
    writeFileSync(join(folder, "model.safetensors"), weights);
    await assert.rejects(
      titleVectors(cpu(), titles, folder),
      /^DataError: Cannot read titles with .*: its hidden states must be finite, got .* for "/,
    );
  }),
);
