// deno-lint-ignore-file no-console -- it prints
/**
 * What loading a pretrained model costs: `deno task bench:load --help` lists the options. The model
 * is random, in bfloat16.
 *
 * @module
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { sizeOf } from "../core/shape.ts";
import { openDevice } from "../lab/devices.ts";
import { type CommandLine, runCommand } from "../lab/cli/flags.ts";
import { choice, flag, integer, jsonFlag } from "../lab/cli/kinds.ts";
import { loadModel } from "../lab/train/model_folder.ts";
import { renderTable } from "../lab/table.ts";
import { configToJson } from "../models/checkpoint_config.ts";
import { namedTensors, type WeightType } from "../models/checkpoint.ts";
import { parameterCount, type TransformerConfig } from "../models/transformer.ts";
import { costOf, peakRssMiB, rounded, rssMiB } from "./measure.ts";

interface Options {
  readonly device: "cpu" | "webgpu";
  readonly weights: WeightType;
  readonly mib: number;
  readonly json: boolean;
}

const LINE: CommandLine<Options> = {
  name: "bench:load",
  usage: "[options]",
  does: "Loads a random bfloat16 model out of a folder and prints how much memory that takes.",
  flags: {
    device: flag(choice(["cpu", "webgpu"]), "where to load to", "cpu"),
    weights: flag(choice(["float32", "float16"]), "how to keep the weights", "float16"),
    mib: flag(integer(1, 100000), "approximate size of the model's file", 400),
    json: jsonFlag,
  },
  run: main,
};

/**
 * The shape of Llama 3.2 1B, from 200 MiB on, with fewer tokens, for adapters with small buffers,
 * and with layers for about `mib` MiB.
 */
function configOf(mib: number): TransformerConfig {
  const dim = mib < 200 ? 256 : 2048;
  const base = {
    ...{ vocabSize: 8 * dim, dim, layers: 1, heads: dim / 64, headDim: 64, ffn: 4 * dim },
    ...{ kvHeads: dim / 256, ropeTheta: 500000, normEps: 1e-5, maxLength: 131072, dropout: 0 },
    ropeScaling: { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxLength: 8192 },
    tiedEmbeddings: true,
  };
  const layer = parameterCount({ ...base, layers: 2 }) - parameterCount(base);
  const rest = mib * 2 ** 19 - parameterCount({ ...base, layers: 0 });
  return { ...base, layers: Math.max(1, Math.round(rest / layer)) };
}

/** Writes a model folder, a piece at a time: numbers in +-[2^-7, 2^-5). */
function writeModel(folder: string, config: TransformerConfig): void {
  writeFileSync(join(folder, "config.json"), JSON.stringify(configToJson(config)));
  const tensors = [...namedTensors(config)];
  let end = 0;
  const header = tensors.map(({ name, shape }) => {
    const begin = end;
    end += 2 * sizeOf(shape);
    return [name, { dtype: "BF16", shape, data_offsets: [begin, end] }];
  });
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const file = openSync(join(folder, "model.safetensors"), "w");
  writeSync(file, new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer));
  writeSync(file, text);
  const piece = new Uint16Array(2 ** 16);
  let state = 1;
  for (let left = end / 2; left > 0; left -= piece.length) {
    for (let i = 0; i < piece.length; i++) {
      state = Math.imul(state, 1664525) + 1013904223;
      piece[i] = 0x3c00 | ((state >>> 16) & 0x80ff);
    }
    writeSync(file, new Uint8Array(piece.buffer, 0, 2 * Math.min(left, piece.length)));
  }
  closeSync(file);
}

/** Loads it and reports; peakMiB is the peak of the whole process over what it had before. */
async function measure(
  { device: kind, weights, mib }: Options,
): Promise<Record<string, string | number>> {
  const folder = mkdtempSync(join(tmpdir(), "beargrad-load-"));
  try {
    const config = configOf(mib);
    writeModel(folder, config);
    const device = await openDevice(kind);
    const before = rssMiB();
    const { wall, cpu } = await costOf(() => loadModel(device, folder, { weights }));
    const fileMiB = 2 * parameterCount(config) / 2 ** 20;
    const report = {
      ...{ device: kind, weights, fileMiB: rounded(fileMiB) },
      beforeMiB: rounded(before),
      peakMiB: rounded(peakRssMiB() - before),
      liveMiB: rounded(device.stats.liveBytes / 2 ** 20),
      ...{ wallMs: rounded(wall), cpuMs: rounded(cpu) },
    };
    device.dispose();
    return report;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function main(options: Options): Promise<void> {
  const report = await measure(options);
  if (options.json) console.log(JSON.stringify(report));
  else console.log(renderTable(["", ""], Object.entries(report)));
}

await runCommand(LINE, process.argv.slice(2));
