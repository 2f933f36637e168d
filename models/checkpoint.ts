/**
 * Weights as others keep them: Hugging Face's names for the tensors of a Llama model. Nothing here touches a file.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import { type Tree, treeEntries } from "../core/tree.ts";
import { namedTensors } from "./checkpoint_names.ts";
import type { SafeTensor, SafeTensors } from "./safetensors.ts";
import type { TransformerConfig } from "./transformer.ts";

/**
 * The elements of every tensor of a tree by path, in the device's exact float type. One read-back.
 *
 * @example
 * ```ts
 * import { cpu, readTree } from "beargrad";
 *
 * const device = cpu();
 * const weights = await readTree({ layers: [{ w: device.tensor([1, 2]) }] });
 * console.log(weights["layers.0.w"].data); // Float32Array [1, 2]
 * ```
 */
export async function readTree(tree: Tree): Promise<SafeTensors> {
  const entries = treeEntries(tree);
  if (entries.length === 0) return {};
  const values = await entries[0][1].device.read(entries.map(([, tensor]) => tensor));
  return Object.fromEntries(
    entries.map(([path, { shape }], i) => [path, safeTensor(shape, values[i])]),
  );
}

function safeTensor(shape: readonly number[], data: SafeTensor["data"]): SafeTensor {
  if (data instanceof Float32Array) return { dtype: "F32", shape, data };
  if (data instanceof Float64Array) return { dtype: "F64", shape, data };
  return { dtype: "I32", shape, data };
}

/**
 * Overwrites every tensor of a tree with the elements of the same path. `source` names where they come from in errors.
 *
 * @throws {CheckpointError} if a path is missing, left over, or of another shape; then nothing has been written.
 *
 * @example
 * ```ts
 * import { cpu, readTree, writeTree } from "beargrad";
 *
 * const device = cpu();
 * const params = { w: device.tensor([1, 2]) };
 * const saved = await readTree(params);
 * device.write(params.w, new Float32Array(2));
 * writeTree(params, saved);
 * console.log(await params.w.data()); // Float32Array [1, 2]
 * ```
 */
export function writeTree(tree: Tree, values: SafeTensors, source = "weights"): void {
  const fail = (requirement: string, actual: string): never => {
    throw new CheckpointError(`Cannot load ${source}: ${requirement}, got ${actual}`);
  };
  const entries = treeEntries(tree);
  for (const [path, { shape }] of entries) {
    const value = Object.hasOwn(values, path) ? values[path] : fail(`it must hold ${path}`, "none");
    if (!sameShape(value.shape, shape)) {
      fail(`${path} must be of shape ${formatShape(shape)}`, formatShape(value.shape));
    }
  }
  const known = new Set(entries.map(([path]) => path));
  const extra = Object.keys(values).find((path) => !known.has(path));
  if (extra !== undefined) fail("every tensor must belong to the model", extra);
  for (const [path, tensor] of entries) tensor.device.write(tensor, values[path].data);
}

/**
 * All weights of a transformer by path, as {@link readTree} gives them, under Hugging Face's names and in float32. What is one
 * weight here and several there is split.
 *
 * @throws {CheckpointError} if they are not the weights of such a transformer.
 *
 * @example
 * ```ts ignore
 * import { encodeSafetensors, readTree, toHuggingFace } from "beargrad";
 *
 * const bytes = encodeSafetensors(toHuggingFace(await readTree(params), model.config), { format: "pt" });
 * ```
 */
export function toHuggingFace(weights: SafeTensors, config: TransformerConfig): SafeTensors {
  const fail = (requirement: string, actual: string): never => {
    throw new CheckpointError(`Cannot name weights: ${requirement}, got ${actual}`);
  };
  const named = Map.groupBy(namedTensors(config), ({ path }) => path);
  const extra = Object.keys(weights).find((path) => !named.has(path));
  if (extra !== undefined) fail("a path must be one of the transformer", extra);
  return Object.fromEntries([...named].flatMap(([path, parts]) => {
    if (!Object.hasOwn(weights, path)) fail(`they must have ${path}`, "none");
    const { shape, data } = weights[path];
    const [, ...inner] = parts[0].shape;
    const whole = [parts.reduce((rows, { shape: [n] }) => rows + n, 0), ...inner];
    if (!sameShape(shape, whole)) {
      fail(`${path} must be of shape ${formatShape(whole)}`, formatShape(shape));
    }
    return parts.map(({ name, shape, at }): [string, SafeTensor] => {
      const part = data.subarray(at, at + sizeOf(shape));
      return [name, { dtype: "F32", shape, data: Float32Array.from(part) }];
    });
  }));
}
