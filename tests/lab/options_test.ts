/** The command line: defaults, good values, and one line for every bad one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../core/errors.ts";
import { flagHelp, toggle } from "../../lab/flags.ts";
import { helpText, parseOptions } from "../../lab/options.ts";
import { lossNames } from "../../models/losses/loss_by_name.ts";

test("options: without arguments, the defaults", () => {
  const options = parseOptions([]);
  assert.equal(options.data, "synthetic");
  assert.deepEqual(options.loss, ["sft", "msl", "bear"]);
  assert.deepEqual([options.beam, options.xi, options.lambda, options.tau], [10, 1, 1, 1]);
  assert.deepEqual([options.layers, options.dim, options.heads, options.ffn], [2, 64, 2, 256]);
  assert.deepEqual([options.kvHeads, options.history, options.batch, options.seed], [2, 20, 32, 0]);
  assert.equal(options.device, "auto");
  assert.deepEqual([options.excludeHistory, options.resume, options.help], [false, false, false]);
  assert.deepEqual([options.limitUsers, options.out, options.threads], [
    undefined,
    undefined,
    undefined,
  ]);
});

test("options: every option is read", () => {
  const args = "--data some/folder --loss msl,bear-convex --beam 5 --xi 2.75 --lambda 0 --tau .5 " +
    "--layers 3 --dim 96 --heads 6 --kv-heads 3 --ffn 128 --history 7 --epochs 1 --batch 2 --lr 1e-3 " +
    "--warmup 0 --dropout 0 --decay 0 --seed 9007199254740991 --device cpu --threads 2 --exclude-history " +
    "--limit-users 12 --out=runs/a --resume --help";
  assert.deepEqual({ ...parseOptions(args.split(" ")) }, {
    data: "some/folder",
    loss: ["msl", "bear-convex"],
    beam: 5,
    xi: 2.75,
    lambda: 0,
    tau: 0.5,
    layers: 3,
    dim: 96,
    heads: 6,
    kvHeads: 3,
    ffn: 128,
    history: 7,
    epochs: 1,
    batch: 2,
    lr: 0.001,
    warmup: 0,
    dropout: 0,
    decay: 0,
    seed: 9007199254740991,
    device: "cpu",
    threads: 2,
    excludeHistory: true,
    limitUsers: 12,
    out: "runs/a",
    resume: true,
    help: true,
  });
});

test("options: as many key and value heads as heads unless told", () => {
  assert.equal(parseOptions(["--heads", "4"]).kvHeads, 4);
  assert.equal(parseOptions(["--kv-heads", "1", "--heads", "4"]).kvHeads, 1);
});

test("options: every loss is known", () => {
  assert.deepEqual(parseOptions(["--loss", lossNames.join(",")]).loss, lossNames);
});

/** Bad command lines, with the error that each must give. */
const BAD: readonly [args: string, message: string][] = [
  [
    "--bean 5",
    "Cannot use the command line: options must be among those that --help lists, got --bean",
  ],
  ["5", "Cannot use the command line: options must be among those that --help lists, got 5"],
  ["-h", "Cannot use the command line: options must be among those that --help lists, got -h"],
  [
    "--constructor",
    "Cannot use the command line: options must be among those that --help lists, got --constructor",
  ],
  ["--beam", "Cannot use --beam: it must have a value, as in --beam N, got none"],
  ["--beam --xi 2", "Cannot use --beam: it must have a value, as in --beam N, got none"],
  ["--beam=", "Cannot use --beam: it must be an integer from 1 to 1000000, got an empty text"],
  ["--beam 0", "Cannot use --beam: it must be an integer from 1 to 1000000, got 0"],
  ["--beam -3", "Cannot use --beam: it must be an integer from 1 to 1000000, got -3"],
  ["--beam 2.5", "Cannot use --beam: it must be an integer from 1 to 1000000, got 2.5"],
  ["--beam ten", "Cannot use --beam: it must be an integer from 1 to 1000000, got ten"],
  ["--beam 0x10", "Cannot use --beam: it must be an integer from 1 to 1000000, got 0x10"],
  ["--beam 5 --beam 6", "Cannot use --beam: it must be given once, got it twice"],
  ["--seed -1", "Cannot use --seed: it must be an integer from 0 to 9007199254740991, got -1"],
  [
    "--seed 9007199254740992",
    "Cannot use --seed: it must be an integer from 0 to 9007199254740991, got 9007199254740992",
  ],
  ["--xi 0", "Cannot use --xi: it must be a number above 0, got 0"],
  ["--tau NaN", "Cannot use --tau: it must be a number above 0, got NaN"],
  ["--lr Infinity", "Cannot use --lr: it must be a number above 0, got Infinity"],
  ["--lr 1e999", "Cannot use --lr: it must be a number above 0, got 1e999"],
  ["--lambda -0.1", "Cannot use --lambda: it must be a number of at least 0, got -0.1"],
  ["--dropout 1", "Cannot use --dropout: it must be a number in [0, 1), got 1"],
  ["--device gpu", "Cannot use --device: it must be one of auto, webgpu, cpu, got gpu"],
  [
    "--loss sft,bpr",
    `Cannot use --loss: it must be a list of ${lossNames.join(", ")}, got sft,bpr`,
  ],
  ["--loss sft,sft", "Cannot use --loss: it must be a list without repetition, got sft,sft"],
  ["--resume", "Cannot use --resume: --out must name the folder of the run, got none"],
  ["--resume=yes --out a", "Cannot use --resume: it must stand without a value, got yes"],
  ["--out=", "Cannot use --out: it must be a name, got an empty text"],
  [
    "--dim 65",
    "Cannot use --dim with --heads: dim / heads must be a multiple of 4, at most 128, got 65 / 2 = 32.5",
  ],
  [
    "--dim 12 --heads 2",
    "Cannot use --dim with --heads: dim / heads must be a multiple of 4, at most 128, got 12 / 2 = 6",
  ],
  [
    "--dim 132 --heads 1",
    "Cannot use --dim with --heads: dim / heads must be a multiple of 4, at most 128, got 132 / 1 = 132",
  ],
  [
    "--heads 4 --kv-heads 3",
    "Cannot use --kv-heads: heads must be a multiple of it, got 4 heads and 3",
  ],
];

for (const [args, message] of BAD) {
  test(`options: refuses ${args}`, () => {
    assert.throws(() => parseOptions(args.split(" ")), (error) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.message, message);
      return true;
    });
  });
}

test("options: the help names every option once, aligned, with its default", () => {
  const lines = helpText().split("\n").filter((line) => line.startsWith("  --"));
  const names = lines.map((line) => line.trim().split(" ")[0]);
  const keys = names.map((name) =>
    name.slice(2).replaceAll(/-[a-z]/g, (dash) => dash[1].toUpperCase())
  );
  assert.deepEqual(keys, Object.keys(parseOptions([])));
  const column = lines[0].indexOf("synthetic, or");
  for (const line of lines) assert.match(line.slice(column - 2), /^ {2}\S/, line);
  assert.ok(lines.some((line) => /--batch N .*\(32\)$/.test(line)));
  assert.ok(lines.some((line) => /--kv-heads N .*\(heads\)$/.test(line)));
  assert.ok(helpText().split("\n").every((line) => line.length <= 100));
});

test("options: help that is too long for a line goes on below itself", () => {
  const words = Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ");
  const help = flagHelp("Does nothing.", "nothing", { all: toggle(words), n: toggle("short") });
  const lines = help.split("\n").slice(4);
  assert.ok(lines.length > 3);
  assert.ok(lines.every((line) => line.length <= 100));
  assert.equal(lines.slice(0, -1).map((l) => l.slice("  --all  ".length)).join(" "), words);
  assert.ok(lines.slice(1, -1).every((line) => line.startsWith("         word")));
  assert.equal(lines.at(-1), "  --n    short");
});
