/**
 * Small transformers for tests, and the same arithmetic written out in float64, one token after the
 * other.
 */
import type { Device } from "../../core/tensor.ts";
import { foldIn, keyOf, normal } from "../../core/random.ts";
import { mapTree, treeEntries } from "../../core/tree.ts";
import {
  initTransformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";

/** Two blocks, three query heads a key head, no size equal to another. */
export const grouped: TransformerConfig = {
  vocabSize: 11,
  dim: 12,
  layers: 2,
  heads: 6,
  kvHeads: 2,
  headDim: 4,
  ffn: 20,
  ropeTheta: 100,
  normEps: 1e-5,
  maxLength: 24,
  dropout: 0.25,
  tiedEmbeddings: true,
};

/** One block, a head of its own for the output, sizes that the vec4 kernels do not take. */
export const untied: TransformerConfig = {
  ...grouped,
  ...{ vocabSize: 7, dim: 9, layers: 1, heads: 2, headDim: 8, ffn: 13, tiedEmbeddings: false },
};

/** One that reads items, whose tokens are 11 to 13. */
export const reader: TransformerConfig = { ...grouped, itemCodes: [[1, 2, 3], [4], [10, 2, 2]] };

/** The number of tokens that sequences may have. */
export const inputSizeOf = ({ vocabSize, itemCodes = [] }: TransformerConfig): number =>
  vocabSize + itemCodes.length;

/** Weights under which every part matters: activations near 1, norms that are not all 1. */
export function livelyParams(
  device: Device,
  config: TransformerConfig,
  seed: number,
): TransformerParams {
  let drawn = 0;
  return mapTree(initTransformer(device, config, seed), ({ shape, size }) => {
    const z = normal(foldIn(keyOf(seed), drawn++), size);
    const scale = 1.5 / Math.sqrt(shape[shape.length - 1]);
    return device.tensor(z.map((x) => shape.length === 1 ? 1 + 0.3 * x : scale * x), shape);
  });
}

/** The weights by path, as the device holds them. */
export type Weights = ReadonlyMap<string, ArrayLike<number>>;

/** Reads the weights back. */
export async function weightsOf(params: TransformerParams): Promise<Weights> {
  const entries = treeEntries(params);
  const values = await params.embed.device.read(entries.map(([, tensor]) => tensor));
  return new Map(entries.map(([path], i) => [path, values[i]]));
}

type Vector = number[];

const dot = (a: Vector, b: Vector): number => a.reduce((sum, x, i) => sum + x * b[i], 0);
const plus = (a: Vector, b: Vector): Vector => a.map((x, i) => x + b[i]);

/** Rows of the matrices that were read, by path. */
const rowsOf = new WeakMap<Weights, Map<string, Vector[]>>();

const inRows = (flat: ArrayLike<number>, width: number): Vector[] =>
  Array.from(
    { length: flat.length / width },
    (_, r) => Array.from({ length: width }, (_, i) => flat[r * width + i]),
  );

/** The logits after each token of a sequence. */
export function referenceLogits(
  weights: Weights,
  config: TransformerConfig,
  tokens: readonly number[],
): Vector[] {
  const { dim, layers, heads, kvHeads, headDim: D, ropeTheta, normEps } = config;
  const known = rowsOf.get(weights) ?? new Map<string, Vector[]>();
  rowsOf.set(weights, known);
  const matrix = (path: string, width: number): Vector[] => {
    const rows = known.get(path) ?? inRows(weights.get(path) as ArrayLike<number>, width);
    known.set(path, rows);
    return rows;
  };
  const get = (path: string): Vector => matrix(path, dim)[0];
  const apply = (w: Vector[], x: Vector): Vector => w.map((row) => dot(row, x));
  const norm = (x: Vector, w: Vector): Vector => {
    const r = 1 / Math.sqrt(dot(x, x) / x.length + normEps);
    return x.map((xi, i) => xi * r * w[i]);
  };
  const headsOf = (x: Vector, n: number): Vector[] =>
    Array.from({ length: n }, (_, h) => x.slice(h * D, (h + 1) * D));
  const turned = (x: Vector, position: number): Vector =>
    x.map((xi, i) => {
      const angle = position / ropeTheta ** ((2 * (i % (D / 2))) / D);
      const partner = i < D / 2 ? -x[i + D / 2] : x[i - D / 2];
      return xi * Math.cos(angle) + partner * Math.sin(angle);
    });

  const embed = matrix("embed", dim);
  const embedded = (token: number): Vector =>
    token < config.vocabSize ? embed[token] : (config.itemCodes ?? [])[token - config.vocabSize]
      .reduce((x, code) => plus(x, embed[code]), matrix("items", dim)[token - config.vocabSize]);
  const head = weights.has("head") ? matrix("head", dim) : embed;
  const keys: Vector[][][] = Array.from({ length: layers }, () => []); // [layer][position][head]
  const values: Vector[][][] = Array.from({ length: layers }, () => []);
  return tokens.map((token, t) => {
    let x = embedded(token);
    for (let l = 0; l < layers; l++) {
      const at = (name: string): string => `layers.${l}.${name}`;
      const a = norm(x, get(at("attnNorm")));
      const qkv = headsOf(apply(matrix(at("qkv"), dim), a), heads + 2 * kvHeads);
      const queries = qkv.slice(0, heads).map((q) => turned(q, t));
      keys[l].push(qkv.slice(heads, heads + kvHeads).map((k) => turned(k, t)));
      values[l].push(qkv.slice(heads + kvHeads));
      const mixed = queries.flatMap((q, h) => {
        const g = Math.floor(h / (heads / kvHeads));
        const scores = keys[l].map((k) => dot(q, k[g]) / Math.sqrt(D));
        const top = Math.max(...scores);
        const e = scores.map((s) => Math.exp(s - top));
        const total = e.reduce((sum, w) => sum + w, 0);
        return Array.from(
          { length: D },
          (_, d) => e.reduce((sum, w, j) => sum + (w / total) * values[l][j][g][d], 0),
        );
      });
      x = plus(x, apply(matrix(at("output"), heads * D), mixed));
      const m = norm(x, get(at("mlpNorm")));
      const both = apply(matrix(at("gateUp"), dim), m);
      const [gate, up] = [both.slice(0, config.ffn), both.slice(config.ffn)];
      const inner = gate.map((g, i) => g / (1 + Math.exp(-g)) * up[i]);
      x = plus(x, apply(matrix(at("down"), config.ffn), inner));
    }
    return apply(head, norm(x, get("norm")));
  });
}
