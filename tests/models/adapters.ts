/** Adapters for tests, and the weights under them worked out on the host. */
import { foldIn, keyOf, normal } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { mapTree, treeEntries } from "../../core/tree.ts";
import { initLora, type LoraConfig, type LoraParams } from "../../models/lora.ts";
import type { TransformerConfig } from "../../models/transformer.ts";
import type { Weights } from "./llamas.ts";

/** Every target, a rank that the vec4 kernels do not take, a scale that is not 1. */
export const every: LoraConfig = {
  targets: ["q", "k", "v", "o", "gate", "up", "down"],
  rank: 3,
  alpha: 7,
  dropout: 0.3,
};

/** An adapter that matters: neither factor is 0. */
export function livelyAdapter(
  device: Device,
  config: TransformerConfig,
  lora: LoraConfig,
  seed: number,
): LoraParams {
  let drawn = 0;
  return mapTree(initLora(device, config, lora, seed), ({ shape, size }) => {
    const z = normal(foldIn(keyOf(seed), 100 + drawn++), size);
    return device.tensor(z.map((x) => 0.7 * x / Math.sqrt(shape[1])), shape);
  });
}

/** Where the rows of a target begin in a matrix here. */
function placesOf(
  { heads, kvHeads, headDim: D, ffn }: TransformerConfig,
): Readonly<Record<string, readonly [matrix: string, row: number]>> {
  return {
    q: ["qkv", 0],
    k: ["qkv", heads * D],
    v: ["qkv", (heads + kvHeads) * D],
    o: ["output", 0],
    gate: ["gateUp", 0],
    up: ["gateUp", ffn],
    down: ["down", 0],
  };
}

/** W + alpha / r B A of every adapted matrix, one number after the other. */
export async function mergedOnHost(
  weights: Weights,
  adapter: LoraParams,
  config: TransformerConfig,
  { rank, alpha }: LoraConfig,
): Promise<Weights> {
  const factors = new Map(
    await Promise.all(
      treeEntries(adapter).map(async ([path, t]) => [path, await t.data()] as const),
    ),
  );
  const merged = new Map(
    [...weights].map(([path, values]) => [path, Float64Array.from(values)]),
  );
  for (const path of factors.keys()) {
    const [, layer, target] = path.match(/^layers\.(\d+)\.(\w+)\.a$/) ?? [];
    if (layer === undefined) continue;
    const [a, b] = ["a", "b"].map((f) => factors.get(`layers.${layer}.${target}.${f}`) ?? []);
    const [matrix, start] = placesOf(config)[target];
    const w = merged.get(`layers.${layer}.${matrix}`) as Float64Array;
    const width = a.length / rank;
    for (let row = 0; row < b.length / rank; row++) {
      for (let column = 0; column < width; column++) {
        let update = 0;
        for (let k = 0; k < rank; k++) update += b[row * rank + k] * a[k * width + column];
        w[(start + row) * width + column] += alpha / rank * update;
      }
    }
  }
  return merged;
}
