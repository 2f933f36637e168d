/**
 * The built-in data set: an invented shop whose customers behave as a known distribution says, so
 * that a result can be compared with the best that any model could do.
 *
 * **Catalogue.** A title is a brand, a kind of product, up to three qualifiers and an end token, so
 * one title may begin another. A dozen large brands sell most items under shared prefixes, none of
 * which stands out. Every other brand sells one item, and some of these sell well. Such an item can
 * be among the ten most probable while its first word is not, and then beam search prunes it: with
 * a perfect model and B = 10, about a tenth of the targets in the true top 10.
 *
 * **Customers.** Each has a hidden taste z, uniform over 8, and buys nothing twice. For the items
 * not in the history h = h_1..h_t,
 *
 *   P(j | h, z) is proportional to (1 - rho) w_z(j) + rho s(j | h_t),
 *
 * and for the first item to w_z(j), where w_z is Zipf's popularity tilted towards the three kinds
 * that z likes, and s(. | i) is a distribution over eight successors, shared by the items of one
 * kind. The taste is not observed,
 * so the `oracle` is P(j | h) = sum_z P(z | h) P(j | h, z), with P(z | h) by Bayes' rule along h.
 * It is exact for a history that begins with the customer's first item. A customer has at most 14
 * items, so every history of the default length (20) does.
 *
 * Only exactly rounded arithmetic is used: a seed gives the same data in every runtime.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import { foldIn, type Key, keyOf, permutation, threefry, unit } from "../../core/random.ts";
import { BOS, type Dataset, leaveOneOut, plainPrompt, type UserHistory } from "./dataset.ts";

/** Options of {@link synthetic}. */
export interface SyntheticOptions {
  /** The seed of the shop and its customers; default 0. */
  readonly seed?: number;
  /** The number of items, 100 to 1,500; default 400. */
  readonly items?: number;
  /** The number of customers; default 1,500. */
  readonly users?: number;
}

const HEADS = "Ald Brim Cor Dun Elm Far Gol Hol Ist Jun Kel Lor Mar Nev Ost Pel Quin Ros Sil Tav"
  .split(" ");
const TAILS = "by croft dale en ford gate ham ik ley mere ont ra stead ton wen wick".split(" ");
const KINDS = ("backpack blanket bottle chair clock desk headset kettle keyboard lamp mirror mug " +
  "notebook pan shelf tent").split(" ");
const LINES = "Atlas Breeze Comet Delta Ember Fjord Grove Halo".split(" ");
const SIZES = "mini small medium large double travel".split(" ");
const COLOURS = "amber black blue green grey red sand white".split(" ");

/** The brands that sell more than one item. */
const LARGE_BRANDS = 12;
const TASTES = 8;
const LIKED_KINDS = 3;
const SUCCESSOR_WEIGHTS = [0.2, 0.2, 0.15, 0.15, 0.1, 0.1, 0.05, 0.05];
const RHO = 0.4;

interface Product {
  readonly kind: number;
  readonly words: readonly string[];
}

interface Shop {
  readonly products: readonly Product[];
  /** w_z(j) for each taste. */
  readonly taste: readonly Float64Array[];
  /** The successors of an item of each kind, most likely first. */
  readonly successors: readonly (readonly number[])[];
}

/**
 * Generates the data set.
 *
 * @throws {ArgumentError} if a size is out of range.
 *
 * @example
 * ```ts
 * import { synthetic } from "beargrad/lab";
 *
 * const { oracle, titles, test } = synthetic({ seed: 1, users: 100 });
 * const truth = oracle!(test[0].history.slice(0, 3));
 * console.log(titles![0], truth.reduce((sum, p) => sum + p)); // the probabilities sum to 1
 * ```
 */
export function synthetic(options: SyntheticOptions = {}): Dataset {
  const { seed = 0, items = 400, users = 1500 } = options;
  checkRange("items", items, 100, 1500);
  checkRange("users", users, 1, 1e6);
  const key = foldIn(keyOf(seed), 0x5707);
  const products = makeProducts(dice(foldIn(key, 0)), items);
  const shop = openShop(foldIn(key, 1), products);
  const words = [...new Set(products.flatMap((product) => product.words))].sort();
  const tokens = ["<bos>", "<end>", ...words];
  const tokenOf = new Map(tokens.map((text, token) => [text, token]));
  const paths = products.map(({ words }) =>
    [...words, "<end>"].map((w) => tokenOf.get(w) as number)
  );
  const visits = Array.from(
    { length: users },
    (_, u) => visit(shop, dice(foldIn(foldIn(key, 2), u)), u),
  );
  return {
    name: "synthetic",
    items: products.map((_, i) => `${i}`),
    titles: products.map((product) => product.words.join(" ")),
    paths,
    tokens,
    bos: BOS,
    eos: tokenOf.get("<end>"),
    ...leaveOneOut(visits),
    prompt: plainPrompt(paths),
    skipped: [],
    oracle: (history) => nextItem(shop, history),
  };
}

/** The number of items, at the catalogue's end, that are the only one of their brand. */
function singles(count: number): number {
  return Math.floor(count / 5);
}

/** Draws the titles. */
function makeProducts(roll: Dice, count: number): Product[] {
  const names = HEADS.flatMap((head) => TAILS.map((tail) => head + tail));
  const brands = [...permutation(roll.key, names.length)].map((i) => names[i]);
  const brandShare = Float64Array.from({ length: LARGE_BRANDS }, (_, b) => 1 / (b + 4));
  const seen = new Set<string>();
  const products: Product[] = [];
  while (products.length < count) {
    const isLarge = products.length < count - singles(count);
    const b = isLarge
      ? roll.weighted(brandShare)
      : LARGE_BRANDS + products.length - (count - singles(count));
    // A large brand sells four kinds.
    const kind = isLarge ? (5 * b + roll.below(4)) % KINDS.length : roll.below(KINDS.length);
    const qualifiers = [LINES, SIZES, COLOURS].slice(0, roll.below(4));
    const words = [
      brands[b],
      KINDS[kind],
      ...qualifiers.map((list) => list[roll.below(list.length)]),
    ];
    const title = words.join(" ");
    if (seen.has(title)) continue;
    seen.add(title);
    products.push({ kind, words });
  }
  return products;
}

/** Draws the ranks of popularity, what each taste likes, and the successors. */
function openShop(key: Key, products: readonly Product[]): Shop {
  const roll = dice(foldIn(key, 0));
  const isSingle = (i: number): boolean => i >= products.length - singles(products.length);
  const luck = products.map((_, i) => roll.unit() * (isSingle(i) ? 0.25 : 1));
  const order = [...products.keys()].sort((i, j) => luck[i] - luck[j]);
  const popularity = new Float64Array(products.length);
  order.forEach((item, rank) => popularity[item] = 1 / (rank + 10));

  const kinds = permutation(foldIn(key, 1), KINDS.length);
  const likes = (z: number, kind: number): boolean =>
    (kinds.indexOf(kind) - 2 * z + KINDS.length) % KINDS.length < LIKED_KINDS;
  const taste = Array.from(
    { length: TASTES },
    (_, z) => normalize(popularity.map((p, i) => p * (likes(z, products[i].kind) ? 16 : 1))),
  );

  const companion = (kind: number): number => kinds[(kinds.indexOf(kind) + 5) % KINDS.length];
  const successors = KINDS.map((_, kind) => {
    const weights = popularity.map((p, i) => {
      const other = products[i].kind;
      if (other === kind) return 0;
      return p * (other === companion(kind) ? 30 : 1) * (isSingle(i) ? 10 : 1);
    });
    return SUCCESSOR_WEIGHTS.map(() => {
      const item = roll.weighted(weights);
      weights[item] = 0;
      return item;
    });
  });
  return { products, taste, successors };
}

/** P(. | history, z). */
function nextGivenTaste(shop: Shop, z: number, history: readonly number[]): Float64Array {
  const last = history.at(-1);
  const weights = shop.taste[z].slice();
  if (last !== undefined) {
    for (let item = 0; item < weights.length; item++) weights[item] *= 1 - RHO;
    shop.successors[shop.products[last].kind].forEach((item, rank) =>
      weights[item] += RHO * SUCCESSOR_WEIGHTS[rank]
    );
  }
  for (const item of history) weights[item] = 0;
  return normalize(weights);
}

/** P(. | history) = sum_z P(z | history) P(. | history, z). */
function nextItem(shop: Shop, history: readonly number[]): Float64Array {
  checkHistory(history, shop.products.length);
  const belief = new Float64Array(TASTES).fill(1);
  history.forEach((item, t) => {
    const before = history.slice(0, t);
    for (let z = 0; z < TASTES; z++) belief[z] *= nextGivenTaste(shop, z, before)[item];
    normalize(belief);
  });
  normalize(belief);
  const mixed = new Float64Array(shop.products.length);
  for (let z = 0; z < TASTES; z++) {
    const next = nextGivenTaste(shop, z, history);
    for (let item = 0; item < mixed.length; item++) mixed[item] += belief[z] * next[item];
  }
  return mixed;
}

/** Draws a customer: a taste, and 6 to 14 items. */
function visit(shop: Shop, roll: Dice, user: number): UserHistory {
  const z = roll.below(TASTES);
  const length = 6 + roll.below(9);
  const items: number[] = [];
  while (items.length < length) items.push(roll.weighted(nextGivenTaste(shop, z, items)));
  return { id: `${user}`, items };
}

/** A sequence of draws from one key. */
interface Dice {
  readonly key: Key;
  /** Uniform in [0, 1). */
  unit(): number;
  /** An integer in [0, n). */
  below(n: number): number;
  /** An index with probability proportional to its weight. */
  weighted(weights: Float64Array): number;
}

function dice(key: Key): Dice {
  let counter = 0;
  const next = (): number => unit(threefry(key, counter++, 0)[0]);
  return {
    key: foldIn(key, 1),
    unit: next,
    below: (n) => Math.floor(next() * n),
    weighted(weights): number {
      let rest = next() * weights.reduce((sum, w) => sum + w, 0);
      let chosen = 0;
      for (let i = 0; i < weights.length && rest >= 0; i++) {
        if (weights[i] === 0) continue;
        chosen = i;
        rest -= weights[i];
      }
      return chosen;
    },
  };
}

/** Divides by the sum, in place. */
function normalize(weights: Float64Array): Float64Array {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i];
  for (let i = 0; i < weights.length; i++) weights[i] /= total;
  return weights;
}

function checkRange(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new ArgumentError(
    `Cannot make synthetic data: ${name} must be an integer from ${low} to ${high}, got ${value}`,
  );
}

function checkHistory(history: readonly number[], items: number): void {
  const known = history.every((item) => Number.isInteger(item) && item >= 0 && item < items);
  if (known && new Set(history).size === history.length) return;
  throw new ArgumentError(
    `Cannot predict the next item: a history must have distinct items below ${items}, ` +
      `got [${history}]`,
  );
}
