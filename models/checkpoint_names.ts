/**
 * Hugging Face's names for the tensors of a Llama model, and where each is here.
 *
 * @module
 */
import { type Shape, sizeOf } from "../core/shape.ts";
import { type LayerParams, shapesOf, type TransformerConfig } from "./transformer_config.ts";

/** Our names of a model's own weights, and Hugging Face's. */
const MODEL = { embed: "model.embed_tokens", norm: "model.norm", head: "lm_head" } as const;

/**
 * Our names of a layer's weights, and Hugging Face's. Both keep matrices as (out, in); of several matrices that are one
 * weight here, the rows lie one after the other.
 */
const LAYER = {
  attnNorm: ["input_layernorm"],
  qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  output: ["self_attn.o_proj"],
  mlpNorm: ["post_attention_layernorm"],
  gateUp: ["mlp.gate_proj", "mlp.up_proj"],
  down: ["mlp.down_proj"],
} as const satisfies Record<keyof LayerParams, readonly string[]>;

/** A tensor of Hugging Face's, and where it is here. */
export interface NamedTensor {
  /** Hugging Face's name. */
  readonly name: string;
  /** Its shape. */
  readonly shape: Shape;
  /** The path of the weight that it is, or is part of. */
  readonly path: string;
  /** The element of that weight at which it begins. */
  readonly at: number;
}

/**
 * The tensors of a Llama model in Hugging Face's layout; those of one weight follow each other. Lazily, since a configuration
 * may claim any number of layers.
 *
 * @example
 * ```ts
 * import { namedTensors } from "beargrad";
 *
 * const config = {
 *   ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
 *   ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
 * };
 * const key = [...namedTensors(config)].find(({ name }) => name.endsWith("0.self_attn.k_proj.weight"));
 * console.log(key?.shape, key?.path, key?.at); // [4, 8] layers.0.qkv 64
 * ```
 */
export function* namedTensors(config: TransformerConfig): Generator<NamedTensor> {
  const { embed, layer } = shapesOf(config);
  yield { name: `${MODEL.embed}.weight`, shape: embed, path: "embed", at: 0 };
  for (let l = 0; l < config.layers; l++) {
    for (const [weight, names] of Object.entries<readonly string[]>(LAYER)) {
      let at = 0;
      for (const [i, shape] of layer[weight as keyof LayerParams].entries()) {
        const name = `model.layers.${l}.${names[i]}.weight`;
        yield { name, shape, path: `layers.${l}.${weight}`, at };
        at += sizeOf(shape);
      }
    }
  }
  yield { name: `${MODEL.norm}.weight`, shape: [config.dim], path: "norm", at: 0 };
  if (!config.tiedEmbeddings) {
    yield { name: `${MODEL.head}.weight`, shape: embed, path: "head", at: 0 };
  }
}

/** Tensors that a file may hold although the model has no use for them: a tied head's copy, and tables of old files. */
export function isSpare(name: string, { tiedEmbeddings }: TransformerConfig): boolean {
  return (tiedEmbeddings && name === `${MODEL.head}.weight`) ||
    /^model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/.test(name);
}
