/**
 * Best-first search in exact arithmetic: the definition, and the reference of the real one.
 *
 * @module
 */
import { compare, type Searchable } from "./world_model.ts";

/** A best-first search. */
export interface BestFirst {
  /** The leaves that it returned, best first. */
  readonly ranking: readonly number[];
  /** The inner nodes whose children it asked the model about, by round. */
  readonly rounds: readonly (readonly number[])[];
}

/** The rules of a best-first search. */
export interface BestFirstRules {
  /** Whether a round asks about the best open prefix alone. */
  readonly one: boolean;
  /** Whether it stops at the k-th finished item. */
  stops(item: number, open: number): boolean;
  /** The most items above a probability that can be under an entry. */
  room(entry: number, above: bigint): number;
}

/**
 * Finds the best k items. An entry is a finished item or an open prefix: a node whose children are
 * not known yet. A round asks about the children of all open prefixes that are safe: the entries
 * before them cannot hold k items above their score, so the k-th best item scores no more. It stops
 * when k finished items come before every open prefix. Ties go by node, as in a beam.
 */
export function bestFirst(
  { children, pi }: Pick<Searchable, "children"> & { readonly pi: readonly bigint[] },
  k: number,
  rules: Partial<BestFirstRules> = {},
): BestFirst {
  const order = (a: number, b: number): number => compare(pi[b], pi[a]) || a - b;
  const {
    one = false,
    stops = (item, open) => order(item, open) < 0,
    room = (entry, above) => roomUnder(children, pi, entry, above),
  } = rules;
  const isOpen = (v: number): boolean => children[v].length > 0;
  const rounds: number[][] = [];
  let entries = isOpen(0) ? [0] : [];
  while (true) {
    const finished = entries.filter((v) => !isOpen(v)).slice(0, k);
    const open = entries.filter(isOpen);
    const isDone = open.length === 0 || (finished.length === k && stops(finished[k - 1], open[0]));
    if (isDone) return { ranking: finished, rounds };
    const isSafe = (v: number): boolean => {
      if (v === open[0]) return true; // fewer than k finished items come before it
      const above = entries.filter((entry) => pi[entry] > pi[v]);
      return above.reduce((items, entry) => items + room(entry, pi[v]), 0) < k;
    };
    const asked = new Set(one ? open.slice(0, 1) : open.filter(isSafe));
    rounds.push([...asked]);
    entries = entries.flatMap((v) => asked.has(v) ? children[v] : [v]).sort(order);
  }
}

/** The most items above a probability under an entry that has more: they share what it has. */
function roomUnder(
  children: Searchable["children"],
  pi: readonly bigint[],
  entry: number,
  above: bigint,
): number {
  const leaves = leavesUnder(children, entry);
  // n of them take more than n times as much.
  return above === 0n ? leaves : Math.min(leaves, Number((pi[entry] - 1n) / above));
}

function leavesUnder(children: Searchable["children"], node: number): number {
  const list = children[node];
  return list.length === 0 ? 1 : list.reduce((n, v) => n + leavesUnder(children, v), 0);
}
