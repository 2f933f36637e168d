/** A short training run. Chromium and Deno share an engine, so its bits are the same in both. */
import { treeLeaves } from "../../core/tree.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import { openDevice } from "../../lab/devices.ts";
import { trainableModel } from "../../lab/train/models.ts";
import { optionsOf } from "../../lab/train/options.ts";
import { recipeOf } from "../../lab/train/recipe.ts";
import { Trainer } from "../../lab/train/trainer.ts";
import { Trie } from "../../models/decode/trie.ts";
import { lossNamed } from "../../models/losses/index.ts";

/** The SHA-256 of the weights that training on the cpu ends with. */
export async function train(): Promise<string> {
  const device = await openDevice("cpu", 2);
  const dataset = synthetic({ users: 120 });
  const options = optionsOf({ layers: 1, dim: 64, heads: 2, ffn: 128, epochs: 1, batch: 16 });
  const recipe = recipeOf(options, lossNamed("bear"), dataset, device);
  const trie = new Trie(dataset.paths).upload(device);
  using trainer = new Trainer(dataset, trie, recipe, await trainableModel(device, dataset, recipe));
  await trainer.runEpoch(() => {});
  const weights = await device.read(treeLeaves(trainer.params));
  const digest = await crypto.subtle.digest(
    "SHA-256",
    await new Blob(weights as BlobPart[]).arrayBuffer(),
  );
  device.dispose();
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0"));
  return hex.join("");
}
