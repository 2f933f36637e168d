/**
 * Models of finished runs under other searches: what comes out, that nothing is done twice, and
 * what is refused.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseGridOptions } from "../../lab/cli/compare.ts";
import { judgeLine } from "../../lab/cli/judge.ts";
import { compareLosses } from "../../lab/compare/compare.ts";
import { judgeAgain, type JudgeAgainOptions, planJudging } from "../../lab/compare/judge_again.ts";
import type { BaselineResults, JudgedSearch, RunResult } from "../../lab/compare/run_result.ts";
import { evaluate, type Evaluation } from "../../lab/evaluate/evaluate.ts";
import type { Dataset } from "../../lab/data/dataset.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { readBaselines, readResults } from "../../lab/report/read_results.ts";
import { compareRuns } from "../../lab/report/compare_runs.ts";
import { renderMarkdown } from "../../lab/report/markdown.ts";
import { weightsOf } from "../../lab/report/sections/training.ts";
import { reportOf } from "../../lab/report/write_report.ts";
import { openModel, readRecipe } from "../../lab/train/models.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { fixtureRun, writeFixture } from "./report_fixture.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";

const DATA = smallFolder();
const RUNS = emptyFolder();
const SMALL = "--layers 1 --dim 16 --heads 2 --ffn 32 --batch 8 --device cpu --threads 1 " +
  "--cost-users 0";

before(async () => {
  const args =
    `--data ${DATA} --out ${RUNS} ${SMALL} --losses sft,msl --seeds 2 --epochs 1 --lr 0.02 --beams 2,5 ` +
    "--verify-users 1";
  await compareLosses(parseGridOptions("compare", args.split(" ")));
});

function optionsOf(options: Partial<JudgeAgainOptions> = {}): JudgeAgainOptions {
  const told = { runs: RUNS, data: DATA, out: emptyFolder(), device: "cpu", threads: 1 } as const;
  return { ...told, ...options };
}

const MSL = { variants: ["msl"], taus: [0.5] };

/** Without what a clock says. */
function timeless({ seconds: _s, ...rest }: RunResult): unknown {
  return JSON.parse(JSON.stringify(rest));
}

/** What `evaluate` says of the model of a run. */
async function evaluateRun(
  name: string,
  dataset: Dataset,
  search: JudgedSearch,
  excludeHistory = false,
): Promise<Evaluation> {
  using opened = await openModel(cpu(), join(RUNS, name), dataset, search);
  const { decoder, forcing, trie } = opened;
  return await evaluate({
    decoder,
    trie,
    dataset,
    split: "test",
    beams: [2, 5],
    historyLength: 20,
    excludeHistory,
    ...search,
    teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
  });
}

test("judge: the same model under another search, as an independent evaluation has it", async () => {
  const out = emptyFolder();
  const over = ["children", "vocabulary"] as const;
  const options = optionsOf({ out, taus: [1, 0.25], over });
  const plan = planJudging(options);
  assert.deepEqual(plan.trained.map(({ run }) => run.variant), ["msl", "msl", "sft", "sft"]);
  assert.deepEqual([...new Set(plan.tasks.map(({ variant }) => variant))], [
    "msl at tau=0.25",
    "msl over vocabulary",
    "msl over vocabulary at tau=0.25",
    "sft over children",
    "sft over children at tau=0.25",
    "sft at tau=0.25",
  ]);
  assert.equal(plan.tasks.length, 12);
  const { trained, judged } = await judgeAgain({ ...options, variants: ["sft"] });
  assert.equal(judged.length, 6);
  const dataset = await loadDataset(DATA, readRecipe(join(RUNS, "sft-seed1")).reading);
  for (
    const [variant, search] of [
      ["sft over children at tau=0.25", { normalization: "children", tau: 0.25 }],
      ["sft at tau=0.25", { normalization: "vocabulary", tau: 0.25 }],
    ] as const
  ) {
    const found = judged.find((run) => run.variant === variant && run.recipe.seed === 1);
    assert.deepEqual(found?.judging, { beams: [2, 5], excludeHistory: false, search });
    const { beams } = await evaluateRun("sft-seed1", dataset, search);
    found?.test.beams.forEach(({ ranks, exactRanks }, b) => {
      assert.deepEqual(ranks, beams[b].ranks);
      assert.deepEqual(exactRanks, beams[b].exact.ranks);
    });
  }
  const original = trained.find(({ variant }) => variant === "sft");
  const other = judged.find(({ variant }) => variant === "sft over children");
  assert.notDeepEqual(other?.test.beams[0].ranks, original?.test.beams[0].ranks);
  assert.notDeepEqual(
    other?.test.beams[0].margins.before,
    judged.find(({ variant }) => variant === "sft at tau=0.25")?.test.beams[0].margins.before,
  );
});

test("judge: sharp scores over children prune nothing (T14)", async () => {
  const { trained, judged } = await judgeAgain(optionsOf({ variants: ["msl"], taus: [1e-3] }));
  const lost = (runs: readonly RunResult[]): number =>
    runs.flatMap(({ test }) => test.beams).flatMap(({ pruned }) => Object.values(pruned).flat())
      .reduce((a, b) => a + b, 0);
  assert.ok(lost(trained) > 0, "the setting must prune, or nothing is tested");
  assert.equal(lost(judged), 0);
});

test("judge: exact searches return what a beam's exact ranking has", async () => {
  const out = emptyFolder();
  for (
    const [search, how] of [
      [{ method: "best-first" }, "by best-first"],
      [{ method: "adaptive" }, "by adaptive"],
    ] as const
  ) {
    const { trained, judged } = await judgeAgain(
      optionsOf({ out, variants: ["msl"], search, costUsers: 9 }),
    );
    judged.forEach((run, i) => {
      assert.equal(run.variant, `msl ${how}`);
      assert.deepEqual(run.judging.search, {
        normalization: "children",
        tau: 1,
        method: search.method,
      });
      assert.equal(run.costs, undefined, "those of the run itself");
      run.test.beams.forEach((found, b) => {
        assert.deepEqual(found.ranks, trained[i].test.beams[b].exactRanks);
        assert.deepEqual(found.exactRanks, found.ranks);
        assert.equal(found.exactLists, run.test.users);
      });
    });
    assert.ok(existsSync(join(out, `msl-seed0-${how.replace(" ", "-")}`, "result.json")));
  }
  const { runs } = readResults([RUNS, out]);
  const comparison = compareRuns(runs, undefined);
  const text = renderMarkdown(reportOf(comparison, await weightsOf(comparison)));
  assert.match(text, /\| msl by best-first +\| msl +\|.*\| over children, tau 1, best-first +\|/);
  const sharper = await judgeAgain(optionsOf({ ...MSL, costUsers: 9 }));
  assert.deepEqual(sharper.judged.map(({ costs }) => costs?.cases), [9, 9]);
});

test("judge: without the history, the own search is repeated and the baselines follow", async () => {
  const options = optionsOf({ ...MSL, excludeHistory: true });
  const { trained, judged, baselines } = await judgeAgain(options);
  assert.deepEqual(trained, []);
  assert.deepEqual(judged.map(({ variant, recipe }) => [variant, recipe.seed]), [
    ["msl", 0],
    ["msl at tau=0.5", 0],
    ["msl", 1],
    ["msl at tau=0.5", 1],
  ]);
  assert.ok(judged.every(({ judging }) => judging.excludeHistory));
  const dataset = await loadDataset(DATA);
  const search = { normalization: "children", tau: 1 } as const;
  const { beams, absent } = await evaluateRun("msl-seed1", dataset, search, true);
  assert.ok(absent > 0, "targets in the history must be, or nothing is tested");
  assert.deepEqual(judged[2].test.beams.map(({ ranks }) => ranks), beams.map(({ ranks }) => ranks));
  const before = readBaselines(RUNS)?.baselines ?? [];
  baselines?.baselines.forEach(({ name, ranks }, i) => {
    assert.equal(name, before[i].name);
    assert.notDeepEqual(ranks, before[i].ranks);
    dataset.test.forEach(({ history, target }, user) => {
      if (history.includes(target)) assert.equal(ranks[user], -1);
    });
  });
  const { runs } = readResults([options.out]);
  assert.equal(runs.length, 4);
  assert.deepEqual(readBaselines(options.out), baselines);
  assert.throws(() => readResults([RUNS, options.out]), /both or none must exclude the history/);
  assert.throws(
    () => planJudging({ ...options, out: RUNS }),
    /Cannot judge the runs in .* results must go to another folder, got the same/,
  );
});

test("judge: nothing is done twice, and nothing of the runs is touched", async () => {
  const runs = join(emptyFolder(), "runs");
  cpSync(RUNS, runs, { recursive: true });
  const files = readdirSync(runs, { recursive: true }).map((name) => join(runs, `${name}`))
    .filter((path) => statSync(path).isFile());
  const stamps = (): unknown => files.map((path) => [path, statSync(path).mtimeMs]);
  const was = stamps();
  const options = optionsOf({ ...MSL, runs });
  const first = await judgeAgain(options);
  const names = ["msl-seed0-at-tau-0.5", "msl-seed1-at-tau-0.5"];
  assert.deepEqual(readdirSync(options.out).sort(), names);
  const told: [string, boolean][] = [];
  const running = (name: string, _i: number, _n: number, isFinished: boolean): void =>
    void told.push([name, isFinished]);
  const evaluating = (): never => assert.fail("judged again");
  const again = await judgeAgain(options, { running, evaluating });
  assert.deepEqual(told, names.map((name) => [name, true]));
  assert.deepEqual(again.judged.map(timeless), first.judged.map(timeless));
  const wider = await judgeAgain({ ...options, beams: [3] });
  assert.deepEqual(wider.judged.map(({ test }) => test.beams.map(({ beam }) => beam)), [[3], [3]]);
  // Where results of other searches lie among the runs, they are no runs to judge.
  await judgeAgain({ ...options, out: runs });
  for (const name of names) assert.ok(existsSync(join(runs, name, "result.json")));
  const { trained } = await judgeAgain({ ...options, out: emptyFolder(), taus: [2] });
  assert.deepEqual(trained.map(({ variant }) => variant), ["msl", "msl"]);
  assert.deepEqual(stamps(), was);
});

test("judge: a report has them beside the runs, and nothing of training", async () => {
  const out = emptyFolder();
  const { trained, judged } = await judgeAgain(optionsOf({ ...MSL, out }));
  assert.equal(readResults([RUNS, out]).runs.length, 4 + 2);
  const textOf = async (runs: RunResult[], baselines?: BaselineResults): Promise<string> => {
    const comparison = compareRuns(runs, baselines);
    return renderMarkdown(reportOf(comparison, await weightsOf(comparison)));
  };
  const text = await textOf([...trained, ...judged], readBaselines(RUNS));
  assert.match(text, /co-occurrence/);
  assert.match(text, /Nothing was trained for msl at tau=0\.5: /);
  assert.match(text, /\| msl at tau=0\.5 +\| msl +\|.*\| over children, tau 0\.5 +\| 0 1 +\|/);
  const [, cost] = text.split("## What it costs");
  assert.doesNotMatch(cost.split("## Recipe and runs")[0], /tau=0\.5/);
  const alone = await textOf([...judged]);
  assert.match(alone, /msl at tau=0\.5/);
  assert.doesNotMatch(alone, /What it costs/);
});

test("judge: what cannot be done is refused", async () => {
  const refused = (options: Partial<JudgeAgainOptions>, name: string, message: RegExp) =>
    assert.rejects(judgeAgain(optionsOf(options)), { name, message });
  await refused({ variants: ["bear"], taus: [2] }, "UsageError", /variants must be of msl, sft, /);
  await refused({ taus: [1] }, "UsageError", /another one than they were trained for, got theirs/);
  await refused({ variants: ["sft"], over: ["vocabulary"] }, "UsageError", /compare --beams$/);
  await refused(
    { search: { method: "huggingface" } },
    "UsageError",
    /items must end with the same token, as titles do, got 2 different ones$/,
  );
  await refused({ search: { method: "beam" } }, "UsageError", /compare --beams$/);
  await refused({ runs: DATA, taus: [2] }, "DataError", /there must be finished runs/);
  await refused(
    { data: "synthetic", taus: [2] },
    "CheckpointError",
    /the data must be .*, which it was trained on, got synthetic/,
  );
});

test("judge: a baseline that is not there is refused before anything is judged", async () => {
  const options = optionsOf({ taus: [2], variants: ["msl"] });
  await assert.rejects(async () => await judgeLine.run({ ...options, baseline: "gru" }), {
    name: "UsageError",
    message: "Cannot use --baseline: it must be one of msl, msl at tau=2, got gru",
  });
  assert.deepEqual(readdirSync(options.out), []);
});

test("judge: runs with several kinds of codes are refused, as they have several data", () => {
  const runs = ["item", "random"].map((codes): RunResult => {
    const run = fixtureRun({ variant: codes, loss: "msl", seed: 0, users: 9 });
    const recipe = { ...run.recipe, digest: codes, reading: { codes } };
    return { ...run, recipe, data: { ...run.data, sequences: "same" } };
  });
  const folder = writeFixture(runs);
  after(() => rmSync(folder, { recursive: true }));
  assert.throws(
    () => planJudging(optionsOf({ runs: folder, taus: [2] })),
    /^UsageError: Cannot judge the runs in .*: they must have the same codes, got several$/,
  );
});
