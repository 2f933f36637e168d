/** Tensors moved into one memory, and collected there by captured steps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, CaptureError, DeviceError, DTypeError } from "../../core/errors.ts";
import { defineKernel } from "../../core/kernel.ts";
import { collect, pack, packedSize } from "../../core/pack.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { onEachDevice } from "../devices.ts";
import { addInto, affine, mulSame } from "./harness.ts";

const SIZES = [1, 5, 64, 65, 300, 3];

/** 1, 2, 3, ... across tensors of `SIZES`. */
function counted(): Float64Array[] {
  let at = 0;
  return SIZES.map((size) => Float64Array.from({ length: size }, () => ++at));
}

/** What a pack of these holds. */
function expected(arrays: readonly ArrayLike<number>[]): number[] {
  return arrays.flatMap((array) => {
    const room = new Array(packedSize(array.length)).fill(0);
    Array.from(array).forEach((x, i) => room[i] = x);
    return room;
  });
}

/** Writes -12345 wherever the device may put the next tensors. */
function litter(device: Device): void {
  using _scope = device.arena();
  for (const n of [16, 64, 300, 1000, 1000]) device.tensor(new Float64Array(n).fill(-12345));
}

const swap = defineKernel({
  name: "swap",
  buffers: { a: "update float", b: "update float" },
  params: { n: "u32" },
  cpu({ a, b }, { n }): void {
    for (let i = 0; i < n; i++) [a[i], b[i]] = [b[i], a[i]];
  },
  invocations: ({ n }) => n,
  wgsl: "fn kernel(i: u32) { let x = a[i]; a[i] = b[i]; b[i] = x; }",
  cases: () => [],
});

onEachDevice("pack: tensors keep their elements, and kernels find them", async (device) => {
  litter(device);
  const values = counted();
  const tensors = values.map((v) => device.tensor(v));
  const view = tensors[2].view([8, 8]);
  const whole = pack(tensors);
  assert.deepEqual(whole.shape, [expected(values).length]);
  assert.deepEqual([...await whole.data()], expected(values));
  for (const [i, data] of (await device.read(tensors)).entries()) {
    assert.deepEqual([...data], [...values[i]]);
  }
  assert.deepEqual([...await view.data()], [...values[2]]);

  addInto(tensors[1], 1000);
  device.write(tensors[3], new Float64Array(65).fill(-7));
  device.run(swap, { a: tensors[0], b: tensors[5] }, { n: 1 });
  const doubled = affine(view, 2);
  values[1] = values[1].map((x) => x + 1000);
  values[3].fill(-7);
  [values[0][0], values[5][0]] = [values[5][0], values[0][0]];
  assert.deepEqual([...await whole.data()], expected(values));
  assert.deepEqual([...await doubled.data()], [...values[2].map((x) => 2 * x)]);
  addInto(whole, 1);
  assert.deepEqual([...await tensors[4].data()], [...values[4].map((x) => x + 1)]);
});

onEachDevice("pack: the memory is freed with the last of it", async (device) => {
  const before = device.stats.liveBytes;
  const values = counted();
  const tensors = values.map((v) => device.tensor(v));
  {
    using _scope = device.arena();
    pack(tensors);
  }
  const packed = device.stats.liveBytes;
  assert.ok(packed > before);
  tensors[4].dispose();
  tensors[4].dispose();
  litter(device);
  await assert.rejects(tensors[4].data(), { name: "DisposedError" });
  assert.deepEqual([...await tensors[3].data()], [...values[3]]);
  for (const i of [0, 1, 2, 5]) tensors[i].dispose();
  assert.equal(device.stats.liveBytes, packed);
  assert.deepEqual([...await tensors[3].data()], [...values[3]]);
  tensors[3].dispose();
  assert.equal(device.stats.liveBytes, before);
});

onEachDevice("pack: tensors that are packed again leave their old pack", async (device) => {
  const before = device.stats.liveBytes;
  const values = counted();
  const tensors = values.map((v) => device.tensor(v));
  const old = pack(tensors);
  const step = capture(device, () => affine(old, 2));
  step({});
  const newer = pack(tensors.toReversed());
  assert.deepEqual([...await newer.data()], expected(values.toReversed()));
  await assert.rejects(old.data(), {
    name: "DisposedError",
    message: `Cannot read a tensor of shape (${old.size}) from pack: it must be alive, ` +
      "but its tensors were packed again",
  });
  assert.throws(
    () => step({}),
    (e) => e instanceof CaptureError && /packed again/.test(e.message),
  );
  step.dispose();
  const half = pack(tensors.slice(0, 3));
  await assert.rejects(newer.data(), /packed again/);
  for (const tensor of tensors.slice(1)) tensor.dispose();
  assert.deepEqual([...await half.data()], expected(values.slice(0, 3)));
  assert.deepEqual([...await tensors[0].data()], [...values[0]]);
  for (const tensor of [old, newer, half, ...tensors]) tensor.dispose();
  assert.equal(device.stats.liveBytes, before);
});

onEachDevice("pack: reused memory holds any layout", async (device) => {
  for (const sizes of [[3, 200, 70], [100, 3, 170], [260, 60], [3, 200, 70]]) {
    using _scope = device.arena(); // the same memory each time
    const tensors = sizes.map((n, i) => device.tensor(new Float64Array(n).fill(i + 1)));
    const whole = pack(tensors);
    tensors.forEach((tensor, i) => addInto(tensor, 10 * i));
    const values = sizes.map((n, i) => new Float64Array(n).fill(11 * i + 1));
    assert.deepEqual([...await whole.data()], expected(values));
  }
});

onEachDevice("pack: a captured step follows tensors that moved", async (device) => {
  const [a, b] = [device.tensor([1, 2, 3]), device.tensor([10, 20, 30])];
  using step = capture(device, ({ x }: { x: Tensor }) => {
    const out = mulSame(x, b);
    addInto(b, 1);
    return { out, sum: affine(a, 2) };
  });
  const run = async (): Promise<number[][]> => {
    const { out, sum } = step({ x: { data: Float32Array.of(1, 1, 1), shape: [3] } });
    return (await device.read([out, sum])).map((array) => [...array]);
  };
  assert.deepEqual(await run(), [[10, 20, 30], [2, 4, 6]]);
  pack([a, b]);
  litter(device);
  assert.deepEqual(await run(), [[11, 21, 31], [2, 4, 6]]);
  const { liveBytes, heldBytes } = device.stats;
  for (let i = 0; i < 20; i++) {
    pack(i % 2 ? [a, b] : [b, a]).dispose();
    assert.deepEqual(await run(), [[12 + i, 22 + i, 32 + i], [2, 4, 6]]);
  }
  assert.equal(step.programs, 1);
  assert.ok(device.stats.liveBytes <= liveBytes);
  assert.ok(device.stats.heldBytes <= heldBytes + 1024);
});

onEachDevice("collect: copies outside captured steps", async (device) => {
  litter(device);
  const [a, b] = [device.tensor([1, 2, 3]), device.tensor([4, 5])];
  const whole = collect([a, b, a, b.view([1, 2])]);
  addInto(a, 10);
  assert.deepEqual([...await whole.data()], expected([[1, 2, 3], [4, 5], [1, 2, 3], [4, 5]]));
  assert.deepEqual([...await a.data()], [11, 12, 13]);
});

onEachDevice(
  "collect: a captured step writes results where they are collected",
  async (device) => {
    litter(device);
    let launches = 0;
    using step = capture(device, ({ x, y }: { x: Tensor; y: Tensor }) => {
      const [two, three] = [affine(x, 2), affine(y, 3)];
      const last = affine(two, 1, 1);
      const whole = collect([three, last, affine(x, 5)]);
      launches = 4;
      return { whole, three };
    });
    for (const shift of [0, 7, -3]) {
      const x = Float32Array.of(1 + shift, 2, 3);
      const y = Float32Array.from({ length: 65 }, (_, i) => i);
      const before = device.stats.launches;
      const { whole, three } = step({ x: { data: x, shape: [3] }, y: { data: y, shape: [65] } });
      assert.equal(device.stats.launches - before, launches);
      const values = [y.map((v) => 3 * v), x.map((v) => 2 * v + 1), x.map((v) => 5 * v)];
      assert.deepEqual([...await whole.data()], expected(values));
      assert.deepEqual([...await three.data()], [...values[0]]);
    }
  },
);

onEachDevice("collect: what a captured step cannot lay out is copied", async (device) => {
  litter(device);
  const outside = device.tensor([7, 8]);
  using step = capture(device, ({ x }: { x: Tensor }) => {
    const read = affine(x, 2); // read beside `written`: not in one memory with it
    const written = mulSame(read, x);
    const twice = affine(x, 3);
    const long = affine(x, 4);
    const part = long.view([2]);
    const first = collect([x, read, written, twice, outside, twice, part]);
    return { first, second: collect([written, first, long]) };
  });
  for (const scale of [1, -2, 10]) {
    const x = Float32Array.of(1, 2, 3).map((v) => scale * v);
    addInto(outside, 1);
    const { first, second } = step({ x: { data: x, shape: [3] } });
    const times = (k: number): Float32Array => x.map((v) => k * v);
    const written = x.map((v) => 2 * v * v);
    const flat = expected([
      ...[x, times(2), written, times(3), await outside.data(), times(3)],
      times(4).subarray(0, 2),
    ]);
    assert.deepEqual([...await first.data()], flat);
    assert.deepEqual([...await second.data()], expected([written, flat, times(4)]));
  }
});

onEachDevice("collect: random steps have the results of eager runs", async (device) => {
  const pick = fc.nat({ max: 20 });
  const program = fc.record({
    ops: fc.array(fc.tuple(fc.nat({ max: 2 }), pick, pick), { minLength: 1, maxLength: 12 }),
    collected: fc.array(fc.array(pick, { minLength: 1, maxLength: 6 }), {
      minLength: 1,
      maxLength: 3,
    }),
  });
  await fc.assert(
    fc.asyncProperty(program, async ({ ops, collected }) => {
      using _scope = device.arena();
      const outside = device.tensor([0.5, -1, 2]);
      const body = ({ x }: { x: Tensor }): Tensor[] => {
        const tensors = [x, outside];
        const at = (i: number): Tensor => tensors[i % tensors.length];
        for (const [op, i, j] of ops) {
          const scale = 0.25 * (1 + j % 5);
          tensors.push(
            op === 0
              ? affine(at(i), scale, 1)
              : op === 1
              ? mulSame(at(i), at(j))
              : at(i).view([3, 1]),
          );
        }
        return collected.map((picks) => affine(collect(picks.map(at)), 1, 0));
      };
      using step = capture(device, body);
      for (const x of [[1, 2, 3], [-1, 0.5, 0.25]]) {
        const data = Float32Array.from(x);
        const eager = body({ x: device.tensor(data) });
        const outs = step({ x: { data, shape: [3] } });
        assert.deepEqual(await device.read(outs), await device.read(eager));
      }
    }),
    { numRuns: device.kind === "webgpu" ? 12 : 100 },
  );
});

test("pack: leaves every tensor in place if it refuses one", async () => {
  const device = cpu();
  const [a, b] = [device.tensor([1, 2, 3]), device.tensor([4])];
  const gone = device.tensor([5]);
  gone.dispose();
  const captured = capture(device, () => ({ out: affine(a, 2) }))({}).out;
  const whole = pack([device.tensor([6])]);
  const before = { ...device.stats };
  const faults: [Tensor[], new (message: string) => Error, RegExp][] = [
    [[], ArgumentError, /^Cannot pack no tensors: there must be at least one, got 0$/],
    [
      [b, a, a.view([3, 1])],
      ArgumentError,
      /tensor of shape \(3, 1\) .*: no other may share its memory/,
    ],
    [[b, a.view([2])], ArgumentError, /it must be all of its memory, got 12 bytes/],
    [[b, captured], ArgumentError, /it must not belong to a captured step/],
    [[b, whole], ArgumentError, /it must not be a pack/],
    [[b, gone], Error, /^Cannot pack a tensor .* its memory was freed$/],
    [[b, device.tensor(Int32Array.of(1))], DTypeError, /all must be float32, got one of int32/],
    [[b, cpu().tensor([1])], DeviceError, /all tensors must be on one device/],
  ];
  for (const [tensors, type, message] of faults) {
    assert.throws(() => pack(tensors), (error) => {
      assert.ok(error instanceof type && message.test(error.message), `${error}`);
      return true;
    });
  }
  assert.throws(() => capture(device, () => pack([a]))({}), CaptureError);
  assert.throws(() => collect([]), /^ArgumentError: Cannot collect no tensors/);
  const integers = device.tensor(Int32Array.of(1));
  assert.throws(() => collect([integers]), DTypeError);
  assert.throws(() => collect([gone]), { name: "DisposedError" });
  integers.dispose();
  assert.equal(device.stats.liveBytes, before.liveBytes + 64); // the integers of the list
  assert.deepEqual([...await a.data(), ...await b.data()], [1, 2, 3, 4]);
  addInto(pack([b, a]), 1);
  assert.deepEqual([...await a.data(), ...await b.data()], [2, 3, 4, 5]);
});
