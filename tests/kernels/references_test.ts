/** Every kernel against its float64 reference, on every device, on every case that it registers. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { kernels } from "../../kernels/index.ts";
import { conformanceOf } from "../../lab/device/conformance.ts";
import { testDevices } from "../devices.ts";

const withoutWasm = cpu({ wasm: false });
const plainDevice = {
  name: "cpu float32 without WebAssembly",
  skip: false as const,
  open: () => Promise.resolve(withoutWasm),
};

for (const kernel of kernels) {
  const devices = kernel.wasm ? [...testDevices, plainDevice] : testDevices;
  for (const { name, skip, open } of devices) {
    test(`reference: ${kernel.name} on ${name}`, { skip }, async () => {
      const device = await open();
      assert.deepEqual(await conformanceOf(kernel, device), { verdict: "passed" });
    });
  }
}

test("kernels: names are unique, and each has a case, at most 8 buffers and one way to be launched", () => {
  assert.equal(new Set(kernels.map((k) => k.name)).size, kernels.length);
  for (const kernel of kernels) {
    assert.ok(kernel.cases().length >= 1, kernel.name);
    assert.ok(Object.keys(kernel.buffers).length <= 8, kernel.name);
    assert.notEqual(kernel.invocations === undefined, kernel.grid === undefined, kernel.name);
  }
});

test("kernels: every file of the room that defines kernels is listed in its index", () => {
  const index = readFileSync("kernels/index.ts", "utf8");
  const files = readdirSync("kernels").filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .filter((file) => /\bdefineKernel\(/.test(readFileSync(`kernels/${file}`, "utf8")));
  assert.ok(files.includes("rms_norm.ts"));
  for (const file of files) assert.ok(index.includes(`"./${file}"`), `${file} is not listed`);
});
