/** Data sets made from another one: its first items and users, validation joined, other codes. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ArgumentError, type CheckpointError, DataError, UsageError } from "../../core/errors.ts";
import { explainUser } from "../../lab/analysis/explain_user.ts";
import { verifyModel } from "../../lab/analysis/verify_model.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import type { Dataset } from "../../lab/data/dataset.ts";
import { joinValidation, limitDataset, withCodes, withItemInput } from "../../lab/data/derived.ts";
import { describeDataset } from "../../lab/data/describe.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import { openRun, recommendAll } from "../../lab/lists/recommend.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import { digestOfParts } from "../../lab/digest.ts";
import { digestOf, readingOf, sequencesDigest } from "../../lab/train/recipe.ts";
import { readRecipe, readRun, readSavedRun } from "../../lab/train/models.ts";
import { Trie } from "../../models/decode/trie.ts";
import { datasetOf } from "./datasets.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";
import { withFolder } from "./with_folder.ts";

const quiet = { preparing() {}, started() {}, training() {}, evaluating() {} };

const four = datasetOf(
  [[1], [2], [3], [4]],
  [[0, 3, 1, 2], [3, 0, 1], [2, 1, 0, 3]],
  { name: "four", titles: ["A", "B", "C", "D"], oracle: () => new Float64Array(4) },
);

test("limitDataset: without limits everything stays", () => {
  const { known, ...same } = limitDataset(four, {});
  const { known: _known, ...rest } = four;
  assert.deepEqual(same, rest);
  assert.deepEqual(known("test"), four.known("test"));
});

test("limitDataset: the first users of training and of each split", () => {
  const part = limitDataset(four, { users: 2 });
  assert.deepEqual(part.training.map(({ items }) => items), [[0, 3], [3]]);
  assert.deepEqual(part.test.map(({ id }) => id), ["u", "v"]);
  assert.deepEqual(part.validation.map(({ target }) => target), [1, 0]);
  assert.deepEqual(part.known("test"), [[0, 3, 1], [3, 0]]);
  assert.equal(part.items.length, 4);
  assert.ok(part.oracle);
});

test("limitDataset: the first items; others go from sequences, histories and targets", () => {
  const part = limitDataset(four, { items: 3 });
  assert.deepEqual(part.items, ["0", "1", "2"]);
  assert.deepEqual([part.titles, part.paths], [["A", "B", "C"], [[1], [2], [3]]]);
  assert.deepEqual(part.training, [{ items: [0], context: 0 }, { items: [2, 1], context: 0 }]);
  assert.deepEqual(part.test, [
    { id: "u", history: [0, 1], target: 2 },
    { id: "v", history: [0], target: 1 }, // and the last one's target, 3, is gone
  ]);
  // The history of "v" is left empty, and its case with it.
  assert.deepEqual(part.validation.map(({ id }) => id), ["u", "w"]);
  assert.deepEqual(part.known("test"), [[0, 1], [0], [2, 1, 0]]);
  assert.equal(part.oracle, undefined);
});

test("limitDataset: a context counts what is left of it, and is not left empty", () => {
  const limited = (items: number, ...training: Dataset["training"]): Dataset["training"] =>
    limitDataset({ ...four, training }, { items }).training;
  assert.deepEqual(
    limited(2, { items: [3, 0, 3, 1], context: 3 }, { items: [0, 3], context: 1 }),
    [{ items: [0, 1], context: 1 }],
  );
  assert.deepEqual(
    limited(3, { items: [3, 0], context: 1 }, { items: [3, 2, 1, 0], context: 1 }),
    [{ items: [2, 1, 0], context: 1 }], // of the first, only a target is left
  );
});

test("limitDataset: refuses to leave nothing", () => {
  assert.throws(() => limitDataset(four, { items: 1 }), (error) => {
    assert.ok(error instanceof DataError);
    assert.match(
      error.message,
      /^Cannot take the first 1 items of four: .*got 1 seq.* and 0 cases$/,
    );
    return true;
  });
});

test("joinValidation: a user's sequence goes on with the validation target", () => {
  const paths = Array.from({ length: 6 }, (_, i) => [i + 1]);
  const dataset = datasetOf(paths, [[0, 1, 2, 3], [4, 0, 5], [0, 1, 4, 4]]); // two begin with 0, 1
  const joined = joinValidation(dataset);
  assert.deepEqual(joined.training.map(({ items }) => items), [[0, 1, 2], [4, 0], [0, 1, 4]]);
  assert.deepEqual(joined.training.map(({ context }) => context), [0, 0, 0]);
  assert.deepEqual(joined.validation, []);
  assert.equal(joined.test, dataset.test);
  assert.notEqual(digestOf(joined), digestOf(dataset));
  assert.notEqual(sequencesDigest(joined), sequencesDigest(dataset));
  const { items, tokens, training, test } = joined;
  const users = test.map(({ id, history, target }) => [id, [...history, target]]);
  const content = [items, tokens, paths, users, [training, [], dataset.prompt([0, 0])]];
  const whole = new TextEncoder().encode(JSON.stringify(content));
  assert.equal(digestOf(joined), digestOfParts([whole]), "parts or the whole");
  assert.throws(() => joinValidation(joined), DataError);
  const rows = {
    ...dataset,
    training: [{ items: [0, 1], context: 1 }],
    validation: [{ id: "r", history: [0, 1], target: 2 }, { id: "s", history: [3, 3], target: 4 }],
  };
  assert.deepEqual(joinValidation(rows).training, [
    { items: [0, 1, 2], context: 1 },
    { items: [3, 3, 4], context: 2 }, // continues no sequence
  ]);
});

const shop = datasetOf(
  [[2, 5, 1], [2, 1], [3, 4, 1], [2, 1], [4, 1]], // 1 and 3 share theirs
  [[0, 1, 2, 3], [4, 0, 1]],
  {
    items: ["a", "b", "c", "d", "e"],
    titles: ["A", "B", "C", "D", "E"],
    tokens: ["<bos>", "<end>", "red", "blue", "pen", "ink"],
    bos: 0,
    eos: 1,
    oracle: () => new Float64Array(5),
  },
);

test("withCodes: semantic codes are the data set's own", () => {
  assert.equal(withCodes(shop, "semantic"), shop);
});

test("withCodes: one token an item, also where items shared their path", () => {
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
  assert.throws(() => withCodes({ ...shop, promptPerTarget: true }, "item"), ArgumentError);
});

test("withCodes: random codes are the same paths, of other items", () => {
  const { paths, prompt, tokens, eos } = withCodes(shop, "random");
  assert.notDeepEqual(paths, shop.paths);
  assert.deepEqual(paths.map(String).sort(), shop.paths.map(String).sort());
  assert.deepEqual([tokens, eos], [shop.tokens, 1]);
  assert.deepEqual(prompt([4, 0, 1]), [0, ...paths[4], ...paths[0], ...paths[1]]);
  assert.deepEqual(withCodes(shop, "random").paths, paths, "the same every time");
  assert.equal(withCodes({ ...shop, promptPerTarget: true }, "random").promptPerTarget, true);
});

test("withCodes: another seed gives another order, and the trie never changes", () => {
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

test("loadDataset: joined and recoded as a reading says, after limits", async () => {
  const data = smallFolder();
  const joined = await loadDataset(data, { joinValidation: true, limitUsers: 20 });
  assert.deepEqual(joined.training.map(({ items }) => items), joined.known("test"));
  const item = await loadDataset(data, { codes: "item", limitItems: 20 });
  assert.deepEqual([item.tokens.length, item.paths.at(-1)], [21, [20]]);
  const random = await loadDataset(data, { codes: "random", limitItems: 20 });
  const own = await loadDataset(data, { limitItems: 20 });
  assert.deepEqual(random.paths.map(String).sort(), own.paths.map(String).sort());
  const refusals = [[{ prompt: "p.txt" }, undefined], [{}, "some/model"]] as const;
  for (const [reading, model] of refusals) {
    await assert.rejects(loadDataset(data, { ...reading, codes: "item" }, model), (e) => {
      assert.ok(e instanceof UsageError);
      assert.match(e.message, /^Cannot use --codes item: .* without --(prompt|model), got both$/);
      return true;
    });
  }
});

test("loadDataset: titles with other codes", async () => {
  const header = "user_id,item_ids,timestamp\n";
  const files = {
    "id2name4Rec.json": { 1: "Red pen", 2: "Blue ink", 3: "Green ink", 4: "Box" },
    "train.csv": `${header}7,"[1, 2, 3]",10\n8,"[3, 4]",20\n`,
    "test.csv": `${header}7,"[2, 3, 4]",30\n`,
    "prompt.txt": "Bought: {history}. Next: {item}\n",
  };
  await withFolder(files, async (folder) => {
    const prompt = join(folder, "prompt.txt");
    const item = await loadDataset(folder, { codes: "item" });
    assert.deepEqual(item.paths, [[1], [2], [3], [4]]);
    assert.deepEqual(item.prompt([2, 0]), [0, 3, 1]);
    const own = await loadDataset(folder);
    const random = await loadDataset(folder, { codes: "random" });
    assert.deepEqual(random.paths.map(String).sort(), own.paths.map(String).sort());
    assert.deepEqual(random.prompt([2, 0]), [0, ...random.paths[2], ...random.paths[0]]);
    const written = await loadDataset(folder, { prompt });
    const shuffled = await loadDataset(folder, { prompt, codes: "random" });
    // Item 1's prompt is that of the item whose path it got.
    const donor = written.paths.findIndex((path) => String(path) === String(shuffled.paths[1]));
    assert.deepEqual(shuffled.prompt([1]), written.prompt([donor]));
  });
});

test("withCodes: recipe, digest and summary say which codes", () => {
  const readingFor = (args: string) => readingOf(parseOptions(args.split(" ")));
  assert.deepEqual(readingFor("--codes random --limit-users 5"), {
    codes: "random",
    limitUsers: 5,
  });
  assert.deepEqual(readingFor("--codes semantic"), {});
  assert.deepEqual(readingFor("--beam 3"), {});
  const lines = (["semantic", "item", "random"] as const).map((codes) => {
    const data = withCodes(shop, codes);
    assert.equal(sequencesDigest(data), sequencesDigest(shop));
    const summary = describeDataset(data, new Trie(data.paths)).split("\n");
    return [digestOf(data), summary.find((line) => /^ {2}codes/.test(line)) ?? ""];
  });
  assert.equal(new Set(lines.map(([digest]) => digest)).size, 3);
  assert.equal(lines[0][1], "");
  assert.match(lines[1][1], /one token an item/);
  assert.match(lines[2][1], /at random/);
});

test("withCodes: a run of each is judged and verified; a beam over items is exact", async () => {
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
      assert.ok(test.beams[1].ranks.every((rank) => rank >= 0), "a beam of the whole catalogue");
    }
    const checkpoint = join(out, "bear-seed0");
    assert.equal(readRecipe(checkpoint).reading.codes, codes);
    const found = await verifyModel({ checkpoint, data, limitUsers: 8 });
    assert.deepEqual([found.violations, found.users], [0, 8]);
    const inter = join(data, "inter.json");
    const users = readFileSync(inter, "utf8");
    const { u0, ...others } = JSON.parse(users);
    writeFileSync(inter, JSON.stringify({ u0: u0.toReversed(), ...others }));
    await assert.rejects(
      readSavedRun(checkpoint, data),
      /^CheckpointError: Cannot use .*: the data must be what it was trained on, of digest /,
    );
    writeFileSync(inter, users);
  }
});

const RUNS = [
  ["synthetic", "items"],
  [smallFolder(), "items"],
  [smallFolder(), "items-parallel"],
] as const;

test("withItemInput: a run is judged as it was trained, resumed, verified and recommends", async () => {
  for (const [data, input] of RUNS) {
    const [whole, out] = [emptyFolder(), emptyFolder()];
    const size = "--layers 1 --dim 16 --heads 2 --ffn 32 --lr 0.02 --limit-users 60 --threads 1";
    const args = `--data ${data} --input ${input} --loss bear --beam 4 ${size} --device cpu`;
    const train = (more: string): ReturnType<typeof runExperiment> =>
      runExperiment(parseOptions([...args.split(" "), ...more.split(" ")]), quiet);
    const { runs: [{ test: judged }] } = await train(`--epochs 4 --out ${whole}`);
    const stop = new Error("stopped");
    const saved = (): void => {
      throw stop;
    };
    const stopped = parseOptions([...args.split(" "), "--epochs", "4", "--out", out]);
    await assert.rejects(runExperiment(stopped, { ...quiet, saved }), stop);
    await train(`--epochs 4 --out ${out} --resume`);
    const checkpoint = join(out, "bear-seed0");
    for (const file of ["config.json", "model.safetensors"]) {
      assert.deepEqual(
        readFileSync(join(checkpoint, file)),
        readFileSync(join(whole, "bear-seed0", file)),
      );
    }
    const other = args.replace(`--input ${input}`, "--input tokens");
    await assert.rejects(
      runExperiment(parseOptions(`${other} --epochs 4 --out ${out} --resume`.split(" ")), quiet),
      /^CheckpointError: Cannot resume .*: the data's digest must be that of its checkpoint/,
    );
    assert.equal(readRecipe(checkpoint).reading.input, input);
    const tokens = await loadDataset(data, { limitUsers: 60 });
    assert.throws(() => readRun(checkpoint, tokens), ({ message }: CheckpointError) => {
      const how = JSON.stringify({ limitUsers: 60, input });
      return message.endsWith(` read with ${how}, got ${digestOf(tokens)}`);
    });
    const verified = await verifyModel({ checkpoint, data, limitUsers: 8 });
    assert.deepEqual([verified.violations, verified.users], [0, 8]);
    using run = await openRun(checkpoint, data);
    const { test: cases, items } = run.dataset;
    const lists = (await Array.fromAsync(recommendAll(run))).flat();
    const ranks = lists.map(({ list }, i) =>
      list.findIndex((place) => place.items.some(({ id }) => id === items[cases[i].target]))
    );
    assert.deepEqual(ranks, judged.beams[0].ranks);
    const { rank } = await explainUser({ checkpoint, data, user: cases[0].id });
    assert.equal(rank ?? -1, ranks[0]);
  }
});

test("withItemInput: refuses prompts of text, and another input of the same data has another digest", async () => {
  const text = { ...four, promptPerTarget: true };
  assert.throws(() => withItemInput(text), ArgumentError);
  assert.notEqual(digestOf(withItemInput(four)), digestOf(four));
  for (const more of [{ prompt: "p.txt" }, { model: "folder" }] as const) {
    const { model, ...reading } = { model: undefined, ...more };
    await assert.rejects(
      loadDataset("synthetic", { ...reading, input: "items" }, model),
      /^UsageError: Cannot use --input items: it must come without --/,
    );
  }
});

test("a run on interactions keeps how they were read", async () => {
  const rows = Array.from({ length: 600 }, (_, i) => `${i % 20},${(i * i) % 17},${i % 5},${i}\n`);
  await withFolder({ "a.csv": `who,what,stars,at\n${rows.join("")}bad\n` }, async (data) => {
    const out = join(data, "out");
    const args = `--data ${data} --columns user=who,item=what,rating=stars,time=at --k-core 3 ` +
      "--min-rating 1 --duplicates last --split time:0.7,0.8 --skip-bad-rows --codes item " +
      "--losses msl --epochs 1 --dim 16 --heads 2 --layers 1 --ffn 32 --device cpu";
    await runExperiment(parseOptions([...args.split(" "), "--out", out]), quiet);
    const checkpoint = join(out, "msl-seed0");
    const { reading } = readRecipe(checkpoint);
    assert.deepEqual(reading, {
      columns: { user: "who", item: "what", rating: "stars", time: "at" },
      ...{ kCore: 3, minRating: 1, duplicates: "last", split: { time: [0.7, 0.8] } },
      ...{ skipBadRows: true, codes: "item" },
    });
    const found = await verifyModel({ checkpoint, data, limitUsers: 8 });
    assert.deepEqual([found.violations, found.users], [0, 8]);
  });
});
