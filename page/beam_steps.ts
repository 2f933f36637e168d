/**
 * The steps of a search, as the page draws them.
 *
 * @module
 */
import type { BeamStep, Trie } from "beargrad";
import type { Dataset } from "beargrad/lab";
import type { Entry, StepView } from "./protocol.ts";

/** How many of the best prefixes that a step drops are drawn. */
const DROPPED = 12;
/** How many items of a prefix are named. */
const NAMED = 2;

/** An item as people know it. */
export function nameOf({ titles, items }: Dataset, item: number): string {
  return titles?.[item] ?? items[item];
}

/** Step `i` of a traced search. `leaf` is that of the target, or -1 if it is excluded. */
export function stepView(
  dataset: Dataset,
  trie: Trie,
  excluded: ReadonlySet<number>,
  steps: readonly BeamStep[],
  i: number,
  leaf: number,
): StepView {
  const { pool, threshold, nodes, poolSize } = steps[i];
  if (pool === undefined) throw new Error("Searches must be traced");
  const before = new Map<number, number>();
  if (i === 0) before.set(0, 0);
  else steps[i - 1].nodes.forEach((node, k) => before.set(node, steps[i - 1].scores[k]));
  const parentOf = (node: number): number => trie.depths[node] > i ? trie.parents[node] : node;
  const siblings = new Map<number, number>();
  const places = Array.from(pool.nodes, (node) => {
    const parent = parentOf(node);
    const place = siblings.get(parent) ?? 0;
    siblings.set(parent, place + 1);
    return place;
  });
  const kept = new Set(nodes);
  const own = leaf < 0 ? -1 : trie.prefixOf(leaf, i + 1);
  const target = pool.nodes.indexOf(own);
  const ranks = [...pool.nodes.keys()].filter((rank) =>
    kept.has(pool.nodes[rank]) || rank < nodes.length + DROPPED ||
    (target >= 0 && Math.abs(rank - target) <= 1)
  );
  const entries = ranks.map((rank): Entry => {
    const node = pool.nodes[rank];
    const parent = parentOf(node);
    const token = trie.tokens[node];
    const score = pool.scores[rank];
    const ended = parent === node;
    const items = itemsUnder(trie, node).filter((item) => !excluded.has(item));
    return {
      node,
      parent,
      text: ended ? "" : dataset.tokens[token],
      token,
      logProb: score - (before.get(parent) ?? NaN),
      score,
      kept: kept.has(node),
      onTarget: rank === target,
      place: places[rank],
      siblings: siblings.get(parent) ?? 1,
      items: items.length,
      names: [...items.slice(0, NAMED)].map((item) => nameOf(dataset, item)),
    };
  });
  return {
    step: i + 1,
    entries,
    ranks,
    poolSize,
    ...(threshold > -Infinity && poolSize > nodes.length && { theta: threshold }),
  };
}

/** The items of a subtree, whose nodes have consecutive numbers. */
function itemsUnder({ depths, nodeCount, leafOffsets, leafItems }: Trie, node: number): Int32Array {
  let end = node + 1;
  while (end < nodeCount && depths[end] > depths[node]) end++;
  return leafItems.slice(leafOffsets[node], leafOffsets[end]).sort();
}
