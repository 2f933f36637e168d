/** A model of Hugging Face with an adapter of PEFT against float64 logits computed elsewhere. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadModel } from "../../lab/train/model_folder.ts";
import { writeTree } from "../../models/checkpoint.ts";
import { initLora, mergeLora, withLora } from "../../models/lora.ts";
import { adapterFromPeft, loraFromJson } from "../../models/lora_peft.ts";
import { decodeSafetensors } from "../../models/safetensors.ts";
import { Transformer } from "../../models/transformer.ts";
import { onEachDevice } from "../devices.ts";

const GOLDEN = "tests/golden/llama-tiny";
const bytes = (file: string): Uint8Array => readFileSync(join(GOLDEN, file));
const json = (file: string): unknown => JSON.parse(new TextDecoder().decode(bytes(file)));

onEachDevice("golden adapter: logits beside the model and merged into it", async (device) => {
  const { config, params } = await loadModel(device, GOLDEN);
  const lora = loraFromJson(json("adapter/adapter_config.json"));
  const adapter = initLora(device, config, lora, 0);
  const factors = decodeSafetensors(bytes("adapter/adapter_model.safetensors")).tensors;
  writeTree(adapter, adapterFromPeft(factors, config, lora));
  const { input_ids, logits, logits_with_adapter } = json("expected.json") as {
    readonly input_ids: number[][];
    readonly logits: number[][][];
    readonly logits_with_adapter: number[][][];
  };
  const tokens = device.tensor(input_ids, [input_ids.length, input_ids[0].length], "int32");
  const adapted = new Transformer(device, config, lora);
  const plain = new Transformer(device, config);
  const [without, beside, merged] = await device.read([
    plain.logits(params, plain.hidden(params, tokens)),
    adapted.logits(params, adapted.hidden(withLora(params, adapter), tokens)),
    plain.logits(params, plain.hidden(mergeLora(params, adapter, config, lora), tokens)),
  ]);
  const check = (
    what: string,
    actual: ArrayLike<number>,
    expected: readonly number[],
  ): void => {
    assert.equal(actual.length, expected.length);
    const errors = expected.map((z, i) => Math.abs(actual[i] - z));
    const worst = errors.reduce((most, error) => Math.max(most, error), 0);
    const allowed = device.float === "float64" ? 1e-6 : 1e-4;
    assert.ok(worst <= allowed, `${what}: ${worst}`);
  };
  const expected = logits_with_adapter.flat(2);
  const effect = logits.flat(2).map((z, i) => Math.abs(z - expected[i]));
  assert.ok(Math.max(...effect) > 1e-2, "the adapter must matter");
  check("without", without, logits.flat(2));
  check("beside", beside, expected);
  check("merged", merged, expected);
});
