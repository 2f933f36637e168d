/**
 * Pointwise maths of one operand: out_i = f(x_i).
 *
 * Every function is written once for the reference and once for WGSL, as an expression that means
 * the same on f32 and on vec4f, which it calls F.
 *
 * @module
 */
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { noise, SPECIAL } from "./cases.ts";
import { mapTable, normalCdf, sigmoid, softplus, wgslMaths } from "./maths.ts";
import { type Vectorised, vectorised, type Width } from "./pick.ts";

/** A function of one number, in both languages. */
interface Unary {
  readonly js: (x: number) => number;
  readonly wgsl: string;
  /** Where the reference test draws x from. Default [-1, 1). */
  readonly domain?: readonly [number, number];
}

const UNARY = {
  neg: { js: (x) => -x, wgsl: "-x" },
  abs: { js: Math.abs, wgsl: "abs(x)" },
  exp: { js: Math.exp, wgsl: "expOf(x)", domain: [-20, 5] },
  log: { js: Math.log, wgsl: "logOf(x)", domain: [0.001, 4] },
  sqrt: { js: Math.sqrt, wgsl: "sqrt(x)", domain: [0, 4] },
  square: { js: (x) => x * x, wgsl: "x * x" },
  tanh: { js: Math.tanh, wgsl: "tanhOf(x)", domain: [-100, 100] },
  sigmoid: { js: sigmoid, wgsl: "sigmoidOf(x)", domain: [-100, 100] },
  relu: { js: (x) => Math.max(x, 0), wgsl: "maxOf(x, F(0.0))" },
  silu: { js: (x) => x * sigmoid(x), wgsl: "x * sigmoidOf(x)", domain: [-100, 100] },
  softplus: { js: softplus, wgsl: "softplusOf(x)", domain: [-100, 100] },
  logSigmoid: { js: (x) => -softplus(-x), wgsl: "-softplusOf(-x)", domain: [-100, 100] },
  gelu: { js: (x) => x * normalCdf(x), wgsl: "x * normalCdf(x)", domain: [-10, 10] },
  sin: { js: Math.sin, wgsl: "sinOf(x)", domain: [-10000, 10000] },
  cos: { js: Math.cos, wgsl: "cosOf(x)", domain: [-10000, 10000] },
} as const satisfies Record<string, Unary>;

/** out = f(x) on n elements. */
export type UnaryKernel = Kernel<
  { readonly x: "read float" | "read float4"; readonly out: "write float" | "write float4" },
  { readonly n: "u32" }
>;

function unaryKernel(
  name: string,
  { js, wgsl, domain = [-1, 1] }: Unary,
  { lanes, element, F }: Width,
): UnaryKernel {
  return defineKernel({
    name: `${name} ${element}`,
    buffers: { x: `read ${element}`, out: `write ${element}` },
    params: { n: "u32" },
    cpu({ x, out }, { n }): void {
      for (let i = 0; i < n; i++) out[i] = js(x[i]);
    },
    invocations: ({ n }) => n / lanes,
    wgsl: `${wgslMaths(F)}
fn kernel(i: u32) {
  let x = x[i];
  out[i] = ${wgsl};
}`,
    cases: () => [
      {
        name: `${domain[0]} to ${domain[1]}`,
        params: { n: 64 },
        buffers: {
          x: noise(64, 1).map((u) => domain[0] + (domain[1] - domain[0]) * (u + 1) / 2),
          out: 64,
        },
      },
      { name: "special numbers", params: { n: 8 }, buffers: { x: SPECIAL, out: 8 } },
    ],
  });
}

/** The parameters of an exponent. A float32 cannot always tell whether it is whole, or odd. */
export const exponentParams = (
  exponent: number,
): { exponent: number; whole: number; odd: number } => ({
  exponent,
  whole: Number(Math.floor(exponent) === exponent),
  odd: Number(Math.abs(exponent) % 2 === 1),
});

/**
 * x^e on n elements. A finite negative x needs a whole e, whose parity decides the sign; else the
 * power is NaN.
 */
export const power = defineKernel({
  name: "power",
  buffers: { x: "read float", out: "write float" },
  params: { n: "u32", exponent: "f32", whole: "u32", odd: "u32" },
  cpu({ x, out }, { n, exponent }): void {
    for (let i = 0; i < n; i++) out[i] = Math.pow(x[i], exponent);
  },
  invocations: ({ n }) => n,
  wgsl: `
const INFINITE = 0x7f800000u;
const NAN = 0x7fc00000u;
fn kernel(i: u32) {
  let e = p.exponent;
  let size = bitcast<u32>(x[i]) & 0x7fffffffu; // the bits of |x|
  let negative = bitcast<u32>(x[i]) != size;
  var y = pow(abs(x[i]), e);
  if (e == 0.0) {
    y = 1.0;
  } else if (size > INFINITE) {
    y = x[i];
  } else if (size == 0u || size == INFINITE) { // e < 0 makes one of the other
    y = bitcast<f32>(select(size, size ^ INFINITE, e < 0.0));
  } else if (negative && p.whole == 0u) {
    y = bitcast<f32>(size | NAN);
  }
  out[i] = select(y, -y, negative && p.odd == 1u);
}`,
  cases: () =>
    [2, 3, -1, -2, 0, 1.5, -0.5, 0.5].map((exponent) => ({
      name: `exponent ${exponent}`,
      params: { n: 13, ...exponentParams(exponent) },
      buffers: { x: [...SPECIAL, -2, -0.5, 0.25, 2, 3], out: 13 },
    })),
});

/** int to float. */
export const intToFloat = defineKernel({
  name: "intToFloat",
  buffers: { x: "read int", out: "write float" },
  params: { n: "u32" },
  cpu({ x, out }, { n }): void {
    for (let i = 0; i < n; i++) out[i] = x[i];
  },
  invocations: ({ n }) => n,
  wgsl: `fn kernel(i: u32) { out[i] = f32(x[i]); }`,
  cases: () => [{ name: "signs", params: { n: 4 }, buffers: { x: [-7, 0, 3, 1 << 20], out: 4 } }],
});

/** float to int, towards zero. Beyond 32 bits it is the nearest integer there is; NaN becomes 0. */
export const floatToInt = defineKernel({
  name: "floatToInt",
  buffers: { x: "read float", out: "write int" },
  params: { n: "u32" },
  cpu({ x, out }, { n }): void {
    for (let i = 0; i < n; i++) out[i] = Math.max(-(2 ** 31), Math.min(x[i], 2 ** 31 - 1));
  },
  invocations: ({ n }) => n,
  wgsl: `
fn kernel(i: u32) {
  let x = x[i];
  let inside = i32(clamp(x, -0x1p31, 0x1.fffffep30));
  let known = (bitcast<u32>(x) & 0x7fffffffu) <= 0x7f800000u; // not NaN
  out[i] = select(0, select(inside, 0x7fffffff, x >= 0x1p31), known);
}`,
  cases: () => [
    {
      name: "rounds towards zero",
      params: { n: 5 },
      buffers: { x: [-1.75, -0.5, 0, 0.9375, 1000.5], out: 5 },
    },
    {
      name: "saturates",
      params: { n: 8 },
      buffers: {
        x: [NaN, Infinity, -Infinity, 2 ** 31, -(2 ** 31), 3e9, -1e30, 2 ** 31 - 128],
        out: 8,
      },
    },
  ],
});

/** Unary functions by name. */
export const unary: Readonly<Record<keyof typeof UNARY, Vectorised<UnaryKernel>>> = mapTable(
  UNARY,
  (name, f) => vectorised((width) => unaryKernel(name, f, width)),
);

/** The table's kernels, for registration. */
export const unaryKernels: readonly UnaryKernel[] = Object.values(unary).flat();
