/** Data sets by name or folder, and what a run trains on them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { DataError, UsageError } from "../../core/errors.ts";
import type { Dataset } from "../../lab/data/dataset.ts";
import { loadDataset, type Reading } from "../../lab/data/load.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { recipeOf } from "../../lab/train/recipe.ts";
import { readConfig } from "../../lab/train/model_folder.ts";
import { trainableModel } from "../../lab/train/models.ts";
import { configToJson } from "../../models/checkpoint_config.ts";
import { lossNamed } from "../../models/losses/index.ts";
import { smallFolder } from "./small_folder.ts";
import { type Files, makeFolder, withFolder } from "./with_folder.ts";

const HEADER = "user_id,item_ids,timestamp\n";
const TITLES = makeFolder({
  "id2name4Rec.json": { 1: "Red pen", 2: "Blue ink", 3: "Green ink", 4: "Box" },
  "train.csv": `${HEADER}7,"[1, 2, 3]",10\n8,"[3, 4]",20\n`,
  "test.csv": `${HEADER}7,"[2, 3, 4]",30\n`,
  "prompt.txt": "Bought: {history}. Next: {item}\n",
});
const CODES = smallFolder();
const LLAMA = "tests/golden/llama-tiny";

const shop = loadDataset("synthetic");

test("load: by name, by the files of a folder", async () => {
  assert.equal((await shop).test.length, 1500);
  assert.equal((await loadDataset(CODES)).items.length, 24);
  const titles = await loadDataset(TITLES);
  assert.equal(titles.tokens[0], "<bos>");
  assert.ok(titles.titles);
  await assert.rejects(loadDataset(join(CODES, "none")), DataError);
});

test("load: limits hold for every kind", async () => {
  for (const [data, items] of [["synthetic", 100], [CODES, 20], [TITLES, 4]] as const) {
    const part = await loadDataset(data, { limitUsers: 5, limitItems: items });
    assert.deepEqual([part.items.length, part.test.length <= 5], [items, true], data);
  }
});

test("load: what only titles need is refused elsewhere", async () => {
  const told: readonly [Reading, string][] = [
    [{ tokenizer: "r50k" }, "--tokenizer"],
    [{ prompt: "p.txt" }, "--prompt"],
    [{ targets: "last" }, "--targets"],
    [{ holdOut: 3 }, "--hold-out"],
  ];
  for (const [reading, flag] of told) {
    await assert.rejects(loadDataset(CODES, reading), (error) => {
      assert.ok(error instanceof UsageError);
      assert.equal(
        error.message,
        `Cannot use ${flag}: --data must be a folder of titles, with an id2name4Rec.json, got ${CODES}`,
      );
      return true;
    });
  }
});

const RATINGS = makeFolder({
  "ratings.csv": "userId,movieId,rating,timestamp\n" +
    [..."abcabdacdbcd"].map((item, i) => `${i % 3},${item},${i % 5},${i}\n`).join(""),
  "tags.csv": "userId,movieId,tag,timestamp\n",
});

test("load: interactions, by the files of a folder or by name", async () => {
  const reading: Reading = { codes: "item", kCore: 1 };
  const dataset = await loadDataset(RATINGS, reading);
  assert.deepEqual([dataset.items, dataset.test.length], [["a", "b", "c", "d"], 3]);
  assert.equal(dataset.cleaning?.[0].interactions, 12);
  const liked = await loadDataset(RATINGS, { ...reading, minRating: 0.5 });
  assert.deepEqual(liked.cleaning?.map(({ step, interactions }) => [step, interactions]), [
    ["rows of the file", 12],
    ["ratings of at least 0.5", 9],
    ["users with at least 3", 9],
  ]);
  const other = { ...reading, columns: { user: "userId", item: "movieId", time: "rating" } };
  for (const data of [RATINGS, join(RATINGS, "ratings.csv")]) {
    assert.deepEqual((await loadDataset(data, reading)).test, dataset.test);
    assert.notDeepEqual((await loadDataset(data, other)).test, dataset.test);
  }
  const part = await loadDataset(RATINGS, { ...reading, limitUsers: 2, limitItems: 3 });
  assert.deepEqual([part.tokens.length, part.test.length <= 2], [4, true]);
});

test("load: which file of a folder has interactions", async () => {
  const head = "user_id:token\titem_id:token\n";
  const inter = `${head}a\tp\na\tq\na\tr\n`;
  const csv = "user,item\na,p\na,q\na,r\na,s\n";
  const json = ["p", "q"].map((item) => `{"user":"a","item":"${item.repeat(2)}"}\n`).join("");
  const reading: Reading = { codes: "item", kCore: 1 };
  const table: readonly (readonly [files: Files, file: string, items: number | RegExp])[] = [
    [{ "pens.inter": inter, "other.csv": csv }, "", 3],
    [{ "pens.inter": inter, "other.csv": csv }, "other.csv", 4],
    [{ "only.csv": csv, "README.md": "" }, "", 4],
    [{ "a.csv": csv, "b.csv": csv }, "", /--data must name one of its files, got a.csv, b.csv$/],
    [
      { "a.inter": inter, "b.inter": inter },
      "",
      /must name one of its files, got a.inter, b.inter$/,
    ],
    [{ "Pens_5.json": json + json }, "Pens_5.json", 2],
    [{ "Pens_5.json": json }, "", /it must hold data of a known kind/],
    [{ "a.csv": csv }, "b.csv", /b\.csv/],
    [{ "a.csv.gz": csv }, "", /its files must be unpacked, got a.csv.gz$/],
    [{ "train.csv": csv, "valid.csv": csv, "info.txt": "" }, "", /it must hold test\.csv, got/],
  ];
  for (const [files, file, items] of table) {
    await withFolder(files, async (folder) => {
      const loaded = loadDataset(join(folder, file), reading);
      if (typeof items === "number") assert.equal((await loaded).items.length, items);
      else await assert.rejects(loaded, items);
    });
  }
});

test("load: interactions need codes", async () => {
  for (const codes of [undefined, "semantic", "random"] as const) {
    await assert.rejects(loadDataset(RATINGS, { codes }), {
      name: "UsageError",
      message: `Cannot load ${join(RATINGS, "ratings.csv")}, which has no codes: --codes must be ` +
        `item or made ones such as hierarchical:64x16, got ${codes ?? "semantic"}`,
    });
  }
  await assert.rejects(
    loadDataset(join(RATINGS, "ratings.csv"), { codes: "item", index: "a" }),
    /^UsageError: Cannot use --index: --data must have files of codes, got interactions$/,
  );
});

test("load: what only interactions need is refused elsewhere", async () => {
  const told: readonly [Reading, string][] = [
    [{ columns: { user: "1", item: "2" } }, "--columns"],
    [{ minRating: 0 }, "--min-rating"],
    [{ duplicates: "all" }, "--duplicates"],
    [{ kCore: 5 }, "--k-core"],
    [{ split: "leave-one-out" }, "--split"],
    [{ skipBadRows: true }, "--skip-bad-rows"],
  ];
  for (const [reading, flag] of told) {
    for (const data of ["synthetic", CODES, TITLES]) {
      const error = flag === "--columns" && data !== "synthetic"
        ? /^(UsageError: Cannot load|DataError: Cannot load) .* got /
        : new RegExp(
          `^UsageError: Cannot use ${flag}: --data must have interactions such as .*, got `,
        );
      await assert.rejects(loadDataset(data, reading), error);
    }
  }
});

test("load: with a prompt, ids are the tokenizer's", async () => {
  const dataset = await loadDataset(TITLES, { prompt: join(TITLES, "prompt.txt") });
  assert.equal(dataset.tokens.length, 50257);
  assert.equal(dataset.promptPerTarget, true);
  // A model without a tokenizer of its own was trained here, with the ids of the titles.
  const plain = await loadDataset(TITLES, {}, LLAMA);
  assert.deepEqual(plain.paths, (await loadDataset(TITLES)).paths);
});

test("trained: a pretrained model, whole or under an adapter; its sizes are the recipe's", async () => {
  const device = cpu();
  const dataset = await loadDataset(CODES);
  const recipe = (args: string) =>
    recipeOf(parseOptions(`--history 3 ${args}`.split(" ")), lossNamed("msl"), dataset, device);
  const whole = await trainableModel(device, dataset, recipe(`--model ${LLAMA}`));
  assert.deepEqual([recipe(`--model ${LLAMA}`).dim, whole.model.config.dim], [48, 48]);
  assert.equal(whole.weights(whole.params), whole.params);
  const adapted = await trainableModel(
    device,
    dataset,
    recipe(`--model ${LLAMA} --lora q --lora-rank 2`),
  );
  assert.deepEqual(adapted.model.lora, { targets: ["q"], rank: 2, alpha: 16, dropout: 0.05 });
});

test("trained: a model that reads items is not trained on tokens", async () => {
  const device = cpu();
  const dataset = await loadDataset(CODES);
  const config = configToJson({ ...readConfig(LLAMA), itemCodes: [[1]], codeHeads: 1 });
  await withFolder({ "config.json": config }, async (model) => {
    const options = parseOptions(["--model", model]);
    await assert.rejects(
      trainableModel(device, dataset, recipeOf(options, lossNamed("msl"), dataset, device)),
      /^DataError: Cannot train .*: a pretrained model must read tokens, got one that reads items$/,
    );
  });
});

test("trained: a model that is too small for the data is refused before it is read", async () => {
  const device = cpu();
  const { heldBytes } = device.stats;
  const dataset = await shop; // has more than 120 tokens
  const refused = (model: string, dataset: Dataset, message: RegExp): Promise<void> => {
    const recipe = recipeOf(parseOptions(["--model", model]), lossNamed("msl"), dataset, device);
    return assert.rejects(trainableModel(device, dataset, recipe), message);
  };
  const vocabulary =
    /^DataError: Cannot train tests\/golden\/llama-tiny on synthetic: its vocabulary must have .*, got 120; --tokenizer/;
  await refused(LLAMA, dataset, vocabulary);
  const length =
    /^DataError: Cannot train .*: its max_position_embeddings must be at least \d+, .*, got 3; a lower --history/;
  const config = configToJson({ ...readConfig(LLAMA), maxLength: 3 });
  const few = await loadDataset(CODES);
  await withFolder({ "config.json": config }, (model) => refused(model, few, length));
  assert.equal(device.stats.liveBytes, 0);
  assert.equal(device.stats.heldBytes, heldBytes);
});
