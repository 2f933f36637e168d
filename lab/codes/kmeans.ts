/**
 * k-means of some of the items' vectors, with clusters of any size or of a limited one. Float64, in
 * a fixed order, with +, -, * and / alone: every runtime gives the same bits.
 *
 * @module
 */
import { type Key, threefry, unit } from "../../core/random.ts";
import type { Vectors } from "./vectors.ts";

/** How {@link kmeans} clusters. */
export interface KmeansOptions {
  /** The number of clusters, at most that of the items. */
  readonly k: number;
  /** The most items of a cluster. Default no limit. */
  readonly capacity?: number;
  /** What the first centres are drawn from. */
  readonly key: Key;
}

/** Items in clusters. */
export interface Clustering {
  /** The cluster of each item that was clustered, in their order. */
  readonly clusters: Int32Array;
  /** The centres, (k, dim). */
  readonly centres: Float64Array;
}

/** What is left of each vector after the centre of its cluster. */
export function withoutCentres(
  { data, dim }: Vectors,
  { clusters, centres }: Clustering,
): Vectors {
  const rest = data.slice();
  clusters.forEach((cluster, item) => {
    for (let j = 0; j < dim; j++) rest[item * dim + j] -= centres[cluster * dim + j];
  });
  return { data: rest, dim };
}

/** The most rounds of Lloyd's algorithm. */
const ROUNDS = 30;

/**
 * Clusters items: first centres by k-means++ (Arthur and Vassilvitskii, SODA 2007), then Lloyd's
 * rounds while the sum of squared distances falls. Ties go to the first centre or item.
 *
 * With a capacity, an item goes to the nearest centre that takes it: a full cluster keeps the items
 * that are nearest to its centre (deferred acceptance, which is the same as joining the nearest
 * pairs of item and centre first).
 */
export function kmeans(
  vectors: Vectors,
  items: Int32Array,
  { k, capacity = Infinity, key }: KmeansOptions,
): Clustering {
  let centres = firstCentres(vectors, items, k, key);
  let best: (Clustering & { readonly cost: number }) | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const clusters = assign(vectors, items, centres, capacity);
    fillEmpty(vectors, items, centres, clusters);
    const means = meansOf(vectors, items, clusters, k);
    let cost = 0;
    for (let i = 0; i < items.length; i++) {
      cost += squaredDistance(vectors, items[i], means, clusters[i], Infinity);
    }
    if (best !== undefined && cost >= best.cost) break;
    best = { clusters, centres: means, cost };
    centres = means;
  }
  return best as Clustering;
}

/**
 * The centre of each item: the nearest one, or the nearest that takes it where no more than
 * `capacity` items may have one.
 */
export function assign(
  vectors: Vectors,
  items: Int32Array,
  centres: Float64Array,
  capacity: number = Infinity,
): Int32Array {
  const clusters = new Int32Array(items.length);
  const distances = new Float64Array(items.length);
  const members: number[][] = Array.from({ length: centres.length / vectors.dim }, () => []);
  /** Whether an item is farther from the centre that both want; of equals, the later one. */
  const isFarther = (a: number, b: number): boolean =>
    distances[a] > distances[b] || (distances[a] === distances[b] && a > b);
  for (let first = 0; first < items.length; first++) {
    clusters[first] = -1;
    // The item asks one centre after the other. One that is put out goes on asking.
    for (let asking = first; asking >= 0;) {
      askNext(vectors, items, centres, clusters, distances, asking);
      const of = members[clusters[asking]];
      if (of.length < capacity) {
        if (capacity < items.length) of.push(asking);
        break;
      }
      let worst = 0;
      for (let m = 1; m < of.length; m++) if (isFarther(of[m], of[worst])) worst = m;
      if (isFarther(asking, of[worst])) continue;
      const out = of[worst];
      of[worst] = asking;
      asking = out;
    }
  }
  return clusters;
}

/** Moves an item on to the next centre by distance, and by number among equals. */
function askNext(
  vectors: Vectors,
  items: Int32Array,
  centres: Float64Array,
  clusters: Int32Array,
  distances: Float64Array,
  asking: number,
): void {
  const k = centres.length / vectors.dim;
  const last = clusters[asking];
  const beyond = last < 0 ? -1 : distances[asking];
  let best = Infinity;
  let nearest = -1;
  for (let c = 0; c < k; c++) {
    const distance = squaredDistance(vectors, items[asking], centres, c, best);
    if (distance >= best || distance < beyond || (distance === beyond && c <= last)) continue;
    best = distance;
    nearest = c;
  }
  clusters[asking] = nearest;
  distances[asking] = best;
}

/** The squared distance of an item and a centre, or something of at least `enough`. */
function squaredDistance(
  { data, dim }: Vectors,
  item: number,
  centres: Float64Array,
  centre: number,
  enough: number,
): number {
  let [x, c] = [item * dim, centre * dim];
  const end = x + dim;
  let sum = 0;
  for (; x + 4 <= end && sum < enough; x += 4, c += 4) {
    const d0 = data[x] - centres[c];
    const d1 = data[x + 1] - centres[c + 1];
    const d2 = data[x + 2] - centres[c + 2];
    const d3 = data[x + 3] - centres[c + 3];
    sum += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
  }
  for (; x < end && sum < enough; x++, c++) {
    const d = data[x] - centres[c];
    sum += d * d;
  }
  return sum;
}

/** Draws first centres among the items: each with probability proportional to its squared distance
 * from the nearest one before it. */
function firstCentres(vectors: Vectors, items: Int32Array, k: number, key: Key): Float64Array {
  const { data, dim } = vectors;
  const centres = new Float64Array(k * dim);
  const nearest = new Float64Array(items.length).fill(Infinity);
  const isTaken = new Uint8Array(items.length);
  for (let c = 0; c < k; c++) {
    const share = unit(threefry(key, c, 0)[0]);
    const chosen = c === 0 ? Math.floor(share * items.length) : draw(nearest, isTaken, share);
    isTaken[chosen] = 1;
    const at = items[chosen] * dim;
    centres.set(data.subarray(at, at + dim), c * dim);
    for (let i = 0; i < items.length; i++) {
      const distance = squaredDistance(vectors, items[i], centres, c, nearest[i]);
      if (distance < nearest[i]) nearest[i] = distance;
    }
  }
  return centres;
}

/** The index at a share of the sum of weights; the first that is not taken if all are zero. */
function draw(weights: Float64Array, isTaken: Uint8Array, share: number): number {
  let rest = share * weights.reduce((sum, weight) => sum + weight, 0);
  let chosen = isTaken.indexOf(0);
  for (let i = 0; i < weights.length && rest >= 0; i++) {
    if (weights[i] === 0) continue;
    chosen = i;
    rest -= weights[i];
  }
  return chosen;
}

/** Moves the item farthest from its own centre, in a cluster of at least two, to each empty one. */
function fillEmpty(
  vectors: Vectors,
  items: Int32Array,
  centres: Float64Array,
  clusters: Int32Array,
): void {
  const sizes = new Int32Array(centres.length / vectors.dim);
  for (const cluster of clusters) sizes[cluster]++;
  for (let empty = 0; empty < sizes.length; empty++) {
    if (sizes[empty] > 0) continue;
    let farthest = -1;
    let most = -1;
    for (let i = 0; i < items.length; i++) {
      if (sizes[clusters[i]] < 2) continue;
      const distance = squaredDistance(vectors, items[i], centres, clusters[i], Infinity);
      if (distance <= most) continue;
      most = distance;
      farthest = i;
    }
    sizes[clusters[farthest]]--;
    clusters[farthest] = empty;
    sizes[empty] = 1;
  }
}

/** The mean of each cluster. */
function meansOf(
  { data, dim }: Vectors,
  items: Int32Array,
  clusters: Int32Array,
  k: number,
): Float64Array {
  const means = new Float64Array(k * dim);
  const sizes = new Int32Array(k);
  for (let i = 0; i < items.length; i++) {
    const [x, c] = [items[i] * dim, clusters[i] * dim];
    sizes[clusters[i]]++;
    for (let j = 0; j < dim; j++) means[c + j] += data[x + j];
  }
  for (let c = 0; c < k; c++) {
    for (let j = 0; j < dim; j++) means[c * dim + j] /= sizes[c];
  }
  return means;
}
