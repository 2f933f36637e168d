/** Reports: their numbers by hand, what their files hold, and results at the edges of what there can be. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import type { RunResult } from "../../lab/compare/run_result.ts";
import { compareRuns } from "../../lab/report/comparison.ts";
import { survivors } from "../../lab/report/outcomes.ts";
import { renderMarkdown } from "../../lab/report/markdown.ts";
import { reportOf } from "../../lab/report/report.ts";
import { costSection } from "../../lab/report/sections/cost.ts";
import { retrievalSection } from "../../lab/report/sections/retrieval.ts";
import { shownVariants } from "../../lab/report/variants.ts";
import { spread } from "../../lab/report/plots/lines.ts";
import { writeReport } from "../../lab/report/write_report.ts";
import { fixtureBaselines, fixtureRun, fixtureRuns } from "./report_fixture.ts";
import { lossNames } from "../../models/losses/index.ts";
import { emptyFolder } from "./small_folder.ts";

const timeout = 60_000;

/** Users at one width. */
function byHand(
  loss: string,
  seed: number,
  ranks: readonly number[],
  exactRanks: readonly number[],
): RunResult {
  const run = fixtureRun({ loss, seed, users: ranks.length, beams: [10] });
  const [beam] = run.test.beams;
  const lost = ranks.filter((rank, u) => rank < 0 && exactRanks[u] >= 0).length;
  const none = [0, 0, 0, 0];
  const pruned = { violation: [lost, 0, 0, 0], displacement: none, length: none, tie: none };
  const lostAt = ranks.map((rank) => rank < 0 ? 1 : 0);
  return {
    ...run,
    test: { ...run.test, beams: [{ ...beam, ranks, exactRanks, lostAt, pruned }] },
  };
}

/** The same with so few targets in the lists of its narrowest width. */
function withFew(run: RunResult, few: number): RunResult {
  const [beam, ...beams] = run.test.beams;
  const ranks = beam.ranks.map((_, user) => user < few ? 0 : -1);
  const lostAt = ranks.map((rank) => rank < 0 ? 1 : 0);
  const none = [0, 0, 0, 0];
  const pruned = { violation: none, displacement: none, length: none, tie: none };
  const narrow = { ...beam, ranks, exactRanks: ranks, lostAt, pruned };
  return { ...run, test: { ...run.test, beams: [narrow, ...beams] } };
}

function near(actual: number | undefined, expected: number): void {
  assert.ok(Math.abs((actual ?? NaN) - expected) < 1e-12, `${actual} is not ${expected}`);
}

test("report: differences to what needs no training are paired with the users", () => {
  const users = Array.from({ length: 60 }, (_, i) => i);
  const [hits, misses] = [
    users.map((i) => (i % 3 ? 0 : -1)),
    users.map((i) => (i % 3 > 1 ? 0 : -1)),
  ];
  const run = byHand("msl", 0, hits, hits);
  const { digest } = run.recipe;
  const baselines = [{ name: "half of them", ranks: misses }, { name: "the same", ranks: hits }];
  const comparison = compareRuns([run], { version: 1, digest, baselines });
  const { variants: [{ beams }] } = comparison;
  assert.match(
    JSON.stringify(retrievalSection(comparison)),
    /"to half of them".*"NDCG@10","\+\.3333 \[\+\.\d{4}, \+\.\d{4}\]","\.0000 \[\.0000, \.0000\]"/,
  );
  const [half, same] = beams.get(10)?.metrics.get("NDCG@10")?.overReferences ?? [];
  assert.deepEqual(same, { value: 0, low: 0, high: 0 });
  near(half.value, 1 / 3);
  // Of 60 users 20 differ, by 1 each: the spread of their share, not of the two means.
  const spread = 1.96 * Math.sqrt((1 / 3) * (2 / 3) / 60);
  assert.ok(Math.abs(half.low - (1 / 3 - spread)) < 0.03, `${half.low}`);
  assert.ok(Math.abs(half.high - (1 / 3 + spread)) < 0.03, `${half.high}`);
});

test("report: numbers by hand", () => {
  const { variants, baseline, mainBeam, missing, users } = compareRuns([
    byHand("msl", 0, [0, 6, -1, -1], [0, 5, 2, -1]),
    byHand("sft", 1, [-1, -1, -1, 3], [-1, 1, -1, 3]),
    byHand("sft", 0, [1, -1, -1, -1], [1, 9, -1, -1]),
  ], undefined);
  assert.deepEqual(variants.map(({ name }) => name), ["sft", "msl"]);
  assert.equal(baseline.name, "sft");
  assert.equal(mainBeam, 10);
  assert.equal(users, 4);
  assert.deepEqual(missing, [{ variant: "msl", seeds: [1] }]);
  const [sft, msl] = variants.map(({ beams }) => beams.get(10));
  assert.deepEqual(baseline.runs.map(({ recipe }) => recipe.seed), [0, 1]);
  near(sft?.metrics.get("HR@5")?.value.value, 2 / 8);
  near(sft?.metrics.get("HR@10")?.exact.value, 4 / 8);
  near(sft?.metrics.get("NDCG@10")?.value.value, (1 / Math.log2(3) + 1 / Math.log2(5)) / 8);
  near(msl?.metrics.get("HR@5")?.value.value, 1 / 4);
  near(msl?.metrics.get("HR@10")?.value.value, 2 / 4);
  near(sft?.pruningRate.value, 2 / 4);
  near(msl?.pruningRate.value, 1 / 3);
  // Only seed 0 is common: of sft's two targets in the exact top 10 one was pruned.
  near(msl?.pruningDifference?.value, 1 / 3 - 1 / 2);
  const difference = msl?.metrics.get("HR@10")?.difference;
  assert.deepEqual(difference?.common, [0]);
  near(difference?.both.value, 1 / 4);
  // User 1 alone differs: either sign is as far from 0.
  assert.equal(difference?.userTest.p, 1);
  assert.ok(Number.isNaN(difference?.seeds.low));
  assert.equal(sft?.metrics.get("HR@10")?.difference, undefined);
  assert.deepEqual(sft?.steps.survival, [2 / 8, 2 / 8, 2 / 8, 2 / 8]);
  assert.deepEqual(sft?.steps.causes.violation, [2, 0, 0, 0]);
  assert.deepEqual(msl?.survival.map(({ step }) => step), [1, 2, 3, 4]);
  for (const { value, difference } of msl?.survival ?? []) {
    near(value.value, 2 / 4);
    near(difference?.value, 2 / 4 - 1 / 4);
  }
  const [late] = byHand("msl", 0, [0, -1, -1, -1], [0, 0, 0, 0]).test.beams;
  const held = survivors({ ...late, lostAt: [0, 1, 2, 3] }, 2);
  assert.deepEqual([[...held.cases], [...held.values]], [[0, 3], [1, 1]]);
});

test("report: users with several cases are drawn with all of them, and said so", async () => {
  // Each user of 60 comes twice, with the same outcomes.
  const once = fixtureRuns(60, 2);
  const twice = <T>(given: readonly T[]): T[] => given.flatMap((x) => [x, x]);
  const runs = once.map((run): RunResult => ({
    ...run,
    test: {
      ...run.test,
      users: 120,
      beams: run.test.beams.map((outcome) => ({
        ...outcome,
        ...{ ranks: twice(outcome.ranks), exactRanks: twice(outcome.exactRanks) },
        lostAt: twice(outcome.lostAt),
      })),
    },
  }));
  const { baselines } = fixtureBaselines(60);
  const userOf = Array.from({ length: 120 }, (_, i) => i >> 1);
  const doubled = baselines.map(({ name, ranks }) => ({ name, ranks: twice(ranks) }));
  const options = { resamples: 200 };
  const a = compareRuns(once, fixtureBaselines(60), options);
  const b = compareRuns(runs, { ...fixtureBaselines(120), baselines: doubled, userOf }, options);
  assert.deepEqual([b.cases, b.users], [120, 60]);
  for (const [v, { beams }] of a.variants.entries()) {
    for (const [beam, { metrics, pruningRate }] of beams) {
      const other = b.variants[v].beams.get(beam);
      near(other?.pruningRate.low, pruningRate.low);
      for (const [name, { value, difference }] of metrics) {
        const found = other?.metrics.get(name);
        near(found?.value.high, value.high);
        if (difference === undefined) continue;
        near(found?.difference?.both.low, difference.both.low);
        near(found?.difference?.userTest.p, difference.userTest.p);
      }
    }
  }
  const text = renderMarkdown(await reportOf(b));
  assert.match(text, /judged on 120 cases of 60 users of office-made-up/);
  assert.match(text, /draws users, each with all of its cases, and seeds anew/);
  assert.match(renderMarkdown(await reportOf(a)), /judged on 60 users of office-made-up/);
});

test("report: lists shorter than k have no HR@k, and the baseline is the one that was asked for", () => {
  const runs = fixtureRuns(60, 2);
  const { variants, baselines, mainBeam } = compareRuns(runs, fixtureBaselines(60), {
    baseline: "bear",
    resamples: 50,
  });
  assert.deepEqual(
    variants.map(({ name }) => name),
    ["bear", "sft", "msl", "bear-paper", "bear-convex", "apao-point"],
  );
  assert.deepEqual([...variants[0].beams.get(5)?.metrics.keys() ?? []], ["HR@5", "NDCG@5"]);
  assert.equal(variants[0].beams.get(20)?.metrics.size, 4);
  assert.equal(mainBeam, 10);
  const oracle = fixtureBaselines(60).baselines[2].ranks;
  const hits = oracle.filter((rank) => rank >= 0).length;
  near(baselines[2].metrics.get("HR@10")?.value, hits / 60);
  assert.throws(() => compareRuns(runs, undefined, { baseline: "gru" }), (error: Error) => {
    assert.ok(error instanceof ArgumentError);
    assert.match(error.message, /^Cannot compare with gru: the baseline must be one of sft, msl/);
    return true;
  });
});

test("report: labels keep their distance and their order", () => {
  assert.deepEqual(spread([10, 50], 12, 100), [10, 50]);
  assert.deepEqual(spread([10, 11, 50], 12, 100), [10, 22, 50]);
  assert.deepEqual(spread([90, 95, 99], 12, 100), [76, 88, 100]);
  assert.deepEqual(spread([], 12, 100), []);
});

/** Writes a report and returns its two files, of which some things must be true whatever it is about. */
async function written(
  runs: readonly RunResult[],
  users: number,
  withBaselines = true,
): Promise<{ readonly markdown: string; readonly page: string }> {
  const folder = join(emptyFolder(), "new");
  const baselines = withBaselines ? fixtureBaselines(users) : undefined;
  const files = await writeReport(runs, baselines, folder);
  assert.deepEqual(files, {
    markdown: join(folder, "report.md"),
    page: join(folder, "report.html"),
  });
  const [markdown, page] = [files.markdown, files.page].map((file) => readFileSync(file, "utf8"));
  rmSync(folder, { recursive: true });
  for (const text of [markdown, page]) {
    assert.doesNotMatch(text, /\b(NaN|undefined|null|Infinity|\[object)\b/);
  }
  // Nothing is fetched: the only addresses are the names of SVG's namespaces.
  const addresses = new Set(page.match(/https?:[^"'\s)]*/g));
  addresses.delete("http://www.w3.org/2000/svg");
  addresses.delete("http://www.w3.org/1999/xlink");
  assert.deepEqual([...addresses], []);
  assert.doesNotMatch(page, /<script|<link|<iframe|<img|@import|url\(|\son[a-z]+=|javascript:/);
  const ids: readonly string[] = page.match(/\bid="[^"]*"/g) ?? [];
  assert.equal(new Set(ids).size, ids.length, "ids must differ");
  for (const link of page.match(/href="#([^"]*)"/g) ?? []) {
    assert.ok(ids.includes(link.replace('href="#', 'id="')), link);
  }
  const figures = page.match(/<figure>[^]*?<\/figure>/g) ?? [];
  for (const figure of figures) {
    assert.match(figure, /<figcaption><b>[^<]+<\/b><span>[^<]+<\/span>/, "a title and a note");
    assert.match(figure, /<details>[^]*<table>[^]*<tbody>/, "a table behind it");
    const svgs = figure.match(/<svg /g) ?? [];
    assert.equal(figure.match(/role="img" aria-label="[^"]+"/g)?.length ?? 0, svgs.length);
  }
  assert.equal(figures.length, markdown.match(/^\*\*.*\*\*$/gm)?.length);
  return { markdown, page };
}

test("report: both files say the same, and the same every time", { timeout }, async () => {
  const runs = fixtureRuns(300, 2);
  const { markdown, page } = await written(runs, 300);
  const again = await written([...runs].reverse(), 300);
  assert.equal(again.markdown, markdown);
  assert.equal(again.page, page);
  const { variants } = compareRuns(runs, fixtureBaselines(300));
  assert.doesNotMatch(markdown, /Warning/);
  assert.match(markdown, /^HR@k .* Co-occurrence always .* do so only with --exclude-history\.$/m);
  assert.match(markdown, /^## Summary\n\n6 variants/m);
  for (const { name, beams } of variants) {
    const value = beams.get(10)?.metrics.get("NDCG@10")?.value;
    const shown = value?.value.toFixed(4).replace("0.", ".") ?? "nothing";
    assert.ok(markdown.includes(`${shown} [`), `${name}: ${shown}`);
    assert.ok(page.includes(`${shown} <i>[`), `${name}: ${shown}`);
  }
  for (const name of ["popularity", "co-occurrence", "oracle"]) assert.ok(page.includes(name));
  const said = markdown.match(/In NDCG@10 at B = 10 [^\n]*/)?.[0] ?? "";
  for (const { name, beams } of variants.slice(1)) {
    const both = beams.get(10)?.metrics.get("NDCG@10")?.difference?.both;
    const sure = both !== undefined && (both.low > 0 || both.high < 0);
    const [out, holds = ""] = said.split("It includes 0");
    if (said.includes("no variant differs")) assert.ok(!sure, name);
    else assert.ok((sure ? out : holds).includes(`${name} (`), `${name}: ${said}`);
  }
});

test("report: what cannot be read comes first and is no headline", { timeout }, async () => {
  const headline = /has the highest|the interval of the difference|differs from sft|search loses/;
  const title = /loses least|that excludes 0\*\*|reaches the highest/;
  const { markdown: fine } = await written(fixtureRuns(300, 1), 300);
  assert.match(fine, headline);
  assert.match(fine, title);
  const { markdown, page } = await written(fixtureRuns(60, 1), 60);
  assert.match(
    markdown,
    /^## Summary\n\n- Warning: no model has 30 targets in its first 10[^]*- Warning: fewer than 30/m,
  );
  assert.match(page, /<h2>Summary<\/h2>\n<ul class="warnings"><li>Warning: /);
  assert.doesNotMatch(markdown, headline);
  assert.doesNotMatch(markdown, title);

  const { baselines: [, , { ranks }], ...rest } = fixtureBaselines(300);
  const high = { ...rest, baselines: [{ name: "popularity", ranks }] };
  const below = compareRuns(fixtureRuns(300, 1), high, { resamples: 2 });
  assert.deepEqual(below.unreadable.below.get("bear"), ["popularity"]);
  assert.deepEqual(below.readable, []);
});

test("report: a run that was still improving is left out of headlines", { timeout }, async () => {
  const runs = fixtureRuns(300, 1).map((run): RunResult =>
    run.variant !== "bear-convex" ? run : {
      ...run,
      bestEpoch: run.epochs,
      validation: run.validation.map((point) => ({ ...point, ndcg: point.epoch / 100 })),
    }
  );
  const { unreadable, readable } = compareRuns(runs, fixtureBaselines(300), { resamples: 2 });
  assert.deepEqual(unreadable.improving, ["bear-convex"]);
  assert.equal(readable.length, 5);
  const { markdown } = await written(runs, 300);
  assert.match(
    markdown,
    /^- Warning: bear-convex is still improving in the last epoch: train longer\.$/m,
  );
  const said = markdown.match(/^- (At|In NDCG|Of all) .*$/gm)?.slice(0, 3) ?? [];
  assert.equal(said.length, 3);
  for (const sentence of said) assert.ok(!sentence.includes("bear-convex"), sentence);
  assert.match(said[0], /has the highest NDCG@10 of those that can be read: /);
  assert.match(markdown, /^\*\*Of the \d+ differences to sft below that can be read, /m);
});

test("report: the cost of a step is a headline where seeds differ less than variants", () => {
  /** Two variants by the seconds of a step of each seed. */
  const title = (sft: readonly number[], msl: readonly number[]): string => {
    const runs = Object.entries({ sft, msl }).flatMap(([loss, times]) =>
      times.map((time, seed): RunResult => {
        const run = fixtureRun({ loss, seed, users: 12 });
        return { ...run, seconds: { ...run.seconds, training: time * run.steps } };
      })
    );
    const { blocks: [, figure] } = costSection(compareRuns(runs, undefined, { resamples: 2 }));
    return figure.kind === "figure" ? figure.figure.title : assert.fail();
  };
  const none = "Time of a training step";
  assert.equal(title([2, 2.1], [1, 1.1]), "No step is slower than that of sft");
  assert.equal(title([2, 3], [1, 2.2]), none);
  assert.equal(title([1, 1.1], [2, 2.2]), "A step of msl takes 2.00 times as long as one of sft");
  assert.equal(title([1, 2], [1.5, 2.2]), none);
  assert.equal(title([1], [2]), none);
  assert.equal(title([1, 2], []), none);
});

test("report: control characters of names are written out", async () => {
  const run = { ...fixtureRun({ loss: "msl", seed: 0, users: 12 }), variant: "a\x1b[2J\u202eb" };
  for (const text of Object.values(await written([run], 12))) {
    assert.ok(text.includes("a\\u001b[2J\\u202eb"));
    // deno-lint-ignore no-control-regex -- these are what it is about
    assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
  }
});

test("report: no width has a pruning rate of too few targets", { timeout }, async () => {
  const runs = fixtureRuns(300, 2).filter(({ variant }) => ["sft", "msl"].includes(variant))
    .map((run) => withFew(run, run.variant === "sft" ? 29 : 30));
  const { markdown } = await written(runs, 300);
  const row = (name: string, beam: number): string[] =>
    markdown.match(new RegExp(`^\\| ${name} +\\| +${beam} \\| +\\d+ \\| +\\d+ \\|.*$`, "m"))?.[0]
      .split("|").map((cell) => cell.trim()) ?? [];
  assert.deepEqual(row("sft", 5).slice(3, 7), ["58", "0", "–", ""]);
  assert.match(row("sft", 10)[5], /^\.\d/);
  assert.match(row("msl", 5)[5], /^\.\d/);
  assert.equal(row("msl", 5)[6], "–");
  assert.match(row("msl", 10)[6], /^[+−.]/);
});

test("report: one run alone, without validation, baselines or verification", async () => {
  const run = { ...fixtureRun({ loss: "msl", seed: 4, users: 30 }), validation: [], curve: [] };
  const { markdown } = await written([{ ...run, verification: undefined }], 30, false);
  assert.match(markdown, /^msl, trained with 1 seed, was judged on 30 users/m);
  assert.match(markdown, /no validation cases/);
});

test("report: variants may be searched with different widths", { timeout }, async () => {
  const narrow = (run: RunResult): RunResult => ({
    ...run,
    judging: { ...run.judging, beams: [10] },
    test: { ...run.test, beams: run.test.beams.filter(({ beam }) => beam === 10) },
  });
  const runs = fixtureRuns(30, 1);
  for (const wide of ["sft", "bear-convex"]) {
    const some = runs.map((run) => run.variant === wide ? run : narrow(run));
    const { markdown } = await written(some, 30);
    assert.match(markdown, new RegExp(`^\\| ${wide} +\\| +20 \\|`, "m"));
    assert.doesNotMatch(markdown, /^\| msl +\| +20 \|/m);
  }
  const many = Array.from({ length: 12 }, (_, i) => ({
    ...fixtureRun({ loss: "bear", seed: 0, users: 30 }),
    variant: `bear number ${i}`,
  }));
  const wide = shownVariants(compareRuns(many, undefined, { resamples: 2 }).variants);
  const left = many.find(({ variant }) => !wide.some(({ name }) => name === variant))?.variant;
  assert.ok(left !== undefined, "a variant must be left out of figures, or nothing is tested");
  await written(many.map((run) => run.variant === left ? run : narrow(run)), 30);
});

test("report: nothing retrieved, nothing in the exact top B, no margins", async () => {
  const empty = (run: RunResult): RunResult => ({
    ...run,
    test: {
      ...run.test,
      beams: run.test.beams.map((beam) => {
        const all = (value: number): number[] => beam.ranks.map(() => value);
        const none = beam.reached.map(() => 0);
        const histograms = beam.reached.map(() => new Array<number>(48).fill(0));
        return {
          ...beam,
          ...{ ranks: all(-1), exactRanks: all(-1), lostAt: all(1) },
          pruned: { violation: none, displacement: none, length: none, tie: none },
          ...{ reached: none, violated: none, vacuous: none, exactLists: 0 },
          margins: { before: histograms, after: histograms },
          certificates: { retrieved: 0, pruned: 0, undecided: 0 },
        };
      }),
    },
  });
  const { markdown } = await written(
    [
      empty(fixtureRun({ loss: "sft", seed: 0, users: 9 })),
      empty(fixtureRun({ loss: "bear", seed: 0, users: 9 })),
    ],
    9,
  );
  assert.match(markdown, /At B = 10 no target is in the exact top B/);
});

test("report: titles of 41 steps, a narrow beam, a loss of a module and one of its own name", async () => {
  const options = { users: 40, beams: [3], beam: 3, steps: 41 };
  const name = "<b>\"& | x $& $' $`\n";
  const odd = fixtureRun({ ...options, loss: '<b>"&', seed: 0, variant: name });
  const own = {
    ...odd,
    recipe: { ...odd.recipe, lossModule: { path: "my.ts", digest: "1" } },
  } as unknown as RunResult;
  const { page, markdown } = await written(
    [fixtureRun({ ...options, loss: "bear", seed: 0 }), own],
    40,
  );
  assert.ok(!page.includes('<b>"&'));
  assert.ok(page.includes("&lt;b&gt;&quot;&amp; | x"));
  for (const tag of ["svg", "div", "figure"]) {
    const [opened, closed] = [`<${tag}[ >]`, `</${tag}>`].map((t) => page.split(new RegExp(t)));
    assert.equal(opened.length, closed.length, tag);
  }
  assert.ok(markdown.includes('\\<b>"& \\| x'));
  assert.doesNotMatch(markdown, /^\s*(has|and|,)|[^\\]<b>/m, "lines are not torn");
});

test("report: a sweep of twelve, with two widths in training", { timeout }, async () => {
  const runs = [5, 10].flatMap((beam) =>
    [0.5, 1, 2, 3, 4, 5].map((xi) => {
      const run = fixtureRun({
        loss: "bear",
        seed: 0,
        users: 40,
        beam,
        variant: `bear B=${beam} xi=${xi}`,
      });
      return { ...run, recipe: { ...run.recipe, xi } };
    })
  );
  const { page, markdown } = await written(runs, 40);
  assert.match(page, /B in search/);
  assert.match(
    markdown,
    /Lines are drawn for the baseline and the 8 variants that do best in validation/,
  );
});

test("report: all losses of the project have lines; runs that were not verified are told", {
  timeout,
}, async () => {
  const runs = lossNames.map((loss) => fixtureRun({ loss, seed: 0, users: 40, beams: [10] }));
  const { page, markdown } = await written([
    { ...runs[0], verification: undefined },
    ...runs.slice(1),
  ], 40);
  assert.equal(lossNames.length, 9);
  assert.doesNotMatch(markdown, /Lines are drawn/);
  assert.match(markdown, /on the first users of 8 of 9 runs, /);
  const [, weights] = page.split("<h3>Weight of a token's gradient</h3>");
  const [svg] = weights.split("</svg>");
  for (const loss of lossNames) assert.ok(svg.includes(`>${loss}<`), loss);
  assert.match(
    page,
    /right of 0 it would be pruned\. The scale is logarithmic/,
    "msl-ats has over 6",
  );
  const { page: few } = await written(runs.filter(({ recipe }) => recipe.loss !== "msl-ats"), 40);
  assert.doesNotMatch(few, /would be pruned\. The scale is logarithmic/);
});
