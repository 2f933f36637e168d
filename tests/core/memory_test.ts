/** Lifetimes of tensors, and the memory that captured steps share. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Backend, BackendStats, Launch, Memory, Program, Region } from "../../core/backend.ts";
import { capture, type HostTensor } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { BackendDevice } from "../../core/device.ts";
import { hostArray, type TypedArray } from "../../core/dtype.ts";
import { DeviceError } from "../../core/errors.ts";
import { planSlots } from "../../core/recording.ts";
import type { Tensor } from "../../core/tensor.ts";
import { sum } from "../../ops/reduce.ts";
import { onEachDevice } from "../devices.ts";
import { affine, mulSame } from "./harness.ts";

test("arena: what is made inside is freed when it closes, and errors say what it was", async () => {
  const device = cpu();
  const outside = device.tensor([1]);
  let made: Tensor;
  {
    using _scope = device.arena();
    made = affine(outside, 2);
  }
  assert.deepEqual([...await outside.data()], [1]);
  const expected = {
    name: "DisposedError",
    message:
      "Cannot read a tensor of shape (1) from affine: it must be alive, but its memory was freed",
  };
  await assert.rejects(made.data(), expected);
  await assert.rejects(device.read([outside, made]), expected);
  assert.throws(
    () => affine(made, 2),
    /^DisposedError: Cannot run affine on a tensor of shape \(1\) from affine/,
  );
  assert.throws(
    () => device.write(made, Float32Array.of(1)),
    /Cannot write to a tensor of shape \(1\) from affine/,
  );
});

test("arena: out of memory on the cpu, the error counts what is alive and names arenas", () => {
  const device = cpu();
  const x = device.tensor([1, 2]);
  for (let i = 0; i < 5; i++) affine(x, i);
  {
    using _scope = device.arena();
    for (let i = 0; i < 9; i++) device.empty([2], "int32", "freed before");
  }
  mulSame(x, x);
  using _step = capture(device, ({ y }: { y: Tensor }) => affine(affine(y, 1), 2));
  _step({ y: { data: Float32Array.of(1), shape: [1] } });
  assert.throws(() => device.empty([2 ** 30]), (error: Error) => {
    const [message, census] = error.message.replace(/\d+ are in use/, "N are in use").split(
      "; ",
      2,
    );
    assert.equal(error.name, "DeviceError");
    assert.equal(
      message,
      "Cannot allocate 4294967296 bytes on the cpu device: " +
        "at most 4294967296 fit, and N are in use",
    );
    assert.equal(census, "tensors alive: 7 (5 from affine, 1 from device.tensor, 1 from mulSame)");
    return /; those made below `using scope = device.arena\(\)` are freed at the end of its block$/
      .test(error.message);
  });
});

test("memory: a free block at the end grows, and the error counts what is in use", () => {
  const device = cpu();
  device.empty([1e6]).dispose();
  device.empty([1.5e6]).dispose();
  assert.ok(device.stats.heldBytes < 6.2e6, `${device.stats.heldBytes}`);
  const kept = device.empty([1000]);
  device.empty([1.5e6]).dispose();
  assert.throws(() => device.empty([2 ** 30]), /at most 4294967296 fit, and 4032 are in use/);
  kept.dispose();
});

test("arena: a kept tensor moves to the enclosing arena, or to none", async () => {
  const device = cpu();
  let kept: Tensor;
  let moved: Tensor;
  {
    using outer = device.arena();
    {
      using inner = device.arena();
      kept = inner.keep(device.tensor([5]));
      moved = inner.keep(device.tensor([7]));
    }
    assert.deepEqual((await device.read([kept, moved])).map(([x]) => x), [5, 7]);
    const sibling = device.tensor([6]);
    {
      using inner = device.arena();
      inner.keep(sibling); // belongs to the outer arena and stays there
    }
    outer.keep(kept);
  }
  assert.deepEqual([...await kept.data()], [5]);
  await assert.rejects(moved.data(), { name: "DisposedError" });
  const { liveBytes } = device.stats;
  kept.dispose();
  kept.dispose();
  assert.ok(device.stats.liveBytes < liveBytes);
});

test("arena: closing an outer arena closes those inside it", async () => {
  const device = cpu();
  const outer = device.arena();
  const inner = device.arena();
  const made = device.tensor([1]);
  outer[Symbol.dispose]();
  await assert.rejects(made.data(), { name: "DisposedError" });
  inner[Symbol.dispose]();
  const later = device.tensor([2]);
  assert.deepEqual([...await later.data()], [2]);
});

onEachDevice("arena: memory stays flat over 100 eager steps", async (device) => {
  const weights = device.tensor(new Float64Array(300).fill(1));
  const step = (i: number): void => {
    using _scope = device.arena();
    let x = device.tensor(new Float64Array(300).fill(i));
    for (let layer = 0; layer < 4; layer++) x = affine(x, 0.5, layer);
    affine(weights, i);
    device.tensor([i]).dispose();
  };
  for (let i = 0; i < 3; i++) step(i);
  await weights.data();
  const { liveBytes, heldBytes } = device.stats;
  for (let i = 0; i < 100; i++) step(i);
  await weights.data();
  assert.equal(device.stats.liveBytes, liveBytes);
  assert.equal(device.stats.heldBytes, heldBytes);
});

interface Sized {
  readonly bytes: number;
}

/** Launches over a few storages of different sizes, some from outside. */
const plans = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 12 }),
  picks: fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), { maxLength: 20 }),
  outside: fc.array(fc.nat(), { maxLength: 4 }),
}).map(({ sizes, picks, outside }) => {
  const storages = sizes.map((bytes): Sized => ({ bytes }));
  const pick = (i: number): Sized => storages[i % storages.length];
  const transients = new Set(storages);
  for (const i of outside) transients.delete(pick(i));
  return { launches: picks.map((l) => l.map(pick)), transients };
});

test("plan: overlapping lifetimes never share a slot, and slots are large enough", () => {
  fc.assert(
    fc.property(plans, ({ launches, transients }) => {
      const { bytes, slotOf } = planSlots(launches, transients);
      const lifetimes = new Map([...transients].map((s) => {
        const uses = launches.flatMap((l, i) => l.includes(s) ? [i] : []);
        return [s, { first: uses[0], last: uses.at(-1) as number }];
      }));
      for (const [storage, mine] of lifetimes) {
        const slot = slotOf.get(storage);
        assert.equal(slot === undefined, mine.first === undefined);
        if (slot === undefined) continue;
        assert.ok(bytes[slot] >= storage.bytes);
        for (const [other, theirs] of lifetimes) {
          if (other === storage || slotOf.get(other) !== slot) continue;
          assert.ok(mine.last < theirs.first || theirs.last < mine.first);
        }
      }
      for (const storage of slotOf.keys()) assert.ok(transients.has(storage));
    }),
    { numRuns: 300 },
  );
});

test("plan: slots are as few and as small as they can be", () => {
  const planned = (sizes: number[], launches: number[][]): readonly number[] => {
    const storages = sizes.map((bytes): Sized => ({ bytes }));
    return planSlots(launches.map((l) => l.map((i) => storages[i])), new Set(storages)).bytes;
  };
  const chain = Array.from({ length: 9 }, (_, i) => [i, i + 1]);
  assert.deepEqual(planned(Array(10).fill(8), chain), [8, 8]);
  // A small intermediate that lives long does not take the slot of a large one,
  assert.deepEqual(planned([100, 100, 100, 4], [[0], [3], [1, 3], [2, 3]]), [100, 4]);
  // and of two free slots it takes the smaller one.
  const [large, medium, small] = [100, 50, 40].map((bytes): Sized => ({ bytes }));
  const { slotOf } = planSlots([[large, medium], [small]], new Set([large, medium, small]));
  assert.equal(slotOf.get(small), slotOf.get(medium));
});

/** (3 x + 1) (2 x) + 5, by way of three intermediates of the size of x. */
function polynomial({ x }: { readonly x: Tensor }): Tensor {
  return affine(mulSame(affine(x, 3, 1), affine(x, 2)), 1, 5);
}

const value = (x: number): number => (3 * x + 1) * 2 * x + 5;

const filled = (n: number, x: number): { readonly x: HostTensor } => ({
  x: { data: new Float32Array(n).fill(x), shape: [n] },
});

onEachDevice("scratch: steps of many shapes run in any order", async (device) => {
  const before = device.stats.liveBytes;
  const step = capture(device, polynomial);
  for (const n of [64, 4096, 16, 64, 8192, 16, 4096, 64]) {
    assert.deepEqual(new Set(await step(filled(n, 0.25)).data()), new Set([value(0.25)]));
  }
  const small = step(filled(8, 0.5));
  const large = step(filled(10_000, -1)); // leaves the outputs of the small one alone
  assert.deepEqual([...await small.data()], Array(8).fill(value(0.5)));
  assert.equal((await large.data())[9999], value(-1));
  step.dispose();
  assert.equal(device.stats.liveBytes, before);
});

test("scratch: many shapes need as much as the largest", () => {
  const device = cpu();
  const bytes = (sizes: number[]): number => {
    const before = device.stats.liveBytes;
    using step = capture(device, polynomial);
    for (const n of sizes) step(filled(n, 0));
    // An input and an output for each shape, of 4 bytes an element.
    return device.stats.liveBytes - before - sizes.reduce((sum, n) => sum + 8 * n, 0);
  };
  const sizes = [1, 2, 3, 4, 5, 6, 7, 8].map((k) => k * 1024);
  assert.equal(bytes([8192]), 3 * 4 * 8192);
  assert.equal(bytes(sizes), bytes([8192]));
});

test("scratch: a step that does not fit leaves the others whole", async () => {
  const device = cpu();
  using step = capture(device, polynomial);
  step(filled(1000, 0));
  const { liveBytes } = device.stats;
  // 4 GiB of intermediates are more than the device has.
  const wide = capture(device, () => sum(affine(device.empty([2 ** 16, 2 ** 14]), 1)));
  assert.throws(() => wide({}), /^DeviceError: Cannot allocate/);
  assert.equal((await step(filled(1000, 2)).data())[999], value(2));
  assert.equal(device.stats.liveBytes, liveBytes);
});

/** Memory that knows whether it is released. */
interface Block extends Memory {
  readonly data: Float32Array;
  live: boolean;
}

/** Keeps every block apart, refuses to use released ones, and fails on request. */
class FaultyBackend implements Backend {
  readonly kind = "cpu" as const;
  readonly adapter = "faulty";
  readonly software = true;
  readonly float = "float32" as const;
  readonly stats: BackendStats = {
    launches: 0,
    sharedLaunches: 0,
    submits: 0,
    downloads: 0,
    liveBytes: 0,
    heldBytes: 0,
  };
  /** How many allocations succeed. */
  room = Infinity;
  /** Whether the next compilation fails. */
  failing = false;

  allocate(bytes: number): Block {
    if (this.room-- <= 0) throw new DeviceError("Cannot allocate: no room");
    this.stats.liveBytes += bytes;
    return { bytes, data: new Float32Array(bytes / 4), live: true };
  }

  part(): Memory {
    throw new Error("not needed");
  }

  release(memory: Memory): void {
    const block = memory as Block;
    assert.ok(block.live, "released once");
    block.live = false;
    this.stats.liveBytes -= block.bytes;
  }

  upload(memory: Memory, data: TypedArray | Uint16Array): void {
    (memory as Block).data.set(data as TypedArray);
  }

  download(regions: readonly Region[]): Promise<TypedArray[]> {
    return Promise.resolve(regions.map((region) => {
      const out = hostArray(region.dtype, region.size);
      out.set(viewOf(region));
      return out;
    }));
  }

  launch(launch: Launch): void {
    this.compile([launch]).run();
  }

  compile(launches: readonly Launch[]): Program {
    if (this.failing) {
      this.failing = false;
      throw new DeviceError("Cannot compile: something failed before");
    }
    const bound = launches.map(({ kernel, regions, params }) => {
      const blocks = regions.map(({ memory, size }) => ({ memory, size })); // where they are now
      const names = Object.keys(kernel.buffers);
      return (): void => {
        const buffers = names.map((name, i) => [name, viewOf(blocks[i])]);
        kernel.cpu(Object.fromEntries(buffers), params);
      };
    });
    return { run: () => bound.forEach((run) => run()), dispose: (): void => {} };
  }

  dispose(): void {}
}

function viewOf({ memory, size }: Pick<Region, "memory" | "size">): Float32Array {
  const { data, live } = memory as Block;
  assert.ok(live, "no step uses released memory");
  return data.subarray(0, size);
}

/** A small and a large step on a faulty backend. The small one has run. */
function faultySteps(): {
  readonly backend: FaultyBackend;
  readonly small: (size?: number) => Tensor;
  readonly large: (size?: number) => Tensor;
  readonly dispose: () => void;
} {
  const backend = new FaultyBackend();
  const device = new BackendDevice(backend);
  const steps = [capture(device, polynomial), capture(device, polynomial)];
  const [small, large] = steps.map((step, i) => (size = 4 + 400 * i) => step(filled(size, 3)));
  small();
  return { backend, small, large, dispose: () => steps.forEach((step) => step.dispose()) };
}

test("scratch: a step that could not follow its memory follows it the next time", async () => {
  const { backend, small, large, dispose } = faultySteps();
  large(); // the memory moves
  backend.failing = true;
  assert.throws(() => small(), DeviceError);
  assert.equal((await small().data())[3], value(3));
  backend.failing = true;
  assert.throws(() => small(8), DeviceError); // a program that was never compiled
  dispose();
  assert.equal(backend.stats.liveBytes, 0);
});

test("scratch: an allocation that fails is an error until there is room", async () => {
  const { backend, small, large, dispose } = faultySteps();
  const { liveBytes } = backend.stats;
  backend.room = 3; // the input, the output and one of three slots of the large one
  assert.throws(() => large(), DeviceError);
  assert.throws(() => small(), DeviceError);
  backend.room = Infinity;
  assert.equal((await small().data())[3], value(3));
  assert.equal(backend.stats.liveBytes, liveBytes);
  dispose();
  assert.equal(backend.stats.liveBytes, 0);
});
