/**
 * Uniform random numbers in [0, 1):
 *
 *   out_i = unit(threefry(key, (i, stream))_0)
 *
 * with unit and threefry of core/random.ts; the bits are the same on every device.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { threefryInto, unit } from "../core/random.ts";
import { THREEFRY } from "./threefry.ts";

/** n numbers; one invocation each. */
export const randomUniform = defineKernel({
  name: "randomUniform",
  buffers: { key: "read int", out: "write float" },
  params: { n: "u32", stream: "u32" },
  cpu({ key, out }, { n, stream }): void {
    const words = new Uint32Array(2);
    const [key0, key1] = key;
    for (let i = 0; i < n; i++) {
      threefryInto(words, key0, key1, i, stream);
      out[i] = unit(words[0]);
    }
  },
  invocations: ({ n }) => n,
  wgsl: `${THREEFRY}
fn kernel(i: u32) {
  out[i] = unit(threefry(vec2u(u32(key[0]), u32(key[1])), vec2u(i, p.stream)).x);
}`,
  tolerance: 0,
  cases: () => [
    { name: "1,000 numbers", params: { n: 1000, stream: 0 }, buffers: { key: [7, 0], out: 1000 } },
    {
      name: "the largest words",
      params: { n: 3, stream: 0xffffffff },
      buffers: { key: [-1, -1], out: 3 },
    },
  ],
});
