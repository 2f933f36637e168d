/**
 * Users of trained models explained, from the library and by `deno task explain` as a user runs it.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ArgumentError, CheckpointError, UsageError } from "../../core/errors.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { explainLine } from "../../lab/cli/explain.ts";
import { parse } from "../../lab/cli/flags.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import { renderExplanation } from "../../lab/analysis/explanation_text.ts";
import { explainUser, prunedUsers, userOf } from "../../lab/analysis/explain_user.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { runFile } from "../command.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";

/** Machines that do other things as well need more than Bun's five seconds. */
const SLOW = { timeout: 60_000 };
const silent = { preparing() {}, started() {}, training() {}, evaluating() {} };

/** Trains a run; its folder. */
async function train(args: string): Promise<string> {
  const out = emptyFolder();
  const options = parseOptions([
    ...args.split(" "),
    "--cost-users",
    "0",
    "--device",
    "cpu",
    "--out",
    out,
  ]);
  await runExperiment(options, silent);
  return join(out, `${options.losses[0]}-seed0`);
}

const DATA = smallFolder();
const TINY = `--data ${DATA} --layers 1 --dim 16 --heads 2 --ffn 32 --epochs 2 --lr 0.02 --beam 3`;
const quick = await train("--loss msl --epochs 2 --limit-users 200");
const semantic = await train(`${TINY} --loss sft`);
const item = await train(`${TINY} --loss bear --codes item`);

test("explainUser: the sample in docs/lab.md is what its commands print", SLOW, async () => {
  const [, user, sample] =
    /--checkpoint runs\/quick\/msl-seed0 --user (\S+)\n```[^]*?```text\n([^]*?)\n```/
      .exec(readFileSync("docs/lab.md", "utf8")) ?? [];
  const found = await explainUser({ checkpoint: quick, data: "synthetic", user });
  const text = renderExplanation({ ...found, model: "runs/quick/msl-seed0, trained with msl" }, 80);
  const numbers = /[-+]?\d+\.\d+/g;
  assert.equal(text.replaceAll(numbers, "#"), sample.replaceAll(numbers, "#"));
  // Another runtime rounds otherwise.
  const [actual, shown] = [text, sample].map((t) => (t.match(numbers) ?? []).map(Number));
  actual.forEach((x, i) => assert.ok(Math.abs(x - shown[i]) <= 0.003, `${x} ${shown[i]}`));
});

test("prunedUsers: those that explainUser finds pruned, for the same reason", SLOW, async () => {
  const options = { checkpoint: quick, data: "synthetic" };
  const pruned = await prunedUsers(options);
  assert.ok(pruned.length > 5);
  for (const { user, target, step, cause, exactRank } of pruned.slice(0, 1)) {
    const found = await explainUser({ ...options, user });
    assert.deepEqual([found.target.id, found.exactRank], [target, exactRank]);
    assert.deepEqual(found.lost, { cause, step });
    assert.ok(exactRank < found.beam);
  }
});

for (const [codes, checkpoint] of [["semantic", semantic], ["item", item]] as const) {
  test(
    `explainUser: every user of ${codes} codes, with and without the history`,
    SLOW,
    async () => {
      for (let u = 0; u < 40; u += 8) {
        for (const excludeHistory of [false, true]) {
          const found = await explainUser({
            checkpoint,
            data: DATA,
            user: `u${u}`,
            beam: 2 + (u % 3),
            excludeHistory,
          });
          const { steps, rank, lost, exactRank, beam } = found;
          assert.equal(rank === undefined, lost !== undefined);
          if (lost?.cause === "absent") continue;
          const last = steps.findLast(({ pool }) => pool !== undefined);
          assert.equal(last?.pool?.kept, lost === undefined);
          for (const { pool, margin } of steps) {
            if (pool?.gap !== undefined) assert.equal(pool.gap <= 0, pool.kept);
            if (margin > 1e-4) assert.equal(lost !== undefined, true);
          }
          if (codes === "item") { // the pool is the catalogue, ranked exactly
            assert.equal(steps.length, 1);
            assert.equal(steps[0].pool?.rank, exactRank);
            assert.equal(rank, (exactRank as number) < beam ? exactRank : undefined);
          }
          assert.ok(renderExplanation(found).includes(`User u${u} of `));
        }
      }
    },
  );
}

test("explainUser: who is not there is refused, and who is, is named", SLOW, async () => {
  const options = { checkpoint: semantic, data: DATA };
  await assert.rejects(explainUser({ ...options, user: "nobody" }), (error) => {
    assert.ok(error instanceof ArgumentError);
    assert.match(error.message, /^Cannot explain user "nobody" of .*: .*40 .*"u0", "u1", "u2"/);
    return true;
  });
  await assert.rejects(explainUser({ ...options, user: "u1", beam: 0 }), ArgumentError);
  const cases = [["a"], ["a#b"], ["c#1", "c"], ["c#2", "c"]].map(([id, user]) => (
    { id, ...(user && { user }), history: [0], target: 1 }
  ));
  const [a, ab, c1] = cases;
  const shop = await loadDataset(DATA);
  assert.deepEqual(["a", "a#b", "c#1"].map((name) => userOf(cases, name, shop)), [a, ab, c1]);
  assert.throws(() => userOf(cases, "c", shop), /one of its 2 test rows, such as "c#1", "c#2"/);
  const other = { ...options, data: "synthetic", user: "1" };
  await assert.rejects(
    explainUser(other),
    /^CheckpointError: .*: the data must be .*, which it was trained on, got synthetic/,
  );
  await assert.rejects(explainUser({ ...options, checkpoint: DATA, user: "u1" }), CheckpointError);
});

function command(args: string): { code: number | null; stdout: string; stderr: string[] } {
  const { code, stdout, stderr } = runFile(`lab/cli/main.ts explain ${args}`, "-R -W");
  const lines = stderr.trim().split("\n").filter((line) => !line.startsWith("Warning"));
  return { code, stdout, stderr: lines };
}

test("explain: prints a text, or one JSON object that says the same", SLOW, () => {
  const of = `--checkpoint ${semantic} --data ${DATA} --user u7 --beam 2`;
  const text = command(of);
  assert.equal(text.code, 0, text.stderr.join());
  assert.match(text.stdout, /^User u7 of .*beam B = 2, p over the whole\s+vocabulary/);
  const json = command(`${of} --json`);
  const found = JSON.parse(json.stdout) as Parameters<typeof renderExplanation>[0];
  assert.equal(`${renderExplanation(found, 80)}\n`, text.stdout);
});

test("explain: bad input ends with one line", SLOW, () => {
  const missing = command("--checkpoint no/such/folder --user 1");
  assert.deepEqual([missing.code, missing.stdout, missing.stderr.length], [1, "", 1]);
  assert.match(missing.stderr[0], /^Cannot .*no.such.folder/);
});

test("explain: options that are missing or do not fit are refused", () => {
  const wrong: Readonly<Record<string, RegExp>> = {
    "--user 1": /it must have --checkpoint <folder>, got none$/,
    "--checkpoint a": /--user must name a test user, unless --list is given, got none$/,
    "--checkpoint a --user 1 --list": /^Cannot use --list: it must come without --user, got both$/,
    "--checkpoint a --user 1 --beam 0": /^Cannot use --beam: it must be an integer from 1 .*got 0$/,
    "--checkpoint a --user 1 --colour red": /^Cannot use the command line: .*got --colour$/,
    "--checkpoint a --user": /^Cannot use --user: it must have a value/,
  };
  for (const [args, message] of Object.entries(wrong)) {
    assert.throws(() => parse(explainLine, args.split(" ")), (error) => {
      assert.ok(error instanceof UsageError, args);
      assert.match(error.message, message);
      return true;
    });
  }
});
