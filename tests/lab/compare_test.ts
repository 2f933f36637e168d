/**
 * Comparisons on a tiny data set: what they leave, that nothing is done twice, that shards are
 * parts of the whole.
 */
import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { cpu } from "beargrad";
import { evaluate, loadDataset, parseOptions, runExperiment } from "beargrad/lab";
import { normalizationOf } from "../../lab/train/recipe.ts";
import { openModel, readRecipe } from "../../lab/train/models.ts";
import { join } from "node:path";
import { test } from "node:test";
import { parseGridOptions } from "../../lab/cli/compare.ts";
import { compareLosses } from "../../lab/compare/compare.ts";
import { rankByValidation, renderRanking } from "../../lab/compare/ranking.ts";
import { resultText, type RunResult } from "../../lab/compare/run_result.ts";
import type { Observer } from "../../lab/train/run.ts";
import { FolderLock } from "../../lab/train/folder_lock.ts";
import { isFigure } from "../../lab/report/document.ts";
import { readResults } from "../../lab/report/read_results.ts";
import { compareRuns } from "../../lab/report/compare_runs.ts";
import { renderMarkdown } from "../../lab/report/markdown.ts";
import { weightsOf } from "../../lab/report/sections/training.ts";
import { reportOf } from "../../lab/report/write_report.ts";
import { hitRate, ndcg } from "../../lab/evaluate/metrics.ts";
import { makeFolder } from "./with_folder.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";

const DATA = smallFolder();
const SMALL = "--layers 1 --dim 16 --heads 2 --ffn 32 --batch 8 --device cpu --threads 1";

function compare(
  out: string,
  args: string,
  observer: Observer = {},
  command: "compare" | "sweep" = "compare",
): ReturnType<typeof compareLosses> {
  const costs = args.includes("--cost-users") ? "" : " --cost-users 0";
  const given = ["--data", DATA, "--out", out, ...`${SMALL} ${args}${costs}`.split(" ")];
  return compareLosses(parseGridOptions(command, given), observer);
}

/** Without what a clock says, and what was typed. */
function timeless(
  { seconds: _s, tokensPerSecond: _t, command: _c, validation, costs, ...rest }: RunResult,
): unknown {
  return {
    ...rest,
    validation: validation.map((point) => ({ ...point, seconds: 0 })),
    costs: { ...costs, searches: costs?.searches.map((one) => ({ ...one, milliseconds: 0 })) },
  };
}

class Interrupted extends Error {}

const FOUR = "--losses msl,bear --seeds 2 --epochs 3 --beams 2,5 --verify-users 0 --cost-users 40";

const OUT = join(emptyFolder(), "a", "new one");
const whole = compare(OUT, FOUR);

test("compare: a result for every loss and seed, and the baselines", async () => {
  const out = OUT;
  const { results, isValidated } = await whole;
  assert.ok(isValidated);
  assert.deepEqual(readdirSync(out).sort(), [
    "baselines.json",
    "bear-seed0",
    "bear-seed1",
    "msl-seed0",
    "msl-seed1",
  ]);
  assert.deepEqual(
    results.map(({ variant, recipe }) => [variant, recipe.loss, recipe.seed]),
    [["msl", "msl", 0], ["bear", "bear", 0], ["msl", "msl", 1], ["bear", "bear", 1]],
  );
  const [first] = results;
  const saved = JSON.parse(readFileSync(join(out, "msl-seed0", "result.json"), "utf8"));
  assert.deepEqual(saved, JSON.parse(resultText(first)));
  assert.match(
    first.command ?? "",
    /^deno task compare --data .* --out '.*\/a\/new one' --layers 1 /,
  );
  const { name, sequences = "" } = first.data;
  assert.deepEqual(first.data, { name, users: 40, items: 24, sequences });
  assert.match(sequences, /^[0-9a-f]{16}$/);
  assert.equal(first.curve[first.curve.length - 1].step, first.steps);
  assert.deepEqual(first.validation.map(({ epoch }) => epoch), [1, 2, 3]);
  assert.deepEqual(first.judging, { beams: [2, 5], excludeHistory: false });
  for (const { beam, ...found } of first.test.beams) {
    assert.equal(found.ranks.length, 40);
    assert.ok(found.ranks.every((rank) => rank >= -1 && rank < beam));
    const lost = Object.values(found.pruned).flat().reduce((a, b) => a + b, 0);
    const missed = found.exactRanks.filter((rank, i) => rank >= 0 && found.ranks[i] < 0).length;
    assert.equal(lost, missed);
    assert.deepEqual(found.reached, [40, 40, 40]);
    assert.deepEqual(found.vacuous, beam < 3 ? [0, 0, 40] : [40, 40, 40]); // 4, 3 and 2 children
    const kept = found.lostAt.filter((step) => step === 0).length;
    assert.equal(kept, found.ranks.filter((rank) => rank >= 0).length);
    const { retrieved, pruned, undecided } = found.certificates;
    assert.equal(retrieved + pruned + undecided, 40);
    assert.ok(retrieved <= kept && pruned <= 40 - kept);
    found.margins.after.forEach((counts, t) => {
      const counted = counts.reduce((a, b) => a + b, 0);
      assert.ok(counted <= 40 && counted > 0);
      const above = counts.slice(24).reduce((a, b) => a + b, 0);
      assert.equal(above, found.violated[t]);
      assert.ok(above <= 40 - found.vacuous[t]);
    });
  }
  const { cases, searches = [], widths } = first.costs ?? {};
  assert.deepEqual([cases, widths?.length], [40, 40]);
  for (const { beam, ranks, exactRanks } of first.test.beams) {
    assert.deepEqual(searches.find((one) => one.beam === beam)?.ranks, ranks);
    const exact = searches.at(-1)?.ranks.map((rank) => rank < beam ? rank : -1);
    assert.deepEqual(exact, exactRanks);
  }
  const [{ margins: { before, after } }] = first.test.beams;
  assert.notDeepEqual(before, after);
  const { baselines } = JSON.parse(readFileSync(join(out, "baselines.json"), "utf8"));
  assert.deepEqual(baselines.map((b: { name: string }) => b.name), [
    "popularity",
    "co-occurrence, with validation",
    "co-occurrence, training only",
  ]);
  assert.ok(baselines.every((b: { ranks: number[] }) => b.ranks.length === 40));
});

test("compare: shards are parts of the whole; what is finished is not done again", async () => {
  const out = emptyFolder();
  let looks = 0;
  const stop = {
    training(run: string): void {
      if (run === "bear-seed0" && ++looks === 2) throw new Interrupted();
    },
  };
  await assert.rejects(compare(out, `${FOUR} --shard 1/2`, stop), Interrupted);
  appendFileSync(join(out, "bear-seed0", "metrics.jsonl"), '{"torn');

  const done: [string, boolean][] = [];
  const watch: Observer = {
    running: (name, _i, _n, isFinished) => void done.push([name, isFinished]),
  };
  await compare(out, `${FOUR} --shard 0/2`, watch);
  const resumed = await compare(out, FOUR, watch);
  assert.deepEqual(done, [
    ["msl-seed0", false],
    ["msl-seed1", false],
    ["msl-seed0", true],
    ["bear-seed0", false],
    ["msl-seed1", true],
    ["bear-seed1", false],
  ]);
  const [a, b] = [resumed, await whole].map(({ results }) => results.map(timeless));
  assert.deepEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));

  done.length = 0;
  const never = { training: () => assert.fail("trained again") };
  for (const shard of ["0/3", "1/3", "2/3"]) {
    await compare(out, `${FOUR} --shard ${shard}`, { ...watch, ...never });
  }
  assert.deepEqual(done, [
    ["msl-seed0", true],
    ["bear-seed1", true],
    ["bear-seed0", true],
    ["msl-seed1", true],
  ]);
  // Another width is judged with the weights that are there.
  const other = `${FOUR.replace("2,5", "3").replace("users 40", "users 0")} --shard 1/4`;
  const { results } = await compare(out, other, never);
  assert.equal(results[0].costs, undefined);
  assert.deepEqual(results.map(({ test }) => test.beams.map(({ beam }) => beam)), [[3]]);

  await assert.rejects(compare(out, `${FOUR} --dropout 0.3`), {
    name: "CheckpointError",
    message: /msl-seed0: dropout must be that of its checkpoint, 0.1, got 0.3$/,
  });
  await assert.rejects(compare(out, `${FOUR.replace("2 --", "7,8 --")} --limit-users 9`), {
    name: "CheckpointError",
    message: /^Cannot compare in .*: its runs must be of the same data, .*; name another --out$/,
  });
});

test("compare: which cases are one user's", async () => {
  const titles = ["Red pen", "Red ink", "Blue pen", "Blue ink", "Blue box", "Red box"];
  const row = (user: string, from: number): string =>
    `${user},"['${[0, 1, 2].map((t) => `i${(from + t * t) % 6}`).join("', '")}']",${100 + from}\n`;
  const users = ["b", "a", "c"];
  const rows = (more: number): string => users.map((user, u) => row(user, u + more)).join("");
  const data = makeFolder({
    "id2name4Rec.json": Object.fromEntries(titles.map((title, i) => [`i${i}`, title])),
    "train.csv": `user_id,item_ids,timestamp\n${rows(0)}`,
    "test.csv": `user_id,item_ids,timestamp\n${rows(3)}${rows(4)}${row("b", 5)}`,
  });
  const out = emptyFolder();
  const args =
    `${SMALL} --losses msl --seeds 1 --epochs 1 --beams 2 --verify-users 0 --cost-users 0`;
  const given = ["--data", data, "--out", out, ...args.split(" ")];
  await compareLosses(parseGridOptions("compare", given));
  const { runs, baselines } = readResults([out]);
  assert.equal(runs[0].test.users, 7);
  assert.deepEqual(baselines?.userOf, [0, 1, 2, 0, 1, 2, 0]);
});

test("compare: a run whose loss is not finite fails alone, and is tried again when asked", async () => {
  const out = emptyFolder();
  const path = join(emptyFolder(), "broken.ts");
  const root = new URL("../../mod.ts", import.meta.url).href;
  writeFileSync(
    path,
    `import { msl, mul } from "${root}";\nexport const a = () => (z, t) => mul(NaN, msl()(z, t));\n`,
  );
  const args = `--losses msl,${path},bear --seeds 1 --epochs 1 --verify-users 0`;
  const notes: string[] = [];
  const watch = { note: (text: string) => void notes.push(text) };
  const first = await compare(out, args, watch);
  assert.deepEqual(first.results.map(({ variant }) => variant), ["msl", "bear"]);
  const [{ name, reason }] = first.failed;
  assert.equal(name, "broken-seed0");
  assert.match(reason, /^Cannot go on training broken at step 5: the loss must be finite, got NaN/);
  assert.deepEqual(notes.splice(0), [`broken-seed0 failed: ${reason}`]);

  const { failed, unfinished } = readResults([out]);
  assert.deepEqual([failed, unfinished], [[{ name, reason }], []]);

  const again = await compare(out, args, watch);
  assert.deepEqual(again.failed, first.failed);
  const record = join(out, name, "failed.json");
  assert.deepEqual(notes.splice(0), [
    `broken-seed0 failed before, and is tried again if ${record} is removed: ${reason}`,
  ]);
  rmSync(record);
  assert.deepEqual((await compare(out, args, watch)).failed, first.failed);
  assert.deepEqual(notes.splice(0), [`broken-seed0 failed: ${reason}`]);
  const alone = args.replace("msl,", "").replace(",bear", "");
  const { failed: [other] } = await compare(out, `${alone} --lr 0.5`, watch); // another recipe
  assert.deepEqual(notes, [`broken-seed0 failed: ${other.reason}`]);
  assert.match(other.reason, /smaller --lr than 0.5/);
});

test("compare: a run that another process is at is refused, those of other shards are not", async () => {
  const out = emptyFolder();
  const args = "--losses msl,bear --seeds 1 --epochs 1 --verify-users 0";
  const [msl, bear] = ["msl-seed0", "bear-seed0"].map((name) => join(out, name));
  mkdirSync(bear);
  mkdirSync(msl);
  writeFileSync(join(msl, ".state.safetensors.12-ab.tmp"), "half"); // of a killed save
  using _lock = new FolderLock(bear);
  const { results } = await compare(out, `${args} --shard 0/2`);
  assert.deepEqual(results.map(({ variant }) => variant), ["msl"]);
  await assert.rejects(compare(out, args), /^DataError: Cannot write to .*bear-seed0: one process/);
  assert.deepEqual(readdirSync(bear), [".lock"]);
  assert.deepEqual(readdirSync(msl).sort(), [
    "config.json",
    "metrics.jsonl",
    "model.safetensors",
    "result.json",
    "state.safetensors",
  ]);
});

test("compare: the weights of the best validated epoch are kept and judged", async () => {
  const out = emptyFolder();
  const args = "--losses msl --seeds 1 --epochs 12 --lr 0.03 --patience 2 --beams 10";
  const told: string[] = [];
  const { results: [{ bestEpoch, epochs, validation, test, verification }] } = await compare(
    out,
    `${args} --verify-users 7`,
    {
      untrained: (run, done, total) => told.push(`untrained ${run} ${done}/${total}`),
      verifying: (run, done, total) => told.push(`verify ${run} ${done}/${total}`),
    },
  );
  for (const what of ["untrained msl-seed0 40/40", "verify msl-seed0 7/7"]) {
    assert.equal(told.filter((line) => line === what).length, 1, what);
  }
  const best = Math.max(...validation.map((point) => point.ndcg));
  assert.equal(validation.findIndex((point) => point.ndcg === best), bestEpoch - 1);
  assert.equal(epochs, validation.length);
  assert.ok(epochs === 12 || epochs - bestEpoch === 2, `${epochs} epochs, best ${bestEpoch}`);
  assert.ok(epochs > bestEpoch, "the setting must overtrain, or nothing is tested");
  assert.equal(verification?.users, 7);
  assert.equal(verification?.counts.T1.violations, 0);
  assert.ok((verification?.counts.T1.instances ?? 0) > 0);

  // An independent evaluation of the folder's model sees the same lists.
  const folder = join(out, "msl-seed0");
  const recipe = readRecipe(folder);
  const dataset = await loadDataset(DATA, recipe.reading);
  const options = { normalization: normalizationOf(recipe), tau: recipe.tau };
  using opened = await openModel(cpu(), folder, dataset, options);
  const found = async (split: "validation" | "test"): Promise<readonly number[]> => {
    const { beams: [{ ranks }] } = await evaluate({
      decoder: opened.decoder,
      teacherForced: (histories, leaves) => opened.forcing.logits(histories, leaves),
      trie: opened.trie,
      dataset,
      split,
      beams: [10],
      historyLength: 20,
      ...options,
    });
    return ranks;
  };
  assert.deepEqual(test.beams[0].ranks, await found("test"));
  const ranks = await found("validation");
  assert.equal(validation[bestEpoch - 1].ndcg, ndcg(ranks, 10));
  assert.equal(validation[bestEpoch - 1].hr, hitRate(ranks, 10));
});

test("compare: margins before and after training are of the same users and siblings", async () => {
  const args = "--losses msl --seeds 1 --epochs 1 --beams 2 --exclude-history";
  const { results: [{ test: { absent, beams: [{ margins, reached }] } }] } = await compare(
    emptyFolder(),
    args,
  );
  const count = (bins: readonly number[]): number => bins.reduce((a, b) => a + b, 0);
  assert.ok(absent > 0, "some targets must be in the history, or nothing is tested");
  assert.equal(reached[0], 40 - absent);
  assert.deepEqual(margins.before.map(count), margins.after.map(count));
});

test("sweep: every combination of what a loss reads, ranked by validation", async () => {
  const args = "--losses msl,bear --beam 2,5 --xi 1,3 --epochs 1 --verify-users 0";
  const { results } = await compare(emptyFolder(), args, {}, "sweep");
  assert.deepEqual(results.map(({ variant }) => variant), [
    "msl",
    "bear B=2 xi=1",
    "bear B=2 xi=3",
    "bear B=5 xi=1",
    "bear B=5 xi=3",
  ]);
  assert.deepEqual(results.slice(1).map(({ recipe: { beam, xi } }) => [beam, xi]), [
    [2, 1],
    [2, 3],
    [5, 1],
    [5, 3],
  ]);
  const ranked = rankByValidation(results);
  const scores = ranked.map((one) => one.ndcg);
  assert.deepEqual(scores, [...scores].sort((a, b) => b - a));
  assert.equal(ranked.length, 5);
  const text = renderRanking([{ ...ranked[0], improving: true }, ...ranked.slice(1)]);
  assert.match(text, /bear B=5 xi=3/);
  assert.ok(text.startsWith(`Warning: ${ranked[0].variant} is still improving`), text);
  assert.match(renderRanking(ranked), /^Ranked by validation alone/);
  const [{ validation: _none, ...one }] = results;
  assert.throws(() => rankByValidation([{ ...one, validation: [] }]), /^DataError: Cannot rank/);
});

test("sweep and --patience: data without validation cases are refused", async () => {
  const folder = emptyFolder();
  const inter = JSON.parse(readFileSync(join(DATA, "inter.json"), "utf8"));
  const rows = Object.values<number[]>(inter).slice(0, 8)
    .map((items, u) => `${u},"[${items.slice(0, 4).join(", ")}]",${u}`);
  const text = ["user_id,item_ids,timestamp", ...rows, ""].join("\n");
  for (const file of ["train.csv", "test.csv"]) writeFileSync(join(folder, file), text);
  const titles = Object.fromEntries([...new Set(Object.values<number[]>(inter).flat())]
    .map((item) => [item, `thing ${item}`]));
  writeFileSync(join(folder, "id2name4Rec.json"), JSON.stringify(titles));
  const args = ["--data", folder, "--losses", "msl", "--out", emptyFolder()];
  const grid = { ...parseGridOptions("sweep", args), mustValidate: true };
  const observer = { training: () => assert.fail("trained") };
  await assert.rejects(
    compareLosses(grid, observer),
    /^DataError: Cannot rank runs on .*: it must have validation cases, got none; titles/,
  );
  const options = parseOptions(["--data", folder, "--loss", "msl", "--patience", "2"]);
  await assert.rejects(
    runExperiment(options, observer),
    /^UsageError: Cannot use --patience 2: .* must have validation cases, got none; titles/,
  );
});

test("compare: a loss of one's own is compared, drawn and resumed as others are", async () => {
  const out = emptyFolder();
  const path = join(emptyFolder(), "twice.ts");
  const root = new URL("../../mod.ts", import.meta.url).href;
  writeFileSync(
    path,
    `import { msl, mul } from "${root}";\nexport const twice = () => (z, t) => mul(2, msl()(z, t));\n`,
  );
  const args = `--losses msl,${path} --seeds 1 --epochs 1 --verify-users 5`;
  const { results: [, own] } = await compare(out, args);
  assert.equal(own.variant, "twice");
  assert.equal(own.gradient?.length, 49);
  assert.ok(own.gradient?.every(({ weight }) => Math.abs(weight - 2) < 1e-9));
  assert.equal(own.verification?.users, 5);
  const { runs, baselines } = readResults([out]);
  const failed = [{ name: "broken-seed0", reason: "Its loss is NaN" }];
  const comparison = compareRuns(runs, baselines);
  const report = reportOf(comparison, await weightsOf(comparison), failed);
  const figures = report.sections.flatMap(({ blocks }) => blocks.filter(isFigure));
  assert.match(JSON.stringify(figures), /twice/);
  const text = renderMarkdown(report);
  assert.ok(text.includes(`\`\`\`sh\n${own.command}\n\`\`\`\n`));
  assert.match(text, /## Failed runs[^]*broken-seed0: Its loss is NaN/);
  writeFileSync(path, readFileSync(path, "utf8").replace("mul(2", "mul(3"));
  await assert.rejects(compare(out, args), { name: "CheckpointError", message: /lossModule/ });
});
