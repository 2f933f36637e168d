/**
 * Random catalogues for the tests of the trie and of everything on it.
 *
 * @module
 */
import fc from "fast-check";
import { foldIn, keyOf, uniform } from "../../core/random.ts";
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

/**
 * A tree: each child with the token that leads to it. No children: an item ends here, `copies`
 * times.
 */
interface Shape {
  readonly copies: number;
  readonly children: readonly (readonly [token: number, child: Shape])[];
}

/**
 * Catalogues as lists of paths: items of different lengths, chains of single children, items that
 * share their path, in any order. Valid by construction: an item is a leaf of a random tree.
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

/** What {@link titleLike} makes. */
export interface TitleOptions {
  /** How many items. */
  readonly items: number;
  /** Tokens are 1 to this; token 0 ends a title and is nowhere else. */
  readonly tokens: number;
  readonly seed: number;
  /** The most tokens of a title before its end, at least 3. Default 40. */
  readonly longest?: number;
}

/**
 * A catalogue such as item titles make: of every 7 titles one begins anew, and the others share
 * their first tokens with an earlier one; then each goes on alone to its own length. So there is a
 * wide root, choices become rare with depth, and long chains of single children end in leaves at
 * many depths. Of every 50 titles one is that of an earlier item.
 */
export function titleLike({ items, tokens, seed, longest = 40 }: TitleOptions): Path[] {
  let place = 0;
  const draws = uniform(foldIn(keyOf(seed), 7), items * (longest + 8));
  const draw = (below: number): number => Math.floor(draws[place++] * below);
  const titles: number[][] = [];
  for (let i = 0; i < items; i++) {
    place = i * (longest + 8);
    const like = i === 0 ? [] : titles[draw(i)];
    const kind = draws[place++];
    if (i > 0 && kind > 0.98) {
      titles.push(like);
      continue;
    }
    let shared = 0;
    if (i > 0 && kind > 1 / 7) {
      shared = Math.min(
        1 + Math.floor(Math.log(1 - draws[place++]) / Math.log(0.8)),
        like.length - 1,
      );
    }
    const length = Math.max(shared + 1, 3 + draw(longest - 2));
    const own = Array.from({ length: length - shared }, () => 1 + draw(tokens));
    titles.push([...like.slice(0, shared), ...own]);
  }
  return titles.map((title) => [...title, 0]);
}
