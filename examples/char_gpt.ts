// deno-lint-ignore-file no-console -- it prints
/**
 * A character GPT that learns a few sonnets and writes in their manner:
 * `deno run examples/char_gpt.ts`.
 *
 * @module
 */
import { AdamW, add, addRmsNorm, attention, capture, categorical } from "beargrad";
import { cosineSchedule, cpu, crossEntropy, type Device, foldIn, type HostTensor } from "beargrad";
import { keyOf, linear, mul, normal, permutation, reshape, rmsNorm, silu, slice } from "beargrad";
import { take, type Tensor, valueAndGrad } from "beargrad";
import { SONNETS } from "./sonnets.ts";

const CONTEXT = 64;
const CHANNELS = 64;
const HEADS = 4;
const LAYERS = 2;
const BATCH = 16;
const EPS = 1e-5;

/** The characters of the text; a token is an index into them. */
const CHARACTERS = [...new Set(SONNETS)].sort();
const TOKENS = Int32Array.from(SONNETS, (character) => CHARACTERS.indexOf(character));

type Block = {
  readonly norm: Tensor; // (C)
  readonly qkv: Tensor; // (3 C, C)
  readonly out: Tensor; // (C, C)
  readonly norm2: Tensor; // (C)
  readonly up: Tensor; // (4 C, C)
  readonly down: Tensor; // (C, 4 C)
};

type Params = {
  readonly embedding: Tensor; // (V, C), also the head
  readonly positions: Tensor; // (T, C)
  readonly blocks: readonly Block[];
  readonly norm: Tensor; // (C)
};

/** What a captured step is fed. */
type Inputs = { readonly tokens: Tensor; readonly labels: Tensor; readonly lr: Tensor };

/** Weights from N(0, 0.1 ** 2), norms of ones. */
function initialise(device: Device): Params {
  let draws = 0;
  const weights = (rows: number, columns: number): Tensor => {
    const values = normal(foldIn(keyOf(1), draws++), rows * columns);
    return device.tensor(values.map((x) => 0.1 * x), [rows, columns]);
  };
  const norm = (): Tensor => device.tensor(new Float64Array(CHANNELS).fill(1));
  return {
    embedding: weights(CHARACTERS.length, CHANNELS),
    positions: weights(CONTEXT, CHANNELS),
    blocks: Array.from({ length: LAYERS }, () => ({
      norm: norm(),
      qkv: weights(3 * CHANNELS, CHANNELS),
      out: weights(CHANNELS, CHANNELS),
      norm2: norm(),
      up: weights(4 * CHANNELS, CHANNELS),
      down: weights(CHANNELS, 4 * CHANNELS),
    })),
    norm: norm(),
  };
}

/** Logits (B, T, V) of the characters that follow tokens (B, T). */
function forward(params: Params, tokens: Tensor): Tensor {
  const [B, T] = tokens.shape;
  let x = add(take(params.embedding, tokens), slice(params.positions, [0, 0], [T, CHANNELS]));
  for (const { norm, qkv, out, norm2, up, down } of params.blocks) {
    const heads = [B, T, 3 * HEADS, CHANNELS / HEADS]; // queries, then keys, then values
    const attended = attention(reshape(linear(rmsNorm(x, norm, EPS), qkv), heads), HEADS, HEADS);
    const mixed = linear(reshape(attended, [B, T, CHANNELS]), out);
    const { sum, normed } = addRmsNorm(x, mixed, norm2, EPS);
    x = add(sum, linear(silu(linear(normed, up)), down));
  }
  return linear(rmsNorm(x, params.norm, EPS), params.embedding);
}

/** Windows that begin at random places of the text; labels are the characters one further on. */
function batchOf(step: number): { tokens: HostTensor; labels: HostTensor } {
  const starts = permutation(foldIn(keyOf(2), step), TOKENS.length - CONTEXT).subarray(0, BATCH);
  const windows = (shift: number): HostTensor => {
    const data = new Int32Array(BATCH * CONTEXT);
    starts.forEach((start, row) => {
      data.set(TOKENS.subarray(start + shift, start + shift + CONTEXT), row * CONTEXT);
    });
    return { data, shape: [BATCH, CONTEXT] };
  };
  return { tokens: windows(0), labels: windows(1) };
}

/** Trains for some steps. Returns the parameters and the loss in nats a character. */
export async function train(
  device: Device,
  steps: number,
): Promise<{ params: Params; loss: number }> {
  const params = initialise(device);
  const optimizer = new AdamW(params, { clipNorm: 1 });
  const lossAndGrads = valueAndGrad((p: Params, tokens: Tensor, labels: Tensor) =>
    crossEntropy(forward(p, tokens), labels)
  );
  // The first call records the step. Later calls replay it with other inputs.
  using step = capture(device, ({ tokens, labels, lr }: Inputs) => {
    const { value, grads } = lossAndGrads(params, tokens, labels);
    optimizer.step(grads, lr);
    return { loss: value };
  });
  const schedule = cosineSchedule({ peak: 1e-2, warmup: 20, steps, floor: 0.1 });
  let loss = NaN;
  for (let i = 1; i <= steps; i++) {
    const lr = { data: Float32Array.of(schedule(i)), shape: [] };
    const outputs = step({ ...batchOf(i), lr });
    if (i % 100 !== 0 && i !== steps) continue;
    loss = await outputs.loss.item();
    console.log(`step ${i}: loss ${loss.toFixed(3)}`);
  }
  return { params, loss };
}

/** Writes on from `text`, character by character, each drawn from softmax(logits / temperature). */
export async function write(
  params: Params,
  text: string,
  count: number,
  temperature = 0.8,
): Promise<string> {
  const { device } = params.embedding;
  const tokens = Array.from(text, (character) => CHARACTERS.indexOf(character));
  for (let i = 0; i < count; i++) {
    using _ = device.arena();
    const context = Int32Array.from(tokens.slice(-CONTEXT));
    const logits = forward(params, device.tensor(context, [1, context.length]));
    const last = slice(logits, [0, context.length - 1, 0], [1, context.length, CHARACTERS.length]);
    const key = device.tensor(Int32Array.from(foldIn(keyOf(3), i)));
    tokens.push(await categorical(key, mul(last, 1 / temperature), 0).item());
  }
  return tokens.map((token) => CHARACTERS[token]).join("");
}

if (import.meta.main) {
  const { params } = await train(cpu(), 600);
  console.log(await write(params, "Shall I ", 400));
}
