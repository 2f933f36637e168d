/** Running means that stay on the device: of scalars and of gradients. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, DisposedError, ShapeError } from "../../core/errors.ts";
import { GradientMean } from "../../models/gradient_mean.ts";
import { Meter } from "../../models/meter.ts";
import { onEachDevice } from "../devices.ts";

onEachDevice(
  "meter: a value added while a mean is read counts for the next one",
  async (device) => {
    const meter = new Meter(device);
    meter.add(device.tensor(1));
    meter.add(device.tensor(2));
    const first = meter.take(2);
    meter.add(device.tensor(5));
    assert.equal(await first, 1.5);
    assert.equal(await meter.take(1), 5);
    meter.dispose();
    await assert.rejects(meter.take(1), DisposedError);
  },
);

onEachDevice("gradient mean: a batch of NaN is gone with the next mean", async (device) => {
  const mean = new GradientMean({ w: device.tensor([0, 0]) });
  for (
    const [batches, expected] of [
      [[[NaN, 1], [1, 1]], [NaN, 1]],
      [[[2, 4]], [2, 4]],
      [[[2, Infinity]], [2, Infinity]],
      [[[2, 4], [4, 0]], [3, 2]],
    ]
  ) {
    mean.begin(batches.length);
    for (const batch of batches as number[][]) mean.add({ w: device.tensor(batch) });
    assert.deepEqual([...await mean.total.w.data()], expected);
  }
  mean.dispose();
});

test("gradient mean: what it refuses", () => {
  const device = cpu();
  using mean = new GradientMean({ w: device.tensor([0, 0]), b: device.tensor([0]) });
  for (const count of [0, -1, 1.5, NaN, Infinity, "2" as unknown as number]) {
    assert.throws(() => mean.begin(count), ArgumentError);
  }
  mean.begin(1);
  const b = device.tensor([1]);
  assert.throws(() => mean.add({ w: b, b }), {
    name: "ShapeError",
    message: "Cannot average gradients: the gradient of w must be of shape (2), got w (1)",
  });
  assert.throws(() => mean.add({ w: device.tensor([1, 2]) } as never), ShapeError);
});
