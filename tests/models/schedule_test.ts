/** Learning rates over a run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import { cosineSchedule } from "../../models/schedule.ts";

test("schedule: up in a line, down by half a cosine, then flat", () => {
  const rate = cosineSchedule({ peak: 0.2, warmup: 4, steps: 24, floor: 0.1 });
  const near = (actual: number, expected: number): void =>
    assert.ok(Math.abs(actual - expected) < 1e-15, `${actual} is not ${expected}`);
  near(rate(1), 0.05);
  near(rate(3), 0.15);
  near(rate(4), 0.2);
  near(rate(14), 0.11); // half way: the mean of peak and floor
  near(rate(9), 0.02 + 0.09 * (1 + Math.SQRT1_2));
  near(rate(24), 0.02);
  near(rate(1000), 0.02);
});

test("schedule: no warm-up, and a warm-up longer than the run", () => {
  assert.ok(cosineSchedule({ peak: 1, warmup: 0, steps: 10, floor: 0 })(1) < 1);
  assert.equal(cosineSchedule({ peak: 1, warmup: 0, steps: 10, floor: 0 })(10), 0);
  assert.equal(cosineSchedule({ peak: 1, warmup: 50, steps: 5, floor: 0 })(5), 0.1);
  assert.equal(cosineSchedule({ peak: 1, warmup: 5, steps: 5, floor: 0 })(5), 1);
});

test("schedule: what it refuses", () => {
  const good = { peak: 1, warmup: 1, steps: 10, floor: 0.1 };
  const bad = [{ peak: 0 }, { peak: NaN }, { warmup: -1 }, { warmup: 1.5 }, { steps: 0 }, {
    floor: 2,
  }];
  for (const change of bad) {
    assert.throws(() => cosineSchedule({ ...good, ...change }), ArgumentError);
  }
});
