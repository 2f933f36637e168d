/**
 * Branches: sequences that continue a row of tokens from some place in another way. They share the
 * keys and values of the row, so that each costs its own tokens only. Everything is made of ops, so
 * gradients flow through rows and branches.
 *
 * @module
 */
import type { Tensor } from "../core/tensor.ts";
import { MASKED } from "../kernels/masked.ts";
import { attention } from "../ops/attention.ts";
import { add, mul } from "../ops/binary.ts";
import { concat } from "../ops/concat.ts";
import { broadcastTo, reshape, slice, transpose } from "../ops/layout.ts";
import { matmul } from "../ops/matmul.ts";
import { softmax } from "../ops/softmax.ts";
import type { Transformer, TransformerParams } from "./transformer.ts";

/** K branches of L tokens for each of W rows of T tokens. */
export interface Branches {
  /** int32 (W, K L): the tokens of the row's branches, one branch after another. */
  readonly tokens: Tensor;
  /** int32 (W, K L): the positions of these tokens in their sequences. */
  readonly positions: Tensor;
  /**
   * Float (W, T): 0 at the positions of the row that its branches continue, `MASKED` at the others.
   */
  readonly mask: Tensor;
  /** The length L of a branch. */
  readonly length: number;
}

/**
 * The hidden states of rows, int32 (W, T) to (W, T, C), and of their branches, (W, K L, C), as if
 * each branch were a row after the tokens that it continues. Dropout is applied if there is a key.
 */
export function hiddenWithBranches(
  model: Transformer,
  params: TransformerParams,
  tokens: Tensor,
  branches: Branches,
  dropoutKey?: Tensor,
): { readonly rows: Tensor; readonly branches: Tensor } {
  const { heads, kvHeads } = model.config;
  const [W, T] = tokens.shape;
  const [, N] = branches.tokens.shape;
  const { device } = tokens;
  const seen: Tensor[] = []; // queries, keys and values of the rows, for each block
  const positions = device.tensor(Int32Array.from({ length: T }, (_, t) => t));
  const attend = (_: number, qkv: Tensor): Tensor => {
    seen.push(qkv);
    return attention(qkv, heads, kvHeads);
  };
  const rows = model.forward(params, tokens, positions, attend, { dropoutKey });
  const mask = concat([
    broadcastTo(reshape(branches.mask, [W, 1, 1, T]), [W, 1, N, T]),
    broadcastTo(device.tensor(ownMask(N, branches.length), [1, 1, N, N]), [W, 1, N, N]),
  ], 3); // (W, 1, N, T + N)
  const beside = (l: number, qkv: Tensor): Tensor => attendBeside(seen[l], qkv, mask, kvHeads);
  const own = model.forward(params, branches.tokens, branches.positions, beside, { dropoutKey });
  return { rows, branches: own };
}

/**
 * The mask (N, N) among the tokens of all branches of a row: 0 for earlier tokens of the same
 * branch.
 */
function ownMask(N: number, length: number): Float64Array {
  return Float64Array.from({ length: N * N }, (_, i) => {
    const [from, to] = [Math.floor(i / N), i % N];
    const same = Math.floor(from / length) === Math.floor(to / length);
    return same && to <= from ? 0 : MASKED;
  });
}

/**
 * Attention of qkv (W, N, H + 2 KV, D) to the rows (W, T, H + 2 KV, D) and itself, to (W, N, H, D).
 */
function attendBeside(rows: Tensor, qkv: Tensor, mask: Tensor, KV: number): Tensor {
  const [W, N, all, D] = qkv.shape;
  const S = mask.shape[3];
  const H = all - 2 * KV;
  const G = H / KV; // queries that share a key
  const part = (x: Tensor, from: number, to: number): Tensor =>
    slice(x, [0, 0, from, 0], [W, x.shape[1], to, D]);
  const both = (from: number): Tensor =>
    // (W, KV, S, D)
    transpose(concat([rows, qkv].map((x) => part(x, from, from + KV)), 1), [0, 2, 1, 3]);
  const [k, v] = [both(H), both(H + KV)];
  const scaled = mul(part(qkv, 0, H), 1 / Math.sqrt(D));
  const q = reshape(transpose(scaled, [0, 2, 1, 3]), [W, KV, G * N, D]);
  const z = matmul(q, k, { transposeB: true }); // (W, KV, G N, S)
  const weights = softmax(add(reshape(z, [W, H, N, S]), mask));
  const out = matmul(reshape(weights, [W, KV, G * N, S]), v); // (W, KV, G N, D)
  return transpose(reshape(out, [W, H, N, D]), [0, 2, 1, 3]);
}
