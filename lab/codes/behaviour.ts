/**
 * Vectors of items from training interactions alone: items that occur near the same items get
 * similar vectors.
 *
 * @module
 */
import { foldIn, keyOf, portableLog } from "../../core/random.ts";
import type { TrainingSequence } from "../data/dataset.ts";
import type { CodeSpec } from "./spec.ts";
import { type SparseMatrix, symmetricSvd } from "./svd.ts";
import { unitVectors, type Vectors } from "./vectors.ts";

/** How vectors are made from interactions. */
export type BehaviourOptions = Pick<CodeSpec, "window" | "shift" | "dim" | "power" | "seed">;

/**
 * Vectors of items, of unit length: U S^power of the truncated SVD of the shifted positive
 * pointwise mutual information of items in the same window (Levy and Goldberg, "Neural word
 * embedding as implicit matrix factorization", NIPS 2014). Every runtime gives the same bits. An
 * item that occurs with no other has a zero vector.
 */
export function behaviourVectors(
  training: readonly TrainingSequence[],
  items: number,
  { window, shift, dim, power, seed }: BehaviourOptions,
  onProgress?: (share: number) => void,
): Vectors {
  const matrix = shiftedPpmi(cooccurrences(training, items, window), shift);
  const key = foldIn(keyOf(seed), 0x5fd);
  const { values, vectors } = symmetricSvd(matrix, dim, key, { onProgress });
  const data = new Float64Array(items * values.length);
  const powers: Readonly<Record<number, (x: number) => number>> = {
    0: (x) => x > 0 ? 1 : 0,
    0.5: Math.sqrt,
    1: (x) => x,
  };
  vectors.forEach((vector, j) => {
    const scale = powers[power](values[j]);
    for (let i = 0; i < items; i++) data[i * values.length + j] = scale * vector[i];
  });
  return unitVectors({ data, dim: values.length });
}

/**
 * Sums over pairs of different items that are at most `window` places apart in a sequence, in both
 * orders: a pair at distance d counts 1 / sqrt(d). The later item must be a target, so that rows
 * that repeat the same history do not count it again.
 */
export function cooccurrences(
  training: readonly TrainingSequence[],
  items: number,
  window: number,
): SparseMatrix {
  const eachPair = (use: (a: number, b: number, distance: number) => void): void => {
    for (const { items, context } of training) {
      for (let j = Math.max(1, context); j < items.length; j++) {
        for (let i = Math.max(0, j - window); i < j; i++) {
          if (items[i] !== items[j]) use(items[i], items[j], j - i);
        }
      }
    }
  };
  // All pairs by their first item, with repetitions.
  const begins = new Float64Array(items + 1);
  eachPair((a, b) => {
    begins[a + 1]++;
    begins[b + 1]++;
  });
  for (let i = 0; i < items; i++) begins[i + 1] += begins[i];
  const next = begins.slice();
  const others = new Int32Array(begins[items]);
  const distances = new Uint16Array(begins[items]);
  eachPair((a, b, distance) => {
    distances[next[a]] = distances[next[b]] = distance;
    others[next[a]++] = b;
    others[next[b]++] = a;
  });
  // Then without: row after row, each sum beside its column.
  const starts = new Float64Array(items + 1);
  const values = new Float64Array(others.length);
  const sums = new Float64Array(items); // of the row
  let end = 0;
  for (let i = 0; i < items; i++) {
    const first = end; // never after the place that is read
    for (let e = begins[i]; e < begins[i + 1]; e++) {
      const column = others[e];
      if (sums[column] === 0) others[end++] = column;
      sums[column] += 1 / Math.sqrt(distances[e]);
    }
    const columns = others.subarray(first, end).sort();
    for (let e = 0; e < columns.length; e++) {
      values[first + e] = sums[columns[e]];
      sums[columns[e]] = 0;
    }
    starts[i + 1] = end;
  }
  return { n: items, starts, columns: others.slice(0, end), values: values.slice(0, end) };
}

/**
 * max(0, log(n_ij n / (n_i n_j)) - log shift) for each entry n_ij of a matrix of counts, with
 * the sums n_i of rows and n of all. Zeros are left out.
 */
export function shiftedPpmi(counts: SparseMatrix, shift: number): SparseMatrix {
  const { n, starts } = counts;
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let e = starts[i]; e < starts[i + 1]; e++) sums[i] += counts.values[e];
  }
  const total = sums.reduce((sum, x) => sum + x, 0);
  const begins = new Float64Array(n + 1);
  const columns = new Int32Array(counts.columns.length);
  const values = new Float64Array(columns.length);
  let end = 0;
  for (let i = 0; i < n; i++) {
    for (let e = starts[i]; e < starts[i + 1]; e++) {
      const j = counts.columns[e];
      // The product of the sums does not depend on their order, so the matrix is symmetric.
      const ratio = (counts.values[e] * total) / (sums[i] * sums[j] * shift);
      if (ratio <= 1) continue;
      columns[end] = j;
      values[end++] = portableLog(ratio);
    }
    begins[i + 1] = end;
  }
  return { n, starts: begins, columns: columns.slice(0, end), values: values.slice(0, end) };
}
