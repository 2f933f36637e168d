/**
 * A loss of a user's own: out of a module, in a run, and what is refused. The gradient weights of
 * any loss by margin, against the formulas.
 */
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { ArgumentError, CheckpointError, DataError, UsageError } from "../../core/errors.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import type { ExperimentReport } from "../../lab/train/experiment_report.ts";
import { openLoss } from "../../lab/train/loss_module.ts";
import { normalizationOf } from "../../lab/train/recipe.ts";
import { gradientWeights, tryLoss } from "../../lab/train/loss_probe.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { verifyModel } from "../../lab/analysis/verify_model.ts";
import { bear } from "../../models/losses/bear.ts";
import type { Loss, LossDefinition } from "../../models/losses/loss.ts";
import { msl } from "../../models/losses/msl.ts";
import { sft } from "../../models/losses/sft.ts";
import { sum } from "../../ops/reduce.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg, square } from "../../ops/unary.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";

const MOD = JSON.stringify(pathToFileURL(resolve("mod.ts")).href);

/** The README's loss. */
const HINGE = readFileSync("README.md", "utf8")
  .match(/## A loss in ten lines[^]*?```ts\n([^]*?)```/)?.[1]
  .replaceAll('"beargrad"', MOD) ?? "";

function moduleOf(text: string, name = "mine.ts"): string {
  const path = join(emptyFolder(), name);
  writeFileSync(path, text);
  return path;
}

const DATA = smallFolder();
const SMALL = ["--layers", "1", "--dim", "16", "--heads", "2", "--ffn", "32", "--batch", "8"];
SMALL.push("--cost-users", "0", "--threads", "1"); // no workers to start

function run(...args: readonly string[]): Promise<ExperimentReport> {
  const all = ["--data", DATA, "--device", "cpu", ...SMALL, "--epochs", "1", ...args];
  return runExperiment(parseOptions(all));
}

test("a loss out of a module is opened", async () => {
  const path = moduleOf(HINGE);
  const { name, normalization, make, module } = await openLoss(path);
  assert.deepEqual([name, normalization, typeof make({})], ["mine", "children", "function"]);
  assert.match(module?.digest ?? "", /^[0-9a-f]{16}$/);
  const other = await openLoss(moduleOf(`${HINGE}export const normalization = "vocabulary";`));
  assert.equal(other.normalization, "vocabulary");
  assert.notEqual(other.module?.digest, module?.digest);
  assert.equal(normalizationOf({ loss: "other", lossModule: other.module }), "vocabulary");
  assert.equal((await openLoss("bear")).module, undefined);
});

test("a run with a loss out of a module beside others, its folder, and its theorems", async () => {
  const out = emptyFolder();
  const path = moduleOf(HINGE);
  const report = await run("--loss", `msl,${path}`, "--out", out);
  assert.deepEqual(report.runs.map((r) => [r.loss, r.normalization]), [
    ["msl", "children"],
    ["mine", "children"],
  ]);
  const folder = join(out, "mine-seed0");
  const state = readFileSync(join(folder, "state.safetensors")).toString("latin1");
  assert.match(state, /lossModule/);
  const found = await verifyModel({ checkpoint: folder, data: DATA, limitUsers: 10 });
  assert.deepEqual([found.loss, found.normalization, found.violations], ["mine", "children", 0]);

  appendFileSync(path, "// changed");
  await assert.rejects(
    run("--loss", `msl,${path}`, "--out", out, "--resume"),
    (error) =>
      error instanceof CheckpointError && /lossModule\.digest must be that/.test(error.message),
  );
});

test("the softmax loss of docs/losses.md is sft", async () => {
  const text = readFileSync("docs/losses.md", "utf8").match(/```ts\n([^]*?)```/)?.[1] ?? "";
  const path = moduleOf(text.replaceAll('"beargrad"', MOD));
  const { runs: [sft, own] } = await run("--loss", `sft,${path}`);
  const losses = [sft, own].map(({ training }) => training.curve.map(({ loss }) => loss));
  assert.ok(losses[0].length > 0);
  losses[0].forEach((loss, i) => assert.ok(Math.abs(loss - losses[1][i]) < 1e-4, `${losses}`));
});

test("the loss of docs/adding.md is the README's, defined as those of this project are", async () => {
  const text = readFileSync("docs/adding.md", "utf8").match(/```ts\n([^]*?)```/)?.[1] ?? "";
  const at = (path: string): string => pathToFileURL(resolve("models/losses", path)).href;
  const path = moduleOf(text.replaceAll(/from "(\.[^"]*)"/g, (_, path) => `from "${at(path)}"`));
  const { hingeLoss } = await import(pathToFileURL(path).href);
  const { name, normalization, needs, flags } = hingeLoss as LossDefinition;
  assert.deepEqual([name, normalization, needs], ["hinge", "children", {}]);
  const options = { beam: 3, tau: 2 };
  assert.deepEqual(Object.keys(flags), Object.keys(options));
  const readme = (await openLoss(moduleOf(HINGE))).make(options);
  assert.equal(await tryLoss(hingeLoss.make(options)), await tryLoss(readme));
});

test("modules that are not one loss are refused", async () => {
  const refused: readonly [text: string, message: RegExp][] = [
    ["export const = ;", /^Cannot use the loss .*: it must be a module that can be imported, got /],
    ["throw new Error('no');", /can be imported, got Error: no$/],
    ["export const x = 1;", /it must export exactly one function, .*, got none$/],
    ["export const a = () => 1, b = () => 2;", /exactly one function, .*, got a, b$/],
    ["export const a = () => 1;", /give a loss, .* => a scalar tensor, got 1$/],
    ["export const a = () => () => 1;", /give a loss, .* must be a tensor, got a number$/],
    ["export const a = () => (logits) => logits;", /scalar, got 9 elements$/],
    ["export const a = () => (logits) => logits.hidden;", /must be a tensor, got a undefined$/],
    [
      `import { mean, softmax } from ${MOD}; export const a = () => (logits) => mean(softmax(logits));`,
      /softmax: x must be a tensor, got { hidden, head }; allLogits\(logits\) makes one$/,
    ],
    ["export const a = (logits, { nodes }) => nodes;", /give a loss, .*, got TypeError: /],
    ["export const a = () => { throw 5; };", /give a loss, .*, got 5$/],
    ["export const a = () => { throw Symbol('no'); };", /give a loss, .*, got Symbol\(no\)$/],
    ["export const a = () => () => { throw null; };", /give a loss, .*, got null$/],
    [
      "export const a = () => { throw Object.create(null); };",
      /give a loss, .*, got \[Object: null prototype\] {}$/,
    ],
    ["throw Symbol('no');", /can be imported, got Symbol\(no\)$/],
    ["export const a = () => Symbol('no');", /give a loss, .*, got Symbol\(no\)$/],
    [`${HINGE}export const normalization = Symbol("all");`, /must be .*, got Symbol\(all\)$/],
    [`${HINGE}export const normalization = "all";`, /its normalization must be .*, got 'all'$/],
  ];
  for (const [text, message] of refused) {
    await assert.rejects(openLoss(moduleOf(text)), (error) => {
      assert.ok(error instanceof DataError, `${error}`);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  }
  const missing =
    /Cannot use the loss .*none\.ts: it must be the path of a module, got no such file$/;
  await assert.rejects(openLoss(join(emptyFolder(), "none.ts")), missing);
  await assert.rejects(openLoss(moduleOf(HINGE, "bear.ts")), /another name than .*, got bear$/);
  await assert.rejects(openLoss("hinge"), ArgumentError);
});

test("what a loss throws after it was tried names its file, in one line", async () => {
  const path = moduleOf(
    "let n = 0; export const a = () => (_, { labels }) => { if (n++ > 1) throw new RangeError('x\\ny'); " +
      "return labels.device.tensor([0], []); }",
  );
  const loss = (await openLoss(path)).make({});
  await assert.rejects(tryLoss(loss), (error) => {
    assert.ok(error instanceof DataError, `${error}`);
    assert.match(error.message, /^Cannot use the loss .*: it must give .*, got RangeError: x$/);
    return true;
  });
});

test("lists of losses: names and paths, told apart by their names", () => {
  const { losses } = parseOptions(["--loss", "msl, ./mine.ts,a/b.js"]);
  assert.deepEqual(losses, ["msl", "./mine.ts", "a/b.js"]);
  for (const list of ["mine", "msl,msl", "./a.ts,b/a.ts", "msl,", ""]) {
    assert.throws(() => parseOptions(["--loss", list]), UsageError, list);
  }
});

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const [xi, lambda, beam] = [2, 0.5, 4];

async function expectWeights(
  loss: Loss,
  weight: (margin: number) => number,
  B = beam,
): Promise<void> {
  const found = await gradientWeights(loss, B);
  for (const { margin, weight: actual } of found) {
    const expected = weight(margin);
    assert.ok(Math.abs(actual - expected) < 1e-9 * expected, `${margin}: ${actual}, ${expected}`);
  }
}

test("gradient weights are those that the losses document", async () => {
  for (const reduction of ["mean", "sum"] as const) {
    await expectWeights(msl({ reduction }), () => 1);
    await expectWeights(sft({ reduction }), () => 1);
    const options = { xi, lambda, beam, reduction };
    await expectWeights(
      bear({ form: "paper", ...options }),
      (m) => 1 + (lambda / xi) * sigmoid(-m / xi),
    );
    await expectWeights(
      bear({ form: "convex", ...options }),
      (m) => 1 + (lambda / xi) * sigmoid(m / xi),
    );
  }
  const margins = (await gradientWeights(msl(), beam)).map(({ margin }) => margin);
  assert.deepEqual([margins[0], margins[24], margins[48], margins.length], [-6, 0, 6, 49]);
  const w = (m: number): number => 1 + lambda * sigmoid(-m / xi);
  const mean = margins.reduce((total, m) => total + w(m), 0) / margins.length;
  await expectWeights(bear({ xi, lambda, beam }), (m) => w(m) / mean);
});

test("gradient weights of a loss of one's own, and of a beam of one", async () => {
  const squared: Loss = (logits, { trie, nodes, labels }) => {
    const { logProb } = trieLogProb(logits, trie, nodes, labels, { normalization: "children" });
    return neg(sum(neg(square(logProb)))); // weight -2 log p
  };
  const logP = (m: number, B: number): number => -m - Math.log(Math.exp(-m) + B);
  await expectWeights(squared, (m) => -2 * logP(m, beam));
  assert.equal((await gradientWeights(msl(), 1)).length, 25);
  await expectWeights(bear({ form: "convex", beam: 1 }), (m) => 1 + sigmoid(m), 1);
  await assert.rejects(gradientWeights(msl(), 0), ArgumentError);
});
