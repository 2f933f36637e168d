import { inputCheck } from "../core/checks.ts";
import { Tensor } from "../core/tensor.ts";
import { linear } from "./matmul.ts";

/** Logits in factors: row n's logit of token v is hidden_n . head_v. */
export type Projection = {
  /** (N, C). */
  readonly hidden: Tensor;
  /** (V, C), which may be float16. */
  readonly head: Tensor;
};

/**
 * Logits (N, V), or their factors: then only the logits that are needed are computed. Most ops take
 * tensors only: {@link allLogits} makes one of either.
 */
export type Logits = Tensor | Projection;

const checkProjection = inputCheck("allLogits", { hidden: "float", head: "weights" });

/**
 * All logits as a tensor, (N, V). A tensor is returned as it is.
 *
 * @example
 * ```ts
 * import { allLogits, cpu } from "beargrad";
 *
 * const device = cpu();
 * const hidden = device.tensor([[1, 2]]);
 * const head = device.tensor([[1, 1], [0, 1]]);
 * console.log(await allLogits({ hidden, head }).data()); // [3, 2]
 * ```
 */
export function allLogits(logits: Logits): Tensor {
  if (logits instanceof Tensor) return logits;
  checkProjection([logits?.hidden, logits?.head]);
  return linear(logits.hidden, logits.head);
}
