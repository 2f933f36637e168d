/** Trees of tensors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { mapTree, treeEntries, treeLeaves } from "../../core/tree.ts";

const device = cpu();
const [a, b, c] = [1, 2, 3].map((x) => device.tensor(x));

test("tree: paths name records and positions, in the order of the tree", () => {
  const tree = { embed: a, layers: [{ w: b }, { w: c }] };
  assert.deepEqual(treeEntries(tree).map(([path]) => path), ["embed", "layers.0.w", "layers.1.w"]);
  assert.deepEqual(treeLeaves(tree), [a, b, c]);
  assert.deepEqual(treeEntries(a), [["", a]]);
});

test("tree: mapping keeps the form and leaves the old tree alone", () => {
  const tree = { embed: a, layers: [b, c], none: {} };
  const mapped = mapTree(tree, (tensor) => (tensor === b ? a : tensor));
  assert.deepEqual(Object.keys(mapped), ["embed", "layers", "none"]);
  assert.deepEqual(mapped.layers, [a, c]);
  assert.deepEqual(tree.layers, [b, c]);
});

test("tree: anything but tensors, records and arrays is refused", () => {
  for (const wrong of [3, "x", null, undefined]) {
    assert.throws(() => treeLeaves({ layers: [a, wrong] } as never), {
      name: "ArgumentError",
      message: `Cannot walk a tree at "layers.1": it must hold tensors, records and arrays, got ${
        JSON.stringify(wrong)
      }`,
    });
  }
});
