/**
 * Random catalogues for the tests of the trie and of everything on it.
 *
 * @module
 */
import fc from "fast-check";
import type { Path } from "../../models/decode/trie.ts";

/** How large a catalogue may be. */
export interface CatalogueSize {
  /** The longest path, at most. */
  readonly depth: number;
  /** The most children of a node, at most. */
  readonly fanOut: number;
  /** Tokens are below this. */
  readonly vocabulary: number;
}

/** A tree: each child with the token that leads to it. No children: an item ends here, `copies` times. */
interface Shape {
  readonly copies: number;
  readonly children: readonly (readonly [token: number, child: Shape])[];
}

/**
 * Catalogues as lists of paths: items of different lengths, chains of single children, items that share their path, in
 * any order. Valid by construction: an item is a leaf of a random tree.
 */
export function catalogues(size: CatalogueSize): fc.Arbitrary<Path[]> {
  const { depth, fanOut, vocabulary } = size;
  const leaf = fc.record({
    copies: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 3 })),
    children: fc.constant([]),
  });
  const shape = (left: number): fc.Arbitrary<Shape> => {
    if (left === 0) return leaf;
    const tokens = fc.uniqueArray(fc.nat(vocabulary - 1), { minLength: 1, maxLength: fanOut });
    const inner = tokens.chain((list) =>
      fc.record({
        copies: fc.constant(1),
        children: fc.tuple(...list.map((token) => fc.tuple(fc.constant(token), shape(left - 1)))),
      })
    );
    return left === depth ? inner : fc.oneof({ weight: 3, arbitrary: inner }, leaf);
  };
  const paths = ({ copies, children }: Shape, path: Path): Path[] =>
    children.length === 0
      ? Array.from({ length: copies }, () => path)
      : children.flatMap(([token, child]) => paths(child, [...path, token]));
  return shape(depth).map((root) => paths(root, [])).chain((list) =>
    fc.shuffledSubarray(list, { minLength: list.length })
  );
}

/** Some of a catalogue's items, possibly all. */
export function someItems(count: number): fc.Arbitrary<number[]> {
  return fc.subarray([...Array(count).keys()]);
}
