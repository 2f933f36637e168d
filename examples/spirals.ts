// deno-lint-ignore-file no-console -- it prints
/**
 * An MLP that tells two spirals apart: `deno run examples/spirals.ts`.
 *
 * @module
 */
import { AdamW, add, argmax, cpu, crossEntropy, type Device, foldIn, keyOf } from "beargrad";
import { linear, normal, tanh, type Tensor, valueAndGrad } from "beargrad";

/** Weights (outputs, inputs) and biases (outputs). */
type Layer = { readonly w: Tensor; readonly b: Tensor };

/** Two spirals of `n` points each: points (2 n, 2), and which spiral each is on (2 n). */
export function spirals(device: Device, n: number): { points: Tensor; labels: Tensor } {
  const points = Array.from({ length: 2 * n }, (_, i) => {
    const radius = (i % n) / n;
    const angle = 3 * Math.PI * radius + (i < n ? 0 : Math.PI);
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });
  const labels = Int32Array.from(points, (_, i) => (i < n ? 0 : 1));
  return { points: device.tensor(points), labels: device.tensor(labels) };
}

/** Layers of the given widths. Weights are drawn from N(0, 1 / inputs); biases are 0. */
function initialise(device: Device, widths: readonly number[]): Layer[] {
  return widths.slice(1).map((outputs, i) => {
    const inputs = widths[i];
    const weights = normal(foldIn(keyOf(0), i), outputs * inputs);
    return {
      w: device.tensor(weights.map((x) => x / Math.sqrt(inputs)), [outputs, inputs]),
      b: device.tensor(new Float32Array(outputs)),
    };
  });
}

/** Logits (N, 2) of points (N, 2). */
function forward(layers: readonly Layer[], points: Tensor): Tensor {
  return layers.reduce((x, { w, b }, i) => {
    const y = add(linear(x, w), b);
    return i === layers.length - 1 ? y : tanh(y);
  }, points);
}

/** Trains the MLP, and returns the share of points that it gets right. */
export async function train(device: Device, steps: number): Promise<number> {
  const { points, labels } = spirals(device, 100);
  const layers = initialise(device, [2, 32, 32, 2]);
  const optimizer = new AdamW(layers, { weightDecay: 0 });
  const step = valueAndGrad((p: Layer[]) => crossEntropy(forward(p, points), labels));
  for (let i = 1; i <= steps; i++) {
    using _ = device.arena(); // frees what this step makes
    const { value, grads } = step(layers);
    optimizer.step(grads, 0.01);
    if (i % 100 === 0) console.log(`step ${i}: loss ${(await value.item()).toFixed(4)}`);
  }
  const guesses = await argmax(forward(layers, points), -1).data();
  const truth = await labels.data();
  return guesses.filter((guess, i) => guess === truth[i]).length / guesses.length;
}

if (import.meta.main) {
  console.log(`accuracy ${await train(cpu(), 500)}`);
}
