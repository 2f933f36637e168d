/**
 * Leading singular vectors of sparse symmetric matrices, in float64 and with +, -, *, / and square
 * roots alone, in a fixed order: every runtime gives the same bits.
 *
 * @module
 */
import { type Key, normal } from "../../core/random.ts";

/** A sparse symmetric matrix (n, n) by rows. */
export interface SparseMatrix {
  /** The number of rows. */
  readonly n: number;
  /** The entries of row i are those from `starts[i]` to `starts[i + 1]`. */
  readonly starts: Float64Array;
  /** The column of each entry. */
  readonly columns: Int32Array;
  /** The value of each entry. */
  readonly values: Float64Array;
}

/** The leading singular triples of a symmetric matrix. */
export interface Singular {
  /** The singular values, in descending order. */
  readonly values: Float64Array;
  /** The left singular vectors, each of n elements. */
  readonly vectors: readonly Float64Array[];
}

/** More vectors are iterated than are asked for, as those at the end converge slowly. */
const OVERSAMPLING = 8;
/** A column that keeps less of its length than this is a combination of those before it. */
const DEPENDENT = 1e-10;

/** The degree of the polynomial that an iteration applies. */
const DEGREE = 4;
/** Below this share of the largest value, the polynomial loses small values in rounding. */
const LEAST_BOUND = 1e-4;

/** When the iteration ends. */
export interface SvdOptions {
  /** The relative growth of the sum of the values below which it ends. Default 1e-3. */
  readonly tolerance?: number;
  /** The most iterations. Default 20. */
  readonly iterations?: number;
  /** Called with the share that is done; 1 at the end. */
  readonly onProgress?: (share: number) => void;
}

/**
 * The `rank` largest singular values of a symmetric matrix and their vectors, by subspace iteration
 * with a Rayleigh-Ritz step (Halko, Martinsson and Tropp, "Finding structure with randomness",
 * SIAM Review 2011) and Chebyshev polynomials (Zhou, Saad, Tiago and Chelikowsky, Journal of
 * Computational Physics 2006). There are fewer if n is smaller. The start is drawn from `key`.
 */
export function symmetricSvd(
  matrix: SparseMatrix,
  rank: number,
  key: Key,
  { tolerance = 1e-3, iterations = 20, onProgress }: SvdOptions = {},
): Singular {
  const { n } = matrix;
  const kept = Math.min(rank, n);
  const width = Math.min(rank + OVERSAMPLING, n);
  const start = normal(key, n * width);
  let basis: Float64Array[] = Array.from(
    { length: width },
    (_, j) => start.slice(j * n, (j + 1) * n),
  );
  orthonormalize(basis);
  let before = 0;
  for (let done = 1;; done++) {
    const images = basis.map((column) => product(matrix, column));
    // Q' M Q, whose eigenvectors turn Q to the eigenvectors of M in its span.
    const small = basis.map((q) => Float64Array.from(images, (image) => dot(q, image)));
    const { values, vectors } = symmetricEigen(small);
    const order = [...values.keys()]
      .sort((i, j) => Math.abs(values[j]) - Math.abs(values[i]) || i - j);
    const sizes = Float64Array.from(order, (i) => Math.abs(values[i])).subarray(0, kept);
    const sum = sizes.reduce((total, size) => total + size, 0);
    const isDone = sum - before <= tolerance * sum || done >= iterations;
    onProgress?.(isDone ? 1 : done / iterations);
    if (isDone) {
      const leading = order.slice(0, kept).map((i) => combine(basis, vectors[i]));
      return { values: sizes, vectors: leading };
    }
    before = sum;
    const least = Math.abs(values[order[width - 1]]);
    const bound = least > LEAST_BOUND * sizes[0] ? least : 0;
    basis = order.map((i) => {
      const image = combine(images, vectors[i]);
      return bound > 0 ? chebyshev(matrix, combine(basis, vectors[i]), image, bound) : image;
    });
    orthonormalize(basis);
  }
}

/**
 * T(M / bound) x with the Chebyshev polynomial T: it grows fast beyond the eigenvalues from -bound
 * to bound, and is at most 1 within. `image` is M x.
 */
function chebyshev(
  matrix: SparseMatrix,
  x: Float64Array,
  image: Float64Array,
  bound: number,
): Float64Array {
  let before = x;
  let last: Float64Array = image.map((y) => y / bound);
  for (let degree = 2; degree <= DEGREE; degree++) {
    const next = product(matrix, last);
    for (let i = 0; i < next.length; i++) next[i] = 2 / bound * next[i] - before[i];
    [before, last] = [last, next];
  }
  return last;
}

/** M x. */
function product({ n, starts, columns, values }: SparseMatrix, x: Float64Array): Float64Array {
  const out = new Float64Array(n);
  let e = 0; // an integer for the compiler, which `starts[i]` is not
  for (let i = 0; i < n; i++) {
    const end = starts[i + 1];
    let sum = 0;
    for (; e < end; e++) sum += values[e] * x[columns[e]];
    out[i] = sum;
  }
  return out;
}

/** The sum of columns, each times its weight. */
function combine(columns: readonly Float64Array[], weights: Float64Array): Float64Array {
  const out = new Float64Array(columns[0].length);
  columns.forEach((column, j) => addScaled(out, column, weights[j]));
  return out;
}

/**
 * Makes columns orthonormal, in place, by Gram-Schmidt, done twice to keep them so to rounding. A
 * column that depends on those before it becomes zero.
 */
function orthonormalize(columns: readonly Float64Array[]): void {
  columns.forEach((column, j) => {
    const length = Math.sqrt(dot(column, column));
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < j; i++) addScaled(column, columns[i], -dot(columns[i], column));
    }
    const left = Math.sqrt(dot(column, column));
    const scale = left > DEPENDENT * length ? 1 / left : 0;
    for (let i = 0; i < column.length; i++) column[i] *= scale;
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  const fours = a.length - a.length % 4;
  let sum = 0;
  let i = 0;
  for (; i < fours; i += 4) { // four at a time, so that few additions wait for each other
    sum += (a[i] * b[i] + a[i + 1] * b[i + 1]) + (a[i + 2] * b[i + 2] + a[i + 3] * b[i + 3]);
  }
  for (; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function addScaled(into: Float64Array, column: Float64Array, scale: number): void {
  for (let i = 0; i < into.length; i++) into[i] += scale * column[i];
}

/**
 * All eigenvalues of a small symmetric matrix, given by rows, and their eigenvectors, by cyclic
 * Jacobi rotations (Golub and Van Loan, Matrix Computations, section 8.5). In no order.
 */
export function symmetricEigen(
  rows: readonly Float64Array[],
): { readonly values: Float64Array; readonly vectors: readonly Float64Array[] } {
  const n = rows.length;
  const a = rows.map((row) => row.slice());
  const vectors = rows.map((_, i) => Float64Array.from(rows, (_, j) => i === j ? 1 : 0));
  const norm = a.reduce((sum, row) => sum + dot(row, row), 0);
  for (let sweep = 0; sweep < 40; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += a[p][q] * a[p][q];
    if (off <= 1e-30 * norm) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) rotate(a, vectors, p, q);
    }
  }
  return { values: Float64Array.from(a, (row, i) => row[i]), vectors };
}

/** Turns the plane of p and q so that a[p][q] becomes zero. `vectors` turn along. */
function rotate(a: Float64Array[], vectors: Float64Array[], p: number, q: number): void {
  const entry = a[p][q];
  if (entry === 0) return;
  const theta = (a[q][q] - a[p][p]) / (2 * entry);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (const row of a) {
    const x = row[p];
    row[p] = c * x - s * row[q];
    row[q] = s * x + c * row[q];
  }
  for (const pair of [a, vectors]) {
    const [x, y] = [pair[p], pair[q]];
    for (let i = 0; i < x.length; i++) {
      const first = x[i];
      x[i] = c * first - s * y[i];
      y[i] = s * first + c * y[i];
    }
  }
}
