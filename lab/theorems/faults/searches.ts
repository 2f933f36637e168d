/**
 * Faults in searches, margins, probabilities and losses of prefixes.
 *
 * @module
 */
import { apaoPoint } from "../../../models/losses/apao.ts";
import { beamExact } from "../../../models/losses/beam_exact.ts";
import { bear, type BearOptions } from "../../../models/losses/bear.ts";
import { bestFirst, type BestFirstRules } from "../best_first.ts";
import type { Judged, World } from "../world.ts";
import { compare, exactSearch, type Rules, type Searchable, total } from "../world_model.ts";
import type { Fault } from "./fault.ts";

/** A beam search with wrong rules. */
function search(
  name: string,
  caughtBy: readonly string[],
  changes: (world: World & Searchable) => Partial<Rules>,
): Fault<World> {
  return {
    name,
    caughtBy,
    plant(world): World {
      const wrong = (model: Searchable): ReturnType<typeof exactSearch> =>
        exactSearch(model, changes({ ...world, ...model } as World));
      return { ...world, search: wrong(world), judged: { ...world.judged, exactSearch: wrong } };
    },
  };
}

/** A best-first search with wrong rules. */
function bestFirstWith(
  name: string,
  caughtBy: readonly string[],
  rules: Partial<BestFirstRules>,
): Fault<World> {
  const wrong: typeof bestFirst = (world, k, own) => bestFirst(world, k, { ...own, ...rules });
  return {
    name,
    caughtBy,
    plant: (world) => ({ ...world, judged: { ...world.judged, bestFirst: wrong } }),
  };
}

/**
 * Margins with a wrong beta: `pick` gets the siblings' weights, descending, and those outside the
 * trie.
 */
function margin(
  name: string,
  caughtBy: readonly string[],
  pick: (ranked: bigint[], beam: number, outside: readonly bigint[]) => bigint,
): Fault<World> {
  return {
    name,
    caughtBy,
    plant(world): World {
      const { children, weights, beam, outside } = world;
      const beta = [...world.beta];
      children.forEach((list, u) => {
        const ranked = list.map((v) => weights[v]).sort((a, b) => compare(b, a));
        for (const v of list) beta[v] = pick(ranked, beam, outside[u]);
      });
      return { ...world, beta };
    },
  };
}

const at = (ranked: readonly bigint[], i: number): bigint =>
  ranked[Math.max(0, Math.min(i, ranked.length - 1))];

/** A loss of prefixes that is not what it is called. */
function prefixLoss(
  name: string,
  caughtBy: readonly string[],
  wrong: (world: World) => Partial<Judged>,
): Fault<World> {
  const plant = (world: World): World => ({
    ...world,
    judged: { ...world.judged, ...wrong(world) },
  });
  return { name, caughtBy, plant };
}

/** Mistakes in searches, margins, probabilities and losses of prefixes. */
export const worldFaults: readonly Fault<World>[] = [
  search(
    "B + 1 places",
    [
      "T1: more than B siblings at some step",
      "T2: some Delta is above 0",
      "T2': T2 says so",
      "T7: a step that y_<t has reached",
      "T8: room for every level but the last",
      "T15",
      "T17: y is returned",
    ],
    () => ({ places: (beam) => beam + 1 }),
  ),
  search(
    "B - 1 places",
    [
      "T3: something is pruned",
      "T4: something is pruned",
      "T5: a share of the pool",
      "T6: something is pruned",
      "T7: a step that y_<t has reached",
      "T8: one token",
      "T13: something is pruned",
      "T13': some entry ahead is wasted",
      "T14: more than B items",
    ],
    () => ({ places: (beam) => Math.max(1, beam - 1) }),
  ),
  search(
    "places never run out",
    ["T2: some Delta is above 0", "T2': T2 says so", "T17: y is returned"],
    () => ({ places: () => Infinity }),
  ),
  search(
    "the worst are kept",
    [
      "T4: something is pruned",
      "T5: a share of the pool",
      "T5: a threshold",
      "T6: something is pruned",
      "T8: B = 1",
      "T9: something is pruned",
      "T10",
      "T14: at most B items",
    ],
    ({ pi }) => ({ score: (v) => -BigInt(pi[v]) }),
  ),
  search(
    "ties by arrival from the back",
    ["T1: more than B siblings at some step", "T8: room for every level but the last"],
    () => ({ tie: (a, b) => b - a }),
  ),
  search("ties by depth", ["T3: something is pruned", "T9: something is pruned"], ({ trie }) => ({
    tie: (a, b) => trie.depths[b] - trie.depths[a] || a - b,
  })),
  search("ties are left to the sort", ["T3: something is pruned"], () => ({ tie: () => 0 })),
  search(
    "parent's score left out",
    ["T7: a step that y_<t has reached", "T13': none is (T13)"],
    ({ weights }) => ({ score: (v) => weights[v] }),
  ),
  search("grandparents' scores left out", ["T3: something is pruned"], (world) => ({
    score: (v) => {
      const { trie, pi, weights } = world;
      return trie.depths[v] < 2 ? pi[v] : weights[trie.parents[v]] * weights[v];
    },
  })),
  search(
    "finished items dropped",
    [
      "T3: nothing is pruned",
      "T4: nothing is pruned",
      "T6: nothing is pruned",
      "T8: room for every level",
      "T13: nothing is pruned",
      "T15: B is enough",
    ],
    ({ trie, children }) => ({ expand: (v) => trie.childCount(v) === 0 ? [] : children[v] }),
  ),
  search("finished items win", ["T7: a step that y_<t has reached"], (world) => ({
    score: (v) => world.children[v].length === 0 ? world.one + world.pi[v] : world.pi[v],
  })),
  search(
    "items that end early count half",
    ["T4: something is pruned", "T15: B is too small"],
    ({ pi, children, trie, depth }) => ({
      score: (v) => children[v].length === 0 && trie.depths[v] < depth ? BigInt(pi[v]) / 2n : pi[v],
    }),
  ),
  search(
    "first child missed",
    ["T3: something is pruned", "T9: nothing is pruned", "S8: y is lost", "T17: y is missed"],
    ({ children }) => ({
      expand: (v) =>
        children[v].length < 2 ? children[v].length ? children[v] : [v] : children[v].slice(1),
    }),
  ),
  search(
    "items that share a leaf take a place each",
    ["T3: something is pruned"],
    ({ trie, children }) => ({
      expand: (v) =>
        (children[v].length === 0 ? [v] : children[v]).flatMap((c) =>
          Array(Math.max(1, trie.itemsAt(c).length)).fill(c)
        ),
    }),
  ),
  search("taken-out items are ignored", ["D1"], ({ trie }) => ({
    expand: (v) => trie.childCount(v) === 0 ? [v] : [...trie.nodesUnder(v)],
  })),
  search(
    "a level is cut to its first B in token order",
    ["T8: room for every level but the last"],
    ({ children, beam }) => ({
      expand: (v) => children[v].length === 0 ? [v] : children[v].slice(0, beam),
    }),
  ),
  {
    name: "the last step does not run",
    caughtBy: ["T3: something is pruned"],
    plant: (world) => ({
      ...world,
      search: world.search.map((step, t) =>
        t > 0 && t === world.depth - 1 ? world.search[t - 1] : step
      ),
    }),
  },
  {
    name: "the list is upside down",
    caughtBy: ["T9: something is pruned"],
    plant: (world) => ({
      ...world,
      search: world.search.map((step, t) =>
        t === world.depth - 1 ? { ...step, kept: step.kept.toReversed() } : step
      ),
    }),
  },
  {
    name: "all steps but the last keep one entry more",
    caughtBy: ["T2: some Delta is above 0", "T2': T2 says so"],
    plant: (world) => {
      const wide = exactSearch(world, { places: (beam) => beam + 1 });
      return { ...world, search: [...wide.slice(0, -1), ...world.search.slice(-1)] };
    },
  },
  {
    name: "with ties the other way round, places never run out",
    caughtBy: ["T2: some Delta is above 0", "T2': T2 says so"],
    plant: (world) => ({ ...world, reversed: exactSearch(world, { places: () => Infinity }) }),
  },
  margin("beta is the (B-1)-th", ["T2: the sign of Delta"], (ranked, b) => at(ranked, b - 2)),
  margin("beta is the (B+1)-th", ["T2: the sign of Delta"], (ranked, b) => at(ranked, b)),
  margin(
    "beta over the whole vocabulary",
    ["T2: some Delta is above 0", "T17: y is returned"],
    (ranked, beam, outside) => at([...ranked, ...outside].sort((a, b) => compare(b, a)), beam - 1),
  ),
  margin(
    "beta is the mean sibling",
    ["T2: the sign of Delta"],
    (ranked) => total(ranked) / BigInt(ranked.length),
  ),
  margin("beta is doubled", ["T7: at least B siblings"], (ranked, b) => 2n * at(ranked, b - 1)),
  {
    name: "the normaliser of every second sibling is off",
    caughtBy: ["T12", "S7: B others score as much"],
    plant: (world) => ({ ...world, pi: world.pi.map((p, v) => v % 2 ? p * 2n : p) }),
  },
  {
    name: "all that there is falls a unit short of 1",
    caughtBy: ["S7: B others score as much"],
    plant: (world) => ({ ...world, one: world.one - 1n }),
  },
  bestFirstWith(
    "best-first stops at k items",
    ["T16: the list", "T16: a prefix above the k-th best"],
    { stops: () => true },
  ),
  {
    name: "best-first in rounds stops at k items",
    caughtBy: ["T16: the list"],
    plant: (world) => {
      const wrong: typeof bestFirst = (of, k, own) =>
        bestFirst(of, k, own?.one ? own : { ...own, stops: () => true });
      return { ...world, judged: { ...world.judged, bestFirst: wrong } };
    },
  },
  bestFirstWith(
    "best-first goes on to the end",
    ["T16: a prefix that it expands"],
    { stops: () => false },
  ),
  bestFirstWith(
    "an open prefix counts as one item",
    ["T16: a prefix of a round"],
    { room: () => 1 },
  ),
  prefixLoss("apao with xi upside down", ["S7: the loss"], () => ({
    apaoPoint: (options) => apaoPoint({ ...options, xi: 1 / (options?.xi ?? 1) }),
  })),
  prefixLoss("apao at another temperature", ["S7: the loss"], () => ({
    apaoPoint: (options) => apaoPoint({ ...options, tau: 2 }),
  })),
  prefixLoss("the margin among siblings for what is short of the beam", [
    "S8: the loss",
    "T17: the losses",
  ], ({ beam }) => ({
    beamExact: ({ lambda, xi } = {}) => bear({ form: "convex", lambda, xi, beam }),
  })),
  prefixLoss("beam-exact with xi upside down", ["S8: the loss"], () => ({
    beamExact: (options) => beamExact({ ...options, xi: 1 / (options?.xi ?? 1) }),
  })),
  prefixLoss("the regulariser as printed, twice", ["T17: the losses"], () => ({
    bear: (options) => bear({ ...options, lambda: 2 } as BearOptions),
  })),
  prefixLoss("the convex form for the regulariser as printed", ["T17: the losses"], () => ({
    bear: (options) => bear({ ...options, form: "convex" } as BearOptions),
  })),
];
