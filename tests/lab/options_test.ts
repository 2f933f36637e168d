/** The command lines: defaults, good values, one line for every bad one, and the help. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { UsageError } from "../../core/errors.ts";
import { gridLine } from "../../lab/cli/compare.ts";
import { explainLine } from "../../lab/cli/explain.ts";
import { type CommandLine, flagName, helpOf, parse } from "../../lab/cli/flags.ts";
import { judgeLine } from "../../lab/cli/judge.ts";
import { toggle } from "../../lab/cli/kinds.ts";
import { parseOptions, trainLine } from "../../lab/cli/options.ts";
import { reportLine } from "../../lab/cli/report.ts";
import { verifyLine } from "../../lab/cli/verify.ts";
import { losses, lossFlagNames, lossNames } from "../../models/losses/index.ts";

const LINES = {
  train: trainLine,
  compare: gridLine("compare"),
  sweep: gridLine("sweep"),
  judge: judgeLine,
  report: reportLine,
  verify: verifyLine,
  explain: explainLine,
};
type Name = keyof typeof LINES;

/** What a command makes of its arguments. */
function read(name: Name, args: readonly string[]): Record<string, unknown> {
  return parse(LINES[name] as CommandLine<unknown>, args) as Record<string, unknown>;
}

const DEFAULTS = {
  data: "synthetic",
  index: undefined,
  tokenizer: undefined,
  prompt: undefined,
  targets: undefined,
  holdOut: undefined,
  limitItems: undefined,
  limitUsers: undefined,
  columns: undefined,
  minRating: undefined,
  duplicates: undefined,
  kCore: undefined,
  split: undefined,
  skipBadRows: false,
  joinValidation: false,
  codes: "semantic",
  input: "tokens",
  losses: ["sft", "msl", "bear"],
  beam: 10,
  xi: 1,
  lambda: 1,
  tau: 1,
  beta: 0.1,
  eta: 0,
  negatives: 4,
  searchEvery: 1,
  beams: [10],
  model: undefined,
  half: false,
  lora: [],
  loraRank: 8,
  loraAlpha: 16,
  loraDropout: 0.05,
  layers: 2,
  dim: 64,
  heads: 2,
  kvHeads: 2,
  ffn: 256,
  history: 20,
  epochs: 8,
  patience: undefined,
  validateUsers: 1000,
  costUsers: 250,
  batch: 32,
  accumulate: 1,
  lr: 0.004,
  warmup: 50,
  dropout: 0.1,
  decay: 0.05,
  seed: 0,
  device: "auto",
  threads: undefined,
  excludeHistory: false,
  out: undefined,
  resume: false,
};

test("options: without arguments, the defaults", () => {
  assert.deepEqual(parseOptions([]), DEFAULTS);
});

test("options: every option is read", () => {
  const scratch = "--data some/folder --tokenizer a/folder --prompt p.txt --targets last " +
    "--hold-out 9 --limit-items 100 --limit-users 12 --codes random --input items --losses msl,bear-convex " +
    "--beam 5 --beams 5,20 --xi 2.75 --lambda 0 --tau .5 --beta 0 --eta 2.5 --negatives 9 " +
    "--search-every 4 --layers 3 --dim 96 --heads 6 --kv-heads 3 --ffn 128 --history 7 --epochs 1 " +
    "--batch 2 --patience 3 --validate-users 50 --cost-users 0 --accumulate 4 --lr 1e-3 --warmup 0 --dropout 0 " +
    "--columns user=who,item=2nd,time=at,rating=stars --min-rating 3.5 --duplicates last " +
    "--k-core 1 --split time:0.7,.8 --skip-bad-rows " +
    "--decay 0 --seed 9007199254740991 --device cpu --threads 2 --exclude-history --out=runs/a --resume";
  assert.deepEqual(parseOptions(scratch.split(" ")), {
    ...DEFAULTS,
    data: "some/folder",
    tokenizer: "a/folder",
    prompt: "p.txt",
    targets: "last",
    holdOut: 9,
    limitItems: 100,
    limitUsers: 12,
    columns: { user: "who", item: "2nd", time: "at", rating: "stars" },
    minRating: 3.5,
    duplicates: "last",
    kCore: 1,
    split: { time: [0.7, 0.8] },
    skipBadRows: true,
    codes: "random",
    input: "items",
    losses: ["msl", "bear-convex"],
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
    costUsers: 0,
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
  });
  const adapters = "--model m --half --lora q,v,down --lora-rank 4 --lora-alpha 8 --lora-dropout 0";
  assert.deepEqual(parseOptions([...adapters.split(" "), "--join-validation"]), {
    ...DEFAULTS,
    joinValidation: true,
    model: "m",
    half: true,
    lora: ["q", "v", "down"],
    loraRank: 4,
    loraAlpha: 8,
    loraDropout: 0,
    lr: 0.0001,
    dropout: 0,
  });
});

/** Command lines, with some of what they mean. */
const GOOD: readonly [Name, args: string, expected: Readonly<Record<string, unknown>>][] = [
  ["train", "--loss msl", { losses: ["msl"] }],
  ["train", `--losses ${lossNames.join(",")}`, { losses: lossNames }],
  ["train", "--beam 7", { beams: [7] }],
  ["train", "--heads 4", { kvHeads: 4 }],
  ["train", "--kv-heads 1 --heads 4", { kvHeads: 1 }],
  ["train", "--model m --lr 0.01 --dropout 0.2", { lr: 0.01, dropout: 0.2 }],
  ["compare", "--out a", {
    seeds: [0, 1, 2],
    verifyUsers: 100,
    shard: { index: 0, count: 1 },
    baseline: undefined,
  }],
  ["compare", "--out a --seeds 4,9 --shard 2/4 --loss msl --baseline msl", {
    seeds: [4, 9],
    shard: { index: 2, count: 4 },
    baseline: "msl",
  }],
  ["compare", "--out a --seeds 4,", { seeds: [4] }],
  ["compare", "--out a --losses msl", { codes: ["semantic"] }],
  ["compare", "--out a --codes item,residual:4x4,seed=1,dim=8,semantic --baseline sft", {
    codes: ["item", "residual:4x4,seed=1,dim=8", "semantic"],
  }],
  ["sweep", "--out a --codes random:4x4,random", { codes: ["random:4x4", "random"] }],
  ["sweep", "--out it's --xi=1,2", {
    seeds: [0],
    command: String.raw`deno task sweep --out 'it'\''s' --xi=1,2`,
  }],
  ["judge", "--runs a --out b --tau=.5,2 --over children --variants msl", {
    taus: [0.5, 2],
    over: ["children"],
    variants: ["msl"],
    command: "deno task judge --runs a --out b --tau=.5,2 --over children --variants msl",
  }],
  ["judge", "--runs a --out b --search best-first --budget 100", {
    search: { method: "best-first", budget: 100 },
    taus: undefined,
    costUsers: 1000,
  }],
  ["judge", "--runs a --out b --search huggingface --length-penalty -0.5", {
    search: { method: "huggingface", lengthPenalty: -0.5 },
  }],
  ["report", "a --out b c --baseline=msl", { folders: ["a", "c"], out: "b", baseline: "msl" }],
  ["report", "a c", { folders: ["a", "c"], out: "a", baseline: undefined }],
];

for (const [name, args, expected] of GOOD) {
  test(`options: ${name} ${args}`, () => {
    assert.partialDeepStrictEqual(read(name, args.split(" ")), expected);
  });
}

test("options: a comparison has the options of its first run, and stops by validation", () => {
  const { options, over } = gridLineOptions("--out a --seeds 3,4 --beam 5,7 --beta 0,1");
  assert.deepEqual(options, {
    ...DEFAULTS,
    losses: ["bear"],
    out: "a",
    seed: 3,
    beam: 5,
    beams: [5],
    beta: 0,
    patience: 5,
    costUsers: 1000,
  });
  assert.partialDeepStrictEqual(over, { beam: [5, 7], beta: [0, 1], xi: [1] });
});

function gridLineOptions(args: string): { options: unknown; over: Record<string, unknown> } {
  return parse(gridLine("sweep"), args.split(" "));
}

const LOSS = `it must be a list, each one of ${lossNames.join(", ")} or the path of a module`;
const STRAY = "the command line: it must have options and their values only";
const UNKNOWN = "the command line: options must be among those that --help lists";
const HEAD = "--dim with --heads: dim / heads must be a multiple of 4, at most 128";
const COLUMNS =
  "--columns: it must be user=NAME,item=NAME and, if there are, time=NAME and rating=NAME";
const SPLIT = "--split: it must be leave-one-out, time, or time:A,B with shares 0 < A <= B < 1";
const ONE_LIST = "it must be a list without repetition";

/** Bad command lines, with what follows "Cannot use" in the error of each. */
const BAD: Readonly<Record<Name, Readonly<Record<string, string>>>> = {
  train: {
    "--bean 5": `${UNKNOWN}, got --bean; did you mean --beam?`,
    "--los sft": `${UNKNOWN}, got --los; did you mean --losses?`,
    "--losess sft": `${UNKNOWN}, got --losess; did you mean --losses?`,
    "--colour": `${UNKNOWN}, got --colour`,
    "--constructor": `${UNKNOWN}, got --constructor`,
    "-h": `${UNKNOWN}, got -h`,
    "5": `${STRAY}, got 5`,
    "-5": `${STRAY}, got -5`,
    "--beam": "--beam: it must have a value, as in --beam <n>, got none",
    "--loss": "--losses: it must have a value, as in --losses <list>, got none",
    "--beam --xi 2": "--beam: it must have a value, as in --beam <n>, got none",
    "--beam=": "--beam: it must be an integer from 1 to 1000000, got an empty text",
    "--beam 0": "--beam: it must be an integer from 1 to 1000000, got 0",
    "--beam -3": "--beam: it must be an integer from 1 to 1000000, got -3",
    "--beam 2.5": "--beam: it must be an integer from 1 to 1000000, got 2.5",
    "--beam ten": "--beam: it must be an integer from 1 to 1000000, got ten",
    "--beam 0x10": "--beam: it must be an integer from 1 to 1000000, got 0x10",
    "--beam 5 --beam=6": "--beam: it must be given once, got it twice",
    "--loss sft --losses msl": "--losses: it must be given once, got it twice",
    "--columns user=a": `${COLUMNS}, got user=a`,
    "--columns user=a,item=b,item=c": `${COLUMNS}, got user=a,item=b,item=c`,
    "--columns user=a,item=b,tim=c": `${COLUMNS}, got user=a,item=b,tim=c`,
    "--columns user=a,item=": `${COLUMNS}, got user=a,item=`,
    "--split tim": `${SPLIT}, got tim; did you mean time?`,
    "--split time:.9,.8": `${SPLIT}, got time:.9,.8`,
    "--split time:0,.8": `${SPLIT}, got time:0,.8`,
    "--split time:.5,1": `${SPLIT}, got time:.5,1`,
    "--k-core 0": "--k-core: it must be an integer from 1 to 1000000, got 0",
    "--half --half": "--half: it must be given once, got it twice",
    "--seed -1": "--seed: it must be an integer from 0 to 9007199254740991, got -1",
    "--seed 9007199254740992":
      "--seed: it must be an integer from 0 to 9007199254740991, got 9007199254740992",
    "--negatives 1001": "--negatives: it must be an integer from 1 to 1000, got 1001",
    "--xi 0": "--xi: it must be a number that is above 0, got 0",
    "--tau NaN": "--tau: it must be a number that is at least 1e-8, got NaN",
    "--lr Infinity": "--lr: it must be a number that is above 0, got Infinity",
    "--lr 1e999": "--lr: it must be a number that is above 0, got 1e999",
    "--lambda -0.1": "--lambda: it must be a number that is at least 0, got -0.1",
    "--dropout 1": "--dropout: it must be a number that is at least 0 and below 1, got 1",
    "--device cpi": "--device: it must be one of auto, webgpu, cpu, got cpi; did you mean cpu?",
    "--losses sft,mls": `--losses: ${LOSS}, got sft,mls; did you mean msl?`,
    "--losses sft,transformer": `--losses: ${LOSS}, got sft,transformer`,
    "--losses sft,sft": `--losses: ${ONE_LIST}, got sft,sft`,
    "--resume": "--resume: --out must name the folder of the run, got none",
    "--resume=yes --out a": "--resume: it must stand without a value, got yes",
    "--out=": "--out: it must be a name, got an empty text",
    "--dim 65": `${HEAD}, got 65 / 2 = 32.5`,
    "--dim 12 --heads 2": `${HEAD}, got 12 / 2 = 6`,
    "--dim 132 --heads 1": `${HEAD}, got 132 / 1 = 132`,
    "--beams 10,5": "--beams: it must be an ascending list, got 10,5",
    "--beams 5,5": `--beams: ${ONE_LIST}, got 5,5`,
    "--beams 5,x": "--beams: it must be a list, each an integer from 1 to 999999, got 5,x",
    "--model m --lora q,w":
      "--lora: it must be a list, each one of q, k, v, o, gate, up, down, got q,w",
    "--lora q": "--lora: it must come with --model, got none",
    "--half": "--half: it must come with --model, got none",
    "--model m --half":
      "--half: it must come with --lora, as half-precision weights are not trained, got none",
    "--model m --lora-rank 4": "--lora-rank: it must come with --lora, got none",
    "--model m --kv-heads 4": "--kv-heads: it must come without --model, which has it, got both",
    "--heads 4 --kv-heads 3": "--kv-heads: heads must be a multiple of it, got 4 heads and 3",
    "--join-validation --patience 3": "--patience: it must come without --join-validation, " +
      "which leaves nothing to validate by, got both",
  },
  compare: {
    "--losses sft": "the command line: it must have --out <folder>, got none",
    "--out a --seeds 0": "--seeds: it must be from 1 to 1000, got 0",
    "--out a --seeds 1,1": `--seeds: ${ONE_LIST}, got 1,1`,
    "--out a --seeds x":
      "--seeds: it must be a number of seeds, or a list of seeds such as 3,4, got x",
    "--out a --seed 3": `${UNKNOWN}, got --seed; did you mean --seeds?`,
    "--out a --shard 2/2": "--shard: it must be i/n with 0 <= i < n, such as 0/4, got 2/2",
    "--out a --shard 2": "--shard: it must be i/n with 0 <= i < n, such as 0/4, got 2",
    "--out a --xi 1,2": "--xi: it must be a number that is above 0, got 1,2",
    "--out a --baseline bear-paper": "--baseline: it must be one of sft, msl, bear, got bear-paper",
    "--out a --codes item,residual:4x4 --baseline sft":
      "--baseline: it must be one of sft codes=item, sft codes=residual:4x4, msl codes=item, " +
      "msl codes=residual:4x4, bear codes=item, bear codes=residual:4x4, got sft",
    "--out a --codes item,item": `--codes: ${ONE_LIST}, got item,item`,
    "--out a --codes random:4x4,random:4x4,seed=0":
      `--codes: ${ONE_LIST}, got random:4x4,random:4x4,seed=0`,
    "--out a --codes item,seed=1": "--codes: it must be semantic, item, random, or one of " +
      "hierarchical:64x16, residual:64x16, product:64x16, rqvae:64x16, random:64x16, " +
      "got item,seed=1",
    "--out a --losses nll": `--losses: ${LOSS}, got nll`,
    "--out a --join-validation --patience 2": "--patience: it must come without " +
      "--join-validation, which leaves nothing to validate by, got both",
  },
  sweep: {
    "--out a --xi 1,0": "--xi: it must be a list, each a number that is above 0, got 1,0",
    "--out a --beam 5,5": `--beam: ${ONE_LIST}, got 5,5`,
    "--out a --baseline bear": `${UNKNOWN}, got --baseline`,
  },
  judge: {
    "--out a --tau 2": "the command line: it must have --runs <folder>, got none",
    "--runs a --tau 2": "the command line: it must have --out <folder>, got none",
    "--runs a --out b":
      "the command line: it must have --tau, --over, --search or --exclude-history, got none; compare judges other " +
      "--beams",
    "--runs a --out b --search exact": "--search: it must be one of beam, adaptive, best-first, " +
      "huggingface, got exact",
    "--runs a --out b --budget 9": "--budget: it must come with --search best-first, got beam",
    "--runs a --out b --search adaptive --length-penalty 1":
      "--length-penalty: it must come with --search huggingface, got adaptive",
    "--runs a --out b --tau 0": "--tau: it must be a list, each a number that is above 0, got 0",
    "--runs a --out b --tau 2,2": `--tau: ${ONE_LIST}, got 2,2`,
    "--runs a --out b --over childen":
      "--over: it must be a list, each one of children, vocabulary, got childen; did you mean children?",
    "--runs a --out b --tau 2 --beams 5,2": "--beams: it must be an ascending list, got 5,2",
    "--runs a --out b --tau 2 --seeds 1": `${UNKNOWN}, got --seeds`,
  },
  report: {
    "--out b": "the command line: it must name a folder with finished runs, got none",
    "a --out": "--out: it must have a value, as in --out <folder>, got none",
    "a --out --help": "--out: it must have a value, as in --out <folder>, got none",
    "a --colour": `${UNKNOWN}, got --colour`,
    "a -x": `${UNKNOWN}, got -x`,
    "a --out b --out c": "--out: it must be given once, got it twice",
  },
  verify: {},
  explain: {},
};

for (const name of Object.keys(BAD) as Name[]) {
  for (const [args, message] of Object.entries(BAD[name])) {
    test(`options: refuses ${name} ${args}`, () => {
      const expected = new UsageError(`Cannot use ${message}`);
      assert.throws(() => read(name, args.split(" ")), expected);
    });
  }
}

test("options: every help names every option once, in at most 80 columns, with its default", () => {
  for (const [name, { flags }] of Object.entries(LINES)) {
    const help = helpOf(LINES[name as Name] as CommandLine<unknown>, 80).trimEnd();
    for (const line of help.split("\n")) assert.ok(line.length <= 80, `${name}: ${line}`);
    const [, ...items] = help.replaceAll(/\n {3,}/g, " ").split(/\n {2}(?=-)/);
    assert.match(items.pop() ?? "", /^-h, --help /);
    const expected = Object.entries(flags).map(([key, { value }]) =>
      value === undefined ? flagName(key) : `${flagName(key)} ${value}`
    );
    assert.deepEqual(items.map((item) => item.split(/ {2,}/)[0]), expected, name);
    for (const item of items.filter((item) => item.includes("<"))) {
      assert.match(item, /\((.*; )?(default|required)/, name);
    }
  }
  const help = helpOf(trainLine, 130);
  assert.match(help, /\n {2}--batch <n> +windows of a batch \(1 to 65536; default 32\)\n/);
  assert.match(help, /\n {2}--device <name> .*\(auto, webgpu or cpu; default auto\)\n/);
  assert.match(help, /\n {2}--threads <n> .*\(1 to 64; default one a core, at most 8\)\n/);
});

test("options: help that is too long for a line goes on below itself", () => {
  const words = Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ");
  const flags = { all: toggle(words), n: toggle("short") };
  const help = helpOf({ name: "does", usage: "nothing", does: "Does.", flags, run() {} }, 80);
  const lines = help.split("\nOptions:\n")[1].split("\n").slice(0, -3);
  assert.ok(lines.length > 3);
  assert.equal(lines.map((line) => line.slice("  -h, --help  ".length)).join(" "), words);
});

test("losses: the table of docs/losses.md is that of the definitions", () => {
  const rows = readFileSync("docs/losses.md", "utf8").split("\n")
    .filter((line) => /^\| `[a-z]/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  assert.deepEqual(
    rows.map(([, name, , over, flags]) => [name, over, flags]),
    losses.map(({ name, normalization, flags }) => [
      `\`${name}\``,
      normalization,
      lossFlagNames.filter((flag) => flag in flags).map((flag) => `\`${flagName(flag)}\``)
        .join(", "),
    ]),
  );
});
