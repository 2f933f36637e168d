/**
 * Time on the GPU, from timestamps at both ends of compute passes.
 *
 * @module
 */

// Bits of GPUBufferUsage and GPUMapMode, which not every runtime has as globals.
const MAP_READ = 1;
const COPY_SRC = 4;
const COPY_DST = 8;
const QUERY_RESOLVE = 512;
const MODE_READ = 1;

/** The most passes that are timed. */
const PASSES = 1024;

/** Adds up the time of passes. The device must have the feature `timestamp-query`. */
export class WebgpuClock {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  #passes = 0;

  /** A clock that has timed nothing yet. */
  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * PASSES });
  }

  /** What the next pass must write to be timed. */
  next(): GPUComputePassTimestampWrites | undefined {
    const at = 2 * this.#passes++;
    if (at >= 2 * PASSES) return undefined;
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: at,
      endOfPassWriteIndex: at + 1,
    };
  }

  /**
   * The milliseconds of all passes, which must have been submitted; undefined if there were none or
   * too many, if they were too short for the GPU's clock, or if it was reset. Ends the clock.
   */
  async read(): Promise<number | undefined> {
    const device = this.#device;
    const size = 16 * this.#passes;
    if (this.#passes === 0 || this.#passes > PASSES) return void this.#queries.destroy();
    const resolved = device.createBuffer({ size, usage: QUERY_RESOLVE | COPY_SRC });
    const staging = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
    try {
      const encoder = device.createCommandEncoder();
      encoder.resolveQuerySet(this.#queries, 0, 2 * this.#passes, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(MODE_READ);
      const times = new BigUint64Array(staging.getMappedRange());
      let total = 0;
      for (let i = 0; i < times.length; i += 2) {
        if (times[i + 1] < times[i]) return undefined;
        total += Number(times[i + 1] - times[i]);
      }
      return total === 0 ? undefined : total / 1e6;
    } finally {
      for (const made of [this.#queries, resolved, staging]) made.destroy();
    }
  }
}
