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
import { take } from "../ops/take.ts";
import type { Transformer, TransformerParams } from "./transformer.ts";

/** K branches of L tokens of the vocabulary for each of W rows of T tokens. */
export interface Branches {
  /** int32 (W, K L): the tokens of the row's branches, one branch after another. */
  readonly tokens: Tensor;
  /** int32 (W, K L) or (K L): the positions of these tokens in their sequences. */
  readonly positions: Tensor;
  /**
   * Float (W or 1, K or 1, T): 0 at the positions of the row that a branch continues, `MASKED` at
   * the others.
   */
  readonly mask: Tensor;
  /** The length L of a branch. */
  readonly length: number;
}

/**
 * Branches after each of the T positions of rows: tokens int32 (W, T L), L for each position in
 * turn.
 */
export function branchesAfterEach(tokens: Tensor, T: number): Branches {
  const length = tokens.shape[1] / T;
  const { device } = tokens;
  const positions = Int32Array.from(
    { length: T * length },
    (_, i) => Math.floor(i / length) + 1 + i % length,
  );
  return {
    tokens,
    positions: device.tensor(positions),
    mask: device.tensor(
      Float64Array.from({ length: T * T }, (_, i) => i % T <= Math.floor(i / T) ? 0 : MASKED),
      [1, T, T],
    ),
    length,
  };
}

/**
 * The hidden states of rows, int32 (W, T) to (W, T, C), and of each of some sets of branches, (W, K
 * L, C), as if each branch were a row after the tokens that it continues. Dropout is applied if
 * there is a key.
 */
export function hiddenWithBranches(
  model: Transformer,
  params: TransformerParams,
  tokens: Tensor,
  sets: readonly Branches[],
  dropoutKey?: Tensor,
): { readonly rows: Tensor; readonly branches: readonly Tensor[] } {
  const { heads, kvHeads } = model.config;
  const [, T] = tokens.shape;
  const { device } = tokens;
  const seen: Tensor[] = []; // queries, keys and values of the rows, for each block
  const positions = device.tensor(Int32Array.from({ length: T }, (_, t) => t));
  const attend = (_: number, qkv: Tensor): Tensor => {
    seen.push(qkv);
    return attention(qkv, heads, kvHeads);
  };
  const embedded = model.embedded(params, tokens);
  const rows = model.forward(params, embedded, positions, attend, { dropoutKey });
  const branches = sets.map((set) => {
    const mask = wholeMask(set, T);
    const beside = (l: number, qkv: Tensor): Tensor =>
      attendBeside(seen[l], qkv, mask, set.length, kvHeads);
    const own = take(params.embed, set.tokens);
    return model.forward(params, own, set.positions, beside, { dropoutKey });
  });
  return { rows, branches };
}

/** The mask of N = K L tokens of branches, (W or 1, 1, N, T + L): rows, then the own branch. */
function wholeMask(
  { tokens: { device, shape: [, N] }, mask, length: L }: Branches,
  T: number,
): Tensor {
  const [W, K] = mask.shape;
  const ofRows = broadcastTo(reshape(mask, [W, K, 1, T]), [W, K, N / K, T]);
  const own = Float64Array.from(
    { length: N * L },
    (_, i) => i % L <= Math.floor(i / L) % L ? 0 : MASKED,
  );
  const ofBranches = broadcastTo(device.tensor(own, [1, N, L]), [W, N, L]);
  return reshape(concat([reshape(ofRows, [W, N, T]), ofBranches], 2), [W, 1, N, T + L]);
}

/**
 * Attention of branches, qkv (W, N, H + 2 KV, D) with N = K L, to rows (W, T, H + 2 KV, D) and to
 * their own branch: to (W, N, H, D).
 */
function attendBeside(rows: Tensor, qkv: Tensor, mask: Tensor, L: number, KV: number): Tensor {
  const [W, N, all, D] = qkv.shape;
  const T = rows.shape[1];
  const H = all - 2 * KV;
  const G = H / KV; // queries that share a key
  const part = (x: Tensor, from: number, heads: number): Tensor =>
    transpose(slice(x, [0, 0, from, 0], [W, x.shape[1], from + heads, D]), [0, 2, 1, 3]);
  const byBranch = (from: number): Tensor =>
    // (W H K, L, D)
    reshape(
      broadcastTo(reshape(part(qkv, from, KV), [W, KV, 1, N, D]), [W, KV, G, N, D]),
      [W * H * N / L, L, D],
    );
  const q = mul(part(qkv, 0, H), 1 / Math.sqrt(D)); // (W, H, N, D)
  const toRows = matmul(reshape(q, [W, KV, G * N, D]), part(rows, H, KV), { transposeB: true });
  const toOwn = matmul(reshape(q, [W * H * N / L, L, D]), byBranch(H), { transposeB: true });
  const z = concat([reshape(toRows, [W, H, N, T]), reshape(toOwn, [W, H, N, L])], 3);
  const weights = softmax(add(z, mask));
  const share = (from: number, to: number): Tensor =>
    slice(weights, [0, 0, 0, from], [W, H, N, to]);
  const ofRows = matmul(reshape(share(0, T), [W, KV, G * N, T]), part(rows, H + KV, KV));
  const ofOwn = matmul(reshape(share(T, T + L), [W * H * N / L, L, L]), byBranch(H + KV));
  const out = add(reshape(ofRows, [W, H, N, D]), reshape(ofOwn, [W, H, N, D]));
  return transpose(out, [0, 2, 1, 3]);
}
