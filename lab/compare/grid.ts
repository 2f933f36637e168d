/**
 * The runs of a comparison: every variant, a loss with its settings, times every seed.
 *
 * @module
 */
import type { Device } from "../../core/device.ts";
import { type LossFlagName, lossFlagNames, lossFlags } from "../../models/losses/index.ts";
import type { Dataset } from "../data/dataset.ts";
import type { OpenLoss } from "../train/loss_module.ts";
import type { Options } from "../cli/options.ts";
import { type Recipe, recipeOf } from "../train/recipe.ts";

/** A setting of losses that a grid can run over. */
export type Setting = LossFlagName;

/** What a grid runs over. */
export interface GridOptions {
  /** The losses: names, or paths of modules. */
  readonly losses: readonly string[];
  /** The seeds. */
  readonly seeds: readonly number[];
  /** Several values of a setting of the losses; that of the options where there are none. */
  readonly over: { readonly [S in Setting]?: readonly number[] };
}

/** One run of a grid. */
export interface GridRun {
  /** What tells its recipe, without the seed, from the others: "bear", or "bear B=5 xi=2". */
  readonly variant: string;
  /** The name of its folder: `bear-B5-xi2-seed0`. */
  readonly name: string;
  /** Its loss. */
  readonly loss: OpenLoss;
  /** Its recipe. */
  readonly recipe: Recipe;
}

/**
 * The runs of a grid, all variants of the first seed first, so that an interrupted comparison has as many seeds of each. Values of
 * a setting that a loss does not read make no variants of it.
 */
export function gridOf(
  options: Options,
  { seeds, over }: Pick<GridOptions, "seeds" | "over">,
  losses: readonly OpenLoss[],
  dataset: Dataset,
  device: Device,
): GridRun[] {
  const variants = losses.flatMap((loss) => {
    const settings = lossFlagNames.filter((setting) =>
      setting in loss.flags && (over[setting]?.length ?? 0) > 1
    );
    return product(settings.map((setting) => over[setting] as readonly number[])).map((values) => {
      const given = settings.map((setting, i) => [setting, values[i]] as const);
      return { loss, given };
    });
  });
  const single = Object.fromEntries(
    lossFlagNames.flatMap((setting) =>
      over[setting]?.length === 1 ? [[setting, over[setting][0]]] : []
    ),
  );
  return seeds.flatMap((seed) =>
    variants.map(({ loss, given }): GridRun => {
      const told = { ...options, ...single, ...Object.fromEntries(given), seed };
      const parts = given.map(([setting, value]) =>
        [lossFlags[setting].symbol ?? setting, value] as const
      );
      return {
        variant: [loss.name, ...parts.map(([name, value]) => `${name}=${value}`)].join(" "),
        name: [loss.name, ...parts.map((part) => part.join("")), `seed${seed}`].join("-"),
        loss,
        recipe: recipeOf(told, loss, dataset, device),
      };
    })
  );
}

/** All ways to take one value of each list; the last list changes fastest. */
function product(lists: readonly (readonly number[])[]): number[][] {
  return lists.reduce<number[][]>(
    (ways, list) => ways.flatMap((way) => list.map((value) => [...way, value])),
    [[]],
  );
}

/** A part of the runs, for one of several machines. */
export interface Shard {
  /** Which, from 0. */
  readonly index: number;
  /** Of how many. */
  readonly count: number;
}

/** The runs of a shard: every `count`-th. */
export function shardOf<T>(runs: readonly T[], { index, count }: Shard): T[] {
  return runs.filter((_, i) => i % count === index);
}
