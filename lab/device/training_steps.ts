/**
 * A whole training step: forward, loss, backward, AdamW, as one captured program.
 *
 * @module
 */
import { capture } from "../../core/capture.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { AdamW } from "../../models/adamw.ts";
import { type LossName, lossNamed } from "../../models/losses/index.ts";
import { initTransformer, Transformer, type TransformerParams } from "../../models/transformer.ts";
import { reshape } from "../../ops/layout.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { type ConfigName, decoderConfig, workload } from "./workload.ts";

/** The learning rate of every step. */
export const RATE = 1e-3;
/** The seed of the weights. */
export const SEED = 0;

/** A step that can be taken again and again. */
export interface Steps extends Disposable {
  /** Takes one step; gives its loss, the weights being updated by then. */
  next(): Promise<number>;
}

/** Steps of a decoder on a device, from fresh weights and on the same batch each time. */
export function trainingSteps(device: Device, name: ConfigName, lossName: LossName): Steps {
  const config = decoderConfig(name);
  const model = new Transformer(device, config);
  const params = initTransformer(device, config, SEED);
  const optimizer = new AdamW(params);
  const { needs, make } = lossNamed(lossName);
  const loss = make({});
  const state = needs.state && device.tensor(needs.state);
  const { trie: host, tokens, nodes, labels } = workload(name, lossName);
  const trie = host.upload(device);
  const step = capture(
    device,
    (inputs: Record<"tokens" | "nodes" | "labels", Tensor>) => {
      const { tokens, nodes, labels } = inputs;
      const { value, grads } = valueAndGrad((p: TransformerParams) => {
        const hidden = reshape(model.hidden(p, tokens), [-1, config.dim]);
        return loss({ hidden, head: p.embed }, { trie, nodes, labels, state });
      })(params);
      optimizer.step(grads, RATE);
      return { value };
    },
  );
  return {
    next(): Promise<number> {
      return step({ tokens, nodes, labels }).value.item();
    },
    [Symbol.dispose](): void {
      step.dispose();
      optimizer.dispose();
      trie.dispose();
    },
  };
}
