/** Decoding step by step against whole sequences. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { capture, type HostTensor } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { initTransformer, Transformer } from "../../models/transformer.ts";
import { allLogits, type StepRows } from "../../models/decode/decoder.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { onEachDevice, testDevices } from "../devices.ts";
import { grouped, livelyParams, reader, referenceLogits, untied, weightsOf } from "./llamas.ts";

/** What is decoded: histories, and for each step the rows that it feeds. */
interface Script {
  readonly histories: readonly (readonly number[])[];
  readonly steps: readonly (readonly Row[])[];
  /** The most generated tokens of a prefix. */
  readonly depth: number;
}

/** A row extends a row that an earlier step fed (by number, over all steps), or a history. */
interface Row {
  readonly user: number;
  readonly parent: number | undefined;
  readonly token: number;
}

/** Each row extends any earlier row, so a step has rows of many depths. */
const scripts: fc.Arbitrary<Script> = fc.record({
  histories: fc.array(fc.array(fc.nat(untied.vocabSize - 1), { minLength: 1, maxLength: 9 }), {
    minLength: 1,
    maxLength: 3,
  }),
  steps: fc.array(
    fc.array(fc.record({ any: fc.nat(1e6), token: fc.nat(untied.vocabSize - 1) }), {
      minLength: 1,
      maxLength: 7,
    }),
    { minLength: 1, maxLength: 5 },
  ),
}).map(({ histories, steps }) => {
  const earlier: Row[] = [];
  const made = steps.map((step) => {
    const rows = step.map(({ any, token }): Row => {
      const choice = any % (histories.length + earlier.length);
      if (choice < histories.length) return { user: choice, parent: undefined, token };
      const parent = choice - histories.length;
      return { user: earlier[parent].user, parent, token };
    });
    earlier.push(...rows);
    return rows;
  });
  return { histories, steps: made, depth: steps.length };
});

/** The slot of a row that is fed as number n over all steps: they are not in order. */
const slotOf = (n: number): number => 2 * n + 1;

/** The generated tokens' row numbers of each row's prefix, its own last, by step. */
function linesOf({ steps }: Script): number[][][] {
  const lines: number[][] = [];
  return steps.map((rows) => {
    const next = rows.map(({ parent }, i) => [
      ...(parent === undefined ? [] : lines[parent]),
      lines.length + i,
    ]);
    lines.push(...next);
    return next;
  });
}

/** The inputs of prefill and of each step. What must not be read is filled with nonsense. */
function inputsOf(script: Script): Record<string, HostTensor> {
  const { histories, steps, depth } = script;
  const U = histories.length;
  const T = Math.max(...histories.map((h) => h.length)) + 1;
  const tokens = new Int32Array(U * T).fill(untied.vocabSize - 1);
  histories.forEach((h, u) => tokens.set(h, u * T));
  const inputs: Record<string, HostTensor> = {
    tokens: { data: tokens, shape: [U, T] },
    lengths: { data: Int32Array.from(histories, (h) => h.length), shape: [U] },
  };
  const all = linesOf(script);
  steps.forEach((rows, s) => {
    const R = rows.length;
    const slots = new Int32Array(R * depth).fill(-1e9);
    all[s].forEach((line, r) => slots.set(line.map(slotOf), r * depth));
    const ints = (values: readonly number[]) => ({ data: Int32Array.from(values), shape: [R] });
    inputs[`tokens${s}`] = ints(rows.map((row) => row.token));
    inputs[`users${s}`] = ints(rows.map((row) => row.user));
    inputs[`depths${s}`] = ints(all[s].map((line) => line.length - 1));
    inputs[`slots${s}`] = { data: slots, shape: [R, depth] };
    inputs[`count${s}`] = { data: Int32Array.of(R), shape: [1] };
  });
  return inputs;
}

/** The whole sequence of every row of each step. */
function sequencesOf(script: Script): number[][][] {
  const rows = script.steps.flat();
  return linesOf(script).map((lines) =>
    lines.map((line) => [
      ...script.histories[rows[line[0]].user],
      ...line.map((n) => rows[n].token),
    ])
  );
}

/** The logits after the histories and after each step. */
function decode(
  decoder: TransformerDecoder,
  { steps }: Pick<Script, "steps">,
  inputs: Readonly<Record<string, Tensor>>,
): Tensor[] {
  const room = slotOf(steps.flat().length);
  const { logits, cache } = decoder.prefill(inputs.tokens, inputs.lengths, room);
  return [
    logits,
    ...steps.map((_, s) =>
      decoder.step(cache, {
        tokens: inputs[`tokens${s}`],
        users: inputs[`users${s}`],
        depths: inputs[`depths${s}`],
        slots: inputs[`slots${s}`],
        count: inputs[`count${s}`],
      })
    ),
  ].map(allLogits);
}

function onDevice(device: Device, inputs: Record<string, HostTensor>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [name, device.tensor(data, shape)]),
  );
}

for (const { name, skip, open } of testDevices) {
  for (const [what, config] of Object.entries({ grouped, untied, reader })) {
    test(`decoder on ${name}: ${what}, any histories, depths and slots`, { skip }, async () => {
      const device = await open();
      using _scope = device.arena();
      const params = livelyParams(device, config, 1);
      const weights = await weightsOf(params);
      const decoder = new TransformerDecoder(new Transformer(device, config), params);
      const allowed = device.float === "float64" ? 1e-10 : 1e-4;
      await fc.assert(
        fc.asyncProperty(scripts, async ({ histories, ...others }) => {
          // A model that reads items gets them for every second token of a history.
          const read = (token: number): number =>
            config.itemCodes && token % 2 ? 11 + token % 3 : token;
          const script = { histories: histories.map((history) => history.map(read)), ...others };
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
  const script = (shift: number): Script => ({
    histories: [[1 + shift, 2, 3], [4 + shift]],
    steps: [0, 4, 8].map((before) =>
      [0, 1, 2, 3].map((r) => ({
        user: r % 2,
        parent: before === 0 || r === shift ? undefined : before - 4 + r % 2 + 2 * shift,
        token: (r * 3 + before + shift) % 7,
      }))
    ),
    depth: 3,
  });
  const shape = script(0);
  using program = capture(
    device,
    (inputs: Record<string, Tensor>) => decode(decoder, shape, inputs),
  );
  for (const shift of [0, 1, 0]) {
    const inputs = inputsOf(script(shift));
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
  const rows = (R: number, L: number): StepRows => ({
    ...{ tokens: ints(R), users: ints(R), depths: ints(R), slots: ints(R, L), count: ints(1) },
  });
  assert.throws(() => decoder.prefill(ints(2, 5), ints(3), 1), ShapeError);
  assert.throws(() => decoder.prefill(ints(2, 25), ints(2), 1), ShapeError); // 25 > 24
  assert.throws(() => decoder.prefill(ints(2, 5), ints(2), 0), ArgumentError);
  const { cache } = decoder.prefill(ints(2, 20), ints(2), 2);
  decoder.step(cache, rows(4, 4));
  assert.throws(() => decoder.step(cache, rows(4, 5)), ShapeError); // 20 + 5 > 24
  assert.throws(() => decoder.step(cache, { ...rows(4, 4), users: ints(3) }), ShapeError);
  assert.throws(() => decoder.step(cache, { ...rows(4, 4), depths: ints(5) }), ShapeError);
  assert.throws(() => decoder.step(cache, { ...rows(4, 4), slots: ints(3, 4) }), ShapeError);

  const config = { ...reader, codeHeads: 3 };
  const heads = new TransformerDecoder(
    new Transformer(device, config),
    initTransformer(device, config, 0),
  );
  const atOnce = heads.prefill(ints(2, 5), ints(2), 2).cache;
  heads.step(atOnce, rows(4, 2));
  assert.throws(() => heads.step(atOnce, rows(4, 3)), ShapeError); // the fourth code has no head
});
