/** train.ts as a user runs it: a process of its own, without permissions and without a terminal. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { helpOf } from "../lab/cli/flags.ts";
import { trainLine } from "../lab/cli/options.ts";
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

const env = { ...process.env, RUNTIME: process.execPath, NO_COLOR: "1" };

/**
 * The command goes to `sh` as its input: where Deno's `spawnSync` sees a runtime in its arguments
 * it adds permissions.
 */
function train(args: string, permissions = "", after = ""): Outcome {
  const input = `"$RUNTIME" run ${inDeno ? permissions : ""} train.ts ${args} </dev/null ${after}`;
  const { status, stdout, stderr } = spawnSync("sh", [], { input, encoding: "utf8", env });
  return { code: status, stdout, stderr };
}

/** Sends a signal once the standard error holds some text. The last line of it, and the code. */
async function interrupted(
  args: string,
  signal: NodeJS.Signals,
  text: string,
): Promise<[code: number, line: string | undefined]> {
  const more = inDeno ? ["--no-prompt", "--allow-read", "--allow-write"] : [];
  const all = ["run", ...more, "train.ts", ...args.split(" ")];
  const child = spawn(process.execPath, all, { stdio: ["ignore", "ignore", "pipe"], env });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    if (!stderr.includes(text) && (stderr += chunk).includes(text)) child.kill(signal);
    else stderr += chunk;
  });
  const [code, of] = await once(child, "close"); // Deno says null for what exits with a code above 128
  return [code ?? 128 + constants.signals[of as NodeJS.Signals], stderr.trim().split("\n").at(-1)];
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
  const { code, stdout, stderr } = train(`${SMALL} --loss msl --limit-users 32`, "--no-prompt");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^(Warning|Retrieved)[^]*popularity[^]*co-occurrence[^]*oracle[^]*msl/);
  assert.match(stderr, /train msl-seed0 .*loss .*tokens\/s/);
});

test("train.ts: bad usage ends with one line and code 2, bad data with one line and code 1", () => {
  assert.match(failure("--losess sft", 2), /got --losess; did you mean --losses\?$/);
  const none = join(emptyFolder(), "none");
  assert.match(failure(`--data ${none}`, 1), /^Cannot load .*none.*the folder must exist/);
});

test("train.ts: losses that fail are named in the report, and the code says so", () => {
  const { code, stdout, stderr } = train(`${SMALL} --data ${DATA} --loss sft,msl --lr 1e38`, "-A");
  assert.equal(code, 1, stderr);
  assert.match(stdout, /^Failed: sft-seed0: [^]*\nFailed: msl-seed0: [^]*│ popularity /);
  assert.match(stderr, /^msl-seed0 failed: Cannot /m);
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
    const first = await interrupted(args, "SIGINT", "train sft-seed0");
    assert.equal(first[0], 130);
    const [, epoch] =
      /^Stopped. With --resume sft-seed0 (?:goes on after epoch (\d+) of 100000|starts .*)\.$/
        .exec(`${first[1]}`) ?? assert.fail(first[1]);
    assert.ok(!readdirSync(out).includes(".lock"));
    const says = epoch === undefined
      ? "sft-seed0 starts afresh"
      : `goes on after epoch ${epoch} of`;
    const second = await interrupted(`${args} --resume`, "SIGTERM", says);
    assert.equal(second[0], 143);
    const [code, line] = await interrupted(base, "SIGINT", "train sft-seed0");
    assert.equal(code, 130);
    assert.match(`${line}`, /^Stopped. Nothing was kept; with --out FOLDER runs are saved /);
  },
);

/** Deno misses signals that come in a long turn, if what follows waits by `setImmediate`. */
test("a turn of the event loop hears signals, however long the work before it", {
  skip: posix || (inDeno ? false : "only Deno misses them"),
}, () => {
  const script = `
import process from "node:process";
import { turn } from "./lab/progress.ts";
let heard = 0;
process.on("SIGINT", () => heard++);
for (let round = 1; round <= 3; round++) {
  for (let work = 0; work < 2; work++) {
    if (work === 1) process.kill(process.pid, "SIGINT");
    for (const end = performance.now() + 150; performance.now() < end;);
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

test("train.ts: control characters of names do not reach the terminal", { skip: posix }, () => {
  const data = join(emptyFolder(), "a\x1b[2J\x9b\nb");
  renameSync(smallFolder(), data);
  const found = train(`${SMALL} --loss msl --data '${data}'`, "-A");
  assert.equal(found.code, 0, found.stderr);
  const gone = train(`${SMALL} --loss msl --data '${data}x'`, "-A");
  assert.equal(gone.code, 1);
  assert.equal(gone.stderr.trim().split("\n").length, 1);
  for (const text of [found.stdout, found.stderr, gone.stderr]) {
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
  const args = `${SMALL} --loss msl --limit-users 32`;
  const input = `{ "$RUNTIME" run train.ts ${args} </dev/null 2>&1; echo $? >'${file}'; } | true`;
  assert.equal(spawnSync("sh", [], { input, env }).status, 0);
  assert.equal(readFileSync(file, "utf8"), "141\n");
});
