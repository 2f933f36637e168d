/**
 * A kernel is maths on flat arrays, written twice: `cpu` in plain TypeScript, which is the
 * reference, and `wgsl`. Buffers and parameters are declared once; the WGSL bindings and the
 * parameter block are generated from the declaration.
 *
 * @module
 */
import type { FloatArray, TypedArray } from "./dtype.ts";

/**
 * How a kernel uses a buffer, and the type of its elements.
 *
 * `float4` is a float buffer that WGSL sees as `array<vec4f>`; its size must be a multiple of 4.
 * `half4` is a buffer of dtype `device.half`. WGSL sees `array<vec2u>`, four half-precision floats
 * an element; `half4(x[i])` converts them to a vec4f. The reference sees both as plain arrays of
 * floats.
 */
export type BufferUse =
  | `${"read" | "write" | "update"} ${"float" | "float4" | "int"}`
  | `${"read" | "write"} half4`;

/** The type of a scalar parameter in WGSL; the reference sees a number. */
export type ParamType = "u32" | "i32" | "f32";

/** The arrays that a reference is called with. */
export type BufferViews<B extends Record<string, BufferUse>> = {
  readonly [K in keyof B]: B[K] extends `${string} int` ? Int32Array : FloatArray;
};

/** The parameters that a kernel is called with. */
export type ParamValues<P extends Record<string, ParamType>> = { readonly [K in keyof P]: number };

/** An input for the reference test, which compares the WGSL with the reference on every device. */
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

/**
 * A WebAssembly module that kernels of the float32 cpu device may call. It imports `env.memory`,
 * the memory of the device.
 */
export interface WasmModule {
  /** Its bytes in base64, best variant first. The first that the runtime validates is used. */
  readonly variants: readonly string[];
  /** Bytes of scratch memory that its functions need. */
  readonly scratchBytes: number;
}

/** A function exported by a WebAssembly module. Addresses are in bytes, sizes in elements. */
export type WasmFunction = (...args: number[]) => void;

/**
 * The WebAssembly version of a kernel: a faster float32 reference. Its work consists of independent
 * items (rows, heads, vectors) that threads share. The result has the same bits however they are
 * shared.
 */
export interface WasmVersion<
  B extends Record<string, BufferUse>,
  P extends Record<string, ParamType>,
> {
  /** The module. */
  readonly module: WasmModule;
  /**
   * The exported function. It is called with `args`, then the first item, the end of the items, and
   * the address of scratch memory. Every buffer starts at a 64-byte line and shares its last line
   * with nothing, so the function may read that line as a whole. It must not write past the last
   * element.
   */
  readonly function: string;
  /** Its first arguments. */
  args(address: { readonly [K in keyof B]: number }, params: ParamValues<P>): readonly number[];
  /** The number of items. */
  items(params: ParamValues<P>): number;
  /** Multiply-adds or elements visited in all items, to decide whether threads are worthwhile. */
  work(params: ParamValues<P>): number;
}

/** The parts of a kernel. */
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
   * The parameter that counts the rows of every output, if each row depends on inputs alone and a
   * smaller value omits the last rows. `leadingRows` uses it to skip rows.
   */
  rows?(params: ParamValues<P>): (keyof P & string) | undefined;
  /**
   * For each buffer of indices, how many leading elements are read and the exclusive upper bound of
   * their values. Indices out of range count as the nearest in range; a `checked` cpu device
   * refuses them.
   */
  readonly indices?: {
    readonly [K in keyof B]?: (params: ParamValues<P>) => readonly [count: number, below: number];
  };
  /** The WebAssembly version for the float32 cpu device, where it pays. */
  readonly wasm?: WasmVersion<B, P>;
  /**
   * How many times `fn kernel(i: u32)` of the WGSL runs, for i = 0, 1, ... A kernel that needs
   * workgroup memory declares `grid` instead.
   */
  invocations?(params: ParamValues<P>): number;
  /** The workgroups to launch. The WGSL then has its own `@compute fn main`. */
  grid?(params: ParamValues<P>): readonly [number, number, number];
  /** Invocations in a workgroup if `invocations` is declared. Default 64. */
  readonly workgroup?: number;
  /** The WGSL body. Buffers go by their names, parameters by `p.name`. */
  readonly wgsl: string;
  /** Largest |wgsl - reference| / (1 + |reference|) in the reference test. Default 1e-5. */
  readonly tolerance?: number;
  /** Inputs for the reference test: at least one. */
  cases(): readonly KernelCase<B, P>[];
}

/** A kernel that devices can run. Made by {@link defineKernel}. */
export interface Kernel<
  B extends Record<string, BufferUse> = Record<string, BufferUse>,
  P extends Record<string, ParamType> = Record<string, ParamType>,
> extends KernelSpec<B, P> {
  /** Tells a kernel from other exports of a module. */
  readonly kind: "kernel";
  /** The complete WGSL module: declarations, body and entry point. */
  readonly module: string;
}

/** Makes a kernel from its parts: generates the declarations and entry point of its WGSL module. */
export function defineKernel<
  const B extends Record<string, BufferUse>,
  const P extends Record<string, ParamType>,
>(spec: KernelSpec<B, P>): Kernel<B, P> {
  return { ...spec, kind: "kernel", module: wgslModule(spec) };
}

/** The most workgroups along x; {@link linearGrid} folds longer grids into several rows. */
export const MAX_GROUPS_X = 32768;

/** The workgroups for `n` invocations of `fn kernel(i: u32)`. */
export function linearGrid(n: number, workgroup: number): readonly [number, number, number] {
  const groups = Math.ceil(n / workgroup);
  return groups <= MAX_GROUPS_X
    ? [groups, 1, 1]
    : [MAX_GROUPS_X, Math.ceil(groups / MAX_GROUPS_X), 1];
}

const ELEMENTS = { float: "f32", float4: "vec4f", half4: "vec2u", int: "i32" } as const;

/** Plain WGSL: needs no extension. */
const HALF4 =
  "fn half4(h: vec2u) -> vec4f { return vec4f(unpack2x16float(h.x), unpack2x16float(h.y)); }";

/** The buffers come first, then the uniform block `p`, whose first field is `invocations`. */
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

/** The parameter block as the uniform buffer holds it. */
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

/** The workgroups of one launch of `kernel`. */
export function gridOf(
  kernel: Kernel,
  params: ParamValues<Record<string, ParamType>>,
): readonly [number, number, number] {
  if (kernel.grid) return kernel.grid(params);
  return linearGrid(kernel.invocations?.(params) ?? 0, kernel.workgroup ?? 64);
}
