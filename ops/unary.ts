import { ArgumentError } from "../core/errors.ts";
import { defineComposite, defineOp, type Op } from "../core/op.ts";
import type { Tensor } from "../core/tensor.ts";
import { binary, type BinaryKernels, gradient } from "../kernels/binary.ts";
import type { Vectorised } from "../kernels/pick.ts";
import { exponentParams, power, unary, type UnaryKernel } from "../kernels/pointwise.ts";
import { add, mul } from "./binary.ts";
import { sample } from "./cases.ts";
import { runBinary, runFill, runUnary } from "./launch.ts";

/**
 * An op of one tensor whose gradient is dx = g(dout, y) with y its output, or g(dout, x) with x its
 * input.
 */
function pointwise(
  name: keyof typeof unary,
  dx: BinaryKernels,
  of: "input" | "output",
  domain: readonly [number, number] = [-2, 2],
): Op<[x: Tensor], Tensor> {
  const kernels: Vectorised<UnaryKernel> = unary[name];
  return defineOp({
    name,
    inputs: { x: "float" },
    forward(x: Tensor): { out: Tensor; saved: Tensor } {
      const out = runUnary(kernels, name, x);
      return { out, saved: of === "input" ? x : out };
    },
    backward: (dout, saved) => [() => runBinary(dx, `${name} gradient`, dout, saved)],
    cases: () => [
      { name: "(2, 3)", args: (d) => [sample(d, [2, 3], 1, ...domain)] },
      { name: "(2, 4)", args: (d) => [sample(d, [2, 4], 2, ...domain)] },
    ],
  });
}

/**
 * -x.
 *
 * @example
 * ```ts
 * import { cpu, neg } from "beargrad";
 *
 * console.log(await neg(cpu().tensor([1, -2])).data()); // [-1, 2]
 * ```
 */
export const neg: Op<[x: Tensor], Tensor> = defineOp({
  name: "neg",
  inputs: { x: "float" },
  forward: (x: Tensor) => ({ out: runUnary(unary.neg, "neg", x) }),
  backward: (dout) => [() => runUnary(unary.neg, "neg gradient", dout)],
  cases: () => [{ name: "(2, 3)", args: (d) => [sample(d, [2, 3], 1)] }],
});

/**
 * |x|. Its gradient at 0 is 0.
 *
 * @example
 * ```ts
 * import { abs, cpu } from "beargrad";
 *
 * console.log(await abs(cpu().tensor([1, -2])).data()); // [1, 2]
 * ```
 */
export const abs: Op<[x: Tensor], Tensor> = pointwise("abs", gradient.absOfX, "input");

/**
 * e^x.
 *
 * @example
 * ```ts
 * import { cpu, exp } from "beargrad";
 *
 * console.log(await exp(cpu().tensor([0, 1])).data()); // [1, 2.718]
 * ```
 */
export const exp: Op<[x: Tensor], Tensor> = pointwise("exp", binary.mul, "output");

/**
 * The natural logarithm of x.
 *
 * @example
 * ```ts
 * import { cpu, log } from "beargrad";
 *
 * console.log(await log(cpu().tensor([1, Math.E])).data()); // [0, 1]
 * ```
 */
export const log: Op<[x: Tensor], Tensor> = pointwise("log", binary.div, "input", [0.2, 3]);

/**
 * The square root of x.
 *
 * @example
 * ```ts
 * import { cpu, sqrt } from "beargrad";
 *
 * console.log(await sqrt(cpu().tensor([4, 9])).data()); // [2, 3]
 * ```
 */
export const sqrt: Op<[x: Tensor], Tensor> = pointwise("sqrt", gradient.sqrt, "output", [0.2, 3]);

/**
 * x^2.
 *
 * @example
 * ```ts
 * import { cpu, square } from "beargrad";
 *
 * console.log(await square(cpu().tensor([2, -3])).data()); // [4, 9]
 * ```
 */
export const square: Op<[x: Tensor], Tensor> = pointwise("square", gradient.squareOfX, "input");

/**
 * The hyperbolic tangent of x.
 *
 * @example
 * ```ts
 * import { cpu, tanh } from "beargrad";
 *
 * console.log(await tanh(cpu().tensor([0, 100])).data()); // [0, 1]
 * ```
 */
export const tanh: Op<[x: Tensor], Tensor> = pointwise("tanh", gradient.tanh, "output");

/**
 * 1 / (1 + e^-x).
 *
 * @example
 * ```ts
 * import { cpu, sigmoid } from "beargrad";
 *
 * console.log(await sigmoid(cpu().tensor([0, 100])).data()); // [0.5, 1]
 * ```
 */
export const sigmoid: Op<[x: Tensor], Tensor> = pointwise("sigmoid", gradient.sigmoid, "output");

/**
 * max(x, 0), NaN where x is NaN. Its gradient at 0 is 0, and at NaN what comes in.
 *
 * @example
 * ```ts
 * import { cpu, relu } from "beargrad";
 *
 * console.log(await relu(cpu().tensor([2, -3])).data()); // [2, 0]
 * ```
 */
export const relu: Op<[x: Tensor], Tensor> = pointwise("relu", gradient.relu, "output");

/**
 * x sigmoid(x), also called swish. Elfwing et al., arXiv:1702.03118.
 *
 * @example
 * ```ts
 * import { cpu, silu } from "beargrad";
 *
 * console.log(await silu(cpu().tensor([0, 100])).data()); // [0, 100]
 * ```
 */
export const silu: Op<[x: Tensor], Tensor> = pointwise("silu", gradient.siluOfX, "input");

/**
 * log(1 + e^x), without overflow for large x and without loss of digits for small ones.
 *
 * @example
 * ```ts
 * import { cpu, softplus } from "beargrad";
 *
 * console.log(await softplus(cpu().tensor([0, 1000])).data()); // [0.6931, 1000]
 * ```
 */
export const softplus: Op<[x: Tensor], Tensor> = pointwise(
  "softplus",
  gradient.softplusOfX,
  "input",
);

/**
 * log(sigmoid(x)) = -softplus(-x), without underflow.
 *
 * @example
 * ```ts
 * import { cpu, logSigmoid } from "beargrad";
 *
 * console.log(await logSigmoid(cpu().tensor([0, -1000])).data()); // [-0.6931, -1000]
 * ```
 */
export const logSigmoid: Op<[x: Tensor], Tensor> = pointwise(
  "logSigmoid",
  gradient.logSigmoidOfX,
  "input",
);

/** x P(x), exactly; see {@link gelu}. */
const exactGelu: Op<[x: Tensor], Tensor> = pointwise("gelu", gradient.geluOfX, "input");

/**
 * x P(x) with P the distribution function of the standard normal, `x (1 + erf(x / sqrt(2))) / 2`.
 * With `approximate` "tanh", default "none", the approximation that GPT-2 uses,
 * `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`. Hendrycks and Gimpel, arXiv:1606.08415.
 *
 * @throws {ArgumentError} if `approximate` is neither.
 *
 * @example
 * ```ts
 * import { cpu, gelu } from "beargrad";
 *
 * const x = cpu().tensor([-1, 1]);
 * console.log(await gelu(x).data()); // [-0.1587, 0.8413]
 * console.log(await gelu(x, "tanh").data()); // [-0.1588, 0.8412]
 * ```
 */
export const gelu: Op<[x: Tensor, approximate?: "none" | "tanh"], Tensor> = defineComposite({
  name: "gelu",
  inputs: { x: "float", approximate: "string?" },
  forward(x: Tensor, approximate: "none" | "tanh" = "none"): Tensor {
    if (approximate === "none") return exactGelu(x);
    if (approximate !== "tanh") {
      throw new ArgumentError(
        `Cannot gelu a tensor: approximate must be "none" or "tanh", got ${approximate}`,
      );
    }
    const scale = 2 * Math.sqrt(2 / Math.PI); // (1 + tanh z) / 2 = sigmoid(2z)
    const slope = add(mul(square(x), 0.044715 * scale), scale);
    return mul(x, sigmoid(mul(x, slope)));
  },
  cases: () => [
    ...exactGelu.spec.cases(),
    { name: "tanh", args: (d) => [sample(d, [2, 3], 3, -3, 3), "tanh"] },
  ],
});

/**
 * The sine of x. On webgpu within 3e-7 for |x| up to 10,000; further out it loses digits.
 *
 * @example
 * ```ts
 * import { cpu, sin } from "beargrad";
 *
 * console.log(await sin(cpu().tensor([0, Math.PI / 2])).data()); // [0, 1]
 * ```
 */
export const sin: Op<[x: Tensor], Tensor> = pointwise("sin", gradient.sinOfX, "input");

/**
 * The cosine of x. On webgpu within 3e-7 for |x| up to 10,000; further out it loses digits.
 *
 * @example
 * ```ts
 * import { cos, cpu } from "beargrad";
 *
 * console.log(await cos(cpu().tensor([0, Math.PI])).data()); // [1, -1]
 * ```
 */
export const cos: Op<[x: Tensor], Tensor> = pointwise("cos", gradient.cosOfX, "input");

/**
 * x^exponent for one exponent, as IEEE 754 has it: a finite negative x needs an integer exponent,
 * else the power is NaN; that of -Infinity is that of Infinity or its negative. The gradient of a
 * root at 0 is Infinity.
 *
 * @example
 * ```ts
 * import { cpu, pow } from "beargrad";
 *
 * console.log(await pow(cpu().tensor([2, -3]), 3).data()); // [8, -27]
 * ```
 */
export const pow: Op<[x: Tensor, exponent: number], Tensor> = defineOp({
  name: "pow",
  inputs: { x: "float", exponent: "number" },
  forward: (x: Tensor, exponent: number) => ({ out: powered(x, exponent) }),
  backward: (dout, _, [x, exponent]) => [() => { // d x^e = e x^(e-1)
    if (exponent === 0) return runFill(x.device, x.shape, 0, x.dtype);
    const slope = runBinary(binary.mul, "pow gradient", powered(x, exponent - 1), exponent);
    return runBinary(binary.mul, "pow gradient", dout, slope);
  }],
  cases: () => [
    { name: "cubes", args: (d) => [sample(d, [2, 3], 1), 3] },
    { name: "inverse squares", args: (d) => [sample(d, [2, 3], 2, -2, -0.5), -2] },
    { name: "exponent 1.5", args: (d) => [sample(d, [2, 3], 3, 0.2, 2), 1.5] },
    { name: "exponent 0", args: (d) => [sample(d, [2, 3], 4), 0] },
  ],
});

function powered(x: Tensor, exponent: number): Tensor {
  const out = x.device.empty(x.shape, x.dtype, "pow");
  x.device.run(power, { x, out }, { n: x.size, ...exponentParams(exponent) });
  return out;
}
