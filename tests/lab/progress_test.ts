/** Progress with a made-up stream and clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createProgress, formatDuration, type Progress } from "../../lab/progress.ts";

interface Shown {
  readonly progress: Progress;
  readonly texts: string[];
  at(time: number): void;
}

function show(stream: { isTTY?: boolean; columns?: number }, total = 200, label = "bear"): Shown {
  const texts: string[] = [];
  let time = 1000;
  const write = (text: string): void => void texts.push(text);
  return {
    progress: createProgress({ label, total, stream: { ...stream, write }, now: () => time }),
    texts,
    at: (t) => void (time = 1000 + t),
  };
}

/**
 * What a terminal shows after a text that begins with a carriage return and clears to the line's
 * end.
 */
function visible(text: string): string {
  assert.ok(text.startsWith("\r") && text.endsWith("\x1b[K"));
  return text.slice(1, -"\x1b[K".length);
}

test("progress: without a terminal a line at the start, every ten seconds, and at the end", () => {
  const { progress, texts, at } = show({});
  for (let step = 1; step <= 200; step++) {
    at(step * 150);
    progress.update(step, { loss: `${step / 10}`, "tokens/s": "12k" });
  }
  progress.finish("bear: 200 steps");
  assert.deepEqual(texts, [
    "bear  1/200  loss 0.1  tokens/s 12k\n",
    "bear  68/200  loss 6.8  tokens/s 12k  0:20 left\n",
    "bear  135/200  loss 13.5  tokens/s 12k  0:10 left\n",
    "bear: 200 steps\n",
  ]);
});

test("progress: a terminal's line is redrawn at most ten times a second", () => {
  const { progress, texts, at } = show({ isTTY: true, columns: 80 });
  for (let ms = 0; ms < 1000; ms++) {
    at(ms);
    progress.update(ms / 5, {});
  }
  assert.equal(texts.length, 10);
  assert.ok(texts.every((text) => !text.includes("\n")));
  progress.finish("done");
  assert.equal(texts.at(-1), "\r\x1b[Kdone\n");
});

test("progress: bar, count, fields and time left", () => {
  const { progress, texts, at } = show({ isTTY: true, columns: 80 });
  progress.update(0, { loss: "3.21" });
  at(60_000);
  progress.update(50, { loss: "2.00" });
  at(240_000);
  progress.update(200, { loss: "1.00" });
  assert.deepEqual(texts.map(visible), [
    `bear  ${"░".repeat(24)}  0/200  loss 3.21`,
    `bear  ${"█".repeat(6)}${"░".repeat(18)}  50/200  loss 2.00  3:00 left`,
    `bear  ${"█".repeat(24)}  200/200  loss 1.00  0:00 left`,
  ]);
});

test("progress: a resumed run's time left counts only what it did itself", () => {
  const { progress, texts, at } = show({ isTTY: true, columns: 80 });
  progress.update(100, {});
  at(10_000);
  progress.update(150, {});
  assert.match(visible(texts[1]), /150\/200 {2}0:10 left$/);
});

test("progress: no line is wider than the terminal, whose width may change", () => {
  for (let columns = 1; columns <= 120; columns++) {
    const { progress, texts, at } = show({ isTTY: true, columns });
    progress.update(0, { loss: "3.21" });
    at(5000);
    progress.update(123, { loss: "3.2123", "tokens/s": "12.3k" });
    for (const text of texts) assert.ok(visible(text).length < columns, `${columns}: ${text}`);
    if (columns >= 21) assert.match(visible(texts[1]), /^bear {2}█+░* {2}123\/200/);
    if (columns >= 75) assert.match(visible(texts[1]), /left$/);
  }
});

test("progress: a terminal that does not tell its width has 80 columns", () => {
  const { progress, texts } = show({ isTTY: true, columns: 0 }, 200, "x".repeat(100));
  progress.update(0, {});
  assert.equal(visible(texts[0]).length, 79);
});

test("progress: control characters in labels are written out", () => {
  const { progress, texts } = show({}, 200, "a\x1b[2J\x9b\u202e");
  progress.update(1, {});
  progress.finish("\x07");
  assert.deepEqual(texts, ["a\\u001b[2J\\u009b\\u202e  1/200\n", "\\u0007\n"]);
});

test("progress: durations", () => {
  const cases = { 0: "0:00", 1: "0:01", 59_000: "0:59", 60_000: "1:00", 3_599_001: "1:00:00" };
  for (const [ms, text] of Object.entries(cases)) assert.equal(formatDuration(Number(ms)), text);
  assert.equal(formatDuration(3_723_000), "1:02:03");
});
