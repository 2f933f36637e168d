/**
 * Pointwise maths: out_i = f(x_i), and out_i = f(a_i, b_i) with broadcasting.
 *
 * Broadcasting is by strides: an output index is split along at most four axes (adjacent axes that both operands
 * walk alike are merged beforehand), and a stretched axis has stride 0.
 *
 * @module
 */
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { ramp } from "./cases.ts";

/** A function of one number, in both languages. */
interface Unary {
  readonly js: (x: number) => number;
  readonly wgsl: string;
  /** Where the twin test draws x from; [-1, 1) unless told. */
  readonly domain?: readonly [number, number];
}

/** A function of two numbers, in both languages. */
interface Binary {
  readonly js: (a: number, b: number) => number;
  readonly wgsl: string;
}

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Every unary function, by name. */
const UNARY = {
  abs: { js: Math.abs, wgsl: "abs(x)" },
  exp: { js: Math.exp, wgsl: "exp(x)", domain: [-20, 20] },
  log: { js: Math.log, wgsl: "log(x)", domain: [0.001, 4] },
  sqrt: { js: Math.sqrt, wgsl: "sqrt(x)", domain: [0, 4] },
  tanh: { js: Math.tanh, wgsl: "tanh(clamp(x, -15.0, 15.0))", domain: [-20, 20] },
  sigmoid: { js: sigmoid, wgsl: "1.0 / (1.0 + exp(-x))", domain: [-20, 20] },
  softplus: {
    js: softplus,
    wgsl: "max(x, 0.0) + log(1.0 + exp(-abs(x)))",
    domain: [-20, 20],
  },
} as const satisfies Record<string, Unary>;

/** Every binary function, by name. Comparisons give 1 or 0. */
const BINARY = {
  add: { js: (a, b) => a + b, wgsl: "a + b" },
  sub: { js: (a, b) => a - b, wgsl: "a - b" },
  mul: { js: (a, b) => a * b, wgsl: "a * b" },
  div: { js: (a, b) => a / b, wgsl: "a / b" },
} as const satisfies Record<string, Binary>;
