/**
 * A kernel is maths on flat arrays, written twice: `cpu` in plain TypeScript (the reference, and in float64
 * what others are compared with) and `wgsl`. The bindings and the parameter block are declared once and generated for both.
 *
 * @module
 */
import type { FloatArray, TypedArray } from "./dtype.ts";

/**
 * How a kernel uses a buffer: what it does with it, and its elements. `float4` is a float buffer that
 * WGSL sees as `array<vec4f>`; its size must be a multiple of 4. To the reference it is a plain float array.
 *
 * `half4` is a buffer of {@link Device.half}: WGSL sees `array<vec2u>`, four half-precision floats an element, and
 * `half4(x[i])` is their vec4f. To the reference it is an array of floats like another (a Float16Array), of numbers that are halves.
 */
export type BufferUse =
  | `${"read" | "write" | "update"} ${"float" | "float4" | "int"}`
  | `${"read" | "write"} half4`;

/** The type of a scalar parameter in WGSL; the reference sees a number. */
export type ParamType = "u32" | "i32" | "f32";

/** The arrays that a reference is handed. */
export type BufferViews<B extends Record<string, BufferUse>> = {
  readonly [K in keyof B]: B[K] extends `${string} int` ? Int32Array : FloatArray;
};

/** The numbers that a kernel is handed. */
export type ParamValues<P extends Record<string, ParamType>> = { readonly [K in keyof P]: number };

/** One input on which the reference and the WGSL are compared, on every device, because it is registered. */
export interface KernelCase<
  B extends Record<string, BufferUse> = Record<string, BufferUse>,
  P extends Record<string, ParamType> = Record<string, ParamType>,
> {
  /** What is special about this case. */
  readonly name: string;
  /** The parameters. */
  readonly params: ParamValues<P>;
  /** Contents of the `read` and `update` buffers, lengths of the `write` buffers. */
  readonly buffers: { readonly [K in keyof B]: number | readonly number[] | TypedArray };
}

/** A WebAssembly module that kernels of the float32 cpu device may call. It imports `env.memory`, the device's. */
export interface WasmModule {
  /** Its bytes in base64, best first; the first that the runtime validates is used. */
  readonly variants: readonly string[];
  /** Bytes of scratch memory that its functions need. */
  readonly scratchBytes: number;
}

/** A function exported by a WebAssembly module: addresses in bytes, sizes in elements. */
export type WasmFunction = (...args: number[]) => void;

/**
 * A kernel's WebAssembly version: the reference in float32, faster. Its work is made of items (rows, heads, vectors) that do not
 * depend on each other, so that threads can share them: however they are shared, the bits of the result are the same.
 */
export interface WasmVersion<
  B extends Record<string, BufferUse>,
  P extends Record<string, ParamType>,
> {
  /** The module. */
  readonly module: WasmModule;
  /**
   * The exported function. It is called with `args`, then the first item to do and the first not to do, then the address of
   * scratch memory. It does what the reference does, on byte addresses. A buffer begins at a 64-byte line and nothing else
   * lies in its last line, so this line may be read as a whole. Nothing is written past the last element.
   */
  readonly function: string;
  /** Its first arguments. */
  args(address: { readonly [K in keyof B]: number }, params: ParamValues<P>): readonly number[];
  /** The number of items. */
  items(params: ParamValues<P>): number;
  /** Multiply-adds, or elements passed over, of all items together: whether threads are worth the while. */
  work(params: ParamValues<P>): number;
}

/** What a kernel is made of. */
export interface KernelSpec<
  B extends Record<string, BufferUse>,
  P extends Record<string, ParamType>,
> {
  /** A unique name, shown in errors and benches. */
  readonly name: string;
  /** The buffers, in binding order. At most 8, which every WebGPU device allows. */
  readonly buffers: B;
  /** The scalar parameters. */
  readonly params: P;
  /** The reference. It must write every element of every `write` buffer that the kernel writes. */
  cpu(buffers: BufferViews<B>, params: ParamValues<P>): void;
  /**
   * The parameter that counts the rows of all that is written, where each row depends on inputs alone and a smaller number
   * leaves out the last rows: what `Device.leading` makes use of.
   */
  rows?(params: ParamValues<P>): (keyof P & string) | undefined;
  /**
   * Buffers of indices: how many of their first elements are read, and what all of these must be
   * below. Others count as the nearest inside, but a cpu device that is `checked` refuses them.
   */
  readonly indices?: {
    readonly [K in keyof B]?: (params: ParamValues<P>) => readonly [count: number, below: number];
  };
  /** A WebAssembly version for the float32 cpu device, where it pays. */
  readonly wasm?: WasmVersion<B, P>;
  /**
   * How many times `fn kernel(i: u32)` of the WGSL runs, i = 0, 1, ... A kernel that needs workgroup memory
   * gives `grid` instead.
   */
  invocations?(params: ParamValues<P>): number;
  /** The workgroups to launch; the WGSL then has its own `@compute fn main`. */
  grid?(params: ParamValues<P>): readonly [number, number, number];
  /** Invocations in a workgroup where `invocations` is given; 64 unless told. */
  readonly workgroup?: number;
  /** The body. Buffers go by their names, parameters by `p.name`. */
  readonly wgsl: string;
  /** Largest |wgsl - reference| / (1 + |reference|) allowed in the reference test; 1e-5 unless told. */
  readonly tolerance?: number;
  /** Inputs for the reference test: at least one. */
  cases(): readonly KernelCase<B, P>[];
}

/** A kernel that devices can run. Made by `defineKernel`. */
export interface Kernel<
  B extends Record<string, BufferUse> = Record<string, BufferUse>,
  P extends Record<string, ParamType> = Record<string, ParamType>,
> extends KernelSpec<B, P> {
  /** Tells a kernel from other exports of a module. */
  readonly kind: "kernel";
  /** The complete WGSL module: declarations, body and entry point. */
  readonly module: string;
}

/** Checks a kernel's declaration and completes its WGSL module. */
export function defineKernel<
  const B extends Record<string, BufferUse>,
  const P extends Record<string, ParamType>,
>(spec: KernelSpec<B, P>): Kernel<B, P> {
  return { ...spec, kind: "kernel", module: wgslModule(spec) };
}

/** The invocations of a one-dimensional kernel are folded into rows of at most this many workgroups. */
export const MAX_GROUPS_X = 32768;

/** The workgroups for `n` invocations of `fn kernel(i: u32)`. */
export function linearGrid(n: number, workgroup: number): readonly [number, number, number] {
  const groups = Math.ceil(n / workgroup);
  return groups <= MAX_GROUPS_X
    ? [groups, 1, 1]
    : [MAX_GROUPS_X, Math.ceil(groups / MAX_GROUPS_X), 1];
}

const ELEMENTS = { float: "f32", float4: "vec4f", half4: "vec2u", int: "i32" } as const;

/** In the core of WGSL: needs no extension. */
const HALF4 =
  "fn half4(h: vec2u) -> vec4f { return vec4f(unpack2x16float(h.x), unpack2x16float(h.y)); }";

/** Bindings 0.. are the buffers, the next one is the uniform block `p`, whose first field is `invocations`. */
function wgslModule<B extends Record<string, BufferUse>, P extends Record<string, ParamType>>(
  spec: KernelSpec<B, P>,
): string {
  const fields = ["invocations: u32", ...Object.entries(spec.params).map(([k, t]) => `${k}: ${t}`)];
  const lines = [`struct Params { ${fields.join(", ")} };`];
  const names = Object.keys(spec.buffers);
  names.forEach((name, i) => {
    const [use, element] = spec.buffers[name].split(" ") as [string, keyof typeof ELEMENTS];
    const access = use === "read" ? "read" : "read_write";
    lines.push(
      `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${ELEMENTS[element]}>;`,
    );
  });
  lines.push(`@group(0) @binding(${names.length}) var<uniform> p: Params;`);
  if (names.some((name) => spec.buffers[name] === "read half4")) lines.push(HALF4);
  lines.push(spec.wgsl);
  if (spec.invocations) {
    const size = spec.workgroup ?? 64;
    lines.push(
      `@compute @workgroup_size(${size})`,
      `fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {`,
      `  let i = id.x + id.y * groups.x * ${size}u;`,
      `  if (i < p.invocations) { kernel(i); }`,
      `}`,
    );
  }
  return lines.join("\n");
}

/** The parameter block as it is laid out in the uniform buffer. */
export function packParams(
  kernel: Kernel,
  params: ParamValues<Record<string, ParamType>>,
): Uint8Array {
  const entries = Object.entries(kernel.params);
  const bytes = new ArrayBuffer((1 + entries.length) * 4);
  const view = new DataView(bytes);
  view.setUint32(0, kernel.invocations?.(params) ?? 0, true);
  entries.forEach(([name, type], i) => {
    const at = (i + 1) * 4;
    if (type === "f32") view.setFloat32(at, params[name], true);
    else if (type === "u32") view.setUint32(at, params[name], true);
    else view.setInt32(at, params[name], true);
  });
  return new Uint8Array(bytes);
}

/** The workgroups that one launch of `kernel` needs. */
export function gridOf(
  kernel: Kernel,
  params: ParamValues<Record<string, ParamType>>,
): readonly [number, number, number] {
  if (kernel.grid) return kernel.grid(params);
  return linearGrid(kernel.invocations?.(params) ?? 0, kernel.workgroup ?? 64);
}
