/**
 * Trees: tensors in plain records and arrays, the form in which models keep their parameters.
 *
 * @module
 */
import { inputCheck } from "./checks.ts";
import { ArgumentError, DTypeError, nameOf, ShapeError } from "./errors.ts";
import { formatShape, sameShape } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** A tensor, or records and arrays of trees. */
export type Tree = Tensor | { readonly [key: string]: Tree } | readonly Tree[];

const checkMap = inputCheck("mapTree", { f: "function" });

/**
 * A tree of the same form with `f` applied to every tensor. `path` is like `layers.0.qkv`.
 *
 * @throws {ArgumentError} if the tree holds anything but tensors, records and arrays.
 */
export function mapTree<T extends Tree>(tree: T, f: (tensor: Tensor, path: string) => Tensor): T {
  checkMap([f]);
  const walk = (node: Tree, path: string): Tree => {
    if (node instanceof Tensor) return f(node, path);
    const at = (key: string | number): string => path === "" ? `${key}` : `${path}.${key}`;
    if (Array.isArray(node)) return node.map((child, i) => walk(child, at(i)));
    if (typeof node !== "object" || node === null) {
      throw new ArgumentError(
        `Cannot walk a tree at "${path}": it must hold tensors, records and arrays, ` +
          `got ${nameOf(node)}`,
      );
    }
    return Object.fromEntries(
      Object.entries(node).map(([key, child]) => [key, walk(child, at(key))]),
    );
  };
  return walk(tree, "") as T;
}

/** The tensors of a tree with their paths, in a fixed order. */
export function treeEntries(tree: Tree): [path: string, tensor: Tensor][] {
  const entries: [string, Tensor][] = [];
  mapTree(tree, (tensor, path) => {
    entries.push([path, tensor]);
    return tensor;
  });
  return entries;
}

/** The tensors of a tree, in the order of {@link treeEntries}. */
export function treeLeaves(tree: Tree): Tensor[] {
  return treeEntries(tree).map(([, tensor]) => tensor);
}

/**
 * The leaves of a tree of gradients, which must have the paths, shapes and dtypes of the
 * parameters, in their order.
 *
 * @throws {ShapeError} if a path or shape differs.
 * @throws {DTypeError} if a dtype differs.
 */
export function gradientLeaves(
  action: string,
  grads: Tree,
  params: readonly (readonly [path: string, tensor: Tensor])[],
): Tensor[] {
  const entries = treeEntries(grads);
  params.forEach(([path, { shape, dtype }], i) => {
    const [name, grad] = entries[i] ?? [];
    if (name !== path || grad === undefined || !sameShape(grad.shape, shape)) {
      throw new ShapeError(
        `Cannot ${action}: the gradient of ${path} must be of shape ${formatShape(shape)}, ` +
          `got ${grad ? `${name} ${formatShape(grad.shape)}` : "none"}`,
      );
    }
    if (grad.dtype !== dtype) {
      throw new DTypeError(
        `Cannot ${action}: the gradient of ${path} must be ${dtype}, got ${grad.dtype}`,
      );
    }
  });
  if (entries.length > params.length) {
    const [extra] = entries[params.length];
    throw new ShapeError(
      `Cannot ${action}: each gradient must be of a parameter, but there is none at ${extra}`,
    );
  }
  return entries.map(([, grad]) => grad);
}
