/** The catalogue trie against plain lists of paths. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, DataError } from "../../core/errors.ts";
import { permutation, uniform } from "../../core/random.ts";
import { type FlatPaths, type Path, Trie } from "../../models/decode/trie.ts";
import { catalogues, someItems } from "./tries.ts";

const arbitrary = catalogues({ depth: 4, fanOut: 4, vocabulary: 9 });

/** Every prefix of every path, the empty one included, in lexicographic order. */
function prefixes(paths: readonly Path[]): number[][] {
  const all = new Map<string, number[]>();
  for (const path of paths) {
    for (let n = 0; n <= path.length; n++) all.set(path.slice(0, n).join(), path.slice(0, n));
  }
  return [...all.values()].sort((a, b) => {
    const i = a.findIndex((token, at) => token !== b[at]);
    if (i < 0) return a.length - b.length;
    return i >= b.length ? 1 : a[i] - b[i];
  });
}

test("trie: nodes are the prefixes in lexicographic order", () => {
  fc.assert(fc.property(arbitrary, (paths) => {
    const trie = new Trie(paths);
    const nodes = prefixes(paths);
    assert.equal(trie.nodeCount, nodes.length);
    nodes.forEach((prefix, node) => {
      assert.deepEqual(trie.pathOf(node), prefix);
      assert.equal(trie.depths[node], prefix.length);
      assert.equal(trie.tokens[node], prefix.at(-1) ?? -1);
    });
  }));
});

test("trie: children and parents agree, and child() finds exactly the children", () => {
  fc.assert(fc.property(arbitrary, (paths) => {
    const trie = new Trie(paths);
    for (let node = 0; node < trie.nodeCount; node++) {
      const [tokens, nodes] = [trie.tokensUnder(node), trie.nodesUnder(node)];
      assert.equal(tokens.length, trie.childCount(node));
      nodes.forEach((child, i) => {
        assert.equal(trie.parents[child], node);
        assert.equal(trie.tokens[child], tokens[i]);
        assert.ok(i === 0 || tokens[i - 1] < tokens[i]);
      });
      for (let token = 0; token < 9; token++) {
        const at = tokens.indexOf(token);
        assert.equal(trie.child(node, token), at < 0 ? -1 : nodes[at]);
      }
    }
    assert.equal(trie.parents.filter((p) => p === -1).length, 1);
  }));
});

test("trie: items lie at the end of their path, together with those that share it", () => {
  fc.assert(fc.property(arbitrary, (paths) => {
    const trie = new Trie(paths);
    const distinct = new Set(paths.map((p) => p.join()));
    assert.equal(trie.itemCount, paths.length);
    assert.equal(trie.leafCount, distinct.size);
    assert.equal(trie.duplicates, paths.length - distinct.size);
    paths.forEach((path, item) => {
      assert.deepEqual(trie.pathOf(trie.leafOf[item]), path);
      const same = paths.flatMap((p, i) => p.join() === path.join() ? [i] : []);
      assert.deepEqual([...trie.itemsAt(trie.leafOf[item])], same);
    });
    for (let node = 0; node < trie.nodeCount; node++) {
      assert.equal(trie.itemsAt(node).length > 0, trie.childCount(node) === 0);
    }
  }));
});

test("trie: level sizes, fan-outs, depth and largest token", () => {
  fc.assert(fc.property(arbitrary, (paths) => {
    const trie = new Trie(paths);
    const nodes = prefixes(paths);
    assert.equal(trie.maxDepth, Math.max(...paths.map((p) => p.length)));
    assert.equal(trie.maxToken, Math.max(...paths.flat()));
    for (let depth = 0; depth <= trie.maxDepth; depth++) {
      const level = nodes.flatMap((p, node) => p.length === depth ? [node] : []);
      assert.equal(trie.levelSizes[depth], level.length);
      assert.equal(trie.fanOuts[depth], Math.max(...level.map((n) => trie.childCount(n))));
    }
  }));
});

test("trie: blocked nodes are those without a path when the items are out", () => {
  const inputs = arbitrary.chain((paths) => fc.tuple(fc.constant(paths), someItems(paths.length)));
  fc.assert(fc.property(inputs, ([paths, items]) => {
    const trie = new Trie(paths);
    const left = prefixes(paths.filter((_, i) => !items.includes(i))).map((p) => p.join());
    const gone = [...Array(trie.nodeCount).keys()]
      .filter((node) => !left.includes(trie.pathOf(node).join()) || left.length === 0);
    assert.deepEqual([...trie.blockedNodes([...items, ...items])], gone);
  }));
});

test("trie: the table that is uploaded holds each node's tokens and nodes", async () => {
  const trie = new Trie([[3, 1], [3, 2], [0]]);
  using uploaded = trie.upload(cpu());
  const table = await uploaded.table.data();
  for (let node = 0; node < trie.nodeCount; node++) {
    const [from, to] = [table[node], table[node + 1]];
    const edges = trie.nodeCount - 1;
    assert.deepEqual(table.slice(from, to), trie.tokensUnder(node).slice());
    assert.deepEqual(table.slice(from + edges, to + edges), trie.nodesUnder(node).slice());
  }
});

test("trie: malformed catalogues are refused by name", () => {
  const refused = (paths: readonly Path[] | FlatPaths, message: RegExp): void =>
    assert.throws(
      () => new Trie(paths),
      (error) => error instanceof DataError && message.test(error.message),
    );
  refused([], /must have items/);
  refused([[1], []], /got none for item 1/);
  refused([[1, -2]], /got -2 in item 0/);
  refused([[1], [0.5]], /got 0.5 in item 1/);
  refused([[1], [NaN]], /got NaN in item 1/);
  const flat = (tokens: number[], lengths: number[]): FlatPaths => ({
    tokens: Int32Array.from(tokens),
    lengths: Int32Array.from(lengths),
  });
  refused(flat([], []), /must have items/);
  refused(flat([1, 2], [1, 0]), /got none for item 1/);
  refused(flat([1, 2], [3, -1]), /got none for item 1/);
  refused(flat([1, 2, 3], [1, 1]), /add up to the 3 tokens, got 2/);
  refused(flat([1, 2, -3], [1, 2]), /got -3 in item 1/);
  refused([[1], [2 ** 31]], /got 2147483648 in item 1/);
  refused([[5], [1, 2, 3], [7], [1, 2]], /\[1,2\] for item 3 and \[1,2,3\] for item 1/);
});

test("trie: unknown items cannot be taken out", () => {
  const trie = new Trie([[1], [2]]);
  for (const item of [-1, 2, 0.5, NaN]) {
    assert.throws(() => trie.blockedNodes([item]), ArgumentError);
  }
});

test("trie: more items than a call takes arguments", () => {
  const n = 200_000;
  const codes = uniform([1, 2], 3 * n);
  const order = permutation([3, 4], n);
  const paths: Path[] = Array.from({ length: n }, (_, i) => [
    Math.floor(256 * codes[3 * i]),
    Math.floor(256 * codes[3 * i + 1]),
    Math.floor(256 * codes[3 * i + 2]),
    order[i],
  ]);
  const trie = new Trie(paths);
  assert.equal(trie.leafCount, n);
  assert.deepEqual(trie.pathOf(trie.leafOf[123_456]), paths[123_456]);
  assert.equal(trie.levelSizes[0] + trie.levelSizes[1], 257);
});

test("trie: flat paths give the same trie", () => {
  fc.assert(fc.property(arbitrary, (paths) => {
    const flat = new Trie({
      tokens: Int32Array.from(paths.flat()),
      lengths: Int32Array.from(paths, (path) => path.length),
    });
    assert.deepEqual({ ...flat }, { ...new Trie(paths) });
  }));
});

test("trie: tokens of any size are in their order", () => {
  const token = fc.oneof(
    fc.nat(3),
    fc.constantFrom(2047, 2048, 4095, 2 ** 22, 2 ** 22 + 2048, 2 ** 31 - 1),
  );
  const long = fc.array(fc.array(token, { minLength: 3, maxLength: 3 }), { minLength: 1 });
  fc.assert(fc.property(long, (paths) => {
    const trie = new Trie(paths);
    const nodes = prefixes(paths);
    assert.deepEqual(nodes.map((_, node) => trie.pathOf(node)), nodes);
  }));
});

test("trie: depths beyond a byte, and beyond two", () => {
  for (const length of [255, 256, 65536]) {
    const trie = new Trie([Array(length).fill(1), [0, 2]]);
    assert.equal(trie.depths[trie.leafOf[0]], length);
    assert.equal(trie.depths[trie.leafOf[1]], 2);
    assert.equal(trie.blockedNodes([0]).length, length);
  }
});
