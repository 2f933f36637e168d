/**
 * What runs without a file system: a run is trained, written to memory, read back and explained.
 * And no `node:` import is left in a bundle of it for a browser.
 */
import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { build, type Plugin } from "esbuild";
import { cpu } from "../../core/cpu_backend.ts";
import {
  explainCase,
  explainUser,
  prunedCases,
  prunedUsers,
} from "../../lab/analysis/explain_user.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { evaluationCases } from "../../lab/data/dataset.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { folderAt } from "../../lab/files.ts";
import { memoryFolder } from "../../lab/folder.ts";
import {
  openModel,
  readSavedRun,
  searchableModel,
  trainableModel,
} from "../../lab/train/models.ts";
import { optionsOf } from "../../lab/train/options.ts";
import { recipeOf } from "../../lab/train/recipe.ts";
import { runFiles, saveRun } from "../../lab/train/saved_run.ts";
import { Trainer } from "../../lab/train/trainer.ts";
import { Trie } from "../../models/decode/trie.ts";
import { lossNamed } from "../../models/losses/index.ts";
import { smallFolder } from "./small_folder.ts";

/** The files of a folder on the disk. */
function filesIn(folder: string): Map<string, Uint8Array> {
  return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
}

test("a folder in memory: files, folders in it, and what is not there", () => {
  const folder = memoryFolder("runs/first", new Map([["sub/a.txt", Uint8Array.of(1, 2, 3)]]));
  assert.deepEqual([folder.path, folder.name], ["runs/first", "first"]);
  assert.deepEqual([folder.has(), folder.has("sub"), folder.has("sub/a.txt"), folder.has("su")], [
    ...[true, true, true, false],
  ]);
  assert.equal(folder.read("a.txt"), undefined);
  const file = folder.open("sub/a.txt");
  assert.deepEqual([file.size, ...file.read(1, 2)], [3, 2, 3]);
  assert.throws(() => file.read(2, 2), {
    message: "Cannot read runs/first/sub/a.txt: it must not end earlier, got 3 bytes",
  });
  assert.throws(() => folder.open("b"), /^DataError: Cannot read runs\/first\/b: it must exist/);
});

test("the names of a folder's files, on the disk and in memory", () => {
  const paths = ["b.txt", "B.txt", "a.10", "sub/c.txt", "sub/deeper/d.txt"];
  const disk = mkdtempSync(join(tmpdir(), "beargrad-"));
  try {
    mkdirSync(join(disk, "sub/deeper"), { recursive: true });
    for (const path of paths) writeFileSync(join(disk, path), "x");
    symlinkSync(join(disk, "sub"), join(disk, "link"));
    const inMemory = memoryFolder("data", new Map(paths.map((path) => [path, Uint8Array.of()])));
    for (const folder of [folderAt(disk), inMemory]) {
      assert.deepEqual(folder.names(), ["B.txt", "a.10", "b.txt"]);
      assert.deepEqual(folder.names("sub"), ["c.txt"]);
      assert.deepEqual(folder.names("none"), []);
    }
    assert.throws(
      () => folderAt(disk).names("b.txt"),
      /its folder must not be a file, got ENOTDIR/,
    );
  } finally {
    rmSync(disk, { recursive: true });
  }
});

test("a run in memory is the run on the disk, to read, to search and to explain", async () => {
  const data = smallFolder();
  const out = mkdtempSync(join(tmpdir(), "beargrad-out-"));
  try {
    const dropped = memoryFolder(data, filesIn(data));
    const dataset = await loadDataset(dropped);
    const device = cpu();
    const given = { layers: 1, dim: 16, ffn: 32, epochs: 1, lr: 0.02, beam: 3 };
    const recipe = recipeOf(optionsOf(given), lossNamed("msl"), dataset, device);
    const trie = new Trie(dataset.paths).upload(device);
    const trainable = await trainableModel(device, dataset, recipe);
    using trainer = new Trainer(dataset, trie, recipe, trainable);
    await trainer.runEpoch(() => {});

    const progress = { step: trainer.stepsPerEpoch, epoch: 1, seconds: 1 };
    const files = await runFiles(trainer, recipe, progress);
    const run = join(out, "run");
    await saveRun(run, trainer, recipe, progress);
    assert.deepEqual([...files.keys()].sort(), readdirSync(run).sort());
    for (const [name, bytes] of files) {
      assert.deepEqual(bytes, new Uint8Array(readFileSync(join(run, name))));
    }

    const inMemory = memoryFolder(run, files);
    const saved = await readSavedRun(inMemory, dropped);
    const over = { normalization: saved.normalization, tau: saved.recipe.tau };
    using opened = await openModel(cpu(), inMemory, saved.dataset, over);
    using trained = searchableModel(trainer.model, trainer.weights, trie, over);
    const cases = evaluationCases(dataset, "test", recipe.history);
    const search = { beam: 3, name: `${run}, trained with msl` };
    const onDisk = { checkpoint: run, data };
    for (const kase of cases.slice(0, 3)) {
      const expected = await explainUser({ ...onDisk, user: kase.id });
      for (const model of [opened, trained]) {
        const { explanation, found } = await explainCase(model, dataset, kase, search);
        assert.deepEqual(explanation, expected);
        assert.equal(found.steps[0].pool?.nodes.length, found.steps[0].poolSize);
      }
    }
    const pruned = [];
    for await (const part of prunedCases(trained, dataset, cases, { beam: 3 })) {
      pruned.push(...part.pruned);
      assert.equal(part.done, cases.length);
    }
    assert.ok(pruned.length > 0);
    assert.deepEqual(pruned, await prunedUsers(onDisk));
  } finally {
    for (const folder of [data, out]) rmSync(folder, { recursive: true });
  }
});

test("a path is refused where there is no file system", async () => {
  const { process } = globalThis;
  try {
    Object.defineProperty(globalThis, "process", { value: undefined, configurable: true });
    await assert.rejects(loadDataset("data/office"), {
      name: "DataError",
      message: "Cannot use data/office: the runtime must have a file system, got none",
    });
    assert.equal((await loadDataset("synthetic")).name, "synthetic");
  } finally {
    Object.defineProperty(globalThis, "process", { value: process, configurable: true });
  }
});

test("options in code have the defaults of the command line", () => {
  const given = (options: object): unknown => JSON.parse(JSON.stringify(options));
  assert.deepEqual(given(optionsOf({})), given(parseOptions([])));
  assert.deepEqual(
    given(optionsOf({ heads: 4, beam: 7 })),
    given(parseOptions(["--heads", "4", "--beam", "7"])),
  );
});

/** What a page takes from the entry files. */
const PAGE = `
export { Trie } from "./mod.ts";
export {
  cooccurrence, describeDataset, evaluate, evaluateBaseline, evaluationCases, explain, explainCase,
  gradientWeights, hitRate, loadAdapter, loadDataset, loadModel, loadTokenizer, margins,
  memoryFolder, ndcg, optionsOf, oracle, popularity, prunedAt, prunedCases, readRun,
  recipeOf, renderExplanation, runFiles, searchableModel, synthetic, TeacherForcing, trainableModel,
  Trainer, trainRun, transformerConfig,
} from "./lab.ts";
export {
  certifiedCount, competitors, LevelCounts, massCertificate, pathSteps,
} from "./theory.ts";`;

/** Files of this project have no side effects, as package.json says of the package. */
const noSideEffects: Plugin = {
  name: "no side effects",
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^\.\.?\// }, async ({ path, pluginData, ...from }) => {
      if (pluginData === "resolved" || /node_modules/.test(from.importer)) return;
      return { ...await resolve(path, { ...from, pluginData: "resolved" }), sideEffects: false };
    });
  },
};

/** What is imported by a bundle for a browser. */
async function importsOfBundle(contents: string): Promise<string[]> {
  const { metafile } = await build({
    stdin: { contents, resolveDir: "." },
    bundle: true,
    platform: "browser",
    format: "esm",
    external: ["node:*", "webgpu", "@colors/colors"],
    plugins: [noSideEffects],
    metafile: true,
    write: false,
    logLevel: "silent",
  });
  return Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
}

test(
  "no import of Node's modules is left in a bundle for a browser",
  { timeout: 60_000 },
  async () => {
    // The one that is left is asked for only by tables with colours, which have none here.
    assert.deepEqual(await importsOfBundle(PAGE), ["@colors/colors/safe"]);
    const others = await importsOfBundle('export { compareLosses } from "./lab.ts";');
    assert.ok(others.includes("node:path"), "what needs a disk must show in this test");
  },
);
