/**
 * Planted faults: deliberate mistakes in what the statements judge, that is, in searches, pools,
 * margins, certificates, losses and devices. Every statement must catch those that are planted for
 * it. That shows that its check can fail, and that the generators are strong enough to tell right
 * from wrong. The folder `faults` has them by what they are planted in.
 *
 * @module
 */
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import { D2, searchOn, T16OnDevice } from "./d2_devices.ts";
import { exactWorlds, perturbedLogits, searchCases, tokenBatches } from "./generators.ts";
import { exactTheorems, lossPropositions, roundingTheorems } from "./index.ts";
import type { Proposition } from "./proposition.ts";
import { tallyOf, type Worlds } from "./runner.ts";
import { theorems } from "./t1_t15_search.ts";
import { evidenceOf } from "./world_evidence.ts";
import { certificateFaults, type Certified } from "./faults/certificates.ts";
import { deviceFaults } from "./faults/devices.ts";
import type { Fault } from "./faults/fault.ts";
import { lossFaults, roundingFaults } from "./faults/losses.ts";
import { worldFaults } from "./faults/searches.ts";

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
