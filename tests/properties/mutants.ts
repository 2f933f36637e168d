/**
 * Mutants: deliberate mistakes in the search, in the margin, or in a theorem's own wording. The
 * proposition that a mutant is paired with must catch it. That shows that the generators are strong
 * enough to tell right from wrong.
 *
 * @module
 */
import { exactWorlds, perturbedLogits, tokenBatches } from "../../lab/theorems/generators.ts";
import { exactTheorems } from "../../lab/theorems/index.ts";
import type { Proposition, Tally } from "../../lab/theorems/proposition.ts";
import { tallyOf, type Worlds } from "../../lab/theorems/runner.ts";
import {
  type LossProposition,
  S1,
  S2,
  S3,
  S4,
  S5,
  type TokenBatch,
} from "../../lab/theorems/s1_s6_token_losses.ts";
import { directForm, othersAtLeast, S7 } from "../../lab/theorems/s7_s8_prefix_losses.ts";
import {
  beamsOf,
  errorOf,
  marginsOf,
  type Perturbed,
  scoresOf,
  T11,
} from "../../lab/theorems/t11_r7_rounding.ts";
import {
  bestBelow,
  D1,
  exactBeams,
  isClearlyAmongBest,
  T12,
  T13,
} from "../../lab/theorems/t12_t14_d1_worlds.ts";
import {
  isAlive,
  named,
  pathTo,
  prunedBeforeLast,
  returned,
  type World,
} from "../../lab/theorems/world.ts";
import { competitorsOf } from "../../lab/theorems/world_evidence.ts";
import { compare, exactSearch, type Rules, total } from "../../lab/theorems/world_model.ts";
import { bear, type BearOptions } from "../../models/losses/bear.ts";
import { msl } from "../../models/losses/msl.ts";

const [T1, T2, T3, T4, T5, T6, T7, T8, T9, T10] = exactTheorems;

/** A mistake and what must catch it. */
export interface Mutant<W> {
  /** What is wrong. */
  readonly name: string;
  /** The proposition that fails: one of the project's, or one worded wrongly. */
  readonly caughtBy: Proposition<W>;
  /** Puts the mistake into a world; absent where the wording is the mistake. */
  readonly plant?: (world: W) => W;
}

/** A search with wrong rules. */
function wrongSearch(
  name: string,
  caughtBy: Proposition<World>,
  changes: (world: World) => Partial<Rules>,
): Mutant<World> {
  const plant = (world: World): World => ({ ...world, search: exactSearch(world, changes(world)) });
  return { name, caughtBy, plant };
}

/**
 * Margins with a wrong beta: `pick` gets the siblings' weights, descending, and those outside the
 * trie.
 */
function wrongBeta(
  name: string,
  caughtBy: Proposition<World>,
  pick: (ranked: bigint[], beam: number, outside: readonly bigint[]) => bigint,
): Mutant<World> {
  const plant = (world: World): World => {
    const { children, weights, beam, outside } = world;
    const beta = [...world.beta];
    children.forEach((list, u) => {
      const ranked = list.map((v) => weights[v]).sort((a, b) => compare(b, a));
      for (const v of list) beta[v] = pick(ranked, beam, outside[u]);
    });
    return { ...world, beta };
  };
  return { name, caughtBy, plant };
}

/** A theorem with a wrong wording. */
function wrongWording<W>(
  name: string,
  theorem: Proposition<W>,
  check: (world: W, tally: Tally) => void,
): Mutant<W> {
  return { name, caughtBy: { ...theorem, check } };
}

const at = (ranked: readonly bigint[], i: number): bigint =>
  ranked[Math.max(0, Math.min(i, ranked.length - 1))];

/** The world with its last step lost: items of the longest paths are cut short. */
function stopEarly(world: World): World["search"] {
  return world.search.map((step, t) => t > 0 && t === world.depth - 1 ? world.search[t - 1] : step);
}

/** Mistakes in searches, margins, normalisers and theorems. */
export const exactMutants: readonly Mutant<World>[] = [
  wrongSearch("B + 1 places", T1, () => ({ places: (beam) => beam + 1 })),
  wrongSearch("B - 1 places", T3, () => ({ places: (beam) => Math.max(1, beam - 1) })),
  wrongSearch("places never run out", T2, () => ({ places: () => Infinity })),
  wrongSearch("the worst are kept", T4, ({ pi }) => ({ score: (v) => -pi[v] })),
  wrongSearch("ties by arrival from the back", T1, () => ({ tie: (a, b) => b - a })),
  wrongSearch("ties by depth", T3, ({ trie }) => ({
    tie: (a, b) => trie.depths[b] - trie.depths[a] || a - b,
  })),
  wrongSearch("ties are left to the sort", T3, () => ({ tie: () => 0 })),
  wrongSearch("parent's score left out", T7, ({ weights }) => ({ score: (v) => weights[v] })),
  wrongSearch("grandparents' scores left out", T3, ({ trie, pi, weights }) => ({
    score: (v) => trie.depths[v] < 2 ? pi[v] : weights[trie.parents[v]] * weights[v],
  })),
  wrongSearch("finished items dropped", T3, ({ trie, children }) => ({
    expand: (v) => trie.childCount(v) === 0 ? [] : children[v],
  })),
  wrongSearch("finished items win", T7, ({ pi, children, one }) => ({
    score: (v) => children[v].length === 0 ? one + pi[v] : pi[v],
  })),
  wrongSearch("items that end early count half", T4, ({ pi, children, trie, depth }) => ({
    score: (v) => children[v].length === 0 && trie.depths[v] < depth ? pi[v] / 2n : pi[v],
  })),
  wrongSearch("first child missed", T3, ({ children }) => ({
    expand: (v) =>
      children[v].length < 2 ? children[v].length ? children[v] : [v] : children[v].slice(1),
  })),
  wrongSearch("items that share a leaf take a place each", T3, ({ trie, children }) => ({
    expand: (v) =>
      (children[v].length === 0 ? [v] : children[v]).flatMap((c) =>
        Array(Math.max(1, trie.itemsAt(c).length)).fill(c)
      ),
  })),
  wrongSearch("taken-out items are ignored", D1, ({ trie }) => ({
    expand: (v) => trie.childCount(v) === 0 ? [v] : [...trie.nodesUnder(v)],
  })),
  wrongSearch("a level is cut to its first B in token order", T8, ({ children, beam }) => ({
    expand: (v) => children[v].length === 0 ? [v] : children[v].slice(0, beam),
  })),
  {
    name: "the last step does not run",
    caughtBy: T3,
    plant: (world) => ({ ...world, search: stopEarly(world) }),
  },
  wrongBeta("beta is the (B-1)-th", T2, (ranked, beam) => at(ranked, beam - 2)),
  wrongBeta("beta is the (B+1)-th", T2, (ranked, beam) => at(ranked, beam)),
  wrongBeta(
    "beta over the whole vocabulary",
    T2,
    (ranked, beam, outside) => at([...ranked, ...outside].sort((a, b) => compare(b, a)), beam - 1),
  ),
  wrongBeta("beta is the mean sibling", T2, (ranked) => total(ranked) / BigInt(ranked.length)),
  wrongBeta("beta is doubled", T7, (ranked, beam) => 2n * at(ranked, beam - 1)),
  {
    name: "the normaliser of every second sibling is off",
    caughtBy: T12,
    plant: (world) => ({ ...world, pi: world.pi.map((p, v) => v % 2 ? p * 2n : p) }),
  },
  wrongWording("T4 with >= for >", T4, (world, tally) => {
    const { pi, one, beam } = world;
    for (const y of world.leaves) {
      const heavy = pi[y] * BigInt(beam + 1) >= one;
      if (heavy) tally.expect(returned(world).includes(y), () => named(world, y));
    }
  }),
  wrongWording("T5 with >= for >", T5, (world, tally) => {
    const { pi, beam } = world;
    world.search.forEach(({ pool }, t) => {
      const mass = total(pool.map((v) => pi[v]));
      for (const y of world.leaves) {
        const heavy = pi[world.trie.prefixOf(y, t + 1)] * BigInt(beam + 1) >= mass;
        if (heavy && isAlive(world, y, t)) {
          tally.expect(isAlive(world, y, t + 1), () => named(world, y));
        }
      }
    });
  }),
  wrongWording("T6 with <= B for <= B - 1", T6, (world, tally) => {
    const { beam, depth } = world;
    for (const y of world.leaves) {
      let holds = true;
      for (let t = 1; t <= depth; t++) holds &&= competitorsOf(world, y, t) <= beam;
      if (holds) tally.expect(returned(world).includes(y), () => named(world, y));
    }
  }),
  wrongWording("T6 at the first step only", T6, (world, tally) => {
    for (const y of world.leaves) {
      const holds = competitorsOf(world, y, 1) < world.beam;
      if (holds) tally.expect(returned(world).includes(y), () => named(world, y));
    }
  }),
  wrongWording("T9 with >= for >", T9, (world, tally) => {
    const { pi, levels, depth } = world;
    returned(world).forEach((y, rank) => {
      const holds = pi[y] >= prunedBeforeLast(world);
      if (holds) tally.expect(levels[depth][rank] === y, () => named(world, y));
    });
  }),
  wrongWording("T9 looks at the first step only", T9, (world, tally) => {
    const { levels, depth, pi, search } = world;
    const lost = search[0].pool.filter((v) => !search[0].kept.includes(v)).map((v) => pi[v]);
    returned(world).forEach((y, rank) => {
      const holds = lost.every((p) => pi[y] > p);
      if (holds) tally.expect(levels[depth][rank] === y, () => named(world, y));
    });
  }),
  wrongWording("T10 with B + 2 for B + 1", T10, (world, tally) => {
    const { pi, one, beam } = world;
    for (const y of world.leaves) {
      if (returned(world).includes(y)) continue;
      tally.expect(pi[y] * BigInt(beam + 2) <= one, () => named(world, y));
    }
  }),
  wrongWording("T13 looks at rivals of the first step only", T13, (world, tally) => {
    const { pi, search: [{ pool }] } = world;
    const best = bestBelow(world);
    for (const y of world.leaves) {
      const own = pi[world.trie.prefixOf(y, 1)];
      const kept = pool.every((v) => pi[v] < own || best[v] >= pi[y]);
      if (!kept || !isClearlyAmongBest(world, y)) continue;
      tally.expect(returned(world).includes(y), () => named(world, y));
    }
  }),
  { name: "T14 at temperature 1", caughtBy: exactBeams(({ pi }) => pi) },
  wrongWording("S7 with B + 2 for B + 1", S7, (world, tally) => {
    const { pi, one, beam } = world;
    for (const y of world.leaves) {
      pathTo(world, y).forEach((node, i) => {
        if (othersAtLeast(world, node, i + 1) < beam) return;
        tally.expect(pi[node] * BigInt(beam + 2) <= one, () => named(world, y));
      });
    }
  }),
  {
    name: "the margin among siblings for what is short of the beam",
    caughtBy: directForm(({ beta, weights }, node) =>
      Math.log(Number(beta[node]) / Number(weights[node]))
    ),
  },
];

/** Mistakes about logits in error: in what the error is, in the margin, in the bound. */
export const roundingMutants: readonly Mutant<Perturbed>[] = [
  wrongWording("margins move by at most e", T11, (world, tally) => {
    const [a, b] = [marginsOf(world, world.before), marginsOf(world, world.after)];
    const e = errorOf(world);
    a.forEach((m, v) => tally.expect(Math.abs(m - b[v]) <= e / world.tau, () => `node ${v}`));
  }),
  wrongWording("the temperature is left out", T11, (world, tally) => {
    const [a, b] = [marginsOf(world, world.before), marginsOf(world, world.after)];
    const e = errorOf(world);
    a.forEach((m, v) => tally.expect(Math.abs(m - b[v]) <= 2 * e, () => `node ${v}`));
  }),
  wrongWording("a gap of 2e keeps the beam", T11, (world, tally) => {
    const s = scoresOf(world, world.before);
    const theirs = beamsOf(world, scoresOf(world, world.after));
    for (const [t, { pool, kept }] of beamsOf(world, s).entries()) {
      const next = pool.at(kept.length);
      if (next === undefined) continue;
      if (s[kept[kept.length - 1]] - s[next] <= 2 * errorOf(world) / world.tau) return;
      const same = kept.toSorted().join() === theirs[t].kept.toSorted().join();
      tally.expect(same, () => `step ${t + 1}`);
    }
  }),
];

/** The options of a loss. */
function optionsOf({ tau, xi, lambda, beam }: TokenBatch): BearOptions {
  return { tau, xi, lambda, beam };
}

/** A loss that is not what a proposition says. */
function wrongLoss(
  name: string,
  proposition: LossProposition,
  loss: LossProposition["loss"],
): Mutant<TokenBatch> {
  const caughtBy: LossProposition = { ...proposition, loss };
  return { name, caughtBy };
}

/** Losses that are not what they are called. */
export const lossMutants: readonly Mutant<TokenBatch>[] = [
  wrongLoss("sft over valid children", S1, ({ tau }) => msl({ tau, reduction: "sum" })),
  wrongLoss("msl without its temperature", S2, () => msl({ reduction: "sum" })),
  wrongLoss(
    "the released form with lambda / xi",
    S3,
    (b) => bear({ ...optionsOf(b), lambda: b.lambda / b.xi }),
  ),
  wrongLoss(
    "the convex form for the paper's",
    S4,
    (b) => bear({ ...optionsOf(b), form: "convex", reduction: "sum" }),
  ),
  wrongLoss(
    "the paper's form for the convex",
    S5,
    (b) => bear({ ...optionsOf(b), form: "paper", reduction: "sum" }),
  ),
  wrongLoss(
    "the convex form for a beam of B + 1",
    S5,
    (b) => bear({ ...optionsOf(b), beam: b.beam + 1, form: "convex", reduction: "sum" }),
  ),
];

/** What became of a mutant. */
export interface Hunted {
  /** What is wrong. */
  readonly name: string;
  /** The id of the proposition that it is paired with. */
  readonly caughtBy: string;
  /** The number of worlds up to and with the one that caught it; Infinity if none did. */
  readonly worlds: number;
}

/** Checks all mutants, each in at most so many worlds. */
export async function huntMutants(
  options: { readonly cases: number; readonly seed: number },
): Promise<Hunted[]> {
  return [
    ...await hunt(exactWorlds(), exactMutants, options),
    ...await hunt(perturbedLogits(), roundingMutants, options),
    ...await hunt(tokenBatches(), lossMutants, options),
  ];
}

async function hunt<W>(
  worlds: Worlds<W>,
  mutants: readonly Mutant<W>[],
  options: { readonly cases: number; readonly seed: number },
): Promise<Hunted[]> {
  const hunted: Hunted[] = [];
  for (const { name, caughtBy, plant = (world: W): W => world } of mutants) {
    let visited = 0;
    const failing = await worlds.search(async (world) => {
      visited++;
      return (await tallyOf(caughtBy, plant(world))).failures.length === 0;
    }, { ...options, shrink: false });
    hunted.push({ name, caughtBy: caughtBy.id, worlds: failing ? visited : Infinity });
  }
  return hunted;
}
