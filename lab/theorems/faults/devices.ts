/**
 * Faults of a device.
 *
 * @module
 */
import type { BeamStep, SearchResult } from "../../../models/decode/results.ts";
import { type SearchCase, type SearchedCase, type SearchedUser, searchOn } from "../d2_devices.ts";
import type { Fault } from "./fault.ts";

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
export const deviceFaults: readonly Fault<SearchedCase>[] = [
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
