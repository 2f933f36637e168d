/** The example programs, in short. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { train as trainGpt, write } from "../examples/char_gpt.ts";
import { train as trainSpirals } from "../examples/spirals.ts";
import { textVectors } from "../examples/text_vectors.ts";
import { titlePages } from "../examples/title_pages.ts";
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

test("examples: texts of the same words have the same vector, others are far apart", () => {
  const texts = ["Blue pen, 12", "12 BLUE pen", "black paper", "blue paper", ""];
  const vectors = textVectors(texts);
  const cosine = (a: number, b: number) =>
    vectors[a].reduce((sum, x, i) => sum + x * vectors[b][i], 0);
  assert.ok(Math.abs(cosine(0, 1) - 1) < 1e-12);
  assert.ok(Math.abs(cosine(0, 2)) < 0.2); // 0, and the error of a projection
  // blue, paper have weights ln(5 / 3), ln(5 / 2); 12, pen ln(5 / 2); black ln 5
  const [blue, twice] = [Math.log(5 / 3), Math.log(5 / 2)];
  const expected = blue ** 2 / Math.hypot(blue, twice, twice) / Math.hypot(blue, twice);
  assert.ok(Math.abs(cosine(0, 3) - expected) < 0.2);
  assert.ok(vectors[4].every((x) => x === 0));
});

test("examples: pages list each title once a copy, with those of its category", () => {
  const titles = { "1": "Blue pen", "2": "Desk", "3": "Red pen", "4": "Lamp", "5": "Clip" };
  const categories = new Map([["Blue pen", "Pens"], ["Red pen", "Pens"], ["Desk", "Furniture"]]);
  const pages = titlePages(titles, categories, 6);
  assert.equal(pages.length, 18);
  const lists = pages.map((line, page) => {
    const [, user, ids, time] = /^(\d+),"\[(.+)\]",(\d+)$/.exec(line)!;
    assert.deepEqual([user, time], [`${page}`, `${page}`]);
    return ids.split(", ");
  });
  const sorted = lists.map((ids) => ids.toSorted().join());
  assert.deepEqual(sorted, Array(6).fill(["1,3", "2", "4,5"]).flat());
  assert.equal(new Set(lists.map((ids) => ids.join())).size, 5); // both orders of both pairs
});
