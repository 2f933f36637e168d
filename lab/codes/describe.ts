/**
 * What codes are like: how many items have their own, and how many choices they leave at each
 * level.
 *
 * @module
 */
import { renderTable } from "../table.ts";

/** A level of codes: what is chosen by one token. */
export interface CodeLevel {
  /** Different tokens of the level. */
  readonly tokens: number;
  /**
   * exp of the entropy of the tokens over items: the number of tokens that, each used as often,
   * would have the same entropy.
   */
  readonly perplexity: number;
  /** Different beginnings of items up to and with this level. */
  readonly nodes: number;
  /** Nodes before this level that have children. */
  readonly parents: number;
  /** Children of such a node: the fewest, the median and the most. */
  readonly children: Range;
  /** The mean over items of how many others compete with their token: children minus one. */
  readonly siblings: number;
  /** Nodes with more children than the beam is wide. */
  readonly wide: number;
  /**
   * Of all training targets that differ from the item before them, the share that have the same
   * tokens as it up to and with this level. Without sequences there is none.
   */
  readonly together?: number;
}

/** The tokens of each item. */
type Paths = readonly (readonly (string | number)[])[];

/** The least, the median and the greatest of some numbers. */
export interface Range {
  /** The least. */
  readonly min: number;
  /** The median: the lower one of two. */
  readonly median: number;
  /** The greatest. */
  readonly max: number;
}

/** Options of {@link describeCodes}. */
export interface DescribeOptions {
  /** A beam width, to count nodes with more children. Default 10. */
  readonly beam?: number;
  /**
   * Training sequences, to see how much behaviour the codes share. The first `context` items of
   * one, default 0, are no targets. Default none.
   */
  readonly sequences?: readonly {
    readonly items: readonly number[];
    readonly context?: number;
  }[];
}

/** What {@link describeCodes} finds. */
export interface CodesSummary {
  /** The number of items. */
  readonly items: number;
  /** The number of different codes. */
  readonly distinct: number;
  /** Items whose codes another item has too. */
  readonly shared: number;
  /** The beam width that `wide` is about. */
  readonly beam: number;
  /** The levels, first token first. */
  readonly levels: readonly CodeLevel[];
  /** The number of items below each first token. */
  readonly below: Readonly<Record<string, number>>;
}

/**
 * Describes codes of items, as `makeCodes` returns them or as the paths of a data set.
 *
 * @example
 * ```ts
 * import { describeCodes, synthetic } from "beargrad/lab";
 *
 * const { distinct, levels } = describeCodes(synthetic().paths);
 * console.log(distinct, levels.map(({ perplexity }) => perplexity.toFixed(1)));
 * ```
 */
export function describeCodes(
  paths: readonly (readonly (string | number)[])[],
  { beam = 10, sequences = [] }: DescribeOptions = {},
): CodesSummary {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const whole = path.join("\0");
    counts.set(whole, (counts.get(whole) ?? 0) + 1);
  }
  const below = new Map<string, number>();
  for (const [first] of paths) below.set(`${first}`, (below.get(`${first}`) ?? 0) + 1);
  const depth = paths.reduce((most, { length }) => Math.max(most, length), 0);
  const together = togetherBy(depth, paths, sequences);
  return {
    items: paths.length,
    distinct: counts.size,
    shared: [...counts.values()].reduce((sum, count) => sum + (count > 1 ? count : 0), 0),
    beam,
    levels: Array.from({ length: depth }, (_, level) => ({
      ...levelOf(paths, level, beam),
      ...together && { together: together[level] },
    })),
    below: Object.fromEntries(below),
  };
}

/** By level, the share of training targets that begin like the item before, another one. */
function togetherBy(
  depth: number,
  paths: Paths,
  sequences: NonNullable<DescribeOptions["sequences"]>,
): number[] | undefined {
  const same = Array.from({ length: depth }, () => 0);
  let pairs = 0;
  for (const { items, context = 0 } of sequences) {
    for (let i = Math.max(1, context); i < items.length; i++) {
      if (items[i] === items[i - 1]) continue;
      pairs++;
      const [a, b] = [paths[items[i - 1]], paths[items[i]]];
      for (let t = 0; t < Math.min(a.length, b.length) && a[t] === b[t]; t++) same[t]++;
    }
  }
  return pairs === 0 ? undefined : same.map((count) => count / pairs);
}

function levelOf(paths: Paths, level: number, beam: number): CodeLevel {
  const uses = new Map<string | number, number>();
  const children = new Map<string, Set<string | number>>(); // of each node before the level
  const items = new Map<string, number>();
  let count = 0;
  for (const path of paths) {
    if (path.length <= level) continue;
    count++;
    const token = path[level];
    const parent = path.slice(0, level).join("\0");
    uses.set(token, (uses.get(token) ?? 0) + 1);
    items.set(parent, (items.get(parent) ?? 0) + 1);
    const known = children.get(parent);
    if (known === undefined) children.set(parent, new Set([token]));
    else known.add(token);
  }
  const sizes = [...children.values()].map(({ size }) => size);
  const entropy = [...uses.values()]
    .reduce((sum, uses) => sum - (uses / count) * Math.log(uses / count), 0);
  const competing = [...children]
    .reduce((sum, [parent, { size }]) => sum + (items.get(parent) ?? 0) * (size - 1), 0);
  return {
    tokens: uses.size,
    perplexity: Math.exp(entropy),
    nodes: sizes.reduce((sum, size) => sum + size, 0),
    parents: sizes.length,
    children: rangeOf(sizes),
    siblings: competing / count,
    wide: sizes.filter((size) => size > beam).length,
  };
}

function rangeOf(numbers: readonly number[]): Range {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [max] = sorted.slice(-1);
  return { min: sorted[0], median: sorted[Math.floor((sorted.length - 1) / 2)], max };
}

/** The description as text. */
export function renderCodes(summary: CodesSummary): string {
  const { items, distinct, shared, beam, levels, below } = summary;
  const range = ({ min, median, max }: Range): string => `${min}, ${median}, ${max}`;
  const row = (name: string, of: (level: CodeLevel) => string | number): string[] => [
    name,
    ...levels.map((level) => `${of(level)}`),
  ];
  return [
    `${items} items, ${distinct} distinct codes, ${shared} items that share theirs`,
    `items below a first token: ${range(rangeOf(Object.values(below)))} (least, median, most)`,
    renderTable(["token", ...levels.map((_, level) => `${level + 1}`)], [
      row("different tokens", ({ tokens }) => tokens),
      row("perplexity", ({ perplexity }) => perplexity.toFixed(1)),
      row("nodes before it", ({ parents }) => parents),
      row("children (least, median, most)", ({ children }) => range(children)),
      row("siblings of a target (mean)", ({ siblings }) => siblings.toFixed(1)),
      row(`nodes with more than ${beam} children`, ({ wide }) => wide),
      row("consecutive items alike so far", ({ together }) => together?.toFixed(3) ?? "-"),
    ]),
  ].join("\n");
}
