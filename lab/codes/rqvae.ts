/**
 * An RQ-VAE: an autoencoder whose latent vectors are rounded to sums of codes, one of each level
 * (Lee et al., "Autoregressive image generation using residual quantization", CVPR 2022; for items
 * Rajput et al., "Recommender systems with generative retrieval", NeurIPS 2023).
 *
 * @module
 */
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { foldIn, type Key, normal, permutation, threefry } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { AdamW } from "../../models/adamw.ts";
import { add, mul, sub } from "../../ops/binary.ts";
import { matmul } from "../../ops/matmul.ts";
import { argmin, mean, sum } from "../../ops/reduce.ts";
import { stopGradient } from "../../ops/select.ts";
import { take } from "../../ops/take.ts";
import { relu, square } from "../../ops/unary.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { assign, kmeans, withoutCentres } from "./kmeans.ts";
import type { Vectors } from "./vectors.ts";

/** Sizes and settings. */
const HIDDEN = 128;
const LATENT = 32;
const BATCH = 256;
const LR = 0.001;
/** The weight of the distance of a latent vector from its codes. */
const COMMITMENT = 0.25;
/** What a codebook keeps of its moving means in a step. */
const KEPT = 0.99;
/** A code that moving means give to fewer items of a batch than this is dead. */
const DEAD = 0.02;

/** What is trained. */
type Weights = Readonly<Record<"w1" | "b1" | "w2" | "b2" | "w3" | "b3" | "w4" | "b4", Tensor>>;

/** A level's codes, with the moving means of how often each is used and of what it stands for. */
export type Codebook = {
  readonly centres: Float64Array;
  readonly uses: Float64Array;
  readonly sums: Float64Array;
};

/**
 * Trains an RQ-VAE on vectors and returns the latent vector of each item and the codes of each
 * level. The encoder and the decoder have one hidden layer; gradients pass the rounding straight
 * through. Codes are moving means of what they stand for (van den Oord et al., NeurIPS 2017), begin
 * as k-means of the first latent vectors, and are drawn again among a batch when they are no longer
 * used. The same runtime and processor give the same bits. `onEpoch` is called with the epochs done
 * and the mean squared error of the last batch.
 */
export async function trainRqvae(
  vectors: Vectors,
  sizes: readonly number[],
  epochs: number,
  key: Key,
  onEpoch?: (done: number, error: number) => void,
): Promise<{ readonly latent: Vectors; readonly books: readonly Float64Array[] }> {
  const device = cpu();
  try {
    const { dim } = vectors;
    const items = vectors.data.length / dim;
    const batch = Math.min(BATCH, items);
    const inputs = Float64Array.from(vectors.data, (x) => x * Math.sqrt(dim)); // about 1 each
    const weights = initial(device, dim, foldIn(key, 0));
    using optimizer = new AdamW(weights, { weightDecay: 0 });
    const rows = (order: ArrayLike<number>): Float64Array => {
      const out = new Float64Array(order.length * dim);
      for (let i = 0; i < order.length; i++) {
        out.set(inputs.subarray(order[i] * dim, (order[i] + 1) * dim), i * dim);
      }
      return out;
    };
    const encodeAll = async (): Promise<Vectors> => {
      using _scope = device.arena();
      const latent = await encode(weights, device.tensor(inputs, [items, dim])).data();
      return { data: Float64Array.from(latent), dim: LATENT };
    };
    const books = initialBooks(await encodeAll(), sizes, foldIn(key, 1));
    const names = sizes.map((_, level) => `book${level}`);
    using step = capture(device, (given: Readonly<Record<string, Tensor>>) => {
      const { x } = given;
      let latent: Tensor | undefined;
      let error: Tensor | undefined;
      const loss = (p: Weights): Tensor => {
        const z = encode(p, x);
        latent = stopGradient(z);
        let rounded: Tensor | undefined; // the sum of codes so far
        let commitment: Tensor | undefined;
        for (const name of names) {
          const rest = rounded === undefined ? latent : sub(latent, rounded);
          const code = take(given[name], nearest(rest, given[name]));
          rounded = rounded === undefined ? code : add(rounded, code);
          const distance = mean(square(sub(z, rounded)));
          commitment = commitment === undefined ? distance : add(commitment, distance);
        }
        const through = add(z, sub(rounded as Tensor, latent)); // its gradient is that of z
        const difference = mean(square(sub(decode(p, through), x)));
        error = stopGradient(difference);
        return add(difference, mul(commitment as Tensor, COMMITMENT));
      };
      optimizer.step(valueAndGrad(loss)(weights).grads, LR);
      return { latent: latent as Tensor, error: error as Tensor };
    });
    for (let epoch = 0; epoch < epochs; epoch++) {
      const own = foldIn(foldIn(key, 2), epoch);
      const order = permutation(own, items);
      let squared = NaN;
      for (let from = 0; from + batch <= items; from += batch) {
        const { latent, error } = step({
          x: { data: rows(order.subarray(from, from + batch)), shape: [batch, dim] },
          ...Object.fromEntries(books.map(({ centres }, level) => [
            names[level],
            { data: centres, shape: [centres.length / LATENT, LATENT] },
          ])),
        });
        const data = Float64Array.from(await latent.data());
        squared = await error.item();
        updateBooks(books, { data, dim: LATENT }, foldIn(own, from));
      }
      onEpoch?.(epoch + 1, squared);
    }
    return { latent: await encodeAll(), books: books.map(({ centres }) => centres) };
  } finally {
    device.dispose();
  }
}

/** Weights of random directions that keep the size of what goes through, and biases of zero. */
function initial(device: Device, dim: number, key: Key): Weights {
  const shapes = [[dim, HIDDEN], [HIDDEN, LATENT], [LATENT, HIDDEN], [HIDDEN, dim]] as const;
  const entries = shapes.flatMap(([inner, outer], i) => {
    const scale = Math.sqrt((i % 2 === 0 ? 2 : 1) / inner); // a relu follows every other layer
    const data = normal(foldIn(key, i), inner * outer).map((x) => x * scale);
    return [
      [`w${i + 1}`, device.tensor(data, [inner, outer])],
      [`b${i + 1}`, device.tensor(new Float64Array(outer), [outer])],
    ] as const;
  });
  return Object.fromEntries(entries) as Weights;
}

function encode({ w1, b1, w2, b2 }: Weights, x: Tensor): Tensor {
  return add(matmul(relu(add(matmul(x, w1), b1)), w2), b2);
}

function decode({ w3, b3, w4, b4 }: Weights, z: Tensor): Tensor {
  return add(matmul(relu(add(matmul(z, w3), b3)), w4), b4);
}

/** The nearest code of each row: |c|^2 - 2 x c is least. */
function nearest(x: Tensor, book: Tensor): Tensor {
  return argmin(sub(sum(square(book), 1), mul(matmul(x, book, { transposeB: true }), 2)));
}

function range(n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => i);
}

/** Codes by residual k-means. */
function initialBooks(latent: Vectors, sizes: readonly number[], key: Key): Codebook[] {
  const n = latent.data.length / latent.dim;
  let rest = latent;
  return sizes.map((size, level) => {
    const k = Math.min(size, n);
    const { centres, clusters } = kmeans(rest, range(n), { k, key: foldIn(key, level) });
    rest = withoutCentres(rest, { centres, clusters });
    return { centres, uses: new Float64Array(k).fill(1), sums: centres.slice() };
  });
}

/**
 * Moves codes towards the means of what a batch has of them, and draws dead ones again.
 *
 * @internal
 */
export function updateBooks(books: readonly Codebook[], latent: Vectors, key: Key): void {
  const { dim } = latent;
  const n = latent.data.length / dim;
  let rest = latent;
  books.forEach(({ centres, uses, sums }, level) => {
    const codes = assign(rest, range(n), centres);
    const next = withoutCentres(rest, { centres, clusters: codes });
    uses.forEach((x, c) => uses[c] = KEPT * x);
    sums.forEach((x, at) => sums[at] = KEPT * x);
    codes.forEach((code, i) => {
      uses[code] += 1 - KEPT;
      for (let j = 0; j < dim; j++) sums[code * dim + j] += (1 - KEPT) * rest.data[i * dim + j];
    });
    uses.forEach((count, c) => {
      if (count < DEAD) {
        const i = threefry(foldIn(key, level), c, 0)[0] % n;
        sums.set(rest.data.subarray(i * dim, (i + 1) * dim), c * dim);
        uses[c] = 1;
      }
      for (let j = 0; j < dim; j++) centres[c * dim + j] = sums[c * dim + j] / uses[c];
    });
    rest = next;
  });
}
