/**
 * Inputs for the gradient checks.
 *
 * @module
 */
import { foldIn, keyOf, uniform } from "../core/random.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { edgeTable, exampleEdges, exampleTable, placeTable } from "../kernels/trie_table.ts";
import type { TrieTable } from "./trie_options.ts";

/** A tensor of numbers in [low, high), the same in every run; another `seed` gives others. */
export function sample(device: Device, shape: Shape, seed: number, low = -1, high = 1): Tensor {
  const values = uniform(foldIn(keyOf(17), seed), sizeOf(shape));
  return device.tensor(values.map((u) => low + (high - low) * u), shape);
}

/** A tensor of integers in [0, below). */
export function indices(device: Device, shape: Shape, seed: number, below: number): Tensor {
  const values = uniform(foldIn(keyOf(19), seed), sizeOf(shape));
  return device.tensor(Int32Array.from(values, (u) => Math.floor(u * below)), shape);
}

/** A trie of 8 tokens and five nodes, one of them with a single child, one with none. */
export function exampleTrie(device: Device): TrieTable {
  const { offsets, tokens } = exampleEdges(8);
  return {
    table: device.tensor(exampleTable(8)),
    nodeCount: 5,
    maxToken: 7,
    fanOut: 8,
    meanChoices: 4,
    places: device.tensor(placeTable(offsets)),
    byToken: device.tensor(edgeTable(offsets, tokens, 7)),
  };
}
