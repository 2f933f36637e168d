/** Reading folders of runs: what is merged, what is refused, and that nothing crashes. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { DataError } from "../../core/errors.ts";
import type { RunResult } from "../../lab/compare/run_result.ts";
import { missingSeeds } from "../../lab/report/comparable.ts";
import { readResults } from "../../lab/report/read_results.ts";
import { assertRefusal, fuzzRuns, mutate, randomOf } from "../fuzz.ts";
import { fixtureBaselines, fixtureRun, writeFixture } from "./report_fixture.ts";

const USERS = 12;

function small(loss: string, seed: number): RunResult {
  return fixtureRun({ loss, seed, users: USERS, beams: [5, 10] });
}

function folderOf(runs: readonly RunResult[], baselines = true): string {
  const folder = writeFixture(runs, baselines ? fixtureBaselines(USERS) : undefined);
  after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What reading says; it must be one line of a DataError. */
function refusal(folders: readonly string[]): string {
  let found: unknown;
  try {
    readResults(folders);
  } catch (error) {
    found = error;
  }
  assert.ok(found instanceof DataError, `${(found as Error)?.stack ?? "nothing was refused"}`);
  assert.ok(!found.message.includes("\n"));
  return found.message;
}

/** A run with something changed, deep in it. */
function changed(run: RunResult, change: (copy: Record<string, never>) => void): RunResult {
  const copy = structuredClone(run);
  change(copy as unknown as Record<string, never>);
  return copy;
}

test("reading: what a comparison wrote", () => {
  const runs = [small("msl", 0), small("sft", 1), small("sft", 0)];
  const folder = folderOf(runs);
  mkdirSync(join(folder, "bear-seed0"));
  const { runs: read, baselines, unfinished } = readResults([folder]);
  assert.deepEqual(unfinished, [join(folder, "bear-seed0")]);
  assert.deepEqual(read, [runs[0], runs[2], runs[1]]);
  assert.deepEqual(baselines, fixtureBaselines(USERS));
});

test("reading: folders are merged, a run that is in two of them counts once", () => {
  const one = folderOf([small("sft", 0), small("sft", 1)], false);
  const two = folderOf([small("sft", 1), small("msl", 0)]);
  const { runs, baselines } = readResults([one, two]);
  assert.deepEqual(
    runs.map(({ variant, recipe }) => `${variant} ${recipe.seed}`),
    ["sft 0", "sft 1", "msl 0"],
  );
  assert.equal(baselines?.baselines.length, 3);
  assert.deepEqual(missingSeeds(runs), [{ variant: "msl", seeds: [1] }]);
  assert.deepEqual(missingSeeds(runs.slice(0, 2)), []);
});

test("reading: links to folders are followed, other links are skipped", () => {
  const folder = folderOf([small("sft", 0)]);
  const other = folderOf([small("msl", 0)]);
  symlinkSync(join(other, "msl-seed0"), join(folder, "msl-seed0"));
  symlinkSync(join(folder, "gone"), join(folder, "dangling"));
  symlinkSync(join(folder, "circle"), join(folder, "circle"));
  symlinkSync(join(folder, "baselines.json"), join(folder, "file"));
  const { runs, unfinished } = readResults([folder]);
  assert.deepEqual([runs.map(({ variant }) => variant), unfinished], [["msl", "sft"], []]);
});

test("reading: a run twice with different results is refused", () => {
  const other = changed(small("sft", 0), (run) => run.steps = 7 as never);
  const [one, two] = [folderOf([small("sft", 0)]), folderOf([other])];
  assert.equal(
    refusal([one, two]),
    `Cannot compare ${join(two, "sft-seed0")} and ${join(one, "sft-seed0")}: ` +
      "they must be the same results of sft of seed 0, got different ones",
  );
});

test("reading: runs of other data or another recipe are refused, the variant's own fields are not", () => {
  const base = small("sft", 0);
  const withRecipe = (fields: object): RunResult => ({
    ...small("bear", 0),
    recipe: { ...small("bear", 0).recipe, ...fields },
  });
  assert.match(
    refusal([folderOf([base, withRecipe({ digest: "other" })])]),
    /they must be of the same data, got digests "0123456789abcdef" and "other"$/,
  );
  assert.match(refusal([folderOf([base, withRecipe({ lr: 0.5 })])]), /one lr, got .*0\.5/);
  assert.match(refusal([folderOf([base, withRecipe({ model: "x" })])]), /one model, got none and/);
  assert.match(refusal([folderOf([base, withRecipe({ codes: "item" })])]), /one codes/);
  readResults([folderOf([base, withRecipe({ xi: 3, lambda: 2, tau: 2, beam: 5 })])]);
  const bear = small("bear", 1);
  const mixed = { ...bear, recipe: { ...bear.recipe, xi: 3 } };
  assert.match(
    refusal([folderOf([small("bear", 0), mixed])]),
    /runs of bear must have one xi, got 3 and 1$/,
  );
});

test("reading: runs that were judged on other users are refused", () => {
  const other = fixtureRun({ loss: "msl", seed: 0, users: USERS + 1, beams: [5, 10] });
  assert.match(refusal([folderOf([small("sft", 0), other])]), /the same users, got 12 and 13$/);
  const excluding = { ...small("msl", 0), judging: { beams: [5, 10], excludeHistory: true } };
  assert.match(refusal([folderOf([small("sft", 0), excluding])]), /must exclude the history/);
  const longer = fixtureRun({ loss: "msl", seed: 0, users: USERS, beams: [5, 10], steps: 5 });
  assert.match(refusal([folderOf([small("sft", 0), longer])]), /the same steps, got 4 and 5$/);
});

test("reading: baselines of other data are refused", () => {
  const folder = folderOf([small("sft", 0)]);
  const write = (baselines: object): void =>
    writeFileSync(join(folder, "baselines.json"), JSON.stringify(baselines));
  write({ ...fixtureBaselines(USERS), digest: "other" });
  assert.match(refusal([folder]), /baselines\.json: its digest must be that of the runs/);
  write(fixtureBaselines(USERS + 1));
  assert.match(refusal([folder]), /popularity must rank the 12 users of the runs, got 13$/);
  const twice = fixtureBaselines(USERS).baselines[0];
  write({ ...fixtureBaselines(USERS), baselines: [twice, twice] });
  assert.match(refusal([folder]), /at "baselines\.1\.name": it must occur once/);
  const of = (userOf: readonly number[]): void => write({ ...fixtureBaselines(USERS), userOf });
  of([0, 0, 1]);
  assert.match(refusal([folder]), /at "userOf": it must have 12 entries, got 3$/);
  of([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 6, 6]);
  assert.match(refusal([folder]), /at "userOf\.10": it must be at most 5, got 6$/);
  write({ ...fixtureBaselines(USERS), baselines: [], userOf: [0, 0] });
  assert.match(refusal([folder]), /userOf must name the user of the runs' 12 cases, got 2$/);
  const other = folderOf([small("sft", 1)]);
  write({ ...fixtureBaselines(USERS), baselines: [twice] });
  assert.match(refusal([other, folder]), /baselines\.json: it must say what .* says/);
});

test("reading: folders without finished runs are refused", () => {
  assert.match(refusal(["/nowhere/at/all"]), /^Cannot read \/nowhere\/at\/all: .* got ENOENT$/);
  const folder = folderOf([]);
  mkdirSync(join(folder, "sft-seed0"));
  assert.match(refusal([folder]), /it must hold finished runs, RUN\/result\.json, got none$/);
});

test("reading: messages name file, field and value", () => {
  const at = (change: (run: Record<string, never>) => void): string =>
    refusal([folderOf([changed(small("sft", 0), change)])]).replace(/^.*sft-seed0/, "");
  type Any = { test: { beams: Record<string, never>[] }; recipe: Record<string, unknown> };
  const beam = (run: unknown): Record<string, unknown> => (run as Any).test.beams[1];
  assert.equal(
    at((run) => (run as unknown as Any).recipe.beam = 0),
    '/result.json at "recipe.beam": it must be at least 1, got 0',
  );
  assert.equal(
    at((run) => (run as Record<string, unknown>).epochs = Number.MAX_SAFE_INTEGER),
    '/result.json at "epochs": it must be at most 20, got 9007199254740991',
  );
  assert.match(
    at((run) => (run as unknown as Any).recipe.epochs = Number.MAX_SAFE_INTEGER),
    /"recipe\.epochs": it must be at most 1000000, got 9007199254740991$/,
  );
  assert.match(at((run) => beam(run).ranks = [1]), /"test\.beams\.1\.ranks": .* 12 entries, got 1/);
  assert.match(
    at((run) => (beam(run).ranks as number[])[3] = 10),
    /ranks\.3": .* at most 9, got 10/,
  );
  assert.match(
    at((run) => (beam(run).lostAt as number[])[0] = 9),
    /lostAt\.0": .* at most 4, got 9/,
  );
  assert.match(
    at((run) => (beam(run).violated as number[])[2] = 99),
    /violated\.2": .* at most 12/,
  );
  assert.match(
    at((run) => beam(run).beam = 5),
    /"test\.beams\.1\.beam": it must be above 5, got 5/,
  );
  assert.match(
    at((run) => beam(run).exactLists = 13),
    /exactLists": it must be at most 12, got 13/,
  );
  assert.match(
    at((run) => (beam(run).pruned as { tie: number[] }).tie[0]++),
    /"test\.beams\.1\.pruned": it must count the \d+ targets that the search lost/,
  );
});

test("fuzz: results and baselines", { timeout: 1_800_000 }, () => {
  const folder = folderOf([small("sft", 0), small("msl", 0)]);
  const files = [join(folder, "sft-seed0", "result.json"), join(folder, "baselines.json")];
  const valid = files.map((file) => new Uint8Array(readFileSync(file)));
  const random = randomOf(11);
  const runs = fuzzRuns(300);
  let loaded = 0;
  for (let run = 0; run < runs; run++) {
    const at = run % files.length;
    writeFileSync(files[at], mutate(random, valid[at]));
    try {
      readResults([folder]);
      loaded++;
    } catch (error) {
      assertRefusal(error, folder);
    }
    writeFileSync(files[at], valid[at]);
  }
  assert.ok(loaded > 0 && loaded < runs * 0.98, `${loaded} of ${runs} loaded`);
});
