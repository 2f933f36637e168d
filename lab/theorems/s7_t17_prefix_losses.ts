/**
 * S7, S8 and T17: what the losses that look at whole prefixes put in place of a lost prefix, and
 * from which side they bound it. The losses are the real ones, in float64.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import { MASKED } from "../../kernels/masked.ts";
import { Trie } from "../../models/decode/trie.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { msl } from "../../models/losses/msl.ts";
import type { Proposition } from "./proposition.ts";
import { sigmoid, softplus } from "./s1_s6_token_losses.ts";
import { named, pathTo, returned, type World } from "./world.ts";

let reference: Device | undefined;

/** The items that a loss can see: those with P(y) > 0. */
function possible({ leaves, pi }: World): number[] {
  return leaves.filter((y) => pi[y] > 0n);
}

/** log(a / b) of two numbers of units. It is not negative where a >= b. */
function logRatio(a: bigint, b: bigint): number {
  const bits = 4 * Math.max(a.toString(16).length, b.toString(16).length);
  const shift = BigInt(Math.max(0, bits - 1000)); // float64 ends at 2^1024
  return Math.log(Number(a >> shift) / Number(b >> shift));
}

/**
 * A loss of some items of a world, all in one batch. The logits are the logarithms of the weights;
 * `threshold` gives the row of a prefix its log theta.
 */
async function lossOf(
  world: World,
  items: readonly number[],
  losses: readonly Loss[],
  threshold: (node: number, t: number) => number = () => MASKED,
): Promise<number[]> {
  const { trie, leaves, children, weights, outside, normalization } = world;
  const device = reference ??= cpu({ float: "float64" });
  using _scope = device.arena();
  const own = new Trie(leaves.map((leaf) => trie.pathOf(leaf))); // what is left of the catalogue
  const first = 1 + Math.max(...trie.tokens);
  const V = first + Math.max(...outside.map((list) => list.length));
  const paths = items.map((leaf) => pathTo(world, leaf));
  const rowOf = (u: number): number[] => {
    const row: number[] = Array(V).fill(MASKED);
    const set = (token: number, weight: bigint): void => {
      if (weight > 0n) row[token] = Math.log(Number(weight));
    };
    for (const v of children[u]) set(trie.tokens[v], weights[v]);
    if (normalization === "vocabulary") outside[u].forEach((w, i) => set(first + i, w));
    return row;
  };
  const logits = device.tensor(paths.flat().map((v) => rowOf(trie.parents[v]))); // (N, V)
  const rows = items.flatMap((leaf) => {
    const path = trie.pathOf(leaf);
    const end = own.leafOf[leaves.indexOf(leaf)];
    return path.map((token, i) => ({ node: i === 0 ? 0 : own.prefixOf(end, i), token }));
  });
  const targets = {
    trie: own.upload(device),
    nodes: device.tensor(Int32Array.from(rows, ({ node }) => node)),
    labels: device.tensor(Int32Array.from(rows, ({ token }) => token)),
    thresholds: device.tensor(paths.flatMap((path) => path.map((v, i) => threshold(v, i + 1)))),
  };
  const values = await device.read(losses.map((loss) => loss(logits, targets)));
  return values.map(([value]) => value);
}

/** Rounding of float64 in values that are below about 1e3. */
const ROUNDING = 1e-9;

function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= ROUNDING * Math.max(1, Math.abs(b));
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/**
 * S7, the bound of apao. Level t has all prefixes of t tokens, and items that ended before. One
 * instance an item and a step with B others of the level that score at least as much, and one a
 * world, whose loss must be that of these prefixes.
 */
export const S7: Proposition<World> = {
  id: "S7",
  statement:
    "apao: -log pi(y_<=t) / log(B+1) >= 1[B others of level t score at least as much as y_<=t]",
  hypotheses: ["B others score as much", "the loss"],
  async check(world, tally): Promise<void> {
    const { one, beam, pi, depth, judged } = world;
    const items = possible(world);
    if (items.length === 0) return;
    for (const leaf of items) {
      pathTo(world, leaf).forEach((node, i) => {
        if (othersAtLeast(world, node, i + 1) < beam) return;
        const what = (): string => `${named(world, leaf)}, step ${i + 1}`;
        tally.of("B others score as much").expect(pi[node] * BigInt(beam + 1) <= one, what);
      });
    }
    const xi = [0.5, 1, 2][beam % 3];
    const [value, without] = await lossOf(
      world,
      items,
      [1, 0].map((beta) => judged.apaoPoint({ beta, xi })),
    );
    const paths = items.map((leaf) => pathTo(world, leaf));
    const steps = Array.from({ length: depth }, (_, i) => {
      const own = paths.filter((path) => path.length > i).map((path) => logRatio(one, pi[path[i]]));
      return sum(own) / ((i + 1) * xi * Math.max(1, own.length));
    });
    const expected = sum(steps) > 0 ? sum(steps.map((L) => L * L)) / sum(steps) : 0;
    const what = (): string => `the loss of prefixes is ${value - without}, not ${expected}`;
    tally.of("the loss").expect(near(value - without, expected), what);
  },
};

/** How many others of level t score at least as much as a node of it. */
export function othersAtLeast({ pi, levels }: World, node: number, t: number): number {
  return levels[t].filter((v) => v !== node && pi[v] >= pi[node]).length;
}

/** The temperature of a world's losses. */
const xiOf = ({ beam }: World): number => [0.25, 1, 4][beam % 3];

/** log(theta_t / pi(y_<=t)) / xi at each step of an item, 0 where nothing is pruned. */
function shortfalls(world: World, leaf: number): (number | undefined)[] {
  const { search, pi, beam } = world;
  return pathTo(world, leaf).map((node, i) => {
    const last = search[i].pool.at(beam - 1);
    return last === undefined || pi[last] === 0n
      ? undefined
      : logRatio(pi[last], pi[node]) / xiOf(world);
  });
}

/** The sum of beam-exact's terms over some items, as the loss has it. */
async function beamTerms(world: World, items: readonly number[]): Promise<number> {
  const { search, pi, one, beam, judged } = world;
  const xi = xiOf(world);
  const losses = [1, 0].map((lambda) => judged.beamExact({ lambda, xi }));
  const [value, without] = await lossOf(world, items, losses, (_, t) => {
    const last = search[t - 1].pool.at(beam - 1);
    return last === undefined || pi[last] === 0n ? MASKED : logRatio(pi[last], one);
  });
  const counted = items.flatMap((y) => shortfalls(world, y).filter((x) => x !== undefined));
  return (value - without) * counted.length;
}

/** Whether the search kept no prefix of an item as long as the item itself. */
function isLostByItsEnd({ search, trie }: World, leaf: number): boolean {
  return !search[trie.depths[leaf] - 1].kept.includes(leaf);
}

/**
 * S8, the bound of beam-exact. One instance an item with P(y) > 0 that is lost by its last token;
 * one that has ended may still be displaced by longer ones. Under "children", as the loss is, one a
 * world, whose loss must be that of these prefixes.
 */
export const S8: Proposition<World> = {
  id: "S8",
  statement:
    "beam-exact: softplus(x_t)/log 2 >= 1[theta_t > pi(y_<=t)] with x_t = log(theta_t/pi(y_<=t))/xi, and summed over y's " +
    "tokens >= 1[the search loses y by its last token]",
  hypotheses: ["y is lost", "the loss"],
  async check(world, tally): Promise<void> {
    const { search, pi, beam } = world;
    const items = possible(world);
    let [all, lost, above] = [0, 0, 0];
    for (const leaf of items) {
      const terms = shortfalls(world, leaf).map((x) => x === undefined ? 0 : softplus(x));
      pathTo(world, leaf).forEach((node, i) => {
        const last = search[i].pool.at(beam - 1);
        if (last !== undefined && pi[last] > pi[node]) above++;
      });
      all += sum(terms);
      if (!isLostByItsEnd(world, leaf)) continue;
      lost++;
      const what = (): string => `${named(world, leaf)} was lost, ${sum(terms)} < log 2`;
      tally.of("y is lost").expect(sum(terms) >= Math.LN2 * (1 - ROUNDING), what);
    }
    if (world.normalization !== "children" || items.length === 0) return;
    const terms = await beamTerms(world, items);
    const what = (): string =>
      `the loss has ${terms}, not ${all}; ${lost} lost, ${above} below theta`;
    const isBound = terms / Math.LN2 >= Math.max(lost, above) - ROUNDING * (1 + all);
    tally.of("the loss").expect(near(terms, all) && isBound, what);
  },
};

/**
 * T17, both sides of a miss. One instance an item with P(y) > 0 that is not displaced after it has
 * ended, and one a world with such items, by the losses of BEAR and beam-exact over all of them.
 */
export const T17: Proposition<World> = {
  id: "T17",
  statement:
    "y not displaced after it ends: sum_t log sigma(Delta_t/xi) <= max_t (2 sigma(Delta_t/xi) - 1) <= 1[y missed] <= sum_t " +
    "softplus(x_t)/log 2, with x_t as in S8",
  hypotheses: ["y is missed", "y is returned", "the losses"],
  async check(world, tally): Promise<void> {
    const { weights, beta, beam, normalization, judged } = world;
    const found = new Set(returned(world));
    const items = possible(world).filter((y) => found.has(y) || isLostByItsEnd(world, y));
    if (items.length === 0) return;
    const xi = xiOf(world);
    let [missed, left, regularizer] = [0, 0, 0];
    for (const y of items) {
      const path = pathTo(world, y);
      const x = path.map((node) => logRatio(beta[node], weights[node]) / xi);
      const low = Math.max(...x.map((m) => 2 * sigmoid(m) - 1));
      const printed = sum(
        x.map((m, i) => world.children[world.trie.parents[path[i]]].length > 1 ? -softplus(-m) : 0),
      );
      const isMissed = !found.has(y);
      const miss = isMissed ? 1 : 0;
      missed += miss;
      left += low;
      regularizer += printed;
      const high = sum(shortfalls(world, y).map((m) => m === undefined ? 0 : softplus(m)));
      const holds = printed <= low + ROUNDING && low <= miss &&
        miss * (1 - ROUNDING) <= high / Math.LN2;
      const what = (): string =>
        `${named(world, y)}, missed ${miss}: ${printed}, ${low}, ${high / Math.LN2}`;
      tally.of(isMissed ? "y is missed" : "y is returned").expect(holds, what);
    }
    if (normalization !== "children") return;
    const terms = await beamTerms(world, items);
    const [paper, likelihood] = await lossOf(world, items, [
      judged.bear({ form: "paper", beam, xi, lambda: 1, reduction: "sum" }),
      msl({ reduction: "sum" }),
    ]);
    const actual = paper - likelihood;
    const holds = near(actual, regularizer) && actual <= left + ROUNDING * (1 - regularizer) &&
      left <= missed && missed * (1 - ROUNDING) <= terms / Math.LN2 + ROUNDING;
    const what = (): string =>
      `missed ${missed}: ${actual} (not ${regularizer}), ${left}, ${terms / Math.LN2}`;
    tally.of("the losses").expect(holds, what);
  },
};
