/** The threads of the cpu device: that sharing a kernel's items changes no bit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { Threads, type WorkerConstructor } from "../../core/cpu_threads.ts";
import { ArgumentError } from "../../core/errors.ts";
import { defineKernel, type Kernel } from "../../core/kernel.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { kernels } from "../../kernels/index.ts";
import { run, solve } from "../../lab/device/conformance.ts";
import { sameBits } from "./harness.ts";

const alone = cpu({ threads: 1 });
const shared = cpu({ threads: 3, Worker });

/** The kernel, with work enough to be shared. */
function busy(kernel: Kernel): Kernel {
  return { ...kernel, wasm: kernel.wasm && { ...kernel.wasm, work: () => Infinity } };
}

/** Launches until the workers are up. */
async function warmUp(device: Device, kernel: Kernel): Promise<void> {
  const cases = solve(kernel, device).slice(0, 1);
  for (let i = 0; i < 100 && device.stats.sharedLaunches === 0; i++) {
    await run(busy(kernel), cases, device);
    await setTimeout(50);
  }
}

for (const kernel of kernels) {
  if (!kernel.wasm) continue;
  test(`threads: ${kernel.name} has the same bits however its items are shared`, {
    timeout: 60000,
  }, async () => {
    await warmUp(shared, kernel);
    const cases = solve(kernel, shared);
    const expected = await run(busy(kernel), cases, alone);
    const before = shared.stats.sharedLaunches;
    assert.ok(sameBits(await run(busy(kernel), cases, shared), expected));
    assert.equal(shared.stats.sharedLaunches - before, cases.length, "all must have been shared");
  });
}

test("threads: a device alone shares nothing", () => {
  assert.equal(alone.stats.sharedLaunches, 0);
});

/**
 * Two functions of an address, two items and a scratch address: `trap` is `unreachable`, `fine`
 * does nothing. It imports memory 1 65536 shared as env.memory. By the sections of the WebAssembly
 * specification, one a line.
 */
const TRAPS = btoa(String.fromCharCode(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 8, 1, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 0], // types: (i32, i32, i32, i32) -> ()
  ...[2, 18, 1, 3, 0x65, 0x6e, 0x76, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 3, 1, 0x80, 0x80, 4],
  ...[3, 3, 2, 0, 0],
  ...[7, 15, 2, 4, 0x74, 0x72, 0x61, 0x70, 0, 0, 4, 0x66, 0x69, 0x6e, 0x65, 0, 1], // exports
  ...[10, 8, 2, 3, 0, 0, 0x0b, 2, 0, 0x0b], // code
));
const module = { variants: [TRAPS], scratchBytes: 64 };

/** A kernel of one buffer that is one of these functions. */
const kernelOf = (name: "trap" | "fine") =>
  defineKernel({
    name: `the ${name} kernel`,
    buffers: { x: "update float" },
    params: {},
    cpu() {},
    wasm: { module, function: name, args: ({ x }) => [x], items: () => 8, work: () => Infinity },
    invocations: () => 1,
    wgsl: "fn kernel(i: u32) {}",
    cases: () => [],
  });

/** A device with a worker that is up, and a tensor on it. */
async function twoThreads(): Promise<{ device: Device; buffers: { x: Tensor } }> {
  const device = cpu({ threads: 2, Worker });
  const buffers = { x: device.tensor([1]) };
  for (let i = 0; i < 100 && device.stats.sharedLaunches === 0; i++) {
    device.run(kernelOf("fine"), buffers, {});
    await setTimeout(20);
  }
  assert.ok(device.stats.sharedLaunches > 0);
  return { device, buffers };
}

test("threads: a kernel that traps is named, and the next one is not charged for it", async () => {
  const one = cpu();
  for (
    const { device, buffers } of [
      { device: one, buffers: { x: one.tensor([1]) } },
      await twoThreads(),
    ]
  ) {
    for (let i = 0; i < 3; i++) {
      assert.throws(() => device.run(kernelOf("trap"), buffers, {}), {
        name: "DeviceError",
        message: /^Cannot run the trap kernel: its WebAssembly version must not trap, got: [^\n]+$/,
      });
      device.run(kernelOf("fine"), buffers, {});
    }
    device.dispose();
  }
});

test("threads: a disposed device refuses, and waits for nobody", async () => {
  const { device, buffers } = await twoThreads();
  const step = capture(device, () => (device.run(kernelOf("fine"), buffers, {}), buffers));
  step({});
  const scope = device.arena();
  device.tensor([2]);
  device.dispose();
  device.dispose();
  const gone = {
    name: "DeviceError",
    message: "Cannot use the cpu device: it must be open, but it was disposed",
  };
  const { wait } = Atomics;
  Atomics.wait = () => {
    throw new Error("it waits for workers that have ended");
  };
  try {
    assert.throws(() => device.run(kernelOf("fine"), buffers, {}), gone);
    assert.throws(() => step({}), gone);
    assert.throws(() => device.tensor([1]), gone);
    assert.throws(() => device.write(buffers.x, Float32Array.of(1)), gone);
    await assert.rejects(buffers.x.data(), gone);
    scope[Symbol.dispose]();
    step.dispose();
    assert.deepEqual([device.stats.liveBytes, device.stats.heldBytes], [0, 0]);
  } finally {
    Atomics.wait = wait;
  }
});

test("threads: workers that have ended leave all of a function to the caller", async () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const bytes = Uint8Array.from(atob(TRAPS), (char) => char.charCodeAt(0));
  const items: number[][] = [];
  const exports = { fine: (_: number, ...range: number[]) => void items.push(range) };
  const threads = new Threads(Worker, bytes, memory, exports, [0, 0]);
  for (let i = 0; i < 100 && !threads.run("fine", [0], 8); i++) await setTimeout(20);
  threads.dispose();
  items.length = 0;
  const { wait } = Atomics;
  Atomics.wait = () => {
    throw new Error("it waits for workers that have ended");
  };
  try {
    assert.equal(threads.run("fine", [0], 8), false);
    assert.deepEqual(items, [[0, 8, 0]]);
  } finally {
    Atomics.wait = wait;
  }
});

/** What a worker that cannot start is made from: its source, or in browsers the URL of that. */
const BROKEN = "on" in Worker.prototype
  ? "throw new Error('broken')"
  : "data:text/javascript,throw new Error('broken')";

test("threads: a worker that cannot start leaves the work to the caller", async () => {
  class Broken extends Worker {
    constructor(_: string, options: ConstructorParameters<typeof Worker>[1]) {
      super(BROKEN, options);
    }
  }
  const device = cpu({ threads: 2, Worker: Broken });
  const x = device.tensor([1]);
  for (let i = 0; i < 5; i++) {
    device.run(kernelOf("fine"), { x }, {});
    await setTimeout(50);
  }
  assert.deepEqual([device.stats.launches, device.stats.sharedLaunches], [5, 0]);
});

test("threads: with workers that cannot start the others share the work, and a note says so", async () => {
  let made = 0;
  class Scarce extends Worker { // the first fails as it starts, the third cannot be made
    constructor(source: string, options: ConstructorParameters<typeof Worker>[1]) {
      if (++made === 3) throw new Error("no more");
      super(made === 1 ? BROKEN : source, options);
    }
  }
  const notes: string[] = [];
  const device = cpu({ threads: 5, Worker: Scarce, onNote: (text) => notes.push(text) });
  const x = device.tensor([1]);
  for (let i = 0; i < 100 && device.stats.sharedLaunches === 0; i++) {
    device.run(kernelOf("fine"), { x }, {});
    await setTimeout(20);
  }
  assert.ok(device.stats.sharedLaunches > 0);
  assert.equal(made, 3);
  assert.equal(notes.length, 2);
  assert.equal(notes[0], "The cpu device continues with 3 of 5 threads: no more");
  assert.match(notes[1], /^The cpu device continues with 2 of 5 threads: (.*Error: )?broken$/);
  device.dispose();
});

test("threads: what is no Worker is refused", () => {
  class NoWorker {
    terminate(): void {}
  }
  assert.throws(
    () => cpu({ threads: 2, Worker: NoWorker as unknown as WorkerConstructor }),
    /^ArgumentError: .* Worker must be that of node:worker_threads or of a browser, got another$/,
  );
});

test("threads: their number must be a positive integer", () => {
  for (const threads of [0, -1, 1.5, NaN]) {
    assert.throws(
      () => cpu({ threads, Worker }),
      (error) => error instanceof ArgumentError && error.message.includes(`got ${threads}`),
    );
  }
  assert.throws(() => cpu({ threads: 2 }), ArgumentError);
});
