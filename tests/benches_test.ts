/**
 * The benches as commands, in their smallest sizes: what they print, and that a step computes what
 * it should.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { trainingSteps } from "../lab/device/training_steps.ts";
import { cpu } from "../core/cpu_backend.ts";
import type { DeviceReport } from "../lab/device/measure.ts";
import { batchLosses } from "../lab/device/workload.ts";

/** Runs a bench as its task does. */
function bench(command: string): { code: number | null; stdout: string; stderr: string } {
  const [script, ...args] = command.split(" ");
  const runtime = "Deno" in globalThis ? ["run", "--node-modules-dir=manual", "-A"] : [];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...runtime, `benches/${script}.ts`, ...args],
    { encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  return { code: status, stdout, stderr };
}

/** The one line of JSON that a command prints. */
function report(command: string): Record<string, unknown> {
  const { code, stdout, stderr } = bench(`${command} --json`);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim().split("\n").length, 1, stdout);
  return JSON.parse(stdout);
}

function arePositive(found: Record<string, unknown>, keys: string): void {
  for (const key of keys.split(" ")) {
    const value = found[key];
    assert.ok(typeof value === "number" && Number.isFinite(value) && value > 0, `${key}: ${value}`);
  }
}

test("bench:step prints what a step costs, and its loss falls", () => {
  const found = report("step --config tiny --steps 6 --loss bear --reference");
  assert.deepEqual([found.config, found.device, found.loss], ["tiny", "cpu", "bear"]);
  arePositive(found, "medianMs cpuMs peakRssMiB dispatches liveMiB");
  const losses = found.losses as number[];
  assert.equal(losses.length, 6);
  losses.forEach((loss, i) => assert.ok(i === 0 || loss < losses[i - 1], `${losses}`));
  assert.ok((found.referenceDifference as number) < 1e-5, `${found.referenceDifference}`);
});

test("bench:step: jax-js takes the same step to the same losses", async () => {
  const theirs = report("step --config tiny --steps 5 --engine jax-js");
  arePositive(theirs, "medianMs cpuMs peakRssMiB");
  const losses = theirs.losses as number[];
  assert.equal(losses.length, 5);
  using ours = trainingSteps(cpu(), "tiny", "sft");
  for (const loss of losses) {
    const expected = await ours.next();
    assert.ok(Math.abs(loss - expected) < 1e-5 * expected, `${losses}, ours ${expected}`);
  }
});

test("bench:load prints what loading a model costs", () => {
  const found = report("load --mib 2 --weights float32");
  assert.deepEqual([found.device, found.weights], ["cpu", "float32"]);
  arePositive(found, "fileMiB beforeMiB peakMiB liveMiB wallMs cpuMs");
  assert.ok(Math.abs((found.liveMiB as number) / (found.fileMiB as number) - 2) < 0.01);
});

test("bench:data prints what reading interactions costs", () => {
  for (const order of ["user", "random"]) {
    const found = report(`data --rows 20000 --order ${order}`);
    assert.deepEqual([found.rows, found.order, found.users], [20000, order, 134]);
    arePositive(found, "fileMiB beforeMiB wallMs cpuMs");
  }
});

test("bench:decode prints what decoding costs", () => {
  const found = report("decode --config small --users 16 --history 10 --beam 4 --rounds 5");
  arePositive(found, "usersPerSecond cpuMsPerUser dispatches peakRssMiB");
  assert.equal(found.readBacks, 1);
  // The model takes many times as long as all else, so that nothing else on the machine makes this
  // 1.
  const share = found.trieShare as number;
  assert.ok(share > 0 && share < 1, `${share}`);
  const sure = report("decode --config tiny --users 8 --history 3 --search best-first --budget 9");
  arePositive(sure, "usersPerSecond cpuMsPerUser");
  assert.deepEqual([sure.search, sure.rowsPerUser, sure.trieShare], ["best-first", 9, undefined]);
});

test("bench:gpu prints a table for people and one JSON", () => {
  const { code, stdout, stderr } = bench("gpu --device cpu --only product --seconds 0");
  assert.equal(code, 0, stderr);
  const { device, figures } = JSON.parse(stdout) as DeviceReport;
  assert.equal(device.kind, "cpu");
  assert.equal(figures.length, 6);
  for (const { name, device: on } of figures) {
    assert.ok("ms" in on && stderr.includes(`${name} `) && stderr.includes(`${on.gflops}`), stderr);
  }
});

test("bench:memory finds no growth", () => {
  const found = report("memory --steps 60 --searches 60");
  assert.deepEqual(found.problems, []);
  assert.equal((found.looks as unknown[]).length, 20);
});

test("benches: bad usage ends with one line and code 2", () => {
  const fails = (command: string, message: RegExp): void => {
    const { code, stdout, stderr } = bench(command);
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr.trim(), message);
  };
  fails("step --config M", /^Cannot use --config: it must be one of tiny, small, S, P, L, got M$/);
  fails("step --steps 2", /^Cannot use --steps: it must be an integer from 3 to 10000, got 2$/);
  fails("step --peer jax-js --loss msl", /^Cannot use --loss: it must be sft .*, got msl$/);
  fails("decode --beam", /^Cannot use --beam: it must have a value, as in --beam <n>, got none$/);
  fails("memory --colour", /^Cannot use the command line: .*, got --colour$/);
  fails("bench --only cooking", /^Cannot use --only: .*, got cooking$/);
});

for (const loss of batchLosses) {
  test(`a training step in float32 follows the float64 reference over ten steps: ${loss}`, async () => {
    const [device, reference] = [cpu(), cpu({ float: "float64" })];
    using ours = trainingSteps(device, "tiny", loss);
    using exact = trainingSteps(reference, "tiny", loss);
    for (let step = 1; step <= 10; step++) {
      const [value, expected] = [await ours.next(), await exact.next()];
      const off = Math.abs(value - expected) / expected;
      assert.ok(off < 1e-4, `step ${step}: ${value}, exactly ${expected}`);
    }
  });
}
