/** The memory that captured steps share, on a device that fails when it is told to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Backend, BackendStats, Launch, Memory, Program, Region } from "../../core/backend.ts";
import { capture } from "../../core/capture.ts";
import { BackendDevice } from "../../core/device.ts";
import { hostArray, type TypedArray } from "../../core/dtype.ts";
import { DeviceError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { affine } from "./affine.ts";

/** Memory that says whether it is somebody's. */
interface Block extends Memory {
  readonly data: Float32Array;
  live: boolean;
}

/** Keeps each memory apart, refuses to touch what was given back, and fails where it is asked to. */
class Fragile implements Backend {
  readonly kind = "cpu" as const;
  readonly adapter = "fragile";
  readonly software = true;
  readonly float = "float32" as const;
  readonly stats: BackendStats = {
    ...{ launches: 0, sharedLaunches: 0, submits: 0, downloads: 0, liveBytes: 0, heldBytes: 0 },
  };
  /** How often there will be room. */
  room = Infinity;
  /** Whether the next compilation fails. */
  spoilt = false;

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
    assert.ok(block.live, "given back once");
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
    if (this.spoilt) {
      this.spoilt = false;
      throw new DeviceError("Cannot go on: something failed before");
    }
    const bound = launches.map(({ kernel, regions, params }) => { // to the memory of now
      const blocks = regions.map(({ memory, size }) => ({ memory, size }));
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
  assert.ok(live, "no step touches memory that was given back");
  return data.subarray(0, size);
}

/** 8 x + 7, by way of two intermediates. */
const chain = ({ x }: { readonly x: Tensor }): Tensor =>
  affine(affine(affine(x, 2, 1), 2, 1), 2, 1);

const filled = (n: number) => ({ x: { data: new Float32Array(n).fill(3), shape: [n] } });

test("scratch: a step that could not follow its memory follows it the next time", async () => {
  const backend = new Fragile();
  const device = new BackendDevice(backend);
  const small = capture(device, chain);
  const large = capture(device, chain);
  small(filled(4));
  large(filled(400)); // the memory moves
  backend.spoilt = true;
  assert.throws(() => small(filled(4)), DeviceError);
  assert.equal(await small(filled(4)).data().then((x) => x[3]), 31);
  for (const step of [small, large]) step.dispose();
  assert.equal(device.stats.liveBytes, 0);
});

test("scratch: memory that has no room any more is an error of the device, until it has", async () => {
  const backend = new Fragile();
  const device = new BackendDevice(backend);
  const small = capture(device, chain);
  const large = capture(device, chain);
  small(filled(4));
  const held = device.stats.liveBytes;
  backend.room = 2; // the input and the output of the large one
  assert.throws(() => large(filled(400)), DeviceError);
  assert.throws(() => small(filled(4)), DeviceError);
  backend.room = Infinity;
  assert.equal(await small(filled(4)).data().then((x) => x[3]), 31);
  assert.equal(device.stats.liveBytes, held);
  for (const step of [small, large]) step.dispose();
  assert.equal(device.stats.liveBytes, 0);
});
