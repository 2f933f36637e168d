/** Branches of rows against the same sequences as rows of their own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { treeLeaves } from "../../core/tree.ts";
import type { Tensor } from "../../core/tensor.ts";
import { hiddenWithBranches } from "../../models/branches.ts";
import {
  initTransformer,
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import { add, mul } from "../../ops/binary.ts";
import { sample } from "../../ops/cases.ts";
import { reshape } from "../../ops/layout.ts";
import { sum } from "../../ops/reduce.ts";
import { take } from "../../ops/take.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { testDevices } from "../devices.ts";

const CONFIG: TransformerConfig = {
  vocabSize: 16,
  dim: 16,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  ffn: 12,
  ropeTheta: 10000,
  normEps: 1e-5,
  maxLength: 32,
  dropout: 0,
  tiedEmbeddings: true,
};
/** Two rows of five tokens; what their branches go on from; three branches of two tokens each. */
const ROWS = [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]];
const FROM = [2, 5];
const BRANCHES = [[[11, 12], [13, 1], [3, 4]], [[2, 2], [15, 0], [9, 1]]];

for (const { name, skip, open } of testDevices) {
  test(`branches are what rows of their own are, on ${name}`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const tolerance = name === "cpu float64" ? 1e-10 : 1e-4;
    const model = new Transformer(device, CONFIG);
    const params = initTransformer(device, CONFIG, 3);
    const ints = (values: readonly number[], shape: readonly number[]): Tensor =>
      device.tensor(Int32Array.from(values), shape);
    const tokens = ints(ROWS.flat(), [2, 5]);
    const branches = {
      tokens: ints(BRANCHES.flat(2), [2, 6]),
      positions: ints(FROM.flatMap((at) => [at, at + 1, at, at + 1, at, at + 1]), [2, 6]),
      mask: device.tensor(FROM.map((at) => [ROWS[0].map((_, t) => t < at ? 0 : -1e30)])),
      length: 2,
    };
    // The same six sequences, each padded to seven tokens.
    const alone = BRANCHES.flatMap((of, w) =>
      of.map((branch) => {
        const all = [...ROWS[w].slice(0, FROM[w]), ...branch];
        return [...all, ...new Array<number>(7 - all.length).fill(0)];
      })
    );
    const places = BRANCHES.flatMap((of, w) =>
      of.flatMap((branch, k) => branch.map((_, i) => (w * 3 + k) * 7 + FROM[w] + i))
    );
    const [u, v] = [sample(device, [10, 16], 1), sample(device, [12, 16], 2)];
    const weighted = (rows: Tensor, own: Tensor): Tensor =>
      add(sum(mul(reshape(rows, [10, 16]), u)), sum(mul(reshape(own, [12, 16]), v)));
    const together = valueAndGrad((p: TransformerParams) => {
      const found = hiddenWithBranches(model, p, tokens, [branches]);
      return weighted(found.rows, found.branches[0]);
    })(params);
    const apart = valueAndGrad((p: TransformerParams) => {
      const others = reshape(model.hidden(p, ints(alone.flat(), [6, 7])), [42, 16]);
      return weighted(model.hidden(p, tokens), take(others, ints(places, [12])));
    })(params);
    const read = (x: typeof together): Promise<ArrayLike<number>[]> =>
      device.read([x.value, ...treeLeaves(x.grads)]);
    const [actual, expected] = [await read(together), await read(apart)];
    expected.forEach((values, i) => {
      const most = Math.max(1, ...Array.from(values, Math.abs));
      for (let j = 0; j < values.length; j++) {
        const error = Math.abs(actual[i][j] - values[j]);
        assert.ok(error <= tolerance * most, `${i}, ${j}: ${actual[i][j]}, ${values[j]}`);
      }
    });
  });
}
