/**
 * Stochastic gradient descent with momentum, in place, on N elements. With g = grad + decay param:
 *
 *   velocity = momentum velocity + g,   param = param - lr velocity
 *
 * or, with Nesterov's momentum, param = param - lr (g + momentum velocity).
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";

/** One step; lr holds one number. One invocation four elements. */
export const sgdUpdate = defineKernel({
  name: "sgdUpdate",
  buffers: {
    param: "update float4",
    velocity: "update float4",
    grad: "read float4",
    lr: "read float",
  },
  params: { N: "u32", momentum: "f32", decay: "f32", nesterov: "u32" },
  cpu({ param, velocity, grad, lr }, { N, momentum, decay, nesterov }): void {
    for (let i = 0; i < N; i++) {
      const g = grad[i] + decay * param[i];
      const next = momentum * velocity[i] + g;
      velocity[i] = next;
      param[i] -= lr[0] * (nesterov ? g + momentum * next : next);
    }
  },
  invocations: ({ N }) => N / 4,
  wgsl: `
fn kernel(i: u32) {
  let g = grad[i] + p.decay * param[i];
  let next = p.momentum * velocity[i] + g;
  velocity[i] = next;
  param[i] -= lr[0] * select(next, g + p.momentum * next, p.nesterov == 1u);
}`,
  cases: () =>
    [0, 1].map((nesterov) => ({
      name: nesterov ? "Nesterov's momentum" : "momentum",
      params: { N: 12, momentum: 0.9, decay: 0.1, nesterov },
      buffers: { param: noise(12, 1), velocity: noise(12, 2), grad: noise(12, 3), lr: [0.05] },
    })),
});
