/** The programs of docs/engine.md, in short. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { train as trainGpt, write } from "../examples/char_gpt.ts";
import { train as trainSpirals } from "../examples/spirals.ts";
import { testDevices } from "./devices.ts";

const [cpu, , webgpu] = testDevices;

/** Fails unless the GPT writes characters, the same ones each time. */
async function assertWrites(params: Parameters<typeof write>[0]): Promise<void> {
  const text = await write(params, "Shall I ", 6);
  assert.match(text, /^Shall I [^]{6}$/);
  assert.equal(text, await write(params, "Shall I ", 6));
}

test("examples: the MLP tells the spirals apart", async () => {
  assert.ok(await trainSpirals(await cpu.open(), 200) > 0.95);
});

test("examples: the GPT learns and writes", async () => {
  const { params, loss } = await trainGpt(await cpu.open(), 20);
  assert.ok(loss < 2.9, `20 steps end with a loss of ${loss}`); // 3.97 with equal probabilities
  await assertWrites(params);
});

test("examples: on webgpu they take the steps of the cpu", { skip: webgpu.skip }, async () => {
  const devices = [await cpu.open(), await webgpu.open()];
  const [accuracy, same] = [await trainSpirals(devices[0], 40), await trainSpirals(devices[1], 40)];
  assert.ok(Math.abs(accuracy - same) < 0.03, `${accuracy} on the cpu, ${same} on webgpu`);
  const [{ loss }, gpt] = [await trainGpt(devices[0], 4), await trainGpt(devices[1], 4)];
  assert.ok(Math.abs(loss - gpt.loss) < 1e-4 * loss, `${loss} on the cpu, ${gpt.loss} on webgpu`);
  await assertWrites(gpt.params);
});
