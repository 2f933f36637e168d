/**
 * Planted faults: deliberate mistakes in what the statements judge, that is, in searches, pools,
 * margins, certificates, losses and devices. Every statement must catch those that are planted for
 * it. That shows that its check can fail, and that the generators are strong enough to tell right
 * from wrong.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import type { BeamStep, SearchResult } from "../../models/decode/results.ts";
import { apaoPoint } from "../../models/losses/apao.ts";
import { beamExact } from "../../models/losses/beam_exact.ts";
import { bear, type BearOptions } from "../../models/losses/bear.ts";
import { msl } from "../../models/losses/msl.ts";
import { sft } from "../../models/losses/sft.ts";
import { bestFirst, type BestFirstRules } from "./best_first.ts";
import {
  D2,
  type SearchCase,
  type SearchedCase,
  type SearchedUser,
  searchOn,
  T16OnDevice,
} from "./d2_devices.ts";
import { exactWorlds, perturbedLogits, searchCases, tokenBatches } from "./generators.ts";
import { exactTheorems, lossPropositions, roundingTheorems } from "./index.ts";
import type { Proposition } from "./proposition.ts";
import { tallyOf, type Worlds } from "./runner.ts";
import type { TokenBatch } from "./s1_s6_token_losses.ts";
import { errorOf, type Perturbed } from "./t11_r7_rounding.ts";
import { type Evidence, type Range, theorems } from "./t1_t15_search.ts";
import { type Judged, pathTo, siblingRank, siblingsOf, type World } from "./world.ts";
import { bestRanks, evidenceOf } from "./world_evidence.ts";
import { compare, exactSearch, type Rules, type Searchable, total } from "./world_model.ts";

/** A mistake and what must catch it. */
export interface Fault<W> {
  /** What is wrong. */
  readonly name: string;
  /** Who must catch it: ids of statements, or `T5: a threshold` for one hypothesis of several. */
  readonly caughtBy: readonly string[];
  /** Puts the mistake into what is judged. */
  readonly plant: (world: W) => W | Promise<W>;
}

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
const worldFaults: readonly Fault<World>[] = [
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

/** A world and what is said of it. */
interface Certified {
  readonly world: World;
  readonly evidence: Evidence;
}

/** A certificate that says something else of a world. */
function certificate(
  name: string,
  caughtBy: readonly string[],
  wrong: (evidence: Evidence, world: World) => Partial<Evidence>,
): Fault<Certified> {
  return {
    name,
    caughtBy,
    plant: ({ world, evidence }) => ({
      world,
      evidence: { ...evidence, ...wrong(evidence, world) },
    }),
  };
}

const exactly = (n: number): Range => ({ least: n, most: n });
const plus = ({ least, most }: Range, n: number): Range => ({ least: least + n, most: most + n });

/** Mistakes in what certifies an item or a list. */
const certificateFaults: readonly Fault<Certified>[] = [
  certificate(
    "tokens before the last are among the best B - 1 of their siblings",
    ["T1: more than B siblings at some step"],
    (evidence, world) => ({
      isAmongBestSiblings: (y, t) =>
        evidence.isAmongBestSiblings(y, t) &&
        (t === evidence.lengthOf(y) || isInFewer(world, y, t)),
    }),
  ),
  certificate(
    "tokens after the first are among the best B - 1 of their siblings",
    ["T1: more than B siblings at some step"],
    (evidence, world) => ({
      isAmongBestSiblings: (y, t) =>
        evidence.isAmongBestSiblings(y, t) && (t === 1 || isInFewer(world, y, t)),
    }),
  ),
  certificate(
    "all tokens are among the best B - 1 of their siblings",
    ["T8: one token"],
    (_, world) => ({ isAmongBestSiblings: (y, t) => isInFewer(world, y, t) }),
  ),
  certificate(
    "the exact top is that of B - 1",
    ["T8: one token", "T8: room for every level but the last"],
    (_, { levels, depth, beam }) => ({
      isInExactTop: (y) => levels[depth].indexOf(y) < beam - 1,
    }),
  ),
  certificate(
    "an item with exactly 1/(B+1) passes",
    ["T4: something is pruned", "T10"],
    (_, { pi, one, beam }) => ({ hasMass: (y) => pi[y] * BigInt(beam + 1) >= one }),
  ),
  certificate(
    "M_t leaves out what is pruned",
    ["T5: a share of the pool"],
    (_, { search, pi, trie, beam }) => ({
      hasMassInPool: (y, t) =>
        pi[trie.prefixOf(y, t)] * BigInt(beam + 1) > total(search[t - 1].kept.map((v) => pi[v])),
    }),
  ),
  certificate(
    "M_t leaves out finished items",
    ["T5: a threshold"],
    (_, { search, pi, trie, beam }) => ({
      isThresholdWithinMass(t) {
        const { pool } = search[t - 1];
        const mass = total(pool.filter((v) => trie.depths[v] === t).map((v) => pi[v]));
        return pi[pool[beam - 1]] * BigInt(beam) <= mass;
      },
    }),
  ),
  certificate("T6 counts one rival too few", ["T6: something is pruned"], (evidence) => ({
    competitors: (y) => evidence.competitors(y).map((n) => plus(n, -1)),
  })),
  certificate("T6 looks at the first step only", ["T6: something is pruned"], (evidence) => ({
    competitors: (y) => evidence.competitors(y).map((_, __, [first]) => first),
  })),
  certificate("T6 counts the siblings of the step only", ["T6: the count never falls"], (
    _,
    { search, pi, trie, ...world },
  ) => ({
    competitors: (y) =>
      search.map((__, i) => {
        if (i >= trie.depths[y]) return exactly(0);
        const node = trie.prefixOf(y, i + 1);
        const siblings = siblingsOf({ ...world, trie, pi }, node);
        return exactly(siblings.filter((v) => pi[v] >= pi[node]).length);
      }),
  })),
  certificate("T2' counts one rival too many", ["T2': T2 does not say so"], (evidence) => ({
    forced: (y) => evidence.forced(y).map((n) => plus(n, 1)),
  })),
  certificate(
    "T2' forgets that what is ahead can spread",
    ["T2': T2 does not say so"],
    (_, world) => ({
      forced: (y) =>
        world.search.map((__, i) => {
          const { trie, pi } = world;
          const own = pi[trie.prefixOf(y, i + 1)];
          const nodes = pathTo(world, y).slice(0, i + 1);
          const siblings = nodes.flatMap((node) => siblingsOf(world, node));
          return exactly(siblings.filter((w) => pi[w] > own).length);
        }),
    }),
  ),
  certificate("the B-th best entry of all is the rival", ["T7: a step that y_<t has reached"], (
    _,
    { search, pi, trie, beam },
  ) => ({
    beatsOthers(y, t) {
      const [node, last] = [trie.prefixOf(y, t), search[t - 1].pool.at(beam - 1)];
      return last === undefined || pi[node] > pi[last];
    },
  })),
  certificate(
    "an item passes that ties with what was pruned",
    ["T9: something is pruned"],
    (evidence, world) => ({ certified: () => listed(evidence, world, (p, lost) => p >= lost) }),
  ),
  certificate(
    "T9 looks at the first step only",
    ["T9: something is pruned"],
    (evidence, world) => ({
      certified: () => {
        const search = [world.search[0], ...world.search.slice(-1)];
        return listed(evidence, { ...world, search }, (p, lost) => p > lost);
      },
    }),
  ),
  certificate(
    "every entry is taken to keep its promise",
    ["T13: something is pruned", "T13': none is (T13)"],
    (evidence) => ({
      ahead(y) {
        const { items, wasted } = evidence.ahead(y)!;
        return { items, wasted: wasted.map(() => exactly(0)) };
      },
    }),
  ),
  certificate(
    "waste is counted at the first step only",
    ["T13': some entry ahead is wasted"],
    (evidence) => ({
      ahead(y) {
        const { items, wasted } = evidence.ahead(y)!;
        return { items, wasted: wasted.map((n, i) => i === 0 ? n : exactly(0)) };
      },
    }),
  ),
  certificate(
    "an entry that leads to any returned item is no waste",
    ["T13: something is pruned"],
    (evidence, world) => ({
      ahead(y) {
        const { items } = evidence.ahead(y)!;
        const best = bestRanks(world);
        const wasted = world.search.map(({ pool }, i) => {
          const own = world.trie.prefixOf(y, i + 1);
          const ahead = pool.filter((v) => v !== own && world.pi[v] > world.pi[own]);
          return exactly(ahead.filter((v) => best[v] >= world.beam).length);
        });
        return { items, wasted };
      },
    }),
  ),
  certificate(
    "the width counts the last level, too",
    ["T15: B is too small"],
    (evidence, world) => ({
      widths: () =>
        evidence.widths()!.map(({ k, width, isCertified }, i) => {
          const { levels, depth, pi } = world;
          const least = pi[levels[depth][i]];
          const last = levels[depth].filter((v) => pi[v] >= least).length;
          return { k, width: exactly(Math.max(width.most, last)), isCertified };
        }),
    }),
  ),
  certificate(
    "the width counts only prefixes with more",
    ["T15: B is enough"],
    (evidence, world) => ({
      widths: () =>
        evidence.widths()!.map(({ k, isCertified }, i) => {
          const { levels, depth, pi } = world;
          const least = pi[levels[depth][i]];
          const counts = levels.slice(1, depth).map((l) => l.filter((v) => pi[v] > least).length);
          return { k, width: exactly(Math.max(0, ...counts)), isCertified };
        }),
    }),
  ),
];

/** Whether y_t is among the best B - 1 of its siblings. */
function isInFewer(world: World, y: number, t: number): boolean {
  return siblingRank(world, world.trie.prefixOf(y, t)) < world.beam - 1;
}

/** The items that a wrong T9 certifies, by their score and the best that was pruned. */
function listed(
  { nameOf }: Evidence,
  { search, pi, levels, depth }: World,
  passes: (score: bigint, lost: bigint) => boolean,
): ReturnType<Evidence["certified"]> {
  const pruned = search.slice(0, -1).flatMap(({ pool, kept }) => pool.slice(kept.length));
  const lost = pruned.reduce((most, v) => pi[v] > most ? pi[v] : most, -1n);
  return [...search[search.length - 1].kept.entries()]
    .filter(([, y]) => passes(pi[y], lost))
    .map(([rank, y]) => ({ what: nameOf(y), isBest: levels[depth][rank] === y }));
}

/** The parts of T11: two hypotheses, and what must never be exceeded. */
const ROUNDING_PARTS = ["a margin", "a clear verdict", "a gap", "clear gaps"] as const;

/** Mistakes in what the error of the logits is said to be. */
const roundingFaults: readonly Fault<Perturbed>[] = [
  {
    name: "the error is said to be half of what it is",
    caughtBy: ROUNDING_PARTS.map((part) => `T11: ${part}`),
    plant: (world) => ({ ...world, error: world.error / 2 }),
  },
  {
    name: "the error is that of probabilities, not of logits",
    caughtBy: ["T11: a margin"],
    plant: (world) => ({ ...world, error: world.error * world.tau }),
  },
  {
    name: "the error is measured at every second node",
    caughtBy: ["T11: a margin", "T11: a gap"],
    plant: ({ before, after, ...world }) => {
      const some = after.map((z, v) => v % 2 ? z : before[v]);
      return { ...world, before, after, error: errorOf({ before, after: some }) };
    },
  },
];

/** A loss of tokens that is not what it is called. */
function tokenLoss(
  name: string,
  caughtBy: readonly string[],
  wrong: (batch: TokenBatch) => Partial<TokenBatch["losses"]>,
): Fault<TokenBatch> {
  const plant = (batch: TokenBatch): TokenBatch => ({
    ...batch,
    losses: { ...batch.losses, ...wrong(batch) },
  });
  return { name, caughtBy, plant };
}

const parts = (id: string): readonly string[] =>
  ["the value", "the bound", "the gradient"].map((part) => `${id}: ${part}`);

/** Losses of tokens that are not what they are called. */
const lossFaults: readonly Fault<TokenBatch>[] = [
  tokenLoss("sft over valid children", ["S1: the value", "S1: the gradient"], () => ({
    sft: (options) => msl(options),
  })),
  tokenLoss("sft with the mean for the sum", parts("S1"), () => ({
    sft: (options) => sft({ ...options, reduction: "mean" }),
  })),
  tokenLoss("msl without its temperature", ["S2: the value", "S2: the gradient"], () => ({
    msl: (options) => msl({ ...options, tau: 1 }),
  })),
  tokenLoss("msl with the mean for the sum", parts("S2"), () => ({
    msl: (options) => msl({ ...options, reduction: "mean" }),
  })),
  tokenLoss("the released form with lambda / xi", ["S3: the value", "S3: the gradient"], (b) => ({
    bear: (options) => bear({ ...options, lambda: b.lambda / b.xi } as BearOptions),
  })),
  tokenLoss("the convex form for the released", parts("S3"), () => ({
    bear: (options) => bear({ ...options, form: "convex" } as BearOptions),
  })),
  tokenLoss("the convex form for the paper's", parts("S4"), () => ({
    bear: (options) => bear({ ...options, form: "convex" } as BearOptions),
  })),
  tokenLoss("the paper's form for the convex", parts("S5"), () => ({
    bear: (options) => bear({ ...options, form: "paper" } as BearOptions),
  })),
  tokenLoss("the convex form for a beam of B + 1", ["S5: the value", "S5: the gradient"], (b) => ({
    bear: (options) => bear({ ...options, beam: b.beam + 1 } as BearOptions),
  })),
  tokenLoss("bear with the mean for the sum", ["S6: some are", "S6: none is"], () => ({
    bear: (options) => bear({ ...options, reduction: "mean" } as BearOptions),
  })),
  tokenLoss("bear with lambda twice", ["S6: all tokens are violated"], () => ({
    bear: (options) => bear({ ...options, lambda: 2 } as BearOptions),
  })),
];

/** A device that searches another case than it is given. */
function device(name: string, change: (search: SearchCase) => SearchCase): Fault<SearchedCase> {
  return {
    name,
    caughtBy: ["D2: a step", "T16"],
    async plant({ device, search, found }): Promise<SearchedCase> {
      const others = await searchOn(device, change(search));
      // Compared with what is right.
      const users = found.map(({ exact, scores }, u) => ({ ...others[u], exact, scores }));
      return { device, search, found: users };
    },
  };
}

/** A device that finds something else for each user. */
function answer(
  name: string,
  caughtBy: readonly string[],
  change: (user: SearchedUser) => Partial<SearchedUser>,
): Fault<SearchedCase> {
  return {
    name,
    caughtBy,
    plant: ({ found, ...searched }) => ({
      ...searched,
      found: found.map((user) => ({ ...user, ...change(user) })),
    }),
  };
}

/** A device that says something else of each step. */
function step(name: string, change: (step: BeamStep) => Partial<BeamStep>): Fault<SearchedCase> {
  return answer(name, ["D2: a step"], ({ result }) => ({
    result: { ...result, steps: result.steps.map((step) => ({ ...step, ...change(step) })) },
  }));
}

const halved = <R extends SearchResult>(result: R): R => ({
  ...result,
  ranking: result.ranking.map((item) => ({ ...item, logProb: item.logProb - 1 })),
});

/** Mistakes of a device. */
const deviceFaults: readonly Fault<SearchedCase>[] = [
  device("a device that searches with another width", (search) => ({
    ...search,
    beam: search.beam + 1,
  })),
  device("a device that searches with another user's logits", ({ users, ...search }) => ({
    ...search,
    users: users.map((user, u) => ({ ...user, logs: users[(u + 1) % users.length].logs })),
  })),
  device("a device that searches with nothing taken out", ({ users, ...search }) => ({
    ...search,
    users: users.map((user) => ({ ...user, excluded: [] })),
  })),
  answer("a device that asks about every prefix", ["T16"], ({ exact, bestFirst }) => {
    const rows = exact.children.filter((list, u) => u > 0 && list.length > 0).length;
    return { bestFirst: { ...bestFirst, rows } };
  }),
  answer("a device that asks about one prefix less", ["T16"], ({ bestFirst }) => ({
    bestFirst: { ...bestFirst, rows: bestFirst.rows - 1 },
  })),
  answer("a device whose B* is one too small", ["T16"], ({ bestFirst }) => ({
    bestFirst: { ...bestFirst, width: bestFirst.width! - 1 },
  })),
  answer("a device whose items have half their probability", ["T16", "D2: the list"], (user) => ({
    result: halved(user.result),
    bestFirst: halved(user.bestFirst),
  })),
  answer("a device whose list is upside down", ["D2: the list"], ({ result }) => ({
    result: { ...result, ranking: result.ranking.toReversed() },
  })),
  answer("a device whose margins are those of other nodes", ["D2: the margins"], ({ world }) => ({
    world: { ...world, beta: world.beta.toReversed() },
  })),
  step("a device whose mass leaves out the best entry", ({ logMass, scores }) => ({
    logMass: logMass + Math.log1p(-Math.exp(scores[0] - logMass)),
  })),
  step("a device whose threshold is the best score", ({ scores }) => ({ threshold: scores[0] })),
  step("a device that calls the last kept entry pruned", ({ scores }) => ({
    bestPruned: scores.at(-1),
  })),
  step("a device that scores a pool by its best entry", ({ pool }) => ({
    pool: pool && { ...pool, scores: pool.scores.map(() => pool.scores[0]) },
  })),
];

/** Faults of one kind, with what they are planted in and the statements that judge that. */
interface Family<W> {
  readonly worlds: Worlds<W>;
  readonly propositions: readonly Proposition<W>[];
  readonly faults: readonly Fault<W>[];
}

/** Worlds made of others. */
function mapped<W, V>(worlds: Worlds<W>, make: (world: W) => V | Promise<V>): Worlds<V> {
  return {
    async search(holds, options): ReturnType<Worlds<V>["search"]> {
      const found = await worlds.search(async (world) => holds(await make(world)), options);
      return found && { world: await make(found.world), path: found.path };
    },
  };
}

/** Calls `use` on each family. */
async function forFamilies(use: <W>(family: Family<W>) => Promise<void>): Promise<void> {
  const float32: Device = cpu();
  await use({ worlds: exactWorlds(), propositions: exactTheorems, faults: worldFaults });
  await use({
    worlds: mapped(exactWorlds(), (world) => ({ world, evidence: evidenceOf(world) })),
    propositions: theorems.map((theorem): Proposition<Certified> => ({
      ...theorem,
      check: ({ evidence }, tally) => theorem.check(evidence, tally),
    })),
    faults: certificateFaults,
  });
  await use({ worlds: perturbedLogits(), propositions: roundingTheorems, faults: roundingFaults });
  await use({ worlds: tokenBatches(), propositions: lossPropositions, faults: lossFaults });
  await use({
    worlds: mapped(searchCases(), async (search) => {
      return { device: float32, search, found: await searchOn(float32, search) };
    }),
    propositions: [T16OnDevice, D2],
    faults: deviceFaults,
  });
}

/** The names of the faults and who must catch them. */
export const plantedFaults: readonly Pick<Fault<never>, "name" | "caughtBy">[] = [
  ...[...worldFaults, ...certificateFaults, ...roundingFaults, ...lossFaults, ...deviceFaults],
];

/** What became of a fault at one of those that must catch it. */
export interface HuntedFault {
  /** What is wrong. */
  readonly name: string;
  /** The id of the statement, or `T5: a threshold` for one hypothesis of several. */
  readonly by: string;
  /** Whether it was caught. */
  readonly caught: boolean;
  /** In how many worlds it was looked for. */
  readonly worlds: number;
}

/** Options of {@link huntFaults}. */
export interface HuntOptions {
  /** The most worlds for each. */
  readonly cases: number;
  /** The seed of the generators. */
  readonly seed: number;
  /** Called after each with the number so far. */
  readonly onProgress?: (done: number) => void;
  /** Makes another statement of each, to see what it no longer catches. */
  readonly weaken?: <W>(proposition: Proposition<W>) => Proposition<W>;
  /** Which to hunt, by the statement's id. Default all. */
  readonly only?: string;
}

/** Plants every fault for every statement and hypothesis that must catch it. */
export async function huntFaults(
  { cases, seed, onProgress, weaken = (p) => p, only }: HuntOptions,
): Promise<HuntedFault[]> {
  const hunted: HuntedFault[] = [];
  await forFamilies(async ({ worlds, propositions, faults }) => {
    for (const { name, caughtBy, plant } of faults) {
      for (const by of caughtBy) {
        const [id, hypothesis] = by.split(": ");
        if (only !== undefined && only !== id) continue;
        const proposition = propositions.find((p) => p.id === id);
        if (proposition === undefined) throw new Error(`Cannot plant ${name}: no ${id}`);
        let visited = 0;
        const caught = await worlds.search(async (world) => {
          visited++;
          const tally = await tallyOf(weaken(proposition), await plant(world));
          return (hypothesis ? tally.of(hypothesis) : tally).failures.length === 0;
        }, { cases, seed, shrink: false });
        hunted.push({ name, by, caught: caught !== undefined, worlds: visited });
        onProgress?.(hunted.length);
      }
    }
  });
  return hunted;
}
