/** Opening devices by name. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { openDevice } from "../../lab/devices.ts";
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
