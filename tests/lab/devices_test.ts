/** Opening devices by name. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { DeviceError } from "../../core/errors.ts";
import { webgpu } from "../../core/webgpu.ts";
import { openDevice } from "../../lab/devices.ts";
import { stdinArgs } from "../command.ts";
import { testDevices } from "../devices.ts";

const webgpuSkip = testDevices[2].skip;

test("devices: cpu is float32 on the cpu", async () => {
  const device = await openDevice("cpu");
  assert.equal(device.kind, "cpu");
  assert.equal(device.float, "float32");
});

test("devices: webgpu makes do with a software adapter", { skip: webgpuSkip }, async () => {
  const device = await openDevice("webgpu");
  assert.equal(device.kind, "webgpu");
  assert.equal(device.float, "float32");
  assert.notEqual(device.adapter, "");
  device.dispose();
});

test("devices: auto is webgpu on hardware and cpu elsewhere", async () => {
  const device = await openDevice("auto");
  const hardware = webgpuSkip === false && !(await openDevice("webgpu")).software;
  assert.equal(device.kind, hardware ? "webgpu" : "cpu");
});

test("devices: WebGPU that fails is a DeviceError, for auto a note and the cpu", async () => {
  const adapter = {
    info: { description: "hardware" },
    limits: {},
    features: new Set(),
    requestDevice: () => Promise.reject(new Error("no driver\nat all")),
  };
  for (const requestAdapter of [() => Promise.reject("lost"), () => Promise.resolve(adapter)]) {
    await assert.rejects(webgpu({ requestAdapter } as unknown as GPU), (error) => {
      assert.ok(error instanceof DeviceError);
      assert.match(
        error.message,
        /^Cannot open .*: request(Adapter|Device).* got: (lost|no driver)$/,
      );
      assert.notEqual(error.cause, undefined);
      return true;
    });
  }
  const module = new URL("../../lab/devices.ts", import.meta.url);
  const script = (answer: string): string =>
    `import { openDevice } from "${module}";
    const gpu = { requestAdapter: () => ${answer} };
    Object.defineProperty(navigator, "gpu", { value: gpu });
    console.log((await openDevice("auto")).kind);`;
  const run = (input: string): string[] => {
    const options = { input, encoding: "utf8" } as const;
    const { stdout, stderr } = spawnSync(process.execPath, stdinArgs(), options);
    return [stdout, stderr].map((text) => text.trim());
  };
  assert.deepEqual(run(script(`Promise.reject(new Error("lost"))`)), [
    "cpu",
    "Using the cpu.\nCannot open a webgpu device: requestAdapter must not fail, got: lost",
  ]);
  assert.deepEqual(run(script("Promise.resolve(null)")), ["cpu", ""]);
});

test("devices: Deno asks for no permission", {
  skip: !("Deno" in globalThis) && "permissions are Deno's",
}, () => {
  const module = new URL("../../lab/devices.ts", import.meta.url);
  const script = `import { openDevice } from "${module}";
    const device = await openDevice("auto");
    console.log(await device.tensor([1, 2]).data());`;
  const args = ["run", "--no-prompt", "--ext=ts", "-"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { input: script });
  assert.equal(status, 0, `${stderr}`);
  assert.match(`${stdout}`, /1, 2/);
});
