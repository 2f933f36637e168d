/**
 * Whether the propositions catch the mutants.
 *
 * @module
 */
import { exactWorlds } from "./arbitraries.ts";
import { exactMutants, type Mutant, stabilityMutants, surrogateMutants } from "./mutants.ts";
import { type SearchOptions, tallyOf } from "./runner.ts";
import { perturbedLogits } from "./stability.ts";
import { tokenBatches } from "./token_batch.ts";
import type { Worlds } from "./worlds.ts";

/** A mutant and whether it was caught. */
export interface CaughtMutant {
  /** What is wrong. */
  readonly name: string;
  /** The proposition that is to catch it. */
  readonly caughtBy: string;
  /** Whether it did. */
  readonly caught: boolean;
}

/** Whether the propositions catch each mutant, and hold without it, within so many worlds. */
export async function runMutants(options: SearchOptions): Promise<CaughtMutant[]> {
  return [
    ...await hunt(exactWorlds(), exactMutants, options),
    ...await hunt(perturbedLogits(), stabilityMutants, options),
    ...await hunt(tokenBatches(), surrogateMutants, options),
  ];
}

async function hunt<W>(
  worlds: Worlds<W>,
  mutants: readonly Mutant<W>[],
  options: SearchOptions,
): Promise<CaughtMutant[]> {
  const results: CaughtMutant[] = [];
  for (const { name, caughtBy, plant = (world: W): W => world } of mutants) {
    const failing = await worlds.search(
      async (world) => (await tallyOf(caughtBy, plant(world))).failures.length === 0,
      options,
    );
    results.push({ name, caughtBy: caughtBy.id, caught: failing !== undefined });
  }
  return results;
}
