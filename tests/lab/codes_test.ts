/** Data sets whose items are written in another way. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ArgumentError, UsageError } from "../../core/errors.ts";
import { withCodes } from "../../lab/data/derived.ts";
import { type Dataset, leaveOneOut, plainPrompt } from "../../lab/data/dataset.ts";
import { describeDataset } from "../../lab/data/describe.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { digestOf, readingOf } from "../../lab/train/recipe.ts";
import { checkData, readRecipe } from "../../lab/train/saved_model.ts";
import { verifyModel } from "../../lab/analysis/verify_model.ts";
import { Trie } from "../../models/decode/trie.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";

const paths = [[2, 5, 1], [2, 1], [3, 4, 1], [2, 1], [4, 1]]; // 1 and 3 share theirs
const shop: Dataset = {
  name: "five",
  items: ["a", "b", "c", "d", "e"],
  titles: ["A", "B", "C", "D", "E"],
  paths,
  tokens: ["<bos>", "<end>", "red", "blue", "pen", "ink"],
  bos: 0,
  eos: 1,
  ...leaveOneOut([{ id: "u", items: [0, 1, 2, 3] }, { id: "v", items: [4, 0, 1] }]),
  prompt: plainPrompt(paths),
  skipped: [],
  oracle: () => new Float64Array(5),
};

test("codes: semantic ones are the data set's own", () => {
  assert.equal(withCodes(shop, "semantic"), shop);
});

test("codes: one token an item, also where items shared their path", () => {
  const { known, prompt, oracle, ...rest } = withCodes(shop, "item");
  const { known: before, prompt: _prompt, eos: _eos, oracle: truth, ...same } = shop;
  assert.deepEqual(rest, {
    ...same,
    codes: "item",
    paths: [[1], [2], [3], [4], [5]],
    tokens: ["<bos>", "a", "b", "c", "d", "e"],
  });
  assert.deepEqual(prompt([4, 0, 1]), [0, 5, 1, 2]);
  assert.deepEqual([known("test"), oracle], [before("test"), truth]);
});

test("codes: random ones are the same paths, of other items", () => {
  const { paths: dealt, prompt, tokens, eos } = withCodes(shop, "random");
  assert.notDeepEqual(dealt, paths);
  assert.deepEqual(dealt.map(String).sort(), paths.map(String).sort());
  assert.deepEqual([tokens, eos], [shop.tokens, 1]);
  assert.deepEqual(prompt([4, 0, 1]), [0, ...dealt[4], ...dealt[0], ...dealt[1]]);
  assert.deepEqual(withCodes(shop, "random").paths, dealt, "the same every time");
});

test("codes: another seed deals otherwise, and the trie never changes", () => {
  const own = synthetic({ users: 10 });
  const arrays = ({ tokens, childOffsets, leafOffsets }: Trie) =>
    [tokens, childOffsets, leafOffsets].map((array) => [...array]);
  const [one, other] = [0, 7].map((seed) => withCodes(own, "random", seed));
  assert.notDeepEqual(one.paths, other.paths);
  for (const { paths } of [one, other]) {
    assert.deepEqual(arrays(new Trie(paths)), arrays(new Trie(own.paths)));
    // Chance leaves about one item of a random permutation where it is.
    assert.ok(paths.filter((path, item) => path === own.paths[item]).length < 8);
  }
});

test("codes: one token an item cannot stand in prompts of text", () => {
  const text = { ...shop, promptPerTarget: true };
  assert.throws(() => withCodes(text, "item"), ArgumentError);
  assert.equal(withCodes(text, "random").promptPerTarget, true);
});

test("codes: loaded as a reading says, after limits, and refused with what reads text", async () => {
  const item = await loadDataset("synthetic", { codes: "item", limitItems: 120 });
  assert.deepEqual([item.tokens.length, item.paths.at(-1)], [121, [120]]);
  const random = await loadDataset("synthetic", { codes: "random", limitItems: 120 });
  const own = await loadDataset("synthetic", { limitItems: 120 });
  assert.deepEqual(random.paths.map(String).sort(), own.paths.map(String).sort());
  const refusals = [[{ prompt: "p.txt" }, undefined], [{}, "some/model"]] as const;
  for (const [reading, model] of refusals) {
    await assert.rejects(loadDataset("synthetic", { ...reading, codes: "item" }, model), (e) => {
      assert.ok(e instanceof UsageError);
      assert.match(e.message, /^Cannot use --codes item: .* got --(prompt|model)$/);
      return true;
    });
  }
});

test("codes: of titles", async () => {
  const header = "user_id,item_ids,timestamp\n";
  const folder = emptyFolder();
  const files = {
    "id2name4Rec.json": JSON.stringify({ 1: "Red pen", 2: "Blue ink", 3: "Green ink", 4: "Box" }),
    "train.csv": `${header}7,"[1, 2, 3]",10\n8,"[3, 4]",20\n`,
    "test.csv": `${header}7,"[2, 3, 4]",30\n`,
    "prompt.txt": "Bought: {history}. Next: {item}\n",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const item = await loadDataset(folder, { codes: "item" });
  assert.deepEqual(item.paths, [[1], [2], [3], [4]]);
  assert.deepEqual(item.prompt([2, 0]), [0, 3, 1]);
  const own = await loadDataset(folder);
  const random = await loadDataset(folder, { codes: "random" });
  assert.deepEqual(random.paths.map(String).sort(), own.paths.map(String).sort());
  assert.deepEqual(random.prompt([2, 0]), [0, ...random.paths[2], ...random.paths[0]]);
  const prompt = join(folder, "prompt.txt");
  const [written, shuffled] = [
    await loadDataset(folder, { prompt }),
    await loadDataset(folder, { prompt, codes: "random" }),
  ];
  // Item 1's prompt is that of the item whose title it got.
  const donor = written.paths.findIndex((path) => String(path) === String(shuffled.paths[1]));
  assert.deepEqual(shuffled.prompt([1]), written.prompt([donor]));
});

test("codes: the recipe says which, unless they are the data set's own", () => {
  const recipeFor = (args: string) => readingOf(parseOptions(args.split(" ")));
  assert.deepEqual(recipeFor("--codes random --limit-users 5"), { codes: "random", limitUsers: 5 });
  assert.deepEqual(recipeFor("--codes semantic"), {});
  assert.deepEqual(recipeFor("--beam 3"), {});
  const digests = ["semantic", "item", "random"] as const;
  assert.equal(new Set(digests.map((codes) => digestOf(withCodes(shop, codes)))).size, 3);
});

test("codes: the summary of the data says which", () => {
  const lineOf = (data: Dataset) =>
    describeDataset(data, new Trie(data.paths)).split("\n").find((line) => /^ {2}codes/.test(line));
  assert.equal(lineOf(shop), undefined);
  assert.match(lineOf(withCodes(shop, "item")) ?? "", /one token an item/);
  assert.match(lineOf(withCodes(shop, "random")) ?? "", /at random/);
});

test("codes: a run of each is trained, judged and verified; a beam over items prunes nothing", async () => {
  const quiet = { preparing() {}, started() {}, training() {}, evaluating() {} };
  const data = smallFolder();
  for (const codes of ["item", "random"] as const) {
    const out = join(emptyFolder(), codes);
    const size = "--layers 1 --dim 16 --heads 2 --ffn 32 --epochs 1 --lr 0.05 --warmup 2";
    const args = `--data ${data} --codes ${codes} --loss bear --beams 3,30 ${size} --device cpu`;
    const { runs: [{ test }] } = await runExperiment(
      parseOptions([...args.split(" "), "--out", out]),
      quiet,
    );
    assert.equal(test.users, 40);
    if (codes === "item") {
      for (const beam of test.beams) {
        assert.equal(beam.pruned, 0);
        assert.deepEqual(beam.hr, beam.exact.hr);
        assert.deepEqual(beam.ranks, beam.exact.ranks);
      }
      assert.ok(
        test.beams[1].ranks.every((rank) => rank >= 0),
        "a beam beyond the catalogue has all",
      );
    }
    const checkpoint = join(out, "bear-seed0");
    assert.equal(readRecipe(checkpoint).reading.codes, codes);
    const found = await verifyModel({ checkpoint, data, limitUsers: 8 });
    assert.deepEqual([found.violations, found.users], [0, 8]);
    const other = await loadDataset(data);
    assert.throws(() => checkData(checkpoint, readRecipe(checkpoint), other), /digest/);
  }
});
