/**
 * Runs in memory: the files of a run folder, read and written.
 *
 * @module
 */
import {
  CheckpointError,
  configFromJson,
  configToJson,
  decodeSafetensors,
  type Device,
  encodeSafetensors,
  loadWeights,
  type Normalization,
  openSafetensors,
  readTree,
  toHuggingFace,
  Transformer,
  type TransformerParams,
} from "beargrad";
import type { Recipe, Trainer } from "beargrad/lab";
import type { Files } from "./protocol.ts";

export interface OpenRun {
  readonly recipe: Recipe;
  readonly normalization: Normalization;
  readonly epochs: number;
  readonly model: Transformer;
  readonly params: TransformerParams;
}

export async function openRun(
  device: Device,
  files: Files,
  normalizationOf: (loss: string) => Normalization,
): Promise<OpenRun> {
  const need = (name: string): Uint8Array => {
    const found = files.get(name);
    if (found) return found;
    throw new CheckpointError(`Cannot load the model: it must hold ${name}, got none`);
  };
  const config = configFromJson(JSON.parse(new TextDecoder().decode(need("config.json"))));
  const weights = need("model.safetensors");
  const { metadata } = decodeSafetensors(need("state.safetensors"), "state.safetensors");
  const { rate, ...rest } = JSON.parse(metadata.recipe);
  const recipe = { ...rest, lr: rate } as Recipe;
  const read = (offset: number, length: number): Uint8Array =>
    weights.subarray(offset, offset + length);
  const params = await loadWeights(device, config, [
    openSafetensors({ size: weights.length, read }, "model.safetensors"),
  ]);
  return {
    recipe,
    normalization: normalizationOf(recipe.loss),
    epochs: Number(metadata.epoch),
    model: new Transformer(device, config),
    params,
  };
}

export async function writeRun(trainer: Trainer, recipe: Recipe, seconds: number): Promise<Files> {
  const { model: { config }, tensors: { params, m, v, state } } = trainer;
  const tensors = await readTree({ params, first: m, second: v, ...(state && { state }) });
  const weights = Object.fromEntries(
    Object.entries(tensors).filter(([path]) => path.startsWith("params."))
      .map(([path, tensor]) => [path.slice("params.".length), tensor]),
  );
  const { lr, ...rest } = recipe;
  const json = configToJson(config, trainer.tokens);
  return new Map([
    ["config.json", new TextEncoder().encode(`${JSON.stringify(json, undefined, 2)}\n`)],
    ["model.safetensors", encodeSafetensors(toHuggingFace(weights, config), { format: "pt" })],
    [
      "state.safetensors",
      encodeSafetensors(tensors, {
        format: "beargrad run 2",
        step: `${trainer.epoch * trainer.stepsPerEpoch}`,
        epoch: `${trainer.epoch}`,
        seconds: `${seconds}`,
        recipe: JSON.stringify({ ...rest, rate: lr }),
      }),
    ],
  ]);
}
