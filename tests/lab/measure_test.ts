/** The report on a device: kernels against their references, and figures. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gpuTime } from "../../core/device.ts";
import { DeviceError } from "../../core/errors.ts";
import { defineKernel, type Kernel } from "../../core/kernel.ts";
import { kernels } from "../../kernels/index.ts";
import { swigluForward } from "../../kernels/swiglu.ts";
import { conformanceOf } from "../../lab/device/conformance.ts";
import { type DeviceReport, measureDevice } from "../../lab/device/measure.ts";
import { matmul } from "../../ops/matmul.ts";
import { onEachDevice, testDevices } from "../devices.ts";

const [plain, , webgpu] = testDevices;

/** Doubles x; `on` is what the WGSL does instead. */
const doubled = (on: string, grid?: readonly [number, number, number]) =>
  defineKernel({
    name: "doubled",
    buffers: { x: "read float", out: "write float" },
    params: { n: "u32" },
    cpu({ x, out }, { n }): void {
      for (let i = 0; i < n; i++) out[i] = 2 * x[i];
    },
    ...(grid ? { grid: () => grid } : { invocations: ({ n }) => n }),
    wgsl: grid ? `@compute @workgroup_size(1) fn main() { ${on} }` : `fn kernel(i: u32) { ${on} }`,
    cases: () => [{ name: "three", params: { n: 3 }, buffers: { x: [1, 2, 3], out: 3 } }],
  });

test(
  "conformance: a wrong kernel fails with its first difference",
  { skip: webgpu.skip },
  async () => {
    const device = await webgpu.open();
    const verdictOf = (on: string, grid?: readonly [number, number, number]) =>
      conformanceOf(doubled(on, grid), device);
    assert.deepEqual(await verdictOf("out[i] = 2.0 * x[i];"), { verdict: "passed" });
    assert.deepEqual(await verdictOf("out[i] = x[i] + x[i] + f32(i == 1u);"), {
      verdict: "failed",
      reason: `doubled on webgpu, "three": out[1] is 5, the reference has 4`,
    });
    assert.deepEqual(await verdictOf("out[i] = 2.0 * x[i]; out[3] = 1.0;"), {
      verdict: "failed",
      reason: `doubled on webgpu, "three": out was written past its end`,
    });
    const broken = await verdictOf("out[i] = 1u;");
    assert.equal(broken.verdict, "failed");
    assert.match("reason" in broken ? broken.reason : "", /^Cannot compile kernel doubled: /);
    const large = await verdictOf("out[0] = 2.0;", [2 ** 30, 1, 1]);
    assert.equal(large.verdict, "refused");
    assert.match(
      "reason" in large ? large.reason : "",
      /^Cannot run doubled: this adapter allows /,
    );
    assert.deepEqual(await verdictOf("out[i] = 2.0 * x[i];"), { verdict: "passed" });
  },
);

test("conformance: a wrong WebAssembly version fails on the cpu", async () => {
  const right = swigluForward[0] as unknown as Kernel;
  assert.ok(right.wasm);
  const wrong = { ...right, wasm: { ...right.wasm, items: () => 0 } };
  const verdict = await conformanceOf(wrong, await plain.open());
  assert.equal(verdict.verdict, "failed");
  assert.match(
    "reason" in verdict ? verdict.reason : "",
    /^swiglu.* on cpu, ".*": out\[0\] is -12345, the reference has /,
  );
});

test("measureDevice: every kernel is compared, and progress counts to the end", async () => {
  const seen: string[] = [];
  let last = 0;
  const report = await measureDevice(await plain.open(), {
    only: "conformance",
    onProgress(done, total, next): void {
      assert.deepEqual([done, total], [seen.length, kernels.length]);
      seen.push(next);
      last = total;
    },
  });
  assert.equal(seen.length, last);
  assert.equal(seen[0], `kernel ${kernels[0].name}`);
  assert.deepEqual(report.conformance, { passed: kernels.length, failed: [], refused: [] });
  assert.deepEqual(report.figures, []);
});

onEachDevice("measureDevice: figures, with the cpu beside it", async (device) => {
  const report = await measureDevice(device, {
    reference: await plain.open(),
    only: "640",
    seconds: 0,
  });
  const { version, device: facts, reference, conformance, figures } = JSON.parse(
    JSON.stringify(report),
  ) as DeviceReport;
  assert.equal(version, JSON.parse(readFileSync("package.json", "utf8")).version);
  assert.ok(Date.now() - Date.parse(report.date) < 600_000);
  assert.match(report.runtime, /\w/);
  assert.ok(report.cores >= 1);
  assert.equal(conformance, undefined);
  assert.deepEqual([facts.adapter, facts.software], [device.adapter, device.software]);
  assert.deepEqual(reference, { kind: "cpu", adapter: "WebAssembly SIMD", software: true });
  assert.equal(facts.gpu !== undefined, device.kind === "webgpu");
  if (facts.gpu) {
    assert.ok(facts.gpu.limits.maxStorageBuffersPerShaderStage >= 8);
    assert.ok(!Object.hasOwn(facts.gpu.limits, "constructor"));
  }
  assert.deepEqual(figures.map(({ name, per }) => [name, per]), [[
    "product 640 x 128 x 1024",
    "product",
  ]]);
  const [{ device: on, reference: beside }] = figures;
  const hasTimestamps = facts.gpu?.features.includes("timestamp-query") === true;
  for (const [side, timestamps] of [[on, hasTimestamps], [beside, false]] as const) {
    assert.ok(side && !("error" in side));
    assert.ok(side.ms >= side.leastMs && side.leastMs > 0 && side.runs === 1);
    assert.equal("gpuMs" in side, timestamps);
    const rate = 2e-6 * 640 * 128 * 1024 / (side.gpuMs ?? side.ms);
    assert.ok(Math.abs((side.gflops ?? 0) / rate - 1) < 0.01, `${side.gflops}`);
  }
});

test("measureDevice: launches of a step and of a search", async () => {
  const device = await plain.open();
  const before = device.stats.liveBytes;
  for (const [only, per] of [["step S", "step"], ["decoding", "user"]]) {
    const { figures: [figure] } = await measureDevice(device, { only, seconds: 0 });
    const { device: on } = figure;
    assert.equal(figure.per, per);
    assert.ok(!("error" in on) && on.ms > 0 && (on.launches ?? 0) > 50, JSON.stringify(figure));
  }
  assert.equal(device.stats.liveBytes, before);
});

test("measureDevice: a figure that does not fit is a line, and an abort stops", async () => {
  const device = await plain.open();
  const full = Object.create(device, {
    tensor: {
      value: () => {
        throw new DeviceError("Cannot allocate");
      },
    },
  });
  const { figures } = await measureDevice(full, { only: "640", seconds: 0 });
  assert.deepEqual(figures[0].device, { error: "Cannot allocate" });
  const abort = new AbortController();
  const onProgress = () => abort.abort();
  const signal = abort.signal;
  await assert.rejects(measureDevice(device, { only: "conformance", onProgress, signal }), {
    name: "AbortError",
  });
  await assert.rejects(measureDevice(device, { only: "cooking" }), {
    name: "ArgumentError",
    message:
      /^Cannot measure a device: only must be part of a name \(conformance; .*\), got cooking$/,
  });
});

test("gpuTime: the time on the GPU is part of the wall time", { skip: webgpu.skip }, async (t) => {
  const device = await webgpu.open();
  using _scope = device.arena();
  const a = device.tensor(new Float32Array(512 * 512), [512, 512]);
  await matmul(a, a).data();
  const began = performance.now();
  const ms = await gpuTime(device, () => matmul(a, a).data());
  const wall = performance.now() - began;
  if (ms === undefined) return t.skip("the adapter has no timestamps");
  assert.ok(ms > 0 && ms < wall, `${ms} of ${wall}`);
  assert.equal(await gpuTime(device, () => Promise.resolve()), undefined);
  assert.equal(await gpuTime(await plain.open(), () => Promise.resolve()), undefined);
});
