/**
 * How the parts of a result must fit each other, beyond what its schema says.
 *
 * @module
 */
import type { BaselineResults, BeamOutcome, RunResult } from "../compare/run_result.ts";

/** What does not fit: its place, what it must be, and what it is. */
export type Misfit = readonly [place: string, requirement: string, actual: number | string];

/** What does not fit in a run. */
export function* misfitsOfRun({ test, epochs, bestEpoch, recipe }: RunResult): Generator<Misfit> {
  const { users, absent, beams } = test;
  yield* above("test.absent", absent, users);
  yield* above("epochs", epochs, recipe.epochs);
  yield* above("bestEpoch", bestEpoch, epochs);
  const steps = beams[0].reached.length;
  for (const [i, outcome] of beams.entries()) {
    const before = i === 0 ? 0 : beams[i - 1].beam;
    if (outcome.beam <= before) {
      yield [`test.beams.${i}.beam`, `it must be above ${before}`, outcome.beam];
    }
    yield* misfitsOfOutcome(outcome, `test.beams.${i}`, users, steps);
  }
}

function* misfitsOfOutcome(
  outcome: BeamOutcome,
  at: string,
  users: number,
  steps: number,
): Generator<Misfit> {
  const { beam, ranks, exactRanks, lostAt, pruned, reached, violated, vacuous } = outcome;
  const { margins, certificates, exactLists } = outcome;
  const byUser = { ranks, exactRanks, lostAt };
  const byStep = {
    reached,
    violated,
    vacuous,
    "margins.before": margins.before,
    "margins.after": margins.after,
    "pruned.violation": pruned.violation,
    "pruned.displacement": pruned.displacement,
    "pruned.length": pruned.length,
    "pruned.tie": pruned.tie,
  };
  for (const [field, { length }] of Object.entries(byUser)) {
    if (length !== users) yield [`${at}.${field}`, `it must have ${users} entries`, length];
  }
  for (const [field, { length }] of Object.entries(byStep)) {
    if (length !== steps) yield [`${at}.${field}`, `it must have ${steps} entries`, length];
  }
  yield* anyAbove(`${at}.ranks`, ranks, () => beam - 1);
  yield* anyAbove(`${at}.exactRanks`, exactRanks, () => beam - 1);
  yield* anyAbove(`${at}.lostAt`, lostAt, () => steps);
  yield* anyAbove(`${at}.reached`, reached, () => users);
  yield* anyAbove(`${at}.violated`, violated, (t) => reached[t]);
  yield* anyAbove(`${at}.vacuous`, vacuous, (t) => reached[t]);
  const lost = ranks.filter((rank, user) => rank < 0 && exactRanks[user] >= 0).length;
  const counted = Object.values(pruned).flat().reduce((sum, n) => sum + n, 0);
  if (counted !== lost) {
    yield [`${at}.pruned`, `it must count the ${lost} targets that the search lost`, counted];
  }
  const certified = certificates.retrieved + certificates.pruned + certificates.undecided;
  if (certified > users) yield [`${at}.certificates`, `they must be of ${users} users`, certified];
  yield* above(`${at}.exactLists`, exactLists, users);
}

/** What does not fit in baselines. */
export function* misfitsOfBaselines({ baselines, userOf }: BaselineResults): Generator<Misfit> {
  let users = 0; // so far: each user is one of these, or the next
  for (const [i, user] of userOf?.entries() ?? []) {
    if (user > users) yield [`userOf.${i}`, `it must be at most ${users}`, user];
    users = Math.max(users, user + 1);
  }
  const cases = baselines[0]?.ranks.length;
  if (userOf !== undefined && cases !== undefined && userOf.length !== cases) {
    yield ["userOf", `it must have ${cases} entries`, userOf.length];
  }
  const names = new Set<string>();
  for (const [i, { name, ranks }] of baselines.entries()) {
    if (ranks.length !== cases) {
      yield [`baselines.${i}.ranks`, `it must have ${cases} entries`, ranks.length];
    }
    if (names.has(name)) yield [`baselines.${i}.name`, "it must occur once", `${name} twice`];
    names.add(name);
  }
}

function* above(place: string, actual: number, most: number): Generator<Misfit> {
  if (actual > most) yield [place, `it must be at most ${most}`, actual];
}

function* anyAbove(
  place: string,
  values: readonly number[],
  most: (i: number) => number,
): Generator<Misfit> {
  const i = values.findIndex((value, i) => value > most(i));
  if (i >= 0) yield [`${place}.${i}`, `it must be at most ${most(i)}`, values[i]];
}
