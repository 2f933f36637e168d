/**
 * Planted faults: every statement, and every hypothesis of it, catches some; and a check that is
 * emptied catches none, so that it is noticed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { D2 } from "../../lab/theorems/d2_devices.ts";
import { huntFaults, plantedFaults } from "../../lab/theorems/faults.ts";
import { exactWorlds, perturbedLogits } from "../../lab/theorems/generators.ts";
import { exactTheorems, lossPropositions, roundingTheorems } from "../../lab/theorems/index.ts";
import { type Proposition, Tally } from "../../lab/theorems/proposition.ts";
import { tallyOf, type Worlds } from "../../lab/theorems/runner.ts";
import { S7 } from "../../lab/theorems/s7_t17_prefix_losses.ts";
import { beamsOf, scoresOf, T11 } from "../../lab/theorems/t11_r7_rounding.ts";
import { named, pathTo } from "../../lab/theorems/world.ts";

const options = { cases: 4000, seed: 1 };
const propositions = [...exactTheorems, ...roundingTheorems, ...lossPropositions, D2];

/** Cannot fail: where there are at most B siblings, all are among the best B. */
const VACUOUS = "T1: never more than B siblings";

test("faults: every one is caught by all who must", { timeout: 60_000 }, async () => {
  const hunted = await huntFaults(options);
  assert.deepEqual(hunted.filter(({ caught }) => !caught), []);
  const names = plantedFaults.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.equal(new Set(hunted.map(({ name }) => name)).size, names.length);
});

test("faults: every statement and every hypothesis has one", () => {
  const caught = new Set(plantedFaults.flatMap(({ caughtBy }) => caughtBy));
  const all = propositions.flatMap(({ id, hypotheses }) =>
    hypotheses?.map((name) => `${id}: ${name}`) ?? [id]
  );
  // S1 to S5 name the parts of their only hypothesis.
  const has = (by: string): boolean => [...caught].some((c) => c === by || c.startsWith(`${by}: `));
  assert.deepEqual(all.filter((by) => !has(by)), [VACUOUS]);
});

const hollow: Readonly<Record<string, <W>(proposition: Proposition<W>) => Proposition<W>>> = {
  "is empty": (proposition) => ({ ...proposition, check: () => {} }),
  "counts and expects nothing": (proposition) => ({
    ...proposition,
    async check(world, tally): Promise<void> {
      const own = new Tally();
      await proposition.check(world, own);
      for (let i = 0; i < own.instances; i++) tally.expect(true, () => "");
    },
  }),
};

for (const [what, weaken] of Object.entries(hollow)) {
  for (const { id } of propositions) {
    test(`faults: ${id} is missed where its check ${what}`, async () => {
      const hunted = await huntFaults({ cases: 25, seed: 1, weaken, only: id });
      assert.ok(hunted.length > 0);
      assert.deepEqual(hunted.filter(({ caught }) => caught), []);
    });
  }
}

/** Whether a statement with a wrong wording fails somewhere. */
async function fails<W>(worlds: Worlds<W>, wrong: Proposition<W>): Promise<boolean> {
  const holds = async (world: W): Promise<boolean> =>
    (await tallyOf(wrong, world)).failures.length === 0;
  return await worlds.search(holds, { ...options, shrink: false }) !== undefined;
}

test("wordings: S7 is sharp, with B + 2 for B + 1 it fails", async () => {
  const wrong: typeof S7 = {
    ...S7,
    check({ leaves, beam, levels, pi, one, ...world }, tally): void {
      for (const y of leaves) {
        pathTo({ ...world, leaves, beam, pi, one }, y).forEach((node, i) => {
          const rivals = levels[i + 1].filter((v) => v !== node && pi[v] >= pi[node]);
          if (rivals.length < beam) return;
          const what = (): string => named({ ...world, leaves, beam, pi, one }, y);
          tally.expect(pi[node] * BigInt(beam + 2) <= one, what);
        });
      }
    },
  };
  assert.ok(await fails(exactWorlds(), wrong));
});

test("wordings: T11 needs more than a gap of 2e to keep a beam", async () => {
  const wrong: typeof T11 = {
    ...T11,
    check(world, tally): void {
      const s = scoresOf(world, world.before);
      const theirs = beamsOf(world, scoresOf(world, world.after));
      for (const [t, { pool, kept }] of beamsOf(world, s).entries()) {
        const next = pool.at(kept.length);
        if (next === undefined) continue;
        if (s[kept[kept.length - 1]] - s[next] <= 2 * world.error / world.tau) return;
        const same = kept.toSorted().join() === theirs[t].kept.toSorted().join();
        tally.expect(same, () => `step ${t + 1}`);
      }
    },
  };
  assert.ok(await fails(perturbedLogits(), wrong));
});
