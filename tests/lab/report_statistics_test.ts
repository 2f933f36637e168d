/** Intervals and tests against hand-computed values, printed tables and simulations. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf, normal } from "../../core/random.ts";
import { coverage } from "./report_coverage.ts";
import { meanDifferences } from "../../lab/report/outcomes.ts";
import {
  Bootstrap,
  type CaseValues,
  everyCase,
  resampledSums,
  usersIn,
} from "../../lab/report/resampling.ts";
import {
  type Estimate,
  excludesZero,
  meanInterval,
  percentileInterval,
  shareInterval,
  signFlipTest,
  studentQuantile,
} from "../../lab/report/statistics.ts";

function near(actual: number, expected: number, tolerance: number, what = ""): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what} ${actual} is not ${expected}`);
}

function values(given: readonly number[]): CaseValues {
  return { cases: Int32Array.from(given.keys()), values: Float64Array.from(given) };
}

test("statistics: quantiles of Student's t are those of printed tables", () => {
  const table = [[1, 12.706], [2, 4.303], [3, 3.182], [4, 2.776], [9, 2.262], [30, 2.042]];
  for (const [freedom, quantile] of table) near(studentQuantile(freedom), quantile, 5e-4);
  near(studentQuantile(5000), 1.9604, 1e-3);
});

test("statistics: the interval of a mean", () => {
  const { value, low, high } = meanInterval([1, 2, 3]);
  near(value, 2, 1e-12);
  near(low, 2 - 4.302653 / Math.sqrt(3), 1e-5);
  near(high, 2 + 4.302653 / Math.sqrt(3), 1e-5);
  assert.deepEqual(meanInterval([4]), { value: 4, low: NaN, high: NaN });
  assert.ok(Number.isNaN(meanInterval([]).value));
  for (const same of [[4], [0.3, 0.3], [0.1 + 0.2, 0.3]]) {
    assert.ok(Number.isNaN(meanInterval(same).low));
    assert.ok(!excludesZero(meanInterval(same)));
  }
});

test("statistics: Wilson's interval of 10 of 50 and of 0 of 10", () => {
  const some = shareInterval(0.2, 50);
  near(some.low, 0.1124, 5e-5);
  near(some.high, 0.3304, 5e-5);
  const none = shareInterval(0, 10);
  near(none.low, 0, 1e-12);
  near(none.high, 0.2775, 5e-5);
  assert.ok(Number.isNaN(shareInterval(NaN, 0).value));
});

test("statistics: percentiles by linear interpolation", () => {
  const given = Array.from({ length: 101 }, (_, i) => 100 - i);
  const { low, high } = percentileInterval(50, given);
  near(low, 2.5, 1e-12);
  near(high, 97.5, 1e-12);
  assert.deepEqual(percentileInterval(1, [NaN, 1, NaN]), { value: 1, low: 1, high: 1 });
  assert.ok(Number.isNaN(percentileInterval(1, [NaN]).low));
});

test("statistics: sign flips by hand", () => {
  // Of 8 assignments only +++ and --- reach 6.
  assert.deepEqual(signFlipTest([1, 2, 3]), { p: 0.25, least: 0.25, exact: true });
  // |3 - 1| = 2 is reached by all four.
  assert.equal(signFlipTest([3, -1]).p, 1);
  // 3 + 2 - 1 = 4: +++ 6, ++- 4 and their mirror images of 8.
  assert.equal(signFlipTest([3, 2, -1, 0, 0]).p, 0.5);
  assert.deepEqual(signFlipTest([]), { p: 1, least: 1, exact: true });
  // Two and four tenths are reached by 8 and 2 of 16. Sums of tenths in other orders are rounded
  // differently, and are ties all the same.
  assert.equal(signFlipTest([0.1, 0.1, 0.1, -0.1]).p, 10 / 16);
});

test("statistics: sign flips that are drawn agree with the binomial distribution", () => {
  // 60 of 100 signs are plus: P(|2 X - 100| >= 20) = .0569 for X binomial(100, 1/2).
  const given = Array.from({ length: 100 }, (_, i) => i < 60 ? 1 : -1);
  const { p, exact } = signFlipTest(given);
  assert.ok(!exact);
  near(p, 0.0569, 0.008);
  assert.equal(signFlipTest(given).p, p, "the same every time");
  near(signFlipTest(Array.from({ length: 40 }, () => 1)).p, 1 / 10_001, 1e-12);
});

/** The mean of one run's values. */
function estimateOf(given: readonly number[], userOf?: readonly number[]): Estimate {
  const series = values(given);
  return new Bootstrap([series], { cases: given.length, userOf }).mean([series]);
}

test("resampling: every resample has as many users, and each user once on average", () => {
  const users = 50;
  const ones = values(Array.from({ length: users }, () => 1));
  const last = values([0, 1]);
  const [all, second] = resampledSums([ones, last], { cases: users }, { resamples: 4000 });
  assert.ok(all.resampled.every((sum) => sum === users));
  // Binomial(50, 1/50): mean 1, variance .98.
  const mean = second.resampled.reduce((sum, x) => sum + x, 0) / 4000;
  const variance = second.resampled.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 4000;
  near(mean, 1, 0.06);
  near(variance, 0.98, 0.1);
});

test("resampling: the standard deviation of a resampled mean is that of theory", () => {
  const given = Array.from(normal(keyOf(3), 80));
  const n = given.length;
  const mean = given.reduce((sum, x) => sum + x, 0) / n;
  const deviation = Math.sqrt(given.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n);
  const { value, low, high } = estimateOf(given);
  near(value, mean, 1e-12);
  near((high - low) / 2, (1.96 * deviation) / Math.sqrt(n), 0.15 * deviation / Math.sqrt(n));
});

test("resampling: with one user, all that varies is the seeds", () => {
  const seeds = [[1], [2], [6]].map(values);
  const bootstrap = new Bootstrap(seeds, { cases: 1 });
  const { value, low, high } = bootstrap.mean(seeds);
  near(value, 3, 1e-12);
  // 27 draws of three seeds: one in 27 is all ones, above 2.5 %.
  near(low, 1, 1e-12);
  near(high, 6, 1e-12);
  assert.deepEqual(bootstrap.difference(seeds, seeds), { value: 0, low: 0, high: 0 });
});

test("resampling: differences are paired, and a constant one has no width", () => {
  const given = Array.from(normal(keyOf(4), 60));
  const [a, b] = [given, given.map((x) => x + 2)].map(values);
  const { value, low, high } = new Bootstrap([a, b], { cases: 60 }).difference([b], [a]);
  for (const x of [value, low, high]) near(x, 2, 1e-9);
});

test("resampling: a rate is a ratio of sums, and tells where there is nothing", () => {
  // One user in four counts, one in eight is lost.
  const whole = values(Array.from({ length: 400 }, (_, u) => Number(u % 4 === 0)));
  const part = values(Array.from({ length: 400 }, (_, u) => Number(u % 8 === 0)));
  const none = values([]);
  const bootstrap = new Bootstrap([whole, part, none], { cases: 400 });
  const rate = { parts: [part], wholes: [whole] };
  const { value, low, high } = bootstrap.rate(rate);
  assert.equal(value, 0.5);
  // A share of about 100: .5 +- 1.96 sqrt(.25 / 100).
  near(low, 0.402, 0.02);
  near(high, 0.598, 0.02);
  assert.ok(Number.isNaN(bootstrap.rate({ parts: [none], wholes: [none] }).value));
  assert.deepEqual(bootstrap.rateDifference(rate, rate), { value: 0, low: 0, high: 0 });
});

test("resampling: users are drawn with all of their cases", () => {
  // Two cases a user that say the same are one case said twice: the same interval.
  const given = Array.from(normal(keyOf(5), 40));
  const twice = given.flatMap((x) => [x, x]);
  const userOf = twice.map((_, i) => i >> 1);
  const [once, repeated] = [estimateOf(given), estimateOf(twice, userOf)];
  for (const end of ["value", "low", "high"] as const) near(repeated[end], once[end], 1e-12);
  const alone = estimateOf(twice);
  near((alone.high - alone.low) / (once.high - once.low), Math.SQRT1_2, 0.1);

  // Users with 1 to 3 cases: the plain way, user by user and case by case, over the same draws.
  const owners = Array.from({ length: 40 }, (_, u) => Array.from({ length: 1 + u % 3 }, () => u))
    .flat();
  const worth = Array.from(normal(keyOf(6), owners.length));
  const users = Array.from({ length: 40 }, (_, u) => values(owners.map((v) => Number(u === v))));
  const population = { cases: owners.length, userOf: owners };
  assert.equal(usersIn(population), 40);
  const own = values(worth);
  const [every, sum, ...sizes] = resampledSums([everyCase(population), own, ...users], population, {
    resamples: 200,
  });
  const means = Array.from({ length: 200 }, (_, r) => {
    let [total, cases, drawn] = [0, 0, 0];
    for (let u = 0; u < 40; u++) {
      const times = sizes[u].resampled[r] / (1 + u % 3);
      assert.ok(Number.isInteger(times));
      drawn += times;
      owners.forEach((v, i) => {
        if (v !== u) return;
        total += times * worth[i];
        cases += times;
      });
    }
    assert.equal(drawn, 40);
    near(sum.resampled[r], total, 1e-9);
    assert.equal(every.resampled[r], cases);
    return total / cases;
  });
  const plain = percentileInterval(0, means);
  const found = new Bootstrap([own], population, { resamples: 200 }).mean([own]);
  near(found.value, worth.reduce((a, b) => a + b, 0) / owners.length, 1e-12);
  for (const end of ["low", "high"] as const) near(found[end], plain[end], 1e-9);
});

test("resampling: signs are flipped by user", () => {
  const [own, other] = [[3, 1, 0, 2], [1, 1, 1, 1]].map(values);
  assert.deepEqual([...meanDifferences([own], [other], { cases: 4 })], [2, 0, -1, 1]);
  const userOf = [0, 0, 1, 0];
  assert.deepEqual([...meanDifferences([own], [other], { cases: 4, userOf })], [3, -1]);
});

test("resampling: one seed, no spread of seeds: 95 % of the intervals hold the truth", () => {
  const { both, users } = coverage({ users: 100, seeds: 1, spread: 0, runs: 400 });
  assert.equal(both, users);
  near(both, 0.95, 0.035);
});

test("resampling: where seeds spread, intervals over users alone are too short", () => {
  const { both, users, seeds } = coverage({ users: 100, seeds: 5, spread: 0.2, runs: 150 });
  assert.ok(both > 0.88, `${both}`);
  assert.ok(users < 0.8, `${users}`);
  near(seeds, 0.95, 0.05);
});
