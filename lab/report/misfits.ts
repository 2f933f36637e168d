/**
 * How the parts of a result must fit each other, beyond what its schema says.
 *
 * @module
 */
import type { BaselineResults, BeamOutcome, RunResult } from "../compare/run_result.ts";
import { sum } from "./statistics.ts";

/** What does not fit: its place, what it must be, and what it is. */
export type Misfit = readonly [place: string, requirement: string, actual: number | string];

/** What does not fit in a run. */
export function* misfitsOfRun({ test, epochs, bestEpoch, recipe }: RunResult): Generator<Misfit> {
  const { users, absent, beams } = test;
  yield* atMost("test.absent", absent, users);
  yield* atMost("epochs", epochs, recipe.epochs);
  yield* atMost("bestEpoch", bestEpoch, epochs);
  for (const [i, outcome] of beams.entries()) {
    const at = `test.beams.${i}`;
    const above = i === 0 ? 0 : beams[i - 1].beam;
    if (outcome.beam <= above) yield [`${at}.beam`, `it must be above ${above}`, outcome.beam];
    yield* misfitsOfOutcome(outcome, at, users, beams[0].reached.length);
  }
}

function* misfitsOfOutcome(
  { beam, ranks, exactRanks, pruned, reached, margins, certificates, ...outcome }: BeamOutcome,
  at: string,
  users: number,
  steps: number,
): Generator<Misfit> {
  yield* list(`${at}.ranks`, ranks, users, () => beam - 1);
  yield* list(`${at}.exactRanks`, exactRanks, users, () => beam - 1);
  yield* list(`${at}.lostAt`, outcome.lostAt, users, () => steps);
  yield* list(`${at}.reached`, reached, steps, () => users);
  yield* list(`${at}.violated`, outcome.violated, steps, (t) => reached[t]);
  yield* list(`${at}.vacuous`, outcome.vacuous, steps, (t) => reached[t]);
  for (const [name, lists] of Object.entries({ margins, pruned })) {
    for (const [key, one] of Object.entries(lists)) yield* list(`${at}.${name}.${key}`, one, steps);
  }
  const lost = ranks.filter((rank, user) => rank < 0 && exactRanks[user] >= 0).length;
  const counted = sum(Object.values(pruned).flat());
  if (counted !== lost) {
    yield [`${at}.pruned`, `it must count the ${lost} targets that the search lost`, counted];
  }
  const certified = sum(Object.values(certificates));
  if (certified > users) yield [`${at}.certificates`, `they must be of ${users} users`, certified];
  yield* atMost(`${at}.exactLists`, outcome.exactLists, users);
}

/** What does not fit in baselines. */
export function* misfitsOfBaselines({ baselines, userOf }: BaselineResults): Generator<Misfit> {
  const cases = baselines[0]?.ranks.length ?? userOf?.length ?? 0;
  if (userOf !== undefined) {
    let users = 0; // so far: each user is one of these, or the next
    yield* list("userOf", userOf, cases, (i) => {
      const bound = users;
      users = Math.max(users, userOf[i] + 1);
      return bound;
    });
  }
  for (const [i, { name, ranks }] of baselines.entries()) {
    yield* list(`baselines.${i}.ranks`, ranks, cases);
    const isTwice = baselines.slice(0, i).some((other) => other.name === name);
    if (isTwice) yield [`baselines.${i}.name`, "it must occur once", `${name} twice`];
  }
}

function* atMost(place: string, actual: number, most: number): Generator<Misfit> {
  if (actual > most) yield [place, `it must be at most ${most}`, actual];
}

/** A list must have some length, and its numbers must not be above their bounds. */
function* list(
  place: string,
  values: readonly unknown[],
  length: number,
  mostAt: (i: number) => number = () => Infinity,
): Generator<Misfit> {
  if (values.length !== length) yield [place, `it must have ${length} entries`, values.length];
  const bounds = values.map((_, i) => mostAt(i));
  const i = values.findIndex((value, i) => (value as number) > bounds[i]);
  if (i >= 0) yield* atMost(`${place}.${i}`, values[i] as number, bounds[i]);
}
