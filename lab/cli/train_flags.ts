/**
 * The command line of train.ts as a table: every option with its default, its domain and its help.
 *
 * @module
 */
import { LORA_TARGETS } from "../../models/lora.ts";
import { domainOf, fitsFlag, type LossSettings } from "../../models/losses/flags.ts";
import {
  type LossFlagName,
  lossFlagNames,
  lossFlags,
  lossNames,
  readersOf,
} from "../../models/losses/index.ts";
import { CODES } from "../data/codes.ts";
import type { DeviceChoice } from "../devices.ts";
import { choice, type Flags, integer, notNegative, positive, real, text, toggle } from "./flags.ts";
import { isRate, readBeams, readLosses, readTargets } from "./option_values.ts";
import type { Options } from "./options.ts";

/** The flags of losses. */
const LOSS_FLAGS = Object.fromEntries(lossFlagNames.map((name) => {
  const flag = lossFlags[name];
  const readers = readersOf(name);
  const help = readers.length > 5 ? flag.help : `${flag.help} (${readers.join(", ")})`;
  if (flag.kind === "integer") return [name, integer(flag.least, flag.default, help, flag.most)];
  const domain = domainOf(flag).replace("a number ", "");
  return [name, real(flag.default, help, domain, (x) => fitsFlag(flag, x))];
})) as Flags<LossSettings<LossFlagName>>;

/** Every option. The defaults suit the synthetic data. */
export const FLAGS: Flags<Options> = {
  data: text("DATA", "synthetic", "synthetic, or a folder of semantic ids or of titles"),
  tokenizer: {
    ...text("NAME", undefined, "of titles: r50k, or a folder with a tokenizer.json"),
    shown: "the model's, else r50k",
  },
  prompt: { ...text("FILE", undefined, "a prompt for histories of titles"), shown: "titles alone" },
  targets: {
    ...choice<"all" | "last", undefined>(
      ["all", "last"],
      undefined,
      "items predicted of a sequence of titles",
    ),
    shown: "all",
  },
  holdOut: {
    ...integer(1, undefined, "the last N training rows of titles become validation cases"),
    shown: "none",
  },
  limitItems: {
    ...integer(1, undefined, "only the first N items of the catalogue"),
    shown: "all",
  },
  limitUsers: {
    ...integer(1, undefined, "only the first N users, in training and when judging"),
    shown: "all",
  },
  joinValidation: toggle("train on the validation targets too, once they have chosen a recipe"),
  codes: choice(CODES, "semantic", "of items: the data's own, one token an item, or shuffled ones"),
  loss: {
    value: "LIST",
    default: ["sft", "msl", "bear"],
    shown: "sft,msl,bear",
    help: `one run each: ${lossNames.join(", ")}, or the path of a module with a loss of yours`,
    read: readLosses,
  },
  ...LOSS_FLAGS,
  beams: {
    value: "LIST",
    default: [],
    shown: "that of the loss",
    help: "beam widths to decode with, such as 5,10,20",
    read: readBeams,
  },
  model: {
    ...text("FOLDER", undefined, "begin with a Llama model in Hugging Face's layout"),
    shown: "a fresh one",
  },
  half: toggle("keep the weights of --model in half precision, with --lora"),
  lora: {
    value: "LIST",
    default: [],
    shown: "none, all weights are trained",
    help: `adapters, of ${LORA_TARGETS.join(", ")}; q,v is usual`,
    read: readTargets,
  },
  loraRank: integer(1, 8, "rank of the adapters", 65536),
  loraAlpha: positive(16, "scale of the adapters, times the rank"),
  loraDropout: real(0.05, "dropout on what an adapter reads", "in [0, 1)", isRate),
  layers: integer(1, 2, "layers of the decoder", 1000),
  dim: integer(1, 64, "channels of the decoder", 16384),
  heads: integer(1, 2, "query heads; dim / heads must be a multiple of 4"),
  kvHeads: { ...integer(1, NaN, "key and value heads; heads must be a multiple"), shown: "heads" },
  ffn: integer(1, 256, "inner width of the SwiGLU, channels", 65536),
  history: integer(1, 20, "items of history that the model sees", 10000),
  epochs: integer(1, 8, "passes over the training data"),
  patience: {
    ...integer(
      1,
      undefined,
      "stop after N epochs without a better validation NDCG@10, keep the best",
    ),
    shown: "the last epoch is kept",
  },
  validateUsers: integer(1, 1000, "validation cases looked at after an epoch, with --patience"),
  batch: integer(1, 32, "windows a batch", 65536),
  accumulate: integer(1, 1, "batches an update, their gradients averaged", 65536),
  lr: { ...positive(NaN, "peak learning rate"), shown: "0.004; 0.0001 with --model" },
  warmup: integer(0, 50, "steps of linear warm-up, then a cosine"),
  dropout: {
    ...real(NaN, "dropout on the embedding and the residual branches", "in [0, 1)", isRate),
    shown: "0.1; 0 with --model",
  },
  decay: notNegative(0.05, "weight decay of the matrices, times the learning rate a step"),
  seed: integer(0, 0, "seed of weights, batches and dropout", Number.MAX_SAFE_INTEGER),
  device: choice<DeviceChoice, DeviceChoice>(
    ["auto", "webgpu", "cpu"],
    "auto",
    "where to compute; auto is webgpu on a hardware adapter, else cpu",
  ),
  threads: { ...integer(1, undefined, "threads of the cpu device", 64), shown: "cores" },
  excludeHistory: toggle("take the history that the model sees out of the catalogue when decoding"),
  out: {
    ...text("FOLDER", undefined, "write metrics, checkpoints and summary.json"),
    shown: "none",
  },
  resume: toggle("go on with the checkpoints in --out"),
  help: toggle("print this and stop"),
};
