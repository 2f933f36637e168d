/**
 * The runs of a comparison: each variant, a loss with its settings, times each seed.
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import { type LossFlagName, lossFlagNames, lossFlags } from "../../models/losses/index.ts";
import type { Dataset } from "../data/dataset.ts";
import type { OpenLoss } from "../train/loss_module.ts";
import type { Options } from "../train/options.ts";
import { type Recipe, recipeOf } from "../train/recipe.ts";

/** What a grid runs over. */
export interface Grid {
  /** The seeds. */
  readonly seeds: readonly number[];
  /** Values of settings of the losses. Default those of the options. */
  readonly over: { readonly [S in LossFlagName]?: readonly number[] };
}

/** One run of a grid. */
export interface GridRun {
  /** What distinguishes its recipe, apart from the seed: `bear`, or `bear B=5 xi=2`. */
  readonly variant: string;
  /** The name of its folder: `bear-B5-xi2-seed0`. */
  readonly name: string;
  /** Its loss. */
  readonly loss: OpenLoss;
  /** Its recipe. */
  readonly recipe: Recipe;
}

/** A part of the runs, for one of several machines. */
export interface Shard {
  /** Which part, from 0. */
  readonly index: number;
  /** The number of parts. */
  readonly count: number;
}

/**
 * The runs of a grid. All variants of the first seed come first, so that an interrupted comparison
 * has about as many seeds of each. Values of a setting that a loss does not read make no variants
 * of it.
 */
export function gridOf(
  options: Options,
  { seeds, over }: Grid,
  losses: readonly OpenLoss[],
  dataset: Dataset,
  device: Device,
): GridRun[] {
  const first = lossFlagNames.map((name) => [name, over[name]?.[0] ?? options[name]]);
  const shared = { ...options, ...Object.fromEntries(first) };
  const variants = losses.flatMap((loss) => {
    let ways: (readonly [LossFlagName, number])[][] = [[]];
    for (const name of lossFlagNames) {
      const values = over[name] ?? [];
      if (values.length < 2 || !(name in loss.flags)) continue;
      ways = ways.flatMap((way) => values.map((value) => [...way, [name, value] as const]));
    }
    return ways.map((settings) => ({ loss, settings }));
  });
  return seeds.flatMap((seed) =>
    variants.map(({ loss, settings }): GridRun => {
      const labels = settings.map(([name, value]) => [lossFlags[name].symbol ?? name, value]);
      const own = { ...shared, ...Object.fromEntries(settings), seed };
      return {
        variant: [loss.name, ...labels.map((label) => label.join("="))].join(" "),
        name: [loss.name, ...labels.map((label) => label.join("")), `seed${seed}`].join("-"),
        loss,
        recipe: recipeOf(own, loss, dataset, device),
      };
    })
  );
}
