/** The devices that tests run on. */
import process from "node:process";
import { test } from "node:test";
import { cpu } from "../core/cpu_backend.ts";
import type { Device } from "../core/tensor.ts";
import { DeviceError } from "../core/errors.ts";
import { openDevice } from "../lab/devices.ts";

/**
 * A device of a test file: `test(name, { skip }, async () => { const device = await open(); ...
 * })`.
 */
export interface TestDevice {
  /** What tests call it. */
  readonly name: "cpu float32" | "cpu float64" | "webgpu";
  /** Why it cannot be had here, or false. */
  readonly skip: string | false;
  /** The device, one for all tests of a file. */
  open(): Promise<Device>;
}

/** The webgpu device, or why there is none. `BEARGRAD_REQUIRE_WEBGPU` makes it required. */
const webgpu: Device | string = await openDevice("webgpu").catch((error: unknown) => {
  if (!(error instanceof DeviceError) || process.env.BEARGRAD_REQUIRE_WEBGPU) throw error;
  return error.message;
});

/** Every device. */
export const testDevices: readonly TestDevice[] = [
  { name: "cpu float32", skip: false, open: once(() => Promise.resolve(cpu())) },
  {
    name: "cpu float64",
    skip: false,
    open: once(() => Promise.resolve(cpu({ float: "float64" }))),
  },
  {
    name: "webgpu",
    skip: typeof webgpu === "string" && webgpu,
    open: () => Promise.resolve(webgpu as Device),
  },
];

/** Tests `body` on each device. What it makes is freed at its end. */
export function onEachDevice(
  title: string,
  body: (device: Device) => Promise<void> | void,
  devices: readonly TestDevice[] = testDevices,
): void {
  for (const { name, skip, open } of devices) {
    test(`${title} on ${name}`, { skip }, async () => {
      const device = await open();
      using _scope = device.arena();
      await body(device);
    });
  }
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => made ??= make();
}
