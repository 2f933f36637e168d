import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import { trieLogProbBackward, trieLogProbForward } from "../kernels/trie_log_prob.ts";
import { exampleTrie, sample } from "./cases.ts";
import {
  checkBeam,
  checkDistribution,
  type TrieLogProbOptions,
  type TrieLogProbs,
  type TrieTable,
} from "./trie_options.ts";

/** `trieLogProb` of logits that are all there, (N, V). */
export const denseLogProb: Op<
  [logits: Tensor, trie: TrieTable, nodes: Tensor, labels: Tensor, options: TrieLogProbOptions],
  TrieLogProbs
> = defineOp({
  name: "denseLogProb",
  inputs: { logits: "float", trie: "record", nodes: "int", labels: "int", options: "options" },
  forward(
    logits: Tensor,
    trie: TrieTable,
    nodes: Tensor,
    labels: Tensor,
    options: TrieLogProbOptions,
  ): { out: TrieLogProbs; saved: { saved: Tensor } } {
    const params = paramsOf(logits, trie, nodes, labels, options);
    const { device, dtype } = logits;
    const { N } = params;
    const [logProb, logBeta] = [0, 1].map(() => device.empty([N], dtype, "trieLogProb"));
    const choices = device.empty([N], "int32", "trieLogProb");
    const saved = device.empty([N, 3], dtype, "trieLogProb"); // max z, log sum exp, z_b
    const { table } = trie;
    const buffers = { logits, table, nodes, labels, logProb, logBeta, choices, saved };
    device.run(trieLogProbForward, buffers, params);
    return { out: { logProb, logBeta, choices }, saved: { saved } };
  },
  backward(dout, { saved }, [logits, trie, nodes, labels, options]): InputGradients {
    return [
      () => { // dz_v = (dlogProb ([v = y] - p_v) + dlogBeta ([v = b] - p_v)) / tau
        const params = paramsOf(logits, trie, nodes, labels, options);
        const { table } = trie;
        const dlogits = logits.device.empty(logits.shape, logits.dtype, "trieLogProb gradient");
        const some = (dout.logProb ?? dout.logBeta) as Tensor;
        const [dlogProb, dlogBeta] = [dout.logProb ?? some, dout.logBeta ?? some];
        logits.device.run(
          trieLogProbBackward,
          { dlogProb, dlogBeta, logits, table, nodes, labels, saved, dlogits },
          {
            ...params,
            withProb: dout.logProb ? 1 : 0,
            withBeta: dout.logBeta && params.beam > 0 ? 1 : 0,
          },
        );
        return dlogits;
      },
      null,
      null,
    ];
  },
  cases: () =>
    (["children", "vocabulary"] as const).flatMap((normalization) =>
      [1, 2, 9].map((beam) => ({
        name: `${normalization}, beam ${beam}`,
        args: (d) => [
          sample(d, [6, 8], 1, -3, 3),
          exampleTrie(d),
          d.tensor(Int32Array.from([0, 1, 2, -1, 3, 0])),
          d.tensor(Int32Array.from([5, 4, 2, 0, 0, 0])),
          { normalization, beam, tau: 1.5 },
        ],
      }))
    ),
});

interface Params {
  readonly N: number;
  readonly V: number;
  readonly beam: number;
  readonly vocabulary: number;
  readonly tau: number;
}

function paramsOf(
  logits: Tensor,
  trie: TrieTable,
  nodes: Tensor,
  labels: Tensor,
  { normalization, tau = 1, beam }: TrieLogProbOptions,
): Params {
  const [N, V] = logits.shape;
  if (logits.rank !== 2 || V <= trie.maxToken) {
    throw new ShapeError(
      `Cannot apply trieLogProb to logits of shape ${formatShape(logits.shape)}: ` +
        `they must be (N, V) with V above the trie's largest token, ${trie.maxToken}`,
    );
  }
  for (const [name, { shape, rank }] of Object.entries({ nodes, labels })) {
    if (rank !== 1 || shape[0] !== N) {
      throw new ShapeError(
        `Cannot apply trieLogProb to logits of shape ${formatShape(logits.shape)}: ` +
          `${name} must be of shape (${N}), got ${formatShape(shape)}`,
      );
    }
  }
  checkDistribution("trieLogProb", normalization, tau);
  if (beam !== undefined) checkBeam("trieLogProb", beam);
  const places = Math.min(beam ?? 0, trie.fanOut); // no node has more children
  return { N, V, beam: places, vocabulary: normalization === "vocabulary" ? 1 : 0, tau };
}
