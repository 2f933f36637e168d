/**
 * Measures what a loss does to a token as a function of its margin, which tells losses apart.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { MASKED } from "../../kernels/masked.ts";
import { type DeviceTrie, Trie } from "../../models/decode/trie.ts";
import type { Loss, Targets } from "../../models/losses/loss.ts";
import { msl } from "../../models/losses/msl.ts";
import { checkBeam } from "../../ops/trie_options.ts";
import { take } from "../../ops/take.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";

/** Margins go from -MOST to MOST. */
const MOST = 6;
/** The distance between two margins. */
const STRIDE = 0.25;

/** The weight of a token's gradient at a margin. */
export interface GradientWeight {
  /** log beta - log p, in nats: above 0, beam search prunes the token. */
  readonly margin: number;
  /**
   * Its gradient relative to msl: (dL / dz) / (dL_msl / dz), where z is the logit of the label. 1
   * for msl.
   */
  readonly weight: number;
}

/**
 * The weight of a token's gradient by its margin, relative to msl in the same batch. The batch has
 * 49 tokens with margins from -6 to 6. Each is an item of one token beside `beam` others with
 * equal logits. With a beam of 1 no margin is below 0. It is computed in float64 on the cpu by
 * automatic differentiation, so it works for any loss. A loss that sums over a batch is compared
 * with msl's sum, one that takes the mean with msl's mean. Negatives are all other items,
 * thresholds those of an exact search, and a state is that of a first step.
 *
 * @throws {ArgumentError} if beam is not a positive integer.
 *
 * @example
 * ```ts
 * import { bear } from "beargrad";
 * import { gradientWeights } from "beargrad/lab";
 *
 * const weights = async (form: "paper" | "convex") =>
 *   (await gradientWeights(bear({ form, beam: 5 }), 5)).map((w) => w.weight.toFixed(2));
 * const [printed, convex] = [await weights("paper"), await weights("convex")];
 * console.log(printed[0], printed[48]); // 2.00 1.00: more for tokens that are safe
 * console.log(convex[0], convex[48]); // 1.00 2.00: more for tokens that would be pruned
 * ```
 */
export async function gradientWeights(
  loss: Loss,
  beam: number,
): Promise<readonly GradientWeight[]> {
  checkBeam("probe a loss", beam);
  return await onReference((device) => weightsOn(device, loss, beam));
}

/** Runs something on a reference device of its own. */
async function onReference<T>(run: (device: Device) => Promise<T>): Promise<T> {
  const device = cpu({ float: "float64" });
  try {
    return await run(device);
  } finally {
    device.dispose();
  }
}

async function weightsOn(device: Device, loss: Loss, beam: number): Promise<GradientWeight[]> {
  const steps = Math.round(MOST / STRIDE);
  const margins = Array.from({ length: 2 * steps + 1 }, (_, i) => (i - steps) * STRIDE)
    .filter((margin) => beam > 1 || margin >= 0);
  const labelGradients = async (loss: Loss, batch: readonly number[]): Promise<number[]> => {
    const { gradient } = await differentiate(device, loss, batch, beam);
    return batch.map((_, n) => gradient[n * (beam + 1)]);
  };
  const own = await labelGradients(loss, margins);
  const twice = await labelGradients(loss, [...margins, ...margins]);
  const usual = await labelGradients(msl({ reduction: "sum" }), margins);
  // In a batch twice as large, the gradient of a token stays the same in a sum and halves in a
  // mean.
  const size = (gradients: readonly number[]): number =>
    gradients.slice(0, margins.length).reduce((sum, g) => sum + Math.abs(g), 0);
  const share = size(twice) > 0.75 * size(own) ? 1 : 1 / margins.length;
  return margins.map((margin, n) => ({ margin, weight: own[n] / (usual[n] * share) }));
}

/**
 * Applies a loss to a small batch, to test that it works on logits and, as in training, on hidden
 * states and a head. Returns its value.
 *
 * @throws what the loss throws; {@link ArgumentError} or {@link ShapeError} if it gives no scalar
 * tensor.
 */
export function tryLoss(loss: Loss): Promise<number> {
  return onReference(async (device) => {
    const head = device.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]]);
    const given: Loss = (hidden, targets) => loss({ hidden: hidden as Tensor, head }, targets);
    await differentiate(device, loss, [-1, 0, 1], 2);
    return (await differentiate(device, given, [-1, 0, 1], 2)).value;
  });
}

/**
 * Token 0 is the label of each row. The others have a logit of 0, and so has the B-th best of
 * them.
 */
async function differentiate(
  device: Device,
  loss: Loss,
  margins: readonly number[],
  beam: number,
): Promise<{ readonly value: number; readonly gradient: ArrayLike<number> }> {
  using _scope = device.arena();
  const V = beam + 1;
  const trie = new Trie(Array.from({ length: V }, (_, v) => [v])).upload(device);
  const rows = margins.map((margin) => [-margin, ...new Array<number>(beam).fill(0)]);
  const z = device.tensor(rows);
  const { value, grads } = valueAndGrad((z: Tensor) => loss(z, targetsOf(z, trie, rows)))(z);
  const [[number], gradient] = await device.read([value, grads]);
  return { value: number, gradient };
}

function targetsOf(z: Tensor, trie: DeviceTrie, rows: readonly (readonly number[])[]): Targets {
  const { device } = z;
  const [N, V] = z.shape;
  const ints = (length: number, at: (i: number) => number): Tensor =>
    device.tensor(Int32Array.from({ length }, (_, i) => at(i)));
  const K = V - 1;
  const thresholds = rows.map((row) => {
    const sum = row.reduce((sum, x) => sum + Math.exp(x), 0);
    const ranked = row.toSorted((a, b) => b - a);
    return Math.max(MASKED, ranked[V - 2] - Math.log(sum)); // the B-th best of B + 1
  });
  return {
    trie,
    nodes: ints(N, () => 0),
    labels: ints(N, () => 0),
    thresholds: device.tensor(thresholds),
    negatives: {
      logits: take(z, ints(N * K, (i) => Math.floor(i / K))),
      nodes: ints(N * K, () => 0),
      labels: ints(N * K, (i) => 1 + i % K),
      rows: ints(N, (n) => n),
      logScales: device.tensor(new Float64Array(N * K), [N, K, 1]),
    },
  };
}
