/** Losses of hidden states and a head against the same losses of all logits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import type { TypedArray } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { type DeviceTrie, Trie } from "../../models/decode/trie.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { losses } from "../../models/losses/index.ts";
import { sft } from "../../models/losses/sft.ts";
import { bear } from "../../models/losses/bear.ts";
import { mul, sub } from "../../ops/binary.ts";
import { sample } from "../../ops/cases.ts";
import { allLogits, type Projection } from "../../ops/logits.ts";
import { sum } from "../../ops/reduce.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { softplus } from "../../ops/unary.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice, testDevices } from "../devices.ts";

/**
 * Three levels: a root of 3 children, nodes of 1 to 5, so that children are few beside a vocabulary
 * of 64.
 */
const deep = new Trie([[60], [1, 2], [1, 3], [1, 9, 4], [1, 9, 60], [1, 11], [1, 12], [7, 7, 7]]);
/** All tokens are children of the root. */
const flat = new Trie(Array.from({ length: 64 }, (_, v) => [v]));

/** Rows at every kind of node: inner ones, forced ones, leaves, none; the root more than once. */
function rowsOf(trie: Trie): { nodes: Int32Array; labels: Int32Array } {
  const wanted = [0, ...Array.from({ length: trie.nodeCount }, (_, u) => u).slice(0, 9), -1, 0, 0];
  const labelOf = (node: number, n: number): number => {
    const tokens = node < 0 ? [] : trie.tokensUnder(node);
    return tokens.length === 0 ? 0 : tokens[n % tokens.length];
  };
  return { nodes: Int32Array.from(wanted), labels: Int32Array.from(wanted, labelOf) };
}

async function run(
  device: Device,
  loss: Loss,
  trie: DeviceTrie,
  projection: Projection,
  whole: boolean,
): Promise<number[][]> {
  const rows = rowsOf(trie.trie);
  const [nodes, labels] = [device.tensor(rows.nodes), device.tensor(rows.labels)];
  const { value, grads } = valueAndGrad((p: Projection) => {
    const logits = whole ? allLogits(p) : p;
    const N = nodes.size;
    const one = Array.from({ length: N }, (_, n) => n);
    // The batch's own rows, in the opposite order, stand for those of N negatives of one token.
    const against = device.tensor(Int32Array.from(one.toReversed()));
    const logScales = device.tensor(one.map((n) => n % 4 === 0 ? -1e30 : 0.5), [N, 1, 1]);
    const negatives = { logits, nodes, labels, rows: against, logScales };
    const thresholds = device.tensor(one.map((n) => n % 3 === 0 ? -1e30 : -n / 4));
    return loss(logits, { trie, nodes, labels, negatives, thresholds });
  })(projection);
  return (await device.read([value, grads.hidden, grads.head])).map((x) => [...x]);
}

/** Hidden states for the rows, and a head of 64 tokens. */
function projectionFor(device: Device, trie: Trie, C: number): Projection {
  const N = rowsOf(trie).nodes.length;
  return { hidden: sample(device, [N, C], 1, -2, 2), head: sample(device, [64, C], 2, -2, 2) };
}

for (const { name, skip, open } of testDevices) {
  test(`losses: a projection gives what all logits give on ${name}`, { skip }, async () => {
    const device = await open();
    const tolerance = name === "cpu float64" ? 1e-10 : 1e-4;
    for (const [host, C] of [[deep, 8], [deep, 6], [flat, 8]] as const) {
      for (const { name: lossName, make } of losses) {
        using _scope = device.arena();
        const trie = host.upload(device);
        const projection = projectionFor(device, host, C);
        const loss = make({ tau: 0.7, xi: 2, lambda: 0.5, beam: 2 });
        const expected = await run(device, loss, trie, projection, true);
        const actual = await run(device, loss, trie, projection, false);
        actual.forEach((values, k) => {
          const most = Math.max(...expected[k].map(Math.abs));
          assert.equal(values.length, expected[k].length);
          values.forEach((value, i) => {
            const error = Math.abs(value - expected[k][i]);
            assert.ok(
              error <= tolerance * most,
              `${lossName}, C ${C}, ${k}, [${i}]: off by ${error}`,
            );
          });
        });
      }
    }
  });
}

/** More logits than are ever there at a time, on the cpu: 300 rows of 60,000. */
test("losses: a large vocabulary gives what all logits give, a part at a time", async () => {
  const device = cpu();
  const [N, V, C] = [300, 60_000, 4];
  const trie = new Trie([[59_999, 3], [7, 59_999], [7, 2], [7, 500], [12, 1]]).upload(device);
  const root = trie.trie;
  const wanted = Array.from(
    { length: N },
    (_, n) => [0, root.child(0, 7), root.child(0, 12), -1][n % 4],
  );
  const nodes = device.tensor(Int32Array.from(wanted));
  const labels = device.tensor(
    Int32Array.from(
      wanted,
      (node, n) => node < 0 ? 0 : root.tokensUnder(node)[n % root.childCount(node)],
    ),
  );
  const projection = { hidden: sample(device, [N, C], 1, -2, 2), head: sample(device, [V, C], 2) };
  const both: Loss = (z, aims) => { // the largest beam among siblings beside a likelihood in the vocabulary
    const options = { normalization: "vocabulary", beam: 2, tau: 0.5 } as const;
    const { logProb, logBeta } = trieLogProb(z, aims.trie, aims.nodes, aims.labels, options);
    return sum(softplus(sub(logBeta, mul(3, logProb))));
  };
  for (const loss of [sft(), bear(), both]) {
    const results: TypedArray[][] = [];
    for (const whole of [true, false]) {
      const { liveBytes } = device.stats;
      using step = capture(device, (_: Record<never, Tensor>) => {
        const { value, grads } = valueAndGrad((p: Projection) =>
          loss(whole ? allLogits(p) : p, { trie, nodes, labels })
        )(projection);
        return [value, grads.hidden, grads.head];
      });
      results.push(await device.read(step({})));
      const needed = device.stats.liveBytes - liveBytes;
      assert.ok(whole ? needed >= 4 * N * V : needed < 4 * N * V, `${needed} bytes`);
    }
    const [expected, actual] = results;
    actual.forEach((values, k) => {
      const most = [...expected[k]].reduce((a, x) => Math.max(a, Math.abs(x)), 0);
      const bad = values.findIndex((value, i) => Math.abs(value - expected[k][i]) > 1e-4 * most);
      assert.equal(bad, -1, `${k}, [${bad}]: ${values[bad]}, ${expected[k][bad]}`);
    });
  }
});

onEachDevice("losses: a projection makes no tensor of all logits", async (device) => {
  const trie = deep.upload(device);
  const [N, V, C] = [64, 4096, 4];
  const nodes = device.tensor(new Int32Array(N));
  const labels = device.tensor(new Int32Array(N).fill(7));
  const projection = { hidden: sample(device, [N, C], 1), head: sample(device, [V, C], 2) };
  const before = device.stats.liveBytes;
  const { value } = valueAndGrad((p: Projection) => bear()(p, { trie, nodes, labels }))(
    projection,
  );
  assert.ok(Number.isFinite(await value.item()));
  const made = device.stats.liveBytes - before; // nothing is given back before the arena closes
  assert.ok(made < N * V * 4 / 2, `${made} bytes`);
});

test("trieLogProb: hidden states and heads that do not fit are refused", async () => {
  const device = await testDevices[0].open();
  const trie = deep.upload(device);
  const [nodes, labels] = [new Int32Array(2), new Int32Array(2)].map((x) => device.tensor(x));
  const of = (hidden: readonly number[], head: readonly number[]) => (): unknown => {
    const make = (shape: readonly number[]): Tensor => sample(device, shape, 1);
    const projection = { hidden: make(hidden), head: make(head) };
    return trieLogProb(projection, trie, nodes, labels, { normalization: "children" });
  };
  assert.throws(of([2, 8], [64, 4]), ShapeError);
  assert.throws(of([2, 8], [60, 8]), ShapeError);
  assert.throws(of([16], [64, 8]), ShapeError);
  assert.throws(of([3, 8], [64, 8]), ShapeError);
});
