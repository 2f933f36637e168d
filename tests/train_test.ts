/** train.ts as a user runs it: a process of its own, without permissions and without a terminal. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { helpOf } from "../lab/cli/flags.ts";
import { trainLine } from "../lab/cli/options.ts";
import { env, inDeno, type Outcome, runFile, runtime } from "./command.ts";
import { testDevices } from "./devices.ts";
import { emptyFolder, smallFolder } from "./lab/small_folder.ts";

const SMALL = "--layers 1 --dim 16 --heads 2 --ffn 32 --epochs 1 --device cpu --threads 1 " +
  "--cost-users 0";
const DATA = smallFolder();

/** The name of a folder that could redraw the terminal. */
const ODD = "a\x1b[2J\x9b\nb";

function train(args: string, permissions = "", after = ""): Outcome {
  return runFile(`train.ts ${args}`, permissions, after);
}

/**
 * Sends a signal once the first run trains. The code, which `sh` prints, and the standard error.
 */
async function interrupted(
  args: string,
  signal: NodeJS.Signals,
): Promise<{ readonly code: number; readonly stderr: string }> {
  const command = runtime("--no-prompt --allow-read --allow-write");
  const script = `${command} train.ts ${args} >/dev/null & echo $!; wait $!; echo $?`;
  const child = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "pipe"], env });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => stdout += chunk);
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    const isSent = stderr.includes("train sft-seed0");
    stderr += chunk;
    if (!isSent && stderr.includes("train sft-seed0")) process.kill(parseInt(stdout), signal);
  });
  await once(child, "close");
  return { code: Number(stdout.trim().split("\n")[1]), stderr };
}

/**
 * The message of a failed command: the only line that the standard error has beside the progress.
 */
function failure(args: string, code: number, permissions = "-A"): string {
  const outcome = train(args, permissions);
  assert.equal(outcome.code, code, outcome.stderr);
  assert.equal(outcome.stdout, "");
  assert.doesNotMatch(outcome.stderr, /^\s+at /m, "no stack trace");
  const lines = outcome.stderr.trim().split("\n").filter((line) => line.startsWith("Cannot"));
  assert.equal(lines.length, 1, outcome.stderr);
  return lines[0];
}

test("train.ts: --help needs no permission", () => {
  const { code, stdout, stderr } = train("--help", "--no-prompt");
  assert.equal(code, 0, stderr);
  assert.equal(stdout, helpOf(trainLine, 80).replace("Usage: ", "Usage: deno task "));
});

test("train.ts: synthetic data need no permission; the report is all that stdout gets", () => {
  const { code, stdout, stderr } = train(`${SMALL} --loss msl --limit-users 16`, "--no-prompt");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^(Warning|Retrieved)[^]*popularity[^]*co-occurrence[^]*oracle[^]*msl/);
  assert.match(stderr, /train msl-seed0 .*loss .*tokens\/s/);
});

test("train.ts: bad usage ends with one line and code 2, bad data with one line and code 1", () => {
  assert.match(failure("--losess sft", 2), /got --losess; did you mean --losses\?$/);
  const none = failure(`--data '${join(emptyFolder(), ODD)}'`, 1);
  assert.match(none, /^Cannot load .*a\\u001b\[2J\\u009b b: the folder or file must exist/);
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

const posix = process.platform === "win32" && "Windows has no such signals and devices";

test(
  "train.ts: Ctrl-C says from where the run can go on, and it does",
  { skip: posix },
  async () => {
    const out = emptyFolder();
    const base = `${SMALL.replace("epochs 1", "epochs 100000")} --data ${DATA} --loss sft,msl`;
    const args = `${base} --out ${out}`;
    const goesOn = /\nStopped. With --resume sft-seed0 (goes on after epoch \d+ of|starts afresh:)/;
    const first = await interrupted(args, "SIGINT");
    assert.equal(first.code, 130);
    const [, from] = goesOn.exec(first.stderr) ?? assert.fail(first.stderr);
    assert.ok(!readdirSync(out).includes(".lock"));
    const second = await interrupted(`${args} --resume`, "SIGTERM");
    assert.equal(second.code, 143);
    assert.ok(second.stderr.includes(`sft-seed0 ${from}`), second.stderr);
    assert.match(second.stderr, goesOn);
    const third = await interrupted(base, "SIGINT");
    assert.equal(third.code, 130);
    assert.match(
      third.stderr,
      /\nStopped. Nothing was kept; with --out FOLDER runs are saved .*\n$/,
    );
  },
);

/** Deno misses signals that come in a long turn, if what follows waits by `setImmediate`. */
test("a turn of the event loop hears signals, however long the work before it", {
  skip: posix || (inDeno ? false : "only Deno misses them"),
}, () => {
  const script = `
import process from "node:process";
import { turn } from "./lab/turn.ts";
let heard = 0;
process.on("SIGINT", () => heard++);
for (let round = 1; round <= 4; round++) {
  for (let work = 0; work < 2; work++) {
    if (work === 1) process.kill(process.pid, "SIGINT");
    for (const end = performance.now() + 300; performance.now() < end;);
    await turn();
  }
  await turn();
  if (heard !== round) throw new Error(\`heard \${heard} of \${round} signals\`);
}
process.exit(0);
`;
  const args = ["run", "-A", "--ext=ts", "-"];
  const { status, stderr } = spawnSync(process.execPath, args, { input: script, encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

test("train.ts: what fails is named, the code says so, and no control characters are printed", {
  skip: posix,
}, () => {
  const data = join(emptyFolder(), ODD);
  renameSync(smallFolder(), data);
  const broken = join(emptyFolder(), "broken.ts");
  const { href } = new URL("../mod.ts", import.meta.url);
  const source = `import { msl, mul } from "${href}";
    export const broken = () => (logits, targets) => mul(NaN, msl()(logits, targets));`;
  writeFileSync(broken, source);
  const args = `${SMALL} --data '${data}' --loss msl,${broken}`;
  const { code, stdout, stderr } = train(args, "-A");
  assert.equal(code, 1, stderr);
  assert.match(stdout, /^Failed: broken-seed0: [^]*\nRetrieved, [^]*│ popularity [^]*│ msl /);
  assert.match(stderr, /^broken-seed0 failed: Cannot /m);
  for (const text of [stdout, stderr]) {
    assert.match(text, /a\\u001b\[2J\\u009b/);
    // deno-lint-ignore no-control-regex -- these are what it is about
    assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
  }
});

test("train.ts: a standard output that is full or closed ends it in one line or none", {
  skip: process.platform !== "linux" && "/dev/full is Linux's",
}, () => {
  const { code, stderr } = train("--help", "", ">/dev/full");
  assert.equal(code, 1);
  assert.equal(
    stderr,
    "Cannot write the standard output: its disk must have room, got ENOSPC\n",
  );
  const file = join(emptyFolder(), "code");
  const input = `{ ${runtime()} train.ts --help </dev/null 2>&1; echo $? >'${file}'; } | true`;
  assert.equal(spawnSync("sh", [], { input, env }).status, 0);
  assert.equal(readFileSync(file, "utf8"), "141\n");
});
