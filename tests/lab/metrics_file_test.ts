/** metrics.jsonl: what a crash leaves is mended, anything else that is wrong is refused. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readMetrics, truncateMetrics } from "../../lab/train/run_folder.ts";
import { inFolder } from "./small_folder.ts";

const line = (step: number): string => `${JSON.stringify({ step, epoch: 0, loss: 1 })}\n`;

test(
  "metrics: lines after the last save go, and so does a torn last line",
  inFolder((folder) => {
    const path = join(folder, "metrics.jsonl");
    truncateMetrics(path, 20);
    assert.deepEqual(readdirSync(folder), []);
    assert.deepEqual(readMetrics(path), []);
    const kept = line(10) + line(20);
    for (const lost of ["", line(21), line(30) + line(40) + '{"step": 5']) {
      writeFileSync(path, kept + lost);
      assert.equal(readMetrics(path).length, 2 + lost.split("\n").length - 1);
      const isTorn = lost.includes('"step": 5');
      assert.deepEqual(truncateMetrics(path, 20), { isTorn, lastStep: 20 });
      assert.equal(readFileSync(path, "utf8"), kept);
    }
    assert.deepEqual(readMetrics(path).map(({ step }) => step), [10, 20]);
    assert.equal(truncateMetrics(path, 19).lastStep, 10);
    writeFileSync(path, "");
    assert.equal(truncateMetrics(path, 20).lastStep, 0);
  }),
);

test(
  "metrics: any other line that is not what it should be is refused, and the file left alone",
  inFolder((folder) => {
    const path = join(folder, "metrics.jsonl");
    for (const bad of ['{"step"', '{"step":3}', '{"step":"3","epoch":0,"loss":1}', "", "null"]) {
      const text = `${line(1)}${bad}\n${line(9)}`;
      writeFileSync(path, text);
      for (const read of [() => truncateMetrics(path, 1), () => readMetrics(path)]) {
        assert.throws(read, {
          name: "CheckpointError",
          message:
            `Cannot resume from ${path}: line 2 must be a JSON object with step, epoch and loss, ` +
            `got ${JSON.stringify(bad)}`,
        });
      }
      assert.equal(readFileSync(path, "utf8"), text);
    }
  }),
);
