/** Decoding step by step against whole sequences. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { capture, type HostTensor } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { initTransformer, Transformer } from "../../models/transformer.ts";
import { allLogits } from "../../models/decode/decoder.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { onEachDevice, testDevices } from "../devices.ts";
import { grouped, livelyParams, referenceLogits, untied, weightsOf } from "./llamas.ts";

/**
 * What is decoded: histories, and at each step for each beam row whom it descends from and what it
 * feeds.
 */
interface Script {
  readonly histories: readonly (readonly number[])[];
  readonly beam: number;
  /** [step][row]: the parent as a beam of the same user, and the token. */
  readonly steps: readonly (readonly { readonly parent: number; readonly token: number }[])[];
}

const token = fc.integer({ min: 0, max: untied.vocabSize - 1 });

const scripts: fc.Arbitrary<Script> = fc.record({
  histories: fc.array(fc.array(token, { minLength: 1, maxLength: 9 }), {
    minLength: 1,
    maxLength: 3,
  }),
  beam: fc.integer({ min: 1, max: 3 }),
  steps: fc.integer({ min: 1, max: 4 }),
}).chain(({ histories, beam, steps }) => {
  const R = histories.length * beam;
  const row = fc.record({ parent: fc.nat(beam - 1), token });
  const step = fc.array(row, { minLength: R, maxLength: R });
  return fc.record({
    histories: fc.constant(histories),
    beam: fc.constant(beam),
    steps: fc.array(step, { minLength: steps, maxLength: steps }),
  });
});

/** The inputs of prefill and of each step. What must not be read is filled with nonsense. */
function inputsOf({ histories, beam, steps }: Script): Record<string, HostTensor> {
  const U = histories.length;
  const R = U * beam;
  const T = Math.max(...histories.map((h) => h.length)) + 1;
  const tokens = new Int32Array(U * T).fill(untied.vocabSize - 1);
  histories.forEach((h, u) => tokens.set(h, u * T));
  const inputs: Record<string, HostTensor> = {
    tokens: { data: tokens, shape: [U, T] },
    lengths: { data: Int32Array.from(histories, (h) => h.length), shape: [U] },
  };
  let lines: number[][] = Array.from({ length: R }, () => []); // rows that fed each row's tokens so far
  steps.forEach((rows, s) => {
    lines = rows.map(({ parent }, r) => {
      const from = Math.floor(r / beam) * beam + parent;
      return s === 0 ? [] : [...lines[from], from];
    });
    const ancestors = new Int32Array(R * steps.length).fill(-1e9);
    lines.forEach((line, r) => ancestors.set(line, r * steps.length));
    inputs[`fed${s}`] = { data: Int32Array.from(rows, (row) => row.token), shape: [R] };
    inputs[`ancestors${s}`] = { data: ancestors, shape: [R, steps.length] };
  });
  return inputs;
}

/** The whole sequence of every row after each step. */
function sequencesOf({ histories, beam, steps }: Script): number[][][] {
  let rows = histories.flatMap((h) => Array.from({ length: beam }, () => [...h]));
  return steps.map((step) => {
    const before = rows;
    rows = step.map(({ parent, token: fed }, r) => [
      ...before[Math.floor(r / beam) * beam + parent],
      fed,
    ]);
    return rows;
  });
}

/** The logits after the histories and after each step. */
function decode(
  decoder: TransformerDecoder,
  script: Pick<Script, "beam" | "steps">,
  inputs: Readonly<Record<string, Tensor>>,
): Tensor[] {
  const count = script.steps.length;
  const { logits, cache } = decoder.prefill(inputs.tokens, inputs.lengths, script.beam, count);
  return [
    logits,
    ...script.steps.map((_, s) =>
      decoder.step(cache, s, inputs[`fed${s}`], inputs[`ancestors${s}`])
    ),
  ].map(allLogits);
}

function onDevice(device: Device, inputs: Record<string, HostTensor>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [name, device.tensor(data, shape)]),
  );
}

for (const { name, skip, open } of testDevices) {
  for (const [what, config] of Object.entries({ grouped, untied })) {
    test(`decoder on ${name}: ${what}, any histories, beams and ancestors`, { skip }, async () => {
      const device = await open();
      using _scope = device.arena();
      const params = livelyParams(device, config, 1);
      const weights = await weightsOf(params);
      const decoder = new TransformerDecoder(new Transformer(device, config), params);
      const allowed = device.float === "float64" ? 1e-10 : 1e-4;
      await fc.assert(
        fc.asyncProperty(scripts, async (script) => {
          using _inner = device.arena();
          const logits = await device.read(
            decode(decoder, script, onDevice(device, inputsOf(script))),
          );
          const V = config.vocabSize;
          [script.histories, ...sequencesOf(script)].forEach((sequences, step) => {
            assert.equal(logits[step].length, sequences.length * V);
            sequences.forEach((sequence, r) => {
              const expected = referenceLogits(weights, config, sequence).at(-1) as number[];
              expected.forEach((z, v) => {
                const error = Math.abs(logits[step][r * V + v] - z);
                assert.ok(error <= allowed, `step ${step}, row ${r}, token ${v}: off by ${error}`);
              });
            });
          });
        }),
        { numRuns: name === "webgpu" ? 8 : 20, seed: 3 },
      );
    });
  }
}

onEachDevice("decoder: captured as eager", async (device) => {
  const decoder = new TransformerDecoder(
    new Transformer(device, grouped),
    livelyParams(device, grouped, 2),
  );
  const shape = { beam: 2, steps: [[], [], []] };
  using program = capture(
    device,
    (inputs: Record<string, Tensor>) => decode(decoder, shape, inputs),
  );
  const rows = (shift: number): Script["steps"][number] =>
    [0, 1, 2, 3].map((r) => ({ parent: (r + shift) % 2, token: (r * 3 + shift) % 7 }));
  for (const shift of [0, 1, 0]) {
    const inputs = inputsOf({
      histories: [[1 + shift, 2, 3], [4 + shift]],
      beam: 2,
      steps: [rows(shift), rows(shift + 1), rows(shift + 3)],
    });
    const captured = await device.read(program(inputs));
    const eager = await device.read(decode(decoder, shape, onDevice(device, inputs)));
    assert.deepEqual(captured, eager);
  }
  assert.equal(program.programs, 1);
});

test("decoder: what does not fit is refused", () => {
  const device = cpu();
  const decoder = new TransformerDecoder(
    new Transformer(device, grouped),
    initTransformer(device, grouped, 0),
  );
  const ints = (...shape: number[]): Tensor =>
    device.tensor(new Int32Array(shape.reduce((x, y) => x * y, 1)).fill(1), shape);
  assert.throws(() => decoder.prefill(ints(2, 5), ints(3), 1, 1), ShapeError);
  assert.throws(() => decoder.prefill(ints(2, 20), ints(2), 1, 5), ShapeError); // 25 > 24
  assert.throws(() => decoder.prefill(ints(2, 5), ints(2), 0, 1), ArgumentError);
  const { cache } = decoder.prefill(ints(2, 5), ints(2), 2, 3);
  assert.throws(() => decoder.step(cache, 3, ints(4), ints(4, 3)), ShapeError);
  assert.throws(() => decoder.step(cache, 0, ints(4), ints(4, 2)), ShapeError);
  assert.throws(() => decoder.step(cache, 0, ints(3), ints(3, 3)), ShapeError);
});
