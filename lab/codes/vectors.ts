/**
 * Vectors of items, and mixtures of them.
 *
 * @module
 */

/** A vector for each item, one after the other. */
export interface Vectors {
  /** The elements, (items, dim). */
  readonly data: Float64Array;
  /** The dimensions of a vector. */
  readonly dim: number;
}

/** Vectors and their weight. */
export type WeightedVectors = Vectors & { readonly weight: number };

/**
 * The vectors of several kinds, one beside the other: each kind is scaled so that the mean length
 * of its vectors is its weight.
 */
export function mixVectors(blocks: readonly WeightedVectors[]): Vectors {
  const dim = blocks.reduce((sum, block) => sum + block.dim, 0);
  const items = blocks[0].data.length / blocks[0].dim;
  const data = new Float64Array(items * dim);
  let from = 0;
  for (const block of blocks) {
    const scale = block.weight / (meanLength(block) || 1);
    for (let i = 0; i < items; i++) {
      for (let j = 0; j < block.dim; j++) {
        data[i * dim + from + j] = scale * block.data[i * block.dim + j];
      }
    }
    from += block.dim;
  }
  return { data, dim };
}

/** The mean length of the vectors. */
function meanLength({ data, dim }: Vectors): number {
  let total = 0;
  for (let at = 0; at < data.length; at += dim) total += lengthAt(data, at, dim);
  return total / (data.length / dim);
}

/** Vectors of the same directions and unit length. Zero vectors stay. */
export function unitVectors({ data, dim }: Vectors): Vectors {
  const unit = new Float64Array(data.length);
  for (let at = 0; at < data.length; at += dim) {
    const length = lengthAt(data, at, dim);
    if (length === 0) continue;
    for (let j = at; j < at + dim; j++) unit[j] = data[j] / length;
  }
  return { data: unit, dim };
}

function lengthAt(data: Float64Array, at: number, dim: number): number {
  let square = 0;
  for (let j = at; j < at + dim; j++) square += data[j] * data[j];
  return Math.sqrt(square);
}
