/** `deno task verify` as a user runs it: a process of its own, without a terminal. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../core/errors.ts";
import { parse } from "../../lab/cli/flags.ts";
import { verifyLine } from "../../lab/cli/verify.ts";
import { lineWidth } from "../../lab/table.ts";
import {
  isVerified,
  renderVerification,
  type VerificationReport,
} from "../../lab/theorems/verification.ts";
import { type Outcome, runFile } from "../command.ts";

function verify(args: string): Outcome {
  return runFile(`lab/cli/main.ts verify ${args}`, "-R -W");
}

test("verify: --json prints one object with everything in it", { timeout: 120_000 }, () => {
  const { code, stdout, stderr } = verify("--json --cases 40 --seed 2");
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim().split("\n").length, 1);
  const report = JSON.parse(stdout) as VerificationReport;
  const ids = report.theorems.map(({ id }) => id);
  assert.deepEqual(ids.slice(0, 8), ["T1", "T2", "T2'", "T3", "T4", "T5", "T6", "T7"]);
  for (const { id, cases, instances, failures } of report.theorems) {
    assert.equal(cases, 40, id);
    assert.ok(instances > 0, id);
    assert.equal(failures, 0, id);
  }
  for (const { id, found, counterexample, replay } of report.refutations) {
    assert.ok(found && counterexample.includes("\n"), id);
    assert.match(replay, /^seed \d+, path [\d:]+$/);
  }
  assert.deepEqual(report.refutations.map(({ id }) => id).slice(0, 8), [
    ...["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8"],
  ]);
  assert.deepEqual(report.devices.map(({ name }) => name), [
    "cpu float32",
    "cpu float64",
    "webgpu",
  ]);
  assert.ok(isVerified(report));
  assert.match(stderr, /worlds: 40/);
});

test("verify: --help, and bad usage ends with one line and code 2", () => {
  const help = verify("--help");
  assert.equal(help.code, 0);
  for (const option of "cases seed json checkpoint data beam limit-users".split(" ")) {
    assert.ok(help.stdout.includes(`--${option}`), option);
  }
  const { code, stdout, stderr } = verify("--colour red");
  assert.equal(code, 2);
  assert.equal(stdout, "");
  const lines = stderr.trim().split("\n").filter((line) => !line.startsWith("Warning"));
  assert.deepEqual(lines, [
    "Cannot use the command line: options must be among those that --help lists, got --colour",
  ]);
});

test("verify: a checkpoint that is not there ends with one line and code 1", () => {
  const { code, stdout, stderr } = verify("--json --checkpoint no/such/folder");
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^Cannot .*no.such.folder/m);
  assert.doesNotMatch(stderr, /^\s+at /m, "no stack trace");
});

test("verify: options outside their domain, or that do not fit, are refused", () => {
  const wrong: Readonly<Record<string, RegExp>> = {
    "--cases 0": /^Cannot use --cases: it must be an integer from 1 to 2147483647, got 0$/,
    "--cases": /^Cannot use --cases: it must have a value, as in --cases <n>, got none$/,
    "--cases --json": /^Cannot use --cases: it must have a value, as in --cases <n>, got none$/,
    "--seed=-1": /^Cannot use --seed: it must be an integer from 0 to 2147483647, got -1$/,
    "--seed 1.5": /got 1.5$/,
    "--seed 1 --seed=2": /^Cannot use --seed: it must be given once, got it twice$/,
    "ten": /^Cannot use the command line: .*got ten$/,
    "--toString": /^Cannot use the command line: .*got --toString$/,
    "--beam 10": /^Cannot use --beam: it must come with --checkpoint, got none$/,
    "--checkpoint a --cases 5": /^Cannot use --cases: it must come without --checkpoint, got both$/,
    "--checkpoint a --beam 0": /^Cannot use --beam: it must be an integer from 1 to .*, got 0$/,
  };
  for (const [args, message] of Object.entries(wrong)) {
    assert.throws(() => parse(verifyLine, args.split(" ")), (error) => {
      assert.ok(error instanceof UsageError, args);
      assert.match(error.message, message);
      return true;
    });
  }
  const model = parse(verifyLine, "--checkpoint a --data=b --beam 5 --json".split(" "));
  assert.deepEqual([model.checkpoint, model.data, model.beam, model.json], ["a", "b", 5, true]);
  const theory = parse(verifyLine, []);
  assert.deepEqual([theory.cases, theory.seed, theory.checkpoint], [20_000, 1, undefined]);
});

const outcome = { id: "T1", cases: 5, instances: 3, hypotheses: { many: 2 }, failures: 0 };
const fault = { name: "a slip", by: "T1: many", caught: true, worlds: 2 };
const counterexample = "B = 1\n  [0] 1/2";
const found = { id: "R1", found: true, counterexample, replay: "seed 1, path 0:1" };
const good: VerificationReport = {
  seed: 1,
  theorems: [outcome],
  faults: [fault, { ...fault, by: "T2" }],
  refutations: [found],
  devices: [
    { name: "cpu", theorems: [outcome], spread: [outcome] },
    { name: "webgpu", skipped: "no adapter", theorems: [], spread: [] },
  ],
};

test("verify: the report names what holds, what was left out, and how to replay", () => {
  assert.ok(isVerified(good));
  const text = renderVerification(good);
  assert.match(text, /T1 .* y returned => .* 5 .* 3 .* 0/);
  assert.match(text, /Planted faults: 2 of 2 caught. 1 mistake [^]* for 2\s+statements/);
  for (const part of ["[0] 1/2", "seed 1, path 0:1", "webgpu was left out: no adapter", "holds"]) {
    assert.ok(text.includes(part), part);
  }
  for (const line of text.split("\n")) assert.ok(line.length <= lineWidth(), line);
});

test("verify: what fails, is not tested or is not found is said and is no success", () => {
  const bad: readonly [Partial<VerificationReport>, RegExp][] = [
    [{ theorems: [{ ...outcome, failures: 1, counterexample: "x" }] }, /T1 FAILS: x/],
    [{ theorems: [{ ...outcome, instances: 0 }] }, /T1 WAS NOT TESTED/],
    [
      { theorems: [{ ...outcome, hypotheses: { many: 0 } }] },
      /T1 WAS NOT TESTED: "many" was never/,
    ],
    [{ faults: [{ ...fault, caught: false }] }, /NOT CAUGHT by T1: many: a slip/],
    [{ refutations: [{ ...found, found: false }] }, /NOT FOUND/],
    ...[0, 1].map((i): [Partial<VerificationReport>, RegExp] => {
      const failed = { ...outcome, failures: 2, counterexample: "y" };
      const [theorems, spread] = i === 0 ? [[failed], [outcome]] : [[outcome], [failed]];
      return [{ devices: [{ name: "cpu", theorems, spread }] }, /T1 FAILS on cpu: y/];
    }),
  ];
  for (const [change, message] of bad) {
    const report = { ...good, ...change };
    assert.ok(!isVerified(report));
    assert.match(renderVerification(report), message);
    assert.match(renderVerification(report), /NOT VERIFIED/);
  }
});
