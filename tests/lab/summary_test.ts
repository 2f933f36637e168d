/**
 * Reports of several beams and of deep tries; the other tests of experiments see those of one beam.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BeamEvaluation, ListScores } from "../../lab/evaluate/evaluate.ts";
import type { ExperimentReport } from "../../lab/train/experiment_report.ts";
import type { JudgedRun, TrainHistory } from "../../lab/train/run.ts";
import { renderReport, summaryOf } from "../../lab/train/experiment_report.ts";
import { lineWidth, shownSteps } from "../../lab/table.ts";

const scores = (hr: number): ListScores => ({
  hr: { 5: hr / 2, 10: hr },
  ndcg: { 5: hr / 4, 10: hr / 3 },
  ranks: [0, -1],
});

function found(beam: number, steps: number): BeamEvaluation {
  return {
    beam,
    ...scores(beam / 100),
    exact: scores(beam / 50),
    ...{ inExactTop: 10 * beam, pruned: beam, pruningRate: 0.1, violationShare: 0.5 },
    causes: { violation: beam, displacement: 0, length: 0, tie: 0 },
    vacuousShare: Array.from({ length: steps }, (_, t) => t / steps),
    survival: Array.from({ length: steps }, (_, t) => 1 - t / 100),
    certifiedShare: 0.25,
  };
}

/** What two epochs leave of the loss. */
function curve(first: number, last: number): TrainHistory["curve"] {
  return [first, last].map((loss, epoch) => ({
    ...{ step: epoch + 1, epoch, loss, lr: 1, tokensPerSecond: 1 },
  }));
}

function reportOf(beams: readonly number[], steps: number): ExperimentReport {
  const run = (loss: "sft" | "bear"): JudgedRun => ({
    ...{ loss, normalization: "children", parameters: 5, steps: 7, tokensPerSecond: 9 },
    training: { epochs: 2, bestEpoch: 2, seconds: 3, validation: [], curve: curve(1, 0.99) },
    test: { users: 1000, absent: 2, beams: beams.map((beam) => found(beam, steps)), verdicts: [] },
    judgingSeconds: 1,
  });
  return {
    dataset: { name: "titles", items: ["a", "b"], test: [] },
    ...{
      device: "cpu",
      adapter: "none",
      options: { seed: 4, beam: 10, excludeHistory: false },
      best: undefined,
    },
    baselines: [{ name: "popularity", ...scores(0.04) }, { name: "oracle", ...scores(0.5) }],
    runs: [run("sft"), run("bear")],
    failed: [],
  } as unknown as ExperimentReport;
}

/** The cells of the rows that begin with a name. */
function cells(text: string, name: string): string[][] {
  return text.split("\n").filter((line) => line.startsWith(`│ ${name}`))
    .map((line) => line.split("│").slice(1, -1).map((cell) => cell.trim()));
}

test("report: a row for each loss and beam, a table of steps for each beam", () => {
  const text = renderReport(reportOf([5, 10, 20], 41), 120);
  assert.match(text, /^Retrieved, titles: 1000 test users, 2 items, beams 5, 10, 20, seed 4, cpu/);
  assert.match(
    text,
    /\nOf the targets among the exact B most probable, .* B = 5, 10, 20 pruned:\n/,
  );
  assert.match(text, /\n2 targets are in their user's history and were excluded\.\n/);
  assert.deepEqual(cells(text, "popularity"), [
    ["popularity", ".0200", ".0400", ".0100", ".0133", ""],
  ]);
  const rows = cells(text, "sft");
  assert.deepEqual(rows.slice(0, 3), [
    ["sft, B = 5", ".0250", "", ".0125", "", ""],
    ["sft, B = 10", ".0500", ".1000", ".0250", ".0333", ".2000"],
    ["sft, B = 20", ".1000", ".2000", ".0500", ".0667", ".4000"],
  ]);
  assert.deepEqual(rows[5], ["sft, B = 20", "200", "20", ".100", "20", "0", ".250"]);
  // One standard error is that of the widest beam.
  assert.match(text, /One standard error of a hit rate of \.2000 here is \.0126\./);
  assert.match(text, /\nSeconds of training: sft 3, bear 3\.\n/);
  assert.match(
    text,
    /\nAll lists may have items of the history; --exclude-history takes them out\.\n/,
  );

  const steps = [1, 2, 3, 5, 8, 13, 21, 34, 41];
  const heads = text.split("\n").filter((line) => line.includes("step 1 "));
  assert.equal(heads.length, 3);
  for (const head of heads) {
    assert.deepEqual([...head.matchAll(/step (\d+)/g)].map((m) => Number(m[1])), steps);
  }
  const curves = rows.slice(6);
  assert.equal(curves.length, 3);
  for (const [, ...shares] of curves) {
    const decimals = steps.map((t) => (1 - (t - 1) / 100).toFixed(3).replace(/^0/, ""));
    assert.deepEqual(shares, decimals);
  }
  for (const beam of [5, 10, 20]) {
    assert.ok(text.includes(`still in the beam, B = ${beam}. Last row:`));
    assert.equal(cells(text, `at most ${beam} children`).length, 1);
  }
});

test("report: with one beam there is no column of beams", () => {
  const text = renderReport(reportOf([10], 3), 120);
  assert.match(text, /2 items, beam 10, seed 4/);
  assert.match(text, /among the exact 10 most probable, beam search with B = 10 pruned:/);
  assert.match(text, /still in the beam\. Last row:/);
  assert.deepEqual(cells(text, "sft")[0], [
    ...["sft", ".0500", ".1000", ".0250", ".0333", ".2000"],
  ]);
});

test("report: rare causes have columns where there are any", () => {
  const report = reportOf([10], 3);
  const [sft, bear] = report.runs;
  const head = (runs: ExperimentReport["runs"]): string =>
    renderReport({ ...report, runs }, 120).split("\n").find((line) => line.includes("pruned │")) ??
      "";
  assert.match(head([sft, bear]), /violation │ displacement │ exact │$/);
  const beams = sft.test.beams.map((one) => ({ ...one, causes: { ...one.causes, tie: 1 } }));
  const tied = { ...sft, test: { ...sft.test, beams } };
  assert.match(head([bear, tied]), /violation │ displacement │ tie │ exact │$/);
});

test("report: no rate of few targets, and the error of the best hit rate of all losses", () => {
  const report = reportOf([10], 3);
  const [sft, bear] = report.runs;
  const none = { inExactTop: 29, pruned: 0, pruningRate: 0, ...scores(0) };
  const beams = sft.test.beams.map((one) => ({ ...one, ...none }));
  const text = renderReport({
    ...report,
    runs: [{ ...sft, test: { ...sft.test, beams } }, bear],
  });
  assert.deepEqual(cells(text, "sft")[1].slice(0, 4), ["sft", "29", "0", "-"]);
  assert.match(text, /One standard error of a hit rate of \.1000 here is \.0095\./);
});

test("report: the steps that are shown", () => {
  assert.deepEqual(shownSteps(8), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(shownSteps(9), [1, 2, 3, 5, 8, 9]);
  assert.deepEqual(shownSteps(34), [1, 2, 3, 5, 8, 13, 21, 34]);
  assert.deepEqual(shownSteps(163), [1, 2, 3, 5, 8, 13, 21, 34, 163]);
});

test("report: what cannot be read comes first, and nothing where all can be", () => {
  const report = reportOf([10], 3);
  const [sft, bear] = report.runs;
  const warnings = (change: Partial<ExperimentReport>): string[] =>
    renderReport({ ...report, ...change }, 200).split("\n\nRetrieved")[0].split("\n");
  assert.match(renderReport(report), /^Retrieved/);
  assert.deepEqual(
    warnings({
      baselines: [
        { name: "popularity", ...scores(0.04), ndcg: { 5: 0, 10: 0.05 } },
        { name: "co-occurrence, with validation", ...scores(0.2) },
        { name: "oracle", ...scores(0.5) },
      ],
    }),
    ["popularity", "co-occurrence (with validation)"].map((name) =>
      `Warning: sft and bear are below ${name}, which needs no training, in HR@10 or NDCG@10.`
    ),
  );
  const ranked = (rank: number): object => ({ ...scores(0), ranks: new Array(1000).fill(rank) });
  const narrow = sft.test.beams.map((one) => ({ ...one, beam: 2, ...ranked(1) }));
  const runs = [{ ...sft, test: { ...sft.test, beams: narrow } }] as unknown as typeof report.runs;
  const popularity = (rank: number) => [{ name: "popularity", ...ranked(rank) }];
  const beside = (rank: number): string[] =>
    warnings({ runs, baselines: popularity(rank) as unknown as typeof report.baselines });
  assert.match(beside(0)[0], /^Warning: sft is below popularity/);
  assert.match(beside(2)[0], /^Retrieved/, "lists of 2 are compared with lists of 2");
  const cooccurrences = (all: number, training: number): Partial<ExperimentReport> => ({
    baselines: [
      { name: "co-occurrence, with validation", ...scores(all) },
      { name: "co-occurrence, training only", ...scores(training) },
    ],
  });
  assert.match(warnings(cooccurrences(0.2, 0.04))[0], /^Retrieved/);
  assert.deepEqual(warnings(cooccurrences(0.2, 0.2)), [
    "Warning: sft and bear are below co-occurrence (training only), which needs no training, in HR@10 or NDCG@10.",
  ]);
  const changed = (training: Partial<TrainHistory>): string[] =>
    warnings({ runs: [{ ...sft, training: { ...sft.training, ...training } }, bear] });
  const improving = ["Warning: sft is still improving in the last epoch: train longer."];
  const validated = (last: number, ...ndcgs: readonly number[]): string[] =>
    changed({
      ...{ curve: curve(1, last), epochs: Math.max(2, ndcgs.length) },
      bestEpoch: ndcgs.indexOf(Math.max(...ndcgs)) + 1,
      validation: ndcgs.map((ndcg, i) => ({ epoch: i + 1, hr: 0, ndcg, seconds: 0 })),
    });
  assert.deepEqual(validated(0.97), improving);
  assert.match(validated(0.981)[0], /^Retrieved/);
  assert.deepEqual(validated(0.999, 0.1, 0.104), improving);
  assert.deepEqual(validated(0.999, 0.1, 0.105, 0.104), improving);
  assert.match(validated(0.9, 0.1, 0.102)[0], /^Retrieved/);
  assert.match(validated(0.9, 0.2, 0.1, 0.1, 0.11)[0], /^Retrieved/); // the first epoch is the best
  const unknown = [
    "Warning: nobody can tell whether sft was still improving: its training curve is missing.",
  ];
  assert.deepEqual(changed({ curve: [] }), unknown);
  assert.deepEqual(validated(NaN), unknown);
  assert.deepEqual(validated(0.9, 0.1, NaN), unknown);
  const few = sft.test.beams.map((one) => ({ ...one, inExactTop: 29, pruned: 3 }));
  assert.deepEqual(warnings({ runs: [{ ...sft, test: { ...sft.test, beams: few } }, bear] }), [
    "Warning: fewer than 30 targets are in the exact top B of sft, too few for a pruning rate.",
  ]);
  const ofUsers = (users: number): ExperimentReport["runs"] =>
    report.runs.map((run) => ({ ...run, test: { ...run.test, users } }));
  assert.deepEqual(warnings({ runs: ofUsers(290) }), [
    "Warning: no model has 30 targets in its first 10 items, too few to compare models.",
  ]);
  assert.match(warnings({ runs: ofUsers(300) })[0], /^Retrieved/);
});

test("report: no line is wider than 80 where there is no terminal", () => {
  for (const beams of [[10], [5, 10, 20]]) {
    const lines = renderReport(reportOf(beams, 41), 80).split("\n");
    for (const line of lines) assert.ok(line.length <= 80, line);
  }
  assert.equal(renderReport(reportOf([10], 3)), renderReport(reportOf([10], 3), lineWidth()));
});

test("summary: everything that is known of each beam", () => {
  const { version, runs } = summaryOf(reportOf([5, 20], 2));
  assert.equal(version, 2);
  const [, wide] = runs[0].test.beams;
  const { hr: _, ndcg: __, ranks: ___, exact: ____, ...rest } = found(20, 2);
  assert.deepEqual(wide, {
    ...{ "HR@5": 0.1, "HR@10": 0.2, "NDCG@5": 0.05, "NDCG@10": 0.2 / 3 },
    ...{ "exact HR@5": 0.2, "exact HR@10": 0.4, "exact NDCG@5": 0.1, "exact NDCG@10": 0.4 / 3 },
    ...rest,
  });
});
