/** train.ts as a user runs it: a process of its own, without permissions and without a terminal. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { testDevices } from "./devices.ts";
import { emptyFolder, smallFolder } from "./lab/small_folder.ts";

const inDeno = "Deno" in globalThis;
const SMALL = "--layers 1 --dim 16 --heads 2 --ffn 32 --epochs 1 --device cpu";
const DATA = smallFolder();

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command goes to `sh` as its input: where Deno's `spawnSync` sees a runtime in its arguments it adds permissions. */
function train(args: string, permissions = ""): Outcome {
  const command = `"$RUNTIME" run ${inDeno ? permissions : ""} train.ts ${args} </dev/null`;
  const { status, stdout, stderr } = spawnSync("sh", [], {
    input: command,
    encoding: "utf8",
    env: { ...process.env, RUNTIME: process.execPath, NO_COLOR: "1" },
  });
  return { code: status, stdout, stderr };
}

/** The message of a failed command: the last line, of which there must be only one beside the progress. */
function failure(args: string, code: number, permissions = "-A"): string {
  const outcome = train(args, permissions);
  assert.equal(outcome.code, code, outcome.stderr);
  assert.equal(outcome.stdout, "");
  assert.doesNotMatch(outcome.stderr, /^\s+at /m, "no stack trace");
  const lines = outcome.stderr.trim().split("\n").filter((line) => line.startsWith("Cannot"));
  assert.equal(lines.length, 1, outcome.stderr);
  return lines[0];
}

test("train.ts: --help lists every option and needs no permission", () => {
  const { code, stdout } = train("--help");
  assert.equal(code, 0);
  const options =
    "data loss beam xi lambda tau layers dim heads ffn history epochs batch lr seed device " +
    "exclude-history limit-users out resume help";
  for (const option of options.split(" ")) assert.ok(stdout.includes(`--${option}`), option);
});

test("train.ts: synthetic data need no permission; the report is all that stdout gets", () => {
  const { code, stdout, stderr } = train(`${SMALL} --loss msl --limit-users 32`);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /popularity[^]*co-occurrence[^]*oracle[^]*msl/);
  assert.match(stderr, /train msl-seed0 .*loss .*tokens\/s/);
});

test("train.ts: bad usage ends with one line and code 2", () => {
  assert.match(failure("--colour red", 2), /^Cannot use the command line: .*got --colour$/);
  assert.match(
    failure("--beam 0", 2),
    /^Cannot use --beam: it must be an integer from 1 to 1000000, got 0$/,
  );
  assert.match(
    failure("--loss sft,mls", 2),
    /^Cannot use --loss: it must be a list of .*, got sft,mls$/,
  );
  assert.match(failure("--lr fast", 2), /^Cannot use --lr: .*got fast$/);
  assert.match(failure("--resume", 2), /^Cannot use --resume: --out must/);
});

test("train.ts: bad data end with one line and code 1", () => {
  const folder = emptyFolder();
  const with_ = (index: string, inter: string): string => {
    const name = join(folder, `${readdirSync(folder).length}`);
    mkdirSync(name);
    writeFileSync(join(name, "index.json"), index);
    writeFileSync(join(name, "inter.json"), inter);
    return name;
  };
  const fails = (index: string, inter: string): string =>
    failure(`${SMALL} --data ${with_(index, inter)}`, 1);

  assert.match(
    failure(`${SMALL} --data ${join(folder, "none")}`, 1),
    /^Cannot load .*none.*the folder must exist/,
  );
  assert.match(fails('{"0": ["<a_1>"', '{"u": [0, 0, 0]}'), /index\.json/);
  assert.match(fails("{}", '{"u": [0, 0, 0]}'), /index\.json/);
  assert.match(fails('{"0": ["a"], "1": ["b"]}', '{"u": [0, 1, 7]}'), /\b7\b/);
  assert.match(fails('{"0": ["a"], "1": ["a", "b"]}', '{"u": [0, 1, 0]}'), /prefix|begins/);
  assert.match(fails('{"0": ["a"], "1": ["b"]}', '{"u": [0, 1]}'), /three/);
});

test("train.ts: a bad --out or --resume ends with one line and code 1", () => {
  const args = `${SMALL} --data ${DATA} --loss msl`;
  const out = emptyFolder();
  assert.match(failure(`${args} --out ${out} --resume`, 1), /^Cannot resume from/);
  assert.equal(train(`${args} --out ${out}`, "-A").code, 0);
  assert.match(failure(`${args} --out ${out}`, 1), /^Cannot start in/);
  assert.match(failure(`${args} --out ${out} --resume --xi 2`, 1), /xi must be .*1, got 2$/);
  const file = join(out, "summary.json");
  assert.match(failure(`${args} --out ${file}`, 1), /^Cannot/);
});

test("train.ts: without permission to read or write it says what to grant", {
  skip: inDeno ? false : "only Deno has permissions",
}, () => {
  const args = `${SMALL} --data ${DATA} --loss msl`;
  assert.match(failure(args, 1, "--no-prompt"), /--allow-read/);
  assert.match(
    failure(`${args} --out ${emptyFolder()}`, 1, "--allow-read --no-prompt"),
    /--allow-write/,
  );
});

test("train.ts: --device webgpu without an adapter ends with one line and code 1", {
  skip: testDevices.find(({ name }) => name === "webgpu")?.skip
    ? false
    : "there is an adapter here",
}, () => {
  assert.match(failure("--device webgpu", 1), /^Cannot open a webgpu device/);
});
