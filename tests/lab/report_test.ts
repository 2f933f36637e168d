/** Reports: numbers by hand, the contents of their files, and unusual results. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { inferSchema, initParser } from "udsv";
import { ArgumentError } from "../../core/errors.ts";
import type { CodeLevel } from "../../lab/codes/describe.ts";
import type { BaselineResults, BeamOutcome, RunResult } from "../../lab/compare/run_result.ts";
import { namedBySettings } from "../../lab/report/comparable.ts";
import { compareRuns } from "../../lab/report/compare_runs.ts";
import { differenceOf, estimateOf, shownVariants } from "../../lab/report/comparison.ts";
import { type Figure, isFigure } from "../../lab/report/document.ts";
import { renderMarkdown } from "../../lab/report/markdown.ts";
import { spread } from "../../lab/report/line_plots.ts";
import { valuesByMetric } from "../../lab/report/outcomes.ts";
import { trainingSection, weightsOf } from "../../lab/report/sections/training.ts";
import { renderPanel } from "../../lab/report/svg.ts";
import { reportOf, writeReport } from "../../lab/report/write_report.ts";
import { lossNames } from "../../models/losses/index.ts";
import { fixtureBaselines, fixtureCosts, fixtureRun, fixtureRuns } from "./report_fixture.ts";
import { emptyFolder } from "./small_folder.ts";

const timeout = 60_000;

/** A run at B = 10 with some ranks. */
function byHand(
  loss: string,
  seed: number,
  ranks: readonly number[],
  exactRanks: readonly number[],
): RunResult {
  const run = fixtureRun({ loss, seed, users: ranks.length, beams: [10] });
  const lost = ranks.filter((rank, u) => rank < 0 && exactRanks[u] >= 0).length;
  const none = [0, 0, 0, 0];
  return withOutcomes(run, (outcome) => ({
    ...outcome,
    ranks,
    exactRanks,
    lostAt: ranks.map((rank) => rank < 0 ? 1 : 0),
    pruned: { violation: [lost, 0, 0, 0], displacement: none, length: none, tie: none },
  }));
}

/** A run with its outcomes changed. */
function withOutcomes(
  run: RunResult,
  change: (outcome: BeamOutcome, i: number) => BeamOutcome,
): RunResult {
  const beams = run.test.beams.map(change);
  return { ...run, test: { ...run.test, users: beams[0].ranks.length, beams } };
}

/** A run that was judged at some of its widths only. */
function judgedAt(run: RunResult, beam: number): RunResult {
  const beams = run.test.beams.filter((outcome) => outcome.beam === beam);
  return { ...run, judging: { ...run.judging, beams: [beam] }, test: { ...run.test, beams } };
}

function repeated<T>(given: readonly T[], times: number): T[] {
  return Array.from({ length: times }, () => given).flat();
}

function near(actual: number | undefined, expected: number): void {
  assert.ok(Math.abs((actual ?? NaN) - expected) < 1e-12, `${actual} is not ${expected}`);
}

/** The text of a report, with few resamples. */
async function textOf(runs: readonly RunResult[], baselines?: BaselineResults): Promise<string> {
  const comparison = compareRuns(runs, baselines, { resamples: 200 });
  return renderMarkdown(reportOf(comparison, await weightsOf(comparison)));
}

test("report: differences to rankings that need no training are paired with the users", async () => {
  const hits = repeated([-1, 0, 0], 20);
  const misses = repeated([-1, -1, 0], 20);
  const run = byHand("msl", 0, hits, hits);
  const baselines = [{ name: "half of them", ranks: misses }, { name: "the same", ranks: hits }];
  const given = { version: 1, digest: run.recipe.digest, baselines } as const;
  const comparison = compareRuns([run], given);
  assert.match(
    renderMarkdown(reportOf(comparison, await weightsOf(comparison))),
    /\| msl +\| +10 \| NDCG@10 +\| +\+\.3333 \[\+\.\d{4}, \+\.\d{4}\] \| +\.0000 \[\.0000, \.0000\] \|/,
  );
  const [half, same] = baselines.map(({ name }) =>
    differenceOf(comparison, "msl", 10, "NDCG@10", name)
  );
  near(same?.low, 0);
  near(same?.high, 0);
  near(half?.value, 1 / 3);
  // Of 60 users 20 differ, by 1 each: the spread of their share, not of the two means.
  const reach = 1.96 * Math.sqrt((1 / 3) * (2 / 3) / 60);
  assert.ok(Math.abs((half?.low ?? NaN) - (1 / 3 - reach)) < 0.03, `${half?.low}`);
  assert.ok(Math.abs((half?.high ?? NaN) - (1 / 3 + reach)) < 0.03, `${half?.high}`);
});

test("report: numbers by hand", () => {
  const comparison = compareRuns([
    byHand("msl", 1, repeated([0, 6, -1, -1], 30), repeated([0, 5, 2, -1], 30)),
    byHand("sft", 1, repeated([-1, -1, -1, 3], 30), repeated([-1, 1, -1, 3], 30)),
    byHand("sft", 0, repeated([1, -1, 0, -1], 30), repeated([1, 9, 0, -1], 30)),
  ], undefined);
  const { variants, baseline, mainBeam, missing, users, searches } = comparison;
  assert.deepEqual(variants.map(({ name }) => name), ["sft", "msl"]);
  assert.equal(baseline.name, "sft");
  assert.deepEqual(baseline.runs.map(({ recipe }) => recipe.seed), [0, 1]);
  assert.deepEqual([mainBeam, users], [10, 120]);
  assert.deepEqual(missing, [{ variant: "msl", seeds: [0] }]);
  const values: readonly (readonly [variant: string, metric: string, value: number])[] = [
    ["sft", "HR@5", 3 / 8],
    ["sft", "exact HR@10", 5 / 8],
    ["sft", "NDCG@10", (1 / Math.log2(3) + 1 + 1 / Math.log2(5)) / 8],
    ["sft", "pruning rate", 2 / 5],
    ["sft", "survival@4", 3 / 8],
    ["msl", "HR@5", 1 / 4],
    ["msl", "HR@10", 2 / 4],
    ["msl", "pruning rate", 1 / 3],
    ["msl", "survival@1", 2 / 4],
  ];
  for (const [variant, metric, value] of values) {
    near(estimateOf(comparison, variant, 10, metric)?.value, value);
  }
  const seeds = comparison.runMetrics.filter(({ metric, variant }) =>
    metric === "HR@5" && variant === "sft"
  );
  assert.deepEqual(seeds.map(({ seed, value }) => [seed, value]), [[0, 2 / 4], [1, 1 / 4]]);
  // Only seed 1 is common: of two targets of sft in the exact top 10 one was pruned.
  near(differenceOf(comparison, "msl", 10, "pruning rate")?.value, 1 / 3 - 1 / 2);
  near(differenceOf(comparison, "msl", 10, "survival@3")?.value, 2 / 4 - 1 / 4);
  const difference = differenceOf(comparison, "msl", 10, "HR@10");
  near(difference?.value, 1 / 4);
  assert.equal(difference?.seeds, 1);
  assert.ok(Number.isNaN(difference?.tests?.seeds.low));
  assert.ok((difference?.tests?.users.p ?? 1) < 0.01);
  assert.equal(differenceOf(comparison, "sft", 10, "HR@10"), undefined);
  assert.deepEqual(searches[0].pooled.pruned.violation, [60, 0, 0, 0]);
  assert.deepEqual(searches[0].pooled.reached, [240, 240, 240, 240]);
  const text = renderMarkdown(reportOf(comparison, []));
  assert.match(text, /After the first step the beam of 10 still holds 38 to 50 % of the targets/);
  // Wilson's interval of 30 of 30, not of 60 of 60.
  assert.match(text, /^\| sft .* \| +1\.000 \[\.886, 1\.000\] \| +60 \| +0 \| +0 \| +0 \|$/m);

  // With four users only one differs: either sign is as far from 0. There are no rates of so few.
  const few = compareRuns([
    byHand("msl", 0, [0, 6, -1, -1], [0, 5, 2, -1]),
    byHand("sft", 0, [1, -1, -1, -1], [1, 9, -1, -1]),
  ], undefined);
  assert.equal(differenceOf(few, "msl", 10, "HR@10")?.tests?.users.p, 1);
  assert.ok(Number.isNaN(estimateOf(few, "sft", 10, "pruning rate")?.value));
  const [outcome] = byHand("msl", 0, [0, -1, -1, -1], [0, 0, 0, 0]).test.beams;
  const [held] = valuesByMetric([{ ...outcome, lostAt: [0, 1, 2, 3] }]).get("survival@2") ?? [];
  assert.deepEqual([[...held.cases], [...held.values]], [[0, 3], [1, 1]]);
});

test("report: what lists cost, by search", async () => {
  const runs = [0, 1].flatMap((seed) => [
    { ...fixtureRun({ loss: "msl", seed, users: 25 }), costs: fixtureCosts() },
    fixtureRun({ loss: "sft", seed, users: 25 }), // of an earlier version
  ]);
  const comparison = compareRuns(runs, undefined, { resamples: 200 });
  const rows = comparison.costs.map((
    { variant, method, beam, hr, gains, rows, certified },
  ) => [variant, method, beam, hr.value, gains?.hr.value, rows, certified]);
  assert.deepEqual(
    rows,
    [
      ["msl", "beam", 1, 0.1, 0.1 - 0.4, 3, 0.1],
      ["msl", "beam", 10, 0.4, undefined, 24, 0.4],
      ["msl", "adaptive", 10, 0.6, 0.6 - 0.4, 80, 1],
      ["msl", "best-first", undefined, 0.6, 0.6 - 0.4, 40, 1],
    ].map((row) => row.map((x) => typeof x === "number" ? Number(x.toFixed(12)) : x)),
  );
  const text = renderMarkdown(reportOf(comparison, await weightsOf(comparison)));
  const part = text.split("## What exact lists cost")[1].split("\n## ")[0];
  assert.match(part, /40 rows of the model a user; a beam of 10 takes 24\*\*/);
  assert.match(part, /\| msl +\| best-first +\| \.6000 .*\| +40 \| +4 \| +100\.0 % \|/);
  assert.match(
    text,
    /exact lists.* msl \+\.2000 \[.*\(40 rows of the model per user, the beam 24\)/,
  );
  // Half of 20 lists are at most 20; the mean takes the unknown width for 100.
  assert.match(part, /\| msl +\| +20 \| > 42\.7 \| +25 \| +> 100 \| +20\.0 % \|/);
  assert.doesNotMatch(await textOf([runs[1]]), /What exact lists cost/);
});

test("report: users with several cases are drawn with all of them", () => {
  // Each of 60 users comes twice, with the same outcomes.
  const once = fixtureRuns(60, 2);
  const twice = <T>(given: readonly T[]): T[] => given.flatMap((x) => [x, x]);
  const runs = once.map((run) =>
    withOutcomes(run, (outcome) => ({
      ...outcome,
      ranks: twice(outcome.ranks),
      exactRanks: twice(outcome.exactRanks),
      lostAt: twice(outcome.lostAt),
    }))
  );
  const { baselines, ...rest } = fixtureBaselines(60);
  const userOf = Array.from({ length: 120 }, (_, i) => i >> 1);
  const doubled = baselines.map(({ name, ranks }) => ({ name, ranks: twice(ranks) }));
  const options = { resamples: 200 };
  const a = compareRuns(once, fixtureBaselines(60), options);
  const b = compareRuns(runs, { ...rest, baselines: doubled, userOf }, options);
  assert.deepEqual([b.cases, b.users], [120, 60]);
  // Some pruning rates exist of twice as many targets only.
  const rows = a.metrics.filter(({ low }) => !Number.isNaN(low));
  assert.ok(rows.length > 100);
  for (const { variant, beam, metric, value, low } of rows) {
    const found = estimateOf(b, variant, beam, metric);
    near(found?.value, value);
    near(found?.low, low);
  }
  for (const { variant, beam, metric, to, value, low, tests } of a.differences) {
    if (Number.isNaN(value)) continue;
    const found = differenceOf(b, variant, beam, metric, to);
    near(found?.low, low);
    assert.equal(found?.tests?.users.p, tests?.users.p);
  }
  const text = renderMarkdown(reportOf(b, []));
  assert.match(text, /judged on 120 cases of 60 users of office-made-up/);
  assert.match(text, /A user is drawn with all of their cases/);
  const single = renderMarkdown(reportOf(a, []));
  assert.match(single, /judged on 60 users of office-made-up/);
  assert.doesNotMatch(single, /all of their cases/);
});

test("report: lists shorter than k have no HR@k, and the baseline is the one asked for", () => {
  const runs = fixtureRuns(60, 2);
  const baselines = fixtureBaselines(60);
  const comparison = compareRuns(runs, baselines, { baseline: "bear", resamples: 50 });
  const names = comparison.variants.map(({ name }) => name);
  assert.deepEqual(names, ["bear", "sft", "msl", "bear-paper", "bear-convex", "apao-point"]);
  assert.equal(estimateOf(comparison, "bear", 5, "HR@10"), undefined);
  assert.ok(estimateOf(comparison, "bear", 5, "HR@5") !== undefined);
  assert.ok(estimateOf(comparison, "bear", 20, "HR@10") !== undefined);
  assert.equal(comparison.mainBeam, 10);
  const hits = baselines.baselines[2].ranks.filter((rank) => rank >= 0).length;
  near(estimateOf(comparison, "oracle", undefined, "HR@10")?.value, hits / 60);
  assert.throws(() => compareRuns(runs, undefined, { baseline: "gru" }), (error: Error) => {
    assert.ok(error instanceof ArgumentError);
    assert.match(error.message, /^Cannot compare with gru: the baseline must be one of sft, msl/);
    return true;
  });
});

test("report: runs of a variant must share a width", () => {
  const [first, second] = [0, 1].map((seed) => fixtureRun({ loss: "msl", seed, beams: [5, 10] }));
  assert.throws(
    () => compareRuns([judgedAt(first, 5), judgedAt(second, 10)], undefined, { resamples: 2 }),
    /^DataError: Cannot compare the runs of msl: .* width, got 5 \(seed 0\), 10 \(seed 1\); repeat/,
  );
});

test("report: labels keep their distance and their order", () => {
  const cases = [
    [[10, 50], [10, 50]],
    [[10, 11, 50], [10, 22, 50]],
    [[90, 95, 99], [76, 88, 100]],
    [[], []],
  ];
  for (const [given, places] of cases) assert.deepEqual(spread(given, 12, 100), places);
});

test("report: what cannot be read comes first and is no headline", async () => {
  const headline = /^- (Best|Differences to|Of all \d+ differences|At B = .* the search of) /m;
  const title = /^\*\*(Best NDCG|Differences to .*exclude 0|Pruning rates at)/m;
  const fine = await textOf(fixtureRuns(300, 1), fixtureBaselines(300));
  assert.match(fine, headline);
  assert.match(fine, title);
  assert.doesNotMatch(fine, /Warning/);
  const few = await textOf(fixtureRuns(60, 1), fixtureBaselines(60));
  assert.match(
    few,
    /^## Summary\n\n- Warning: no model has 30 targets in its first 10[^]*- Warning: fewer than 30/m,
  );
  assert.doesNotMatch(few, headline);
  assert.doesNotMatch(few, title);

  const { baselines: [, , { ranks }], ...rest } = fixtureBaselines(300);
  const high = { ...rest, baselines: [{ name: "popularity", ranks }] };
  const below = compareRuns(fixtureRuns(300, 1), high, { resamples: 2 });
  assert.deepEqual(below.unreadable.below.get("bear"), ["popularity"]);
  assert.deepEqual(below.readable, []);

  const improving = fixtureRuns(300, 1).map((run): RunResult =>
    run.variant !== "bear-convex" ? run : {
      ...run,
      bestEpoch: run.epochs,
      validation: run.validation.map((point) => ({ ...point, ndcg: point.epoch / 100 })),
    }
  );
  const text = await textOf(improving, fixtureBaselines(300));
  assert.match(
    text,
    /^- Warning: bear-convex is still improving in the last epoch: train longer\.$/m,
  );
  const said = text.match(/^(- (Best|Differences|Of all|At B)|\*\*(Best|Diff|Pruning)).*$/gm) ?? [];
  assert.equal(said.length, 8);
  for (const sentence of said) assert.ok(!sentence.includes("bear-convex"), sentence);
});

test("report: no width has a pruning rate of too few targets", async () => {
  const runs = fixtureRuns(300, 2).filter(({ variant }) => ["sft", "msl"].includes(variant))
    .map((run) => {
      const few = run.variant === "sft" ? 29 : 30;
      const [{ ranks, exactRanks, lostAt, pruned }] = byHand(
        "sft",
        0,
        ...repeated([repeated([0], few).concat(repeated([-1], 300 - few))], 2) as [
          number[],
          number[],
        ],
      ).test.beams;
      return withOutcomes(
        run,
        (outcome, i) => i === 0 ? { ...outcome, ranks, exactRanks, lostAt, pruned } : outcome,
      );
    });
  const text = await textOf(runs, fixtureBaselines(300));
  const row = (name: string, beam: number): string[] => {
    const line = new RegExp(`^\\| ${name} +\\| +${beam} \\| +\\d+ \\| +\\d+ \\|.*$`, "m");
    return text.match(line)?.[0].split("|").map((cell) => cell.trim()) ?? [];
  };
  assert.deepEqual(row("sft", 5).slice(3, 7), ["58", "0", "–", ""]);
  assert.match(row("sft", 10)[5], /^\.\d/);
  assert.match(row("msl", 5)[5], /^\.\d/);
  assert.equal(row("msl", 5)[6], "–");
  assert.match(row("msl", 10)[6], /^[+−.]/);
});

test("report: all losses have lines; runs that were not verified are counted", async () => {
  assert.equal(lossNames.length, 9);
  const runs = lossNames.map((loss) => fixtureRun({ loss, seed: 0, users: 12, beams: [10] }));
  const weights = async (some: readonly RunResult[]): Promise<Figure> => {
    const comparison = compareRuns(some, undefined, { resamples: 2 });
    const { blocks: [block] } = trainingSection(comparison, await weightsOf(comparison));
    return isFigure(block) ? block : assert.fail();
  };
  const { note, panels: [panel] } = await weights(runs);
  const svg = await renderPanel(panel);
  for (const loss of lossNames) assert.ok(svg.includes(`>${loss}<`), loss);
  assert.match(note, /The scale is logarithmic/, "msl-ats has over 6");
  const few = await weights(runs.filter(({ recipe }) => recipe.loss !== "msl-ats"));
  assert.doesNotMatch(few.note, /logarithmic/);
  const [first, ...others] = runs;
  const text = await textOf([{ ...first, verification: undefined }, ...others]);
  assert.match(text, /on the first users of 8 of 9 runs, /);
  assert.doesNotMatch(text, /Lines are drawn/);
});

/** Checks that tags are closed in the order in which they were opened. */
function assertWellFormed(xml: string): void {
  const open: string[] = [];
  for (const [, end, tag, alone] of xml.matchAll(/<(\/?)([\w-]+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (end !== "") assert.equal(open.pop(), tag);
    else if (alone === "") open.push(tag);
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(xml.replaceAll(/<[^<>]*>/g, ""), /[<>]|&(?!(amp|lt|gt|quot|#39);)/);
}

/** Writes a report, and checks what must be true of every one. Files are by name. */
async function written(
  runs: readonly RunResult[],
  baselines?: BaselineResults,
): Promise<Readonly<Record<string, string>>> {
  const folder = emptyFolder();
  after(() => rmSync(folder, { recursive: true }));
  const old = ["report.md", "report-widths.svg", "report-theorems.csv", "report-mine.csv"];
  for (const name of old) writeFileSync(join(folder, name), "old");
  const { markdown, page, beside } = await writeReport(runs, baselines, folder);
  const paths = [markdown, page, ...beside, join(folder, "report-mine.csv")];
  assert.deepEqual(
    readdirSync(folder).sort(),
    paths.map((path) => path.slice(folder.length + 1)).sort(),
  );
  const files = Object.fromEntries(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")]),
  );
  assert.equal(files["report-mine.csv"], "old", "files of others stay");
  delete files["report-mine.csv"];
  for (const [name, text] of Object.entries(files)) {
    assert.doesNotMatch(text, /\b(NaN|undefined|null|Infinity|\[object)\b/, name);
    // deno-lint-ignore no-control-regex -- control characters are written out
    assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/, name);
    // Nothing is fetched: the only addresses are the names of SVG's namespaces.
    assert.doesNotMatch(text, /https?:(?!\/\/www\.w3\.org\/(2000\/svg|1999\/xlink)")/, name);
    if (name.endsWith(".svg")) assertWellFormed(text);
    if (name.endsWith(".csv")) {
      const columns = text.slice(0, text.indexOf("\n")).split(",");
      assert.ok(files["report.md"].includes(`\n- ${name}: ${columns.join(", ")}. A row is `), name);
      for (const row of rowsOf(text)) assert.deepEqual(Object.keys(row), columns);
    }
  }
  const html = files["report.html"];
  assert.doesNotMatch(html, /<script|<link|<iframe|<img|@import|url\(|\son[a-z]+=|javascript:/);
  const ids: readonly string[] = html.match(/\bid="[^"]*"/g) ?? [];
  assert.equal(new Set(ids).size, ids.length, "ids must differ");
  for (const link of html.match(/href="#([^"]*)"/g) ?? []) {
    assert.ok(ids.includes(link.replace('href="#', 'id="')), link);
  }
  const figures = html.match(/<figure>[^]*?<\/figure>/g) ?? [];
  for (const figure of figures) {
    assertWellFormed(figure);
    assert.match(figure, /<figcaption><b>[^<]+<\/b><span>[^<]+<\/span>/, "a title and a note");
    assert.match(figure, /<details>[^]*<table>[^]*<tbody>/, "a table behind it");
    const plots = figure.match(/<svg /g)?.length ?? 0;
    assert.equal(figure.match(/role="img" aria-label="[^"]+"/g)?.length ?? 0, plots);
  }
  assert.equal(figures.length, files["report.md"].match(/^\*\*.*\*\*$/gm)?.length);
  assert.equal(figures.length, Object.keys(files).filter((name) => name.endsWith(".svg")).length);
  return files;
}

/** The rows of a CSV file. */
function rowsOf(csv: string): Record<string, string>[] {
  return initParser(inferSchema(csv)).stringObjs(csv) as Record<string, string>[];
}

test("report: all files say the same", { timeout }, async () => {
  const baselines = fixtureBaselines(300);
  const strengths = Object.entries({ sft: 0, msl: 0.05, bear: 1 });
  const runs = strengths.flatMap(([loss, strength]) =>
    [0, 1].map((seed) => fixtureRun({ loss, seed, users: 300, strength }))
  );
  const files = await written(runs, baselines);
  const { "report.md": markdown, "report.html": html } = files;
  const comparison = compareRuns(runs, baselines);
  const { variants, metrics, runMetrics, differences } = comparison;
  assert.match(markdown, /^HR@k .* All lists may have items of the history; .* takes them out\.$/m);
  assert.match(markdown, /^## Summary\n\n3 variants/m);
  for (const name of ["popularity", "co-occurrence", "oracle"]) assert.ok(html.includes(name));
  const said = markdown.match(/^- Differences to sft in NDCG@10 at B = 10 .*$/m)?.[0] ?? "";
  const [sure, open] = said.split("; includes 0: ");
  assert.ok(sure.includes("bear") && open.includes("msl"), said);
  for (const { name } of variants) {
    const shown = estimateOf(comparison, name, 10, "NDCG@10")?.value.toFixed(4).slice(1);
    assert.ok(markdown.includes(`${shown} [`), `${name}: ${shown}`);
    assert.ok(html.includes(`${shown} <i>[`), `${name}: ${shown}`);
    if (name === "sft") continue;
    const { low, high } = differenceOf(comparison, name, 10, "NDCG@10") ?? { low: 0, high: 0 };
    assert.ok((low > 0 || high < 0 ? sure : open).includes(`${name} (`), `${name}: ${said}`);
  }

  const numbers = rowsOf(files["report-metrics.csv"]);
  assert.equal(numbers.length, metrics.length + runMetrics.length);
  for (const { variant, beam, metric, value, low, high, ...row } of [...metrics, ...runMetrics]) {
    const seed = "seed" in row ? `${row.seed}` : "";
    const found = numbers.filter((line) =>
      line.variant === variant && line.seed === seed && line.beam === `${beam ?? ""}` &&
      [line.metric, ...line.k === "" ? [] : [line.k]].join("@") === metric
    );
    assert.equal(found.length, 1, `${variant} ${seed} ${beam} ${metric}`);
    const ends = [value, low, high].map((x) => Number.isNaN(x) ? "" : `${x}`);
    assert.deepEqual([found[0].mean, found[0].low, found[0].high], ends);
  }
  assert.deepEqual(numbers.find(({ variant }) => variant === "oracle")?.seeds, "");
  const paired = rowsOf(files["report-differences.csv"]);
  assert.equal(paired.length, differences.length);
  const [line] = paired.filter((row) =>
    row.variant === "bear" && row.minus === "sft" && row.k === "10"
  );
  const { tests, seeds } = differenceOf(comparison, "bear", 10, "HR@10") ?? assert.fail();
  assert.deepEqual(
    [line.metric, line.seeds, line.users_low, line.users_p, line.seeds_high, line.seeds_p],
    ["HR", seeds, tests?.users.low, tests?.users.p, tests?.seeds.high, tests?.seeds.p].map(String),
  );
  const [bear] = variants.filter(({ name }) => name === "bear");
  const [{ test: { beams: [, outcome] }, ...run }] = bear.runs;
  const own = (name: string): Record<string, string>[] =>
    rowsOf(files[`report-${name}.csv`]).filter((row) =>
      row.variant === "bear" && (row.seed ?? "0") === "0" && (row.beam ?? "10") === "10"
    );
  assert.equal(own("runs")[0].best_epoch, `${run.bestEpoch}`);
  assert.equal(own("runs")[0].trained_beam, "10");
  const [search] = own("searches");
  const pruned = outcome.ranks.filter((rank, u) => rank < 0 && outcome.exactRanks[u] >= 0).length;
  assert.deepEqual([search.targets, search.pruned], ["300", `${pruned}`]);
  assert.deepEqual(own("steps").map(({ violated }) => Number(violated)), outcome.violated);
  const last = own("curves").filter(({ quantity }) => quantity === "validation NDCG@10").pop();
  assert.equal(last?.value, `${run.validation[run.epochs - 1].ndcg}`);
  const margins = own("margins").filter(({ step }) => step === "1");
  const inSeed = bear.runs.map(({ test }) => test.beams[1].margins.after[0]);
  assert.deepEqual(
    margins.filter(({ low }) => low === "-0.5").map(({ after }) => Number(after)),
    [inSeed[0][23] + inSeed[1][23]],
  );
  assert.equal(own("weights").length, 49);
  assert.equal(own("theorems")[0].instances, "50");
});

test("report: the same runs give the same files", { timeout }, async () => {
  const runs = ["sft", "bear"].flatMap((loss) =>
    [0, 1].map((seed) => fixtureRun({ loss, seed, users: 20, beams: [10] }))
  );
  const files = await written(runs, fixtureBaselines(20));
  assert.deepEqual(await written([...runs].reverse(), fixtureBaselines(20)), files);
});

test("report: one run alone, without validation, baselines or verification", async () => {
  const run = { ...fixtureRun({ loss: "msl", seed: 4, users: 30 }), validation: [], curve: [] };
  const files = await written([{ ...run, verification: undefined }]);
  assert.match(files["report.md"], /^msl, trained with 1 seed, was judged on 30 users/m);
  assert.match(files["report.md"], /no validation cases/);
  for (const name of ["differences.csv", "theorems.csv", "curves.csv", "validation.svg"]) {
    assert.equal(files[`report-${name}`], undefined, name);
  }
});

test("report: nothing retrieved, nothing in the exact top B, no margins", async () => {
  const runs = ["sft", "bear"].map((loss) =>
    withOutcomes(fixtureRun({ loss, seed: 0, users: 9 }), (outcome) => {
      const all = (value: number): number[] => outcome.ranks.map(() => value);
      const none = outcome.reached.map(() => 0);
      const histograms = outcome.reached.map(() => new Array<number>(48).fill(0));
      return {
        ...outcome,
        ranks: all(-1),
        exactRanks: all(-1),
        lostAt: all(1),
        pruned: { violation: none, displacement: none, length: none, tie: none },
        reached: none,
        violated: none,
        vacuous: none,
        exactLists: 0,
        margins: { before: histograms, after: histograms },
        certificates: { retrieved: 0, pruned: 0, undecided: 0 },
      };
    })
  );
  const files = await written(runs, fixtureBaselines(9));
  assert.match(files["report.md"], /^\*\*No target has a choice\*\*$/m);
  assert.equal(files["report-margins.csv"], undefined);
});

test("report: several kinds of codes, whose tries have other depths", { timeout }, async () => {
  const kinds = [["", 4], ["item", 1], ["hierarchical:64x16", 10]] as const;
  const runs = kinds.flatMap(([codes, steps]) =>
    ["sft", "msl"].flatMap((loss) =>
      [0, 1].map((seed): RunResult => {
        const run = fixtureRun({ loss, seed, users: 150, beams: [5, 10], steps });
        const reading = codes === "" ? {} : { codes };
        return {
          ...run,
          parameters: 1000 + steps,
          data: { ...run.data, sequences: "same" },
          recipe: { ...run.recipe, digest: codes || run.recipe.digest, reading },
        };
      })
    )
  );
  const files = await written(runs, fixtureBaselines(150));
  const { "report.md": text, "report.html": html } = files;
  assert.match(text, /^# Losses and codes compared on office-made-up$/m);
  assert.match(text, /150 users · the data's codes, hierarchical:64x16 and item · /);
  assert.match(text, /models of 1,001 to 1,010 parameters/);
  const [, steps] = /siblings at (.*)\*\*/.exec(text) ?? [];
  assert.equal(
    steps.replaceAll(/\d+ of/g, "N of"),
    "N of 4 steps (the data's codes), N of 10 steps (hierarchical:64x16) and N of 1 step (item)",
  );
  assert.match(
    text,
    /At step 1 and B = 10, \d+ % of the margins with the data's codes are above 0/,
  );
  for (const codes of ["the data's codes", "item", "hierarchical:64x16"]) {
    for (const figure of ["violations", "survival"]) {
      assert.ok(files[`report-${figure}.svg`].includes(`>B = 10, ${codes}<`), `${figure} ${codes}`);
    }
    assert.ok(html.includes(`>B = 5, ${codes}<`));
  }
  const row = (variant: string, metric: string): string =>
    new RegExp(`^\\| ${variant} +\\| +10 \\| +${metric} +\\|.*`, "m").exec(text)?.[0] ?? "";
  assert.match(row("sft codes=item", "HR@10"), /[+−]?\.\d+ \[.*\]/, "paired with sft");
  const survival = (variant: string): RegExp =>
    new RegExp(`^\\| ${variant} +\\| +10 \\| +1 \\| +\\.\\d+ \\[[^|]* \\| +(.*)\\|$`, "m");
  assert.match(survival("msl").exec(text)?.[1] ?? "", /^[+−]?\.\d+ \[.*\] $/);
  assert.equal(survival("msl codes=hierarchical:64x16").exec(text)?.[1], "", "another trie");

  const comparison = compareRuns(namedBySettings(runs), undefined, { resamples: 2 });
  assert.deepEqual(
    (await weightsOf(comparison)).map(({ name }) => name),
    ["sft", "msl"],
    "the weights of a loss are there once",
  );
});

test("report: what is pruned and retrieved by properties of codes", { timeout }, async () => {
  const levelOf = (tokens: number, together: number): CodeLevel => ({
    tokens,
    perplexity: tokens / 2,
    nodes: tokens,
    parents: 1,
    children: { min: tokens, median: tokens, max: tokens },
    siblings: tokens - 1,
    wide: 1,
    together,
  });
  // The more consecutive items are alike, the less is lost; first tokens are in no order.
  const kinds = [[64, 0.1], [16, 0.2], [256, 0.3], [8, 0.4], [32, 0.5]];
  const runsOf = (users: number): RunResult[] =>
    kinds.flatMap(([tokens, together], i) =>
      ["msl", "bear"].map((loss): RunResult => {
        const run = fixtureRun({ loss, seed: 0, users, beams: [10], loses: 0.6 - 0.12 * i });
        const codes = `hierarchical:${tokens}x16`;
        return {
          ...run,
          data: { ...run.data, sequences: "same" },
          recipe: { ...run.recipe, digest: codes, reading: { codes } },
          codes: [levelOf(tokens, together), levelOf(16, 0.01)],
        };
      })
    );
  const drawnIn = (svg: string): string[] =>
    [...svg.matchAll(/>hierarchical:\d+x16 \((.+?)\)</g)].map(([, share]) => share);
  const runs = runsOf(400);
  const { "report.md": text, "report-codes.svg": svg } = await written(runs);
  const tableRow = (name: string): string[] =>
    (new RegExp(`^\\| ${name} +\\|.*`, "m").exec(text)?.[0] ?? "").split("|")
      .map((cell) => cell.trim()).slice(2, -1);
  assert.deepEqual(tableRow("consecutive items alike").slice(0, 1), ["−1.00"]);
  // Spearman's correlation of 4, 2, 5, 1, 3 with 5, 4, 3, 2, 1 by 1 - 6 sum d^2 / (n (n^2 - 1)).
  assert.deepEqual(tableRow("first tokens").slice(0, 1), ["+.30"]);
  const row = /^\| bear codes=hierarchical:8x16 +\| hierarchical:8x16 +\|(.*)/m.exec(text) ?? [];
  assert.deepEqual(row[1]?.split("|").slice(0, 4).map((cell) => cell.trim()), [
    "8",
    "4.0",
    "22.0",
    ".400",
  ]);
  const shares = [".100", ".200", ".300", ".400", ".500"].flatMap((share) => [share, share]);
  assert.deepEqual(drawnIn(svg), [...shares, ...shares], "two panels, sorted");
  const { "report-codes.svg": small } = await written(runsOf(40));
  assert.deepEqual(drawnIn(small), shares, "too few targets for a pruning rate");

  const older = runs.map(({ codes: _, ...run }) => run);
  assert.doesNotMatch(await textOf(namedBySettings(older)), /What the codes are like/);
  const few = runs.filter(({ recipe }) => /:(8|16)x/.test(recipe.digest));
  assert.doesNotMatch(await textOf(namedBySettings(few)), /Spearman/);
  assert.match(await textOf(namedBySettings(few)), /What the codes are like/);
});

test("report: odd names, 41 steps, a narrow beam, a loss of a module", async () => {
  const options = { users: 40, beams: [3], beam: 3, steps: 41 };
  const variant = "<b>\"& | x $& $' $`\n a\x1b[2J\u202eb, c";
  const odd = fixtureRun({ ...options, loss: '<b>"&', seed: 0, variant });
  const recipe = { ...odd.recipe, lossModule: { path: "my.ts", digest: "1" } };
  const files = await written(
    [fixtureRun({ ...options, loss: "bear", seed: 0 }), { ...odd, recipe } as unknown as RunResult],
    fixtureBaselines(40),
  );
  const { "report.html": html, "report.md": markdown, "report-runs.csv": csv } = files;
  assert.ok(!html.includes('<b>"&'));
  assert.ok(html.includes("&lt;b&gt;&quot;&amp; | x $&amp; $' $`"));
  assert.ok(markdown.includes('\\<b>"& \\| x'));
  assert.doesNotMatch(markdown, /^\s*(a|has|and|,)\b|[^\\]<b>/m, "lines are not torn");
  assert.equal(rowsOf(csv)[1].variant, "<b>\"& | x $& $' $`\n a\\u001b[2J\\u202eb, c");
});

test("report: a sweep of twelve, with two widths in training, judged at several", {
  timeout,
}, async () => {
  const sweep = [5, 10].flatMap((beam) =>
    [0.5, 1, 2, 3, 4, 5].map((xi) => {
      const variant = `bear B=${beam} xi=${xi}`;
      const run = fixtureRun({ loss: "bear", seed: 0, users: 40, beam, variant });
      return { ...run, recipe: { ...run.recipe, xi } };
    })
  );
  const shown = shownVariants(compareRuns(sweep, undefined, { resamples: 2 }).variants);
  const left = sweep.find(({ variant }) => shown.every(({ name }) => name !== variant));
  assert.equal(shown.length, 9);
  assert.ok(left !== undefined, "a variant must be left out of figures, or nothing is tested");
  for (const wide of [left, sweep[0]]) {
    const runs = sweep.map((run) => run === wide ? run : judgedAt(run, 10));
    const files = wide === left ? await written(runs) : { "report.md": await textOf(runs) };
    const text = files["report.md"];
    assert.match(text, new RegExp(`^\\| ${wide.variant} +\\| +20 \\|`, "m"));
    assert.doesNotMatch(text, new RegExp(`^\\| ${sweep[11].variant} +\\| +20 \\|`, "m"));
    assert.match(text, /Lines are drawn for the baseline and the 8 variants that do best in valid/);
    assert.match(text, /^\| bear, xi 0\.5 +\| +5 +\| +10 +\|/m);
    assert.match(files["report-widths.svg"] ?? "B in search", /B in search/);
  }
});
