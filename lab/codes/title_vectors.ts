/**
 * Vectors of items from their titles, through a pretrained model.
 *
 * @module
 */
import { DataError } from "../../core/errors.ts";
import type { Device } from "../../core/tensor.ts";
import { oneLine } from "../../models/json.ts";
import { Transformer } from "../../models/transformer.ts";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { loadModel } from "../train/model_folder.ts";
import type { Vectors } from "./vectors.ts";

/** Tokens that a forward pass has, at most. */
const PASS = 2048;
/** Tokens of a title that are read. */
const MOST_TOKENS = 256;

/**
 * The mean over a title's tokens of the hidden states after the last layer of a model of the Llama
 * family, in a folder in Hugging Face's layout with its tokenizer. Bits differ between devices and
 * runtimes. A title without tokens has a zero vector. The device is disposed at the end.
 *
 * @throws {CheckpointError} if the model is missing, malformed or not supported.
 * @throws {DataError} if the tokenizer is, or does not fit the model, or a hidden state is not
 * finite.
 */
export async function titleVectors(
  device: Device,
  titles: readonly string[],
  model: string | Folder,
  onProgress?: (what: string, done: number, total: number) => void,
): Promise<Vectors> {
  try {
    const tokenizer = await loadTokenizer(folderAt(model));
    const { config, params } = await loadModel(device, model);
    if (tokenizer.vocabSize > config.vocabSize) {
      throw new DataError(
        `Cannot read titles with ${folderAt(model).path}: its tokenizer must have at most the ` +
          `model's ${config.vocabSize} tokens, got ${tokenizer.vocabSize}`,
      );
    }
    using transformer = new Transformer(device, config);
    const { dim } = config;
    const begin = tokenizer.bos === undefined ? [] : [tokenizer.bos];
    const most = Math.min(config.maxLength, MOST_TOKENS);
    const rows = titles
      .map((title, item) => ({ item, ids: [...begin, ...tokenizer.encode(title)].slice(0, most) }))
      .filter(({ ids }) => ids.length > begin.length)
      .sort((a, b) => a.ids.length - b.ids.length || a.item - b.item);
    const data = new Float64Array(titles.length * dim);
    for (let from = 0; from < rows.length;) {
      let to = from + 1; // the longest of a batch is its last
      while (to < rows.length && (to + 1 - from) * rows[to].ids.length <= PASS) to++;
      const batch = rows.slice(from, to);
      const width = batch[batch.length - 1].ids.length;
      const tokens = new Int32Array(batch.length * width);
      batch.forEach(({ ids }, row) => tokens.set(ids, row * width)); // what follows is not read
      let hidden: ArrayLike<number>;
      {
        using _scope = device.arena();
        const out = transformer.hidden(
          params,
          device.tensor(tokens, [batch.length, width], "int32"),
        );
        hidden = await out.data();
      }
      batch.forEach(({ item, ids }, row) => {
        for (let t = begin.length; t < ids.length; t++) {
          const at = (row * width + t) * dim;
          for (let j = 0; j < dim; j++) data[item * dim + j] += hidden[at + j];
        }
        for (let j = 0; j < dim; j++) data[item * dim + j] /= ids.length - begin.length;
      });
      from = to;
      onProgress?.("vectors of titles", from, rows.length);
    }
    const bad = data.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) {
      throw new DataError(
        `Cannot read titles with ${folderAt(model).path}: its hidden states must be finite, got ` +
          `${data[bad]} for "${oneLine(titles[Math.floor(bad / dim)])}"`,
      );
    }
    return { data, dim };
  } finally {
    device.dispose();
  }
}
