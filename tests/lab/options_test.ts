/** The command line: defaults, good values, and one line for every bad one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../core/errors.ts";
import { explainHelp } from "../../lab/cli/explain_options.ts";
import { JUDGE_HELP } from "../../lab/cli/judge_options.ts";
import { REPORT_HELP } from "../../lab/cli/report_options.ts";
import { VERIFY_HELP } from "../../lab/cli/verify_options.ts";
import { gridHelp } from "../../lab/compare/compare_options.ts";
import { flagHelp, toggle } from "../../lab/cli/flags.ts";
import { helpText, parseOptions } from "../../lab/cli/options.ts";
import { lineWidth } from "../../lab/table.ts";
import { FLAGS } from "../../lab/cli/train_flags.ts";
import { lossNames } from "../../models/losses/index.ts";

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
  const args =
    "--data some/folder --tokenizer a/folder --prompt p.txt --targets last --hold-out 9 " +
    "--limit-items 100 --limit-users 12 --codes random --loss msl,bear-convex --beam 5 --beams 5,20 --xi 2.75 --lambda 0 " +
    "--tau .5 --beta 0 --eta 2.5 --negatives 9 --search-every 4 --layers 3 --dim 96 --heads 6 " +
    "--kv-heads 3 --ffn 128 --history 7 --epochs 1 --batch 2 --patience 3 --validate-users 50 " +
    "--accumulate 4 --lr 1e-3 --warmup 0 --dropout 0 --decay 0 --seed 9007199254740991 --device cpu " +
    "--threads 2 --exclude-history --out=runs/a --resume --help";
  const ofAdapters = { model: undefined, half: false, lora: [] };
  const usual = { loraRank: 8, loraAlpha: 16, loraDropout: 0.05 };
  assert.deepEqual({ ...parseOptions(args.split(" ")) }, {
    ...ofAdapters,
    ...usual,
    data: "some/folder",
    tokenizer: "a/folder",
    prompt: "p.txt",
    targets: "last",
    holdOut: 9,
    limitItems: 100,
    limitUsers: 12,
    codes: "random",
    joinValidation: false,
    loss: ["msl", "bear-convex"],
    beam: 5,
    beams: [5, 20],
    xi: 2.75,
    lambda: 0,
    tau: 0.5,
    beta: 0,
    eta: 2.5,
    negatives: 9,
    searchEvery: 4,
    layers: 3,
    dim: 96,
    heads: 6,
    kvHeads: 3,
    ffn: 128,
    history: 7,
    epochs: 1,
    patience: 3,
    validateUsers: 50,
    batch: 2,
    accumulate: 4,
    lr: 0.001,
    warmup: 0,
    dropout: 0,
    decay: 0,
    seed: 9007199254740991,
    device: "cpu",
    threads: 2,
    excludeHistory: true,
    out: "runs/a",
    resume: true,
    help: true,
  });
});

test("options: validation targets are trained on or validated by", () => {
  assert.equal(parseOptions(["--join-validation"]).joinValidation, true);
  assert.throws(() => parseOptions(["--join-validation", "--patience", "3"]), {
    name: "UsageError",
    message: /^Cannot use --patience: it must come without --join-validation/,
  });
});

test("options: a pretrained model, and adapters of it", () => {
  const options = parseOptions("--model models/llama".split(" "));
  assert.deepEqual([options.model, options.lr, options.dropout], ["models/llama", 0.0001, 0]);
  const args =
    "--model m --half --lora q,v,down --lora-rank 4 --lora-alpha 8 --lora-dropout 0 --lr 0.01";
  const { half, lora, loraRank, loraAlpha, loraDropout, lr } = parseOptions(args.split(" "));
  assert.deepEqual([half, lora, loraRank, loraAlpha, loraDropout, lr], [
    true,
    ["q", "v", "down"],
    4,
    8,
    0,
    0.01,
  ]);
});

test("options: the search has the loss's beam unless told", () => {
  assert.deepEqual(parseOptions(["--beam", "7"]).beams, [7]);
  assert.deepEqual(parseOptions(["--beam", "7", "--beams", "5, 10"]).beams, [5, 10]);
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
  ["--tau NaN", "Cannot use --tau: it must be a number of at least 1e-8, got NaN"],
  ["--lr Infinity", "Cannot use --lr: it must be a number above 0, got Infinity"],
  ["--lr 1e999", "Cannot use --lr: it must be a number above 0, got 1e999"],
  ["--lambda -0.1", "Cannot use --lambda: it must be a number of at least 0, got -0.1"],
  ["--dropout 1", "Cannot use --dropout: it must be a number in [0, 1), got 1"],
  ["--device gpu", "Cannot use --device: it must be one of auto, webgpu, cpu, got gpu"],
  [
    "--loss sft,bpr",
    `Cannot use --loss: it must be a list of ${
      lossNames.join(", ")
    }, or of paths of modules, got sft,bpr`,
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
  ["--beams 10,5", "Cannot use --beams: it must be an ascending list without repetition, got 10,5"],
  ["--beams 5,x", "Cannot use --beams: it must be a list of integers from 1 to 999999, got 5,x"],
  [
    "--model m --lora q,w",
    "Cannot use --lora: it must be a list of q, k, v, o, gate, up, down, got q,w",
  ],
  ["--lora q", "Cannot use --lora: it must come with --model, got none"],
  ["--half", "Cannot use --half: it must come with --model, got none"],
  [
    "--model m --half",
    "Cannot use --half: it must come with --lora, as half-precision weights are not trained, got none",
  ],
  ["--model m --lora-rank 4", "Cannot use --lora-rank: it must come with --lora, got none"],
  [
    "--model m --kv-heads 4",
    "Cannot use --kv-heads: it must come without --model, which has it, got both",
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
  assert.ok(lines.some((line) => /--threads N .*\(cores\)$/.test(line)));
});

test("options: no line of any help is wider than the terminal, and a wide one is used", () => {
  const helps = [helpText(), gridHelp("compare"), gridHelp("sweep"), explainHelp()];
  for (const help of [...helps, JUDGE_HELP, REPORT_HELP, VERIFY_HELP]) {
    for (const line of help.split("\n")) assert.ok(line.length <= lineWidth(), line);
  }
  const widest = (width: number): number =>
    Math.max(...flagHelp("Trains.", "train", FLAGS, width).split("\n").map(({ length }) => length));
  assert.ok(widest(80) <= 80);
  assert.ok(widest(120) > 100 && widest(120) <= 120);
});

test("options: help that is too long for a line goes on below itself", () => {
  const words = Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ");
  const help = flagHelp("Does.", "nothing", { all: toggle(words), n: toggle("short") }, 80);
  const lines = help.split("\n").slice(4);
  assert.ok(lines.length > 3);
  assert.ok(lines.every((line) => line.length <= 80));
  assert.equal(lines.slice(0, -1).map((l) => l.slice("  --all  ".length)).join(" "), words);
  assert.ok(lines.slice(1, -1).every((line) => line.startsWith("         word")));
  assert.equal(lines.at(-1), "  --n    short");
});
