/** The programs of docs/engine.md, in short. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { train as trainGpt, write } from "../examples/char_gpt.ts";
import { train as trainSpirals } from "../examples/spirals.ts";
import { testDevices } from "./devices.ts";

// In float64 they run the same ops, ten times slower.
for (const { name, skip, open } of testDevices.filter(({ name }) => name !== "cpu float64")) {
  test(`examples: the MLP tells the spirals apart, ${name}`, { skip }, async () => {
    assert.ok(await trainSpirals(await open(), 300) > 0.95);
  });

  test(`examples: the GPT learns and writes, ${name}`, { skip }, async () => {
    const { params, loss } = await trainGpt(await open(), 40);
    assert.ok(loss < 2.8, `40 steps end with a loss of ${loss}`); // 3.97 with equal probabilities
    const text = await write(params, "Shall I ", 12);
    assert.match(text, /^Shall I [^]{12}$/);
    assert.equal(text, await write(params, "Shall I ", 12));
  });
}
