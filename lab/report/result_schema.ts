/**
 * What `result.json` and `baselines.json` may hold: the types of `lab/compare/run_result.ts` as schemas.
 *
 * @module
 */
import * as v from "valibot";
import type { BaselineResults, RunResult } from "../compare/run_result.ts";
import { fromJson } from "../train/recipe.ts";
import { modelTheorems, type TheoremId } from "../analysis/user_theorems.ts";

/** Bins of a histogram of margins. */
export const MARGIN_BINS = 48;

/** A report has a row for each epoch. */
const MOST_EPOCHS = 1_000_000;

const finite = v.pipe(v.number(), v.finite("it must be finite"));
const notNegative = v.pipe(finite, v.minValue(0, "it must be at least 0"));
const integer = v.pipe(v.number(), v.safeInteger("it must be a whole number"));
const count = v.pipe(integer, v.minValue(0, "it must be at least 0"));
const positive = v.pipe(integer, v.minValue(1, "it must be at least 1"));
const rank = v.pipe(integer, v.minValue(-1, "it must be at least -1"));
const name = v.pipe(v.string(), v.nonEmpty("it must not be empty"));
const counts = v.array(count);
const histogram = v.pipe(counts, v.length(MARGIN_BINS, `it must have ${MARGIN_BINS} entries`));
const version = v.literal(1);

const recipe = v.pipe(
  v.looseObject({
    data: name,
    digest: name,
    reading: v.looseObject({}),
    device: v.picklist(["cpu", "webgpu"]),
    loss: name,
    beam: positive,
    xi: finite,
    lambda: finite,
    tau: finite,
    seed: count,
    layers: positive,
    dim: positive,
    heads: positive,
    kvHeads: positive,
    ffn: positive,
    dropout: finite,
    history: positive,
    epochs: v.pipe(positive, v.maxValue(MOST_EPOCHS, `it must be at most ${MOST_EPOCHS}`)),
    batch: positive,
    rate: finite,
    warmup: count,
    decay: finite,
  }),
  v.transform((json) => fromJson(json)),
);

const beamOutcome = v.object({
  beam: positive,
  ranks: v.array(rank),
  exactRanks: v.array(rank),
  lostAt: counts,
  pruned: v.object({ violation: counts, displacement: counts, length: counts, tie: counts }),
  reached: counts,
  violated: counts,
  vacuous: counts,
  margins: v.object({ before: v.array(histogram), after: v.array(histogram) }),
  certificates: v.object({ retrieved: count, pruned: count, undecided: count }),
  exactLists: count,
});

const theoremCount = v.object({
  instances: count,
  holds: count,
  undecided: count,
  violations: count,
});
const ids = Object.keys(modelTheorems) as TheoremId[];

/** `result.json`. */
export const runResult = v.object({
  version,
  variant: name,
  command: v.optional(name),
  recipe,
  adapter: v.string(),
  data: v.object({ name, users: count, items: count }),
  parameters: count,
  epochs: positive,
  bestEpoch: positive,
  steps: positive,
  seconds: v.object({ training: notNegative, validation: notNegative, judging: notNegative }),
  tokensPerSecond: notNegative,
  curve: v.array(v.object({ step: count, epoch: notNegative, loss: finite })),
  validation: v.array(
    v.object({ epoch: positive, hr: finite, ndcg: finite, seconds: notNegative }),
  ),
  judging: v.object({
    beams: v.array(positive),
    excludeHistory: v.boolean(),
    search: v.optional(v.object({
      normalization: v.picklist(["children", "vocabulary"]),
      tau: v.pipe(finite, v.gtValue(0, "it must be above 0")),
    })),
  }),
  test: v.object({
    users: positive,
    absent: count,
    beams: v.pipe(v.array(beamOutcome), v.nonEmpty("it must not be empty")),
  }),
  gradient: v.optional(v.array(v.object({ margin: finite, weight: finite }))),
  verification: v.optional(v.object({
    users: count,
    counts: v.object(
      Object.fromEntries(ids.map((id) => [id, theoremCount])) as Record<
        TheoremId,
        typeof theoremCount
      >,
    ),
  })),
});

/** `baselines.json`. */
export const baselineResults = v.object({
  version,
  digest: name,
  userOf: v.optional(counts),
  baselines: v.array(v.object({ name, ranks: v.array(rank) })),
});

/** Told what is wrong: the place, what it must be, what it is. */
export type Complain = (place: string, requirement: string, actual: string) => never;

/** Checks what a schema cannot: that the parts of a result fit each other. */
export function checkRun(run: RunResult, complain: Complain): void {
  const { users, absent, beams } = run.test;
  if (absent > users) complain("test.absent", `it must be at most ${users}`, `${absent}`);
  if (run.epochs > run.recipe.epochs) {
    complain("epochs", `it must be at most ${run.recipe.epochs}`, `${run.epochs}`);
  }
  if (run.bestEpoch > run.epochs) {
    complain("bestEpoch", `it must be at most ${run.epochs}`, `${run.bestEpoch}`);
  }
  beams.forEach(({ beam }, i) => {
    if (i > 0 && beam <= beams[i - 1].beam) {
      complain(`test.beams.${i}.beam`, `it must be above ${beams[i - 1].beam}`, `${beam}`);
    }
  });
  for (const [i, outcome] of beams.entries()) {
    const at = `test.beams.${i}`;
    const lengths = (length: number, what: Readonly<Record<string, readonly unknown[]>>): void => {
      for (const [field, given] of Object.entries(what)) {
        if (given.length === length) continue;
        complain(`${at}.${field}`, `it must have ${length} entries`, `${given.length}`);
      }
    };
    const { beam, ranks, exactRanks, lostAt, pruned, reached, violated, vacuous } = outcome;
    const { margins: { before, after }, certificates, exactLists } = outcome;
    const steps = beams[0].reached.length;
    lengths(users, { ranks, exactRanks, lostAt });
    lengths(steps, {
      reached,
      violated,
      vacuous,
      "margins.before": before,
      "margins.after": after,
    });
    for (const [cause, given] of Object.entries(pruned)) {
      lengths(steps, { [`pruned.${cause}`]: given });
    }
    const atMost = (most: number, what: Readonly<Record<string, readonly number[]>>): void => {
      for (const [field, given] of Object.entries(what)) {
        const high = given.findIndex((n) => n > most);
        if (high < 0) continue;
        complain(`${at}.${field}.${high}`, `it must be at most ${most}`, `${given[high]}`);
      }
    };
    atMost(beam - 1, { ranks, exactRanks });
    atMost(steps, { lostAt });
    atMost(users, { reached });
    for (let t = 0; t < steps; t++) {
      for (const [field, given] of Object.entries({ violated, vacuous })) {
        if (given[t] <= reached[t]) continue;
        complain(`${at}.${field}.${t}`, `it must be at most ${reached[t]}`, `${given[t]}`);
      }
    }
    const lost = ranks.filter((given, user) => given < 0 && exactRanks[user] >= 0).length;
    const told = Object.values(pruned).flat().reduce((sum, n) => sum + n, 0);
    if (told !== lost) {
      complain(`${at}.pruned`, `it must count the ${lost} targets that the search lost`, `${told}`);
    }
    const judged = certificates.retrieved + certificates.pruned + certificates.undecided;
    if (judged > users) {
      complain(`${at}.certificates`, `they must be of ${users} users`, `${judged}`);
    }
    if (exactLists > users) {
      complain(`${at}.exactLists`, `it must be at most ${users}`, `${exactLists}`);
    }
  }
}

/** Checks that every baseline ranks the same users. */
export function checkBaselines(
  { baselines, userOf }: BaselineResults,
  complain: Complain,
): void {
  let users = 0; // so far: a user's number is that of the users before, or it occurred before
  for (const [i, user] of userOf?.entries() ?? []) {
    if (user > users) complain(`userOf.${i}`, `it must be at most ${users}`, `${user}`);
    users = Math.max(users, user + 1);
  }
  const cases = baselines[0]?.ranks.length;
  if (userOf !== undefined && cases !== undefined && userOf.length !== cases) {
    complain("userOf", `it must have ${cases} entries`, `${userOf.length}`);
  }
  for (const [i, { name, ranks }] of baselines.entries()) {
    const { length } = baselines[0].ranks;
    if (ranks.length !== length) {
      complain(`baselines.${i}.ranks`, `it must have ${length} entries`, `${ranks.length}`);
    }
    if (baselines.findIndex((other) => other.name === name) < i) {
      complain(`baselines.${i}.name`, "it must occur once", `${name} twice`);
    }
  }
}
