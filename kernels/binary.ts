/**
 * Pointwise maths of two operands: out_i = f(a_i, b_i), with broadcasting by strides
 * (`strides.ts`).
 *
 * Every function is written once for the reference and once for WGSL, as an expression that means
 * the same on f32, i32 and vec4f.
 *
 * @module
 */
import type { TypedArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import { integers, noise, SPECIAL } from "./cases.ts";
import { mapTable, normalCdf, normalPdf, sigmoid, wgslMaths } from "./maths.ts";
import { type Vectorised, vectorised } from "./pick.ts";
import { broadcastStrides, type WalkParams, walkParams, walkValues, wgslWalk } from "./strides.ts";
import { simd } from "./wasm/modules.ts";

/** A function of two numbers, in both languages. */
interface Binary {
  readonly row: Row;
  readonly wgsl: string;
  /** Its function for operands of one shape in the WebAssembly module. */
  readonly wasm?: string;
}

/**
 * out[o + k] = f(a[i + k da], b[j + k db]) for 0 <= k < n. A row a call, so that each function of
 * the arithmetic has a loop of its own that the runtime can optimise.
 */
type Row = (
  out: TypedArray,
  o: number,
  a: TypedArray,
  i: number,
  da: number,
  b: TypedArray,
  j: number,
  db: number,
  n: number,
) => void;

/** All pairs of special numbers. */
const PAIRS = {
  a: SPECIAL.flatMap((a) => SPECIAL.map(() => a)),
  b: SPECIAL.flatMap(() => SPECIAL),
};

const rowOf = (f: (a: number, b: number) => number): Row => (out, o, a, i, da, b, j, db, n) => {
  for (const end = o + n; o < end; o++, i += da, j += db) out[o] = f(a[i], b[j]);
};

const addRow: Row = (out, o, a, i, da, b, j, db, n) => {
  for (const end = o + n; o < end; o++, i += da, j += db) out[o] = a[i] + b[j];
};

const subRow: Row = (out, o, a, i, da, b, j, db, n) => {
  for (const end = o + n; o < end; o++, i += da, j += db) out[o] = a[i] - b[j];
};

const mulRow: Row = (out, o, a, i, da, b, j, db, n) => {
  for (const end = o + n; o < end; o++, i += da, j += db) out[o] = a[i] * b[j];
};

const divRow: Row = (out, o, a, i, da, b, j, db, n) => {
  for (const end = o + n; o < end; o++, i += da, j += db) out[o] = a[i] / b[j];
};

const ARITHMETIC = {
  add: { row: addRow, wgsl: "a + b", wasm: "add" },
  sub: { row: subRow, wgsl: "a - b" },
  mul: { row: mulRow, wgsl: "a * b" },
  maximum: { row: rowOf(Math.max), wgsl: "max(a, b)" },
  minimum: { row: rowOf(Math.min), wgsl: "min(a, b)" },
} as const satisfies Record<string, Binary>;

const FLOAT_ARITHMETIC = {
  ...ARITHMETIC,
  maximum: { row: rowOf(Math.max), wgsl: "maxOf(a, b)" },
  minimum: { row: rowOf(Math.min), wgsl: "minOf(a, b)" },
  div: { row: divRow, wgsl: "a / b" },
} as const satisfies Record<string, Binary>;

/** a is dout; b is the output of the function, or its input x where the name says so. */
const GRADIENT = {
  absOfX: { row: rowOf((d, x) => d * Math.sign(x)), wgsl: "select(a * sign(b), b, isNan(b))" },
  sqrt: { row: rowOf((d, y) => (0.5 * d) / y), wgsl: "0.5 * a / b" },
  squareOfX: { row: rowOf((d, x) => 2 * d * x), wgsl: "2.0 * a * b" },
  tanh: { row: rowOf((d, y) => d * (1 - y * y)), wgsl: "a * (1.0 - b * b)" },
  sigmoid: { row: rowOf((d, y) => d * y * (1 - y)), wgsl: "a * b * (1.0 - b)" },
  relu: { // dout where y is NaN
    row: rowOf((d, y) => y <= 0 ? 0 : d),
    wgsl: "select(F(0.0), a, (b > F(0.0)) | isNan(b))",
  },
  siluOfX: { // x s(x): s + x s (1 - s)
    row: rowOf((d, x) => d * sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
    wgsl: "a * sigmoidOf(b) * (1.0 + b * (1.0 - sigmoidOf(b)))",
  },
  softplusOfX: { row: rowOf((d, x) => d * sigmoid(x)), wgsl: "a * sigmoidOf(b)" },
  logSigmoidOfX: { row: rowOf((d, x) => d * sigmoid(-x)), wgsl: "a * sigmoidOf(-b)" },
  geluOfX: { // x P(x): P + x p
    row: rowOf((d, x) => d * (normalCdf(x) + x * normalPdf(x))),
    wgsl: "a * (normalCdf(b) + 0.3989423 * b * exp(-0.5 * b * b))",
  },
  sinOfX: { row: rowOf((d, x) => d * Math.cos(x)), wgsl: "a * cosOf(b)" },
  cosOfX: { row: rowOf((d, x) => -d * Math.sin(x)), wgsl: "-a * sinOf(b)" },
} as const satisfies Record<string, Binary>;

/** Comparisons give 1 or 0. NaN is equal to nothing, and neither above nor below anything. */
const COMPARISON = {
  greater: { row: rowOf((a, b) => a > b ? 1 : 0), wgsl: "a > b" },
  greaterEqual: { row: rowOf((a, b) => a >= b ? 1 : 0), wgsl: "a >= b" },
  less: { row: rowOf((a, b) => a < b ? 1 : 0), wgsl: "a < b" },
  lessEqual: { row: rowOf((a, b) => a <= b ? 1 : 0), wgsl: "a <= b" },
  equal: { row: rowOf((a, b) => a === b ? 1 : 0), wgsl: "a == b" },
  notEqual: { row: rowOf((a, b) => a !== b ? 1 : 0), wgsl: "!(a == b)" },
} as const satisfies Record<string, Binary>;

/** out = f(a, b) on n elements of one shape, n a multiple of 4. */
export type SameShapeKernel = Kernel<
  { readonly a: "read float4"; readonly b: "read float4"; readonly out: "write float4" },
  { readonly n: "u32" }
>;

function sameShapeKernel(name: string, { row, wgsl, wasm }: Binary): SameShapeKernel {
  return defineKernel({
    name: `${name} float4`,
    buffers: { a: "read float4", b: "read float4", out: "write float4" },
    params: { n: "u32" },
    cpu({ a, b, out }, { n }): void {
      row(out, 0, a, 0, 1, b, 0, 1, n);
    },
    wasm: wasm === undefined ? undefined : {
      module: simd,
      function: wasm,
      args: ({ a, b, out }, { n }) => [a, b, out, n],
      items: ({ n }) => Math.ceil(n / 4),
      work: ({ n }) => n,
    },
    invocations: ({ n }) => n / 4,
    wgsl: `${wgslMaths("vec4f")}
fn kernel(i: u32) {
  let a = a[i];
  let b = b[i];
  out[i] = ${wgsl};
}`,
    cases: () => [
      {
        name: "64 elements",
        params: { n: 64 },
        buffers: { a: noise(64, 1), b: noise(64, 2).map((u) => u + 1.25), out: 64 },
      },
      { name: "special numbers", params: { n: 64 }, buffers: { a: PAIRS.a, b: PAIRS.b, out: 64 } },
    ],
  });
}

/** out = f(a, b) on n elements, walking a and b by strides. */
export type StridedKernel = Kernel<
  {
    readonly a: "read float" | "read int";
    readonly b: "read float" | "read int";
    readonly out: "write float" | "write float4" | "write int";
  },
  WalkParams<"a" | "b"> & { readonly n: "u32" }
>;

/** One function of two floats. */
export interface BinaryKernels {
  /** For operands of one shape whose size is a multiple of 4. */
  readonly sameShape: SameShapeKernel;
  /** For all operands. The size that counts is that of the walk's last axis. */
  readonly strided: Vectorised<StridedKernel>;
}

/** The parameters of a walk over a of shape `shape`, which has four axes, and b broadcast to it. */
const walked = (shape: Shape, b: Shape) => ({
  n: sizeOf(shape),
  ...walkValues(["a", "b"], {
    sizes: shape,
    strides: [broadcastStrides(shape, shape), broadcastStrides(b, shape)],
  }),
});

/** A test gives a boolean, written as int 1 or 0. */
function stridedKernel(
  name: string,
  { row, wgsl }: Binary,
  element: "float" | "float4" | "int",
  test = false,
): StridedKernel {
  const output = test ? "int" : element;
  const input = element === "int" ? "int" : "float";
  const make = (n: number, seed: number): TypedArray =>
    element === "int" ? integers(n, 5, seed) : integers(n, 5, seed).map((k) => k + 1);
  const result = test ? `select(0, 1, ${wgsl})` : wgsl;
  const lanes = element === "float4" ? 4 : 1;
  const F = ({ float: "f32", float4: "vec4f", int: "i32" } as const)[element];
  const load = (a: string): string =>
    element === "float4"
      ? `vec4f(${[0, 1, 2, 3].map((k) => `${a}[${a}At + ${k}u * p.${a}3]`).join(", ")})`
      : `${a}[${a}At]`;
  return defineKernel({
    name: `${name} strided ${element}`,
    buffers: { a: `read ${input}`, b: `read ${input}`, out: `write ${output}` },
    params: { n: "u32", ...walkParams(["a", "b"]) },
    cpu({ a, b, out }: { a: TypedArray; b: TypedArray; out: TypedArray }, p): void {
      const { n, d1, d2, d3 } = p;
      for (let i0 = 0, o = 0; o < n; i0++) {
        for (let i1 = 0; i1 < d1; i1++) {
          let i = i0 * p.a0 + i1 * p.a1;
          let j = i0 * p.b0 + i1 * p.b1;
          for (let i2 = 0; i2 < d2; i2++, o += d3, i += p.a2, j += p.b2) {
            row(out, o, a, i, p.a3, b, j, p.b3, d3);
          }
        }
      }
    },
    invocations: ({ n }) => n / lanes,
    wgsl: `${F === "i32" ? "" : wgslMaths(F)}
fn f(a: ${F}, b: ${F}) -> ${test ? "i32" : F} { return ${result}; }
fn kernel(at: u32) {
  let i = at * ${lanes}u;${wgslWalk(["a", "b"])}
  out[at] = f(${load("a")}, ${load("b")});
}`,
    cases: () =>
      [
        {
          name: "(2, 3, 5, 8) by (3, 1, 8)",
          params: walked([2, 3, 5, 8], [3, 1, 8]),
          buffers: { a: make(240, 1), b: make(24, 2), out: 240 },
        },
        {
          name: "(12) by a scalar",
          params: walked([1, 1, 1, 12], []),
          buffers: { a: make(12, 1), b: make(1, 2), out: 12 },
        },
        {
          name: "special numbers",
          params: walked([1, 1, 1, 64], [64]),
          buffers: { a: PAIRS.a, b: PAIRS.b, out: 64 },
        },
      ].slice(0, element === "int" ? 2 : 3),
  });
}

/** Binary functions of floats by name. */
export const binary: Readonly<Record<keyof typeof FLOAT_ARITHMETIC, BinaryKernels>> = mapTable(
  FLOAT_ARITHMETIC,
  (name, f) => ({
    sameShape: sameShapeKernel(name, f),
    strided: vectorised(({ element }) => stridedKernel(name, f, element)),
  }),
);

/** Binary functions of integers by name. They wrap at 32 bits, on every device. */
export const binaryInt: Readonly<Record<keyof typeof ARITHMETIC, StridedKernel>> = mapTable(
  ARITHMETIC,
  // Not every product of two integers is exact as a double.
  (name, f) => stridedKernel(name, name === "mul" ? { ...f, row: rowOf(Math.imul) } : f, "int"),
);

/** Gradients of unary functions by name: f(dout, x or y). */
export const gradient: Readonly<Record<keyof typeof GRADIENT, BinaryKernels>> = mapTable(
  GRADIENT,
  (name, f) => ({
    sameShape: sameShapeKernel(`${name} gradient`, f),
    strided: vectorised(({ element }) => stridedKernel(`${name} gradient`, f, element)),
  }),
);

/** One comparison of floats and of integers. */
export interface ComparisonKernels {
  /** Floats to 0 or 1. */
  readonly float: StridedKernel;
  /** Integers to 0 or 1. */
  readonly int: StridedKernel;
}

/** Comparisons by name. */
export const comparison: Readonly<Record<keyof typeof COMPARISON, ComparisonKernels>> = mapTable(
  COMPARISON,
  (name, f) => ({
    float: stridedKernel(name, f, "float", true),
    int: stridedKernel(name, f, "int", true),
  }),
);

/** The tables' kernels, for registration. */
export const binaryKernels: readonly (SameShapeKernel | StridedKernel)[] = [
  ...[binary, gradient].flatMap((table) => Object.values(table))
    .flatMap(({ sameShape, strided }: BinaryKernels) => [sameShape, ...strided]),
  ...Object.values(binaryInt),
  ...Object.values(comparison).flatMap((kernels) => [kernels.float, kernels.int]),
];
