/** Reading folders of runs: what is merged, what is refused, and that nothing crashes. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { DataError } from "../../core/errors.ts";
import type { BeamOutcome, RunResult } from "../../lab/compare/run_result.ts";
import { missingSeeds, namedBySettings } from "../../lab/report/comparable.ts";
import { readResults } from "../../lab/report/read_results.ts";
import { assertRefusal, fuzzRuns, mutate, randomOf } from "../fuzz.ts";
import { fixtureBaselines, fixtureCosts, fixtureRun, writeFixture } from "./report_fixture.ts";

const USERS = 12;

function small(loss: string, seed: number): RunResult {
  return fixtureRun({ loss, seed, users: USERS, beams: [5, 10] });
}

function folderOf(runs: readonly RunResult[], baselines = true): string {
  const folder = writeFixture(runs, baselines ? fixtureBaselines(USERS) : undefined);
  after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** The message of a refusal, which must be one line of a DataError. */
function refusal(...folders: readonly string[]): string {
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

/** Everything of a type can be written. */
type Writable<T> = { -readonly [K in keyof T]: Writable<T[K]> };

/** A run with something changed, deep in it. */
function changed(run: RunResult, change: (copy: Writable<RunResult>) => void): RunResult {
  const copy = structuredClone(run) as Writable<RunResult>;
  change(copy);
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

test("reading: folders are merged, and a run that is in two of them counts once", () => {
  const one = folderOf([small("sft", 0), small("sft", 1)], false);
  const two = folderOf([small("sft", 1), small("msl", 0)]);
  const { runs, baselines } = readResults([one, two]);
  const names = runs.map(({ variant, recipe }) => `${variant} ${recipe.seed}`);
  assert.deepEqual(names, ["sft 0", "sft 1", "msl 0"]);
  assert.equal(baselines?.baselines.length, 3);
  assert.deepEqual(missingSeeds(runs), [{ variant: "msl", seeds: [1] }]);
  assert.deepEqual(missingSeeds(runs.slice(0, 2)), []);
});

test("reading: a part without finished runs is named, and the others are read", () => {
  const [begun, empty] = [folderOf([], false), folderOf([])];
  mkdirSync(join(begun, "sft-seed1"));
  const { runs, unfinished } = readResults([folderOf([small("sft", 0)]), begun, empty]);
  assert.equal(runs.length, 1);
  assert.deepEqual(unfinished, [empty, join(begun, "sft-seed1")]);
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

test("reading: folders without finished runs, and a run with two results, are refused", () => {
  assert.match(refusal("/nowhere/at/all"), /^Cannot read \/nowhere\/at\/all: .* got ENOENT$/);
  const folder = folderOf([]);
  mkdirSync(join(folder, "sft-seed0"));
  assert.match(refusal(folder), /there must be finished runs, RUN\/result\.json, got none$/);
  const other = changed(small("sft", 0), (run) => run.steps = 7);
  const [one, two] = [folderOf([small("sft", 0)]), folderOf([other])];
  assert.equal(
    refusal(one, two),
    `Cannot compare ${join(two, "sft-seed0")} and ${join(one, "sft-seed0")}: ` +
      "they must be the same results of sft of seed 0, got different ones",
  );
});

test("reading: runs that cannot be compared are refused", () => {
  const withRecipe = (fields: object): RunResult =>
    changed(small("bear", 0), ({ recipe }) => Object.assign(recipe, fields));
  const fixture = (options: object) =>
    fixtureRun({ loss: "msl", seed: 0, users: USERS, beams: [5, 10], ...options });
  const refused: readonly (readonly [RunResult, RegExp])[] = [
    [
      withRecipe({ digest: "x" }),
      /of the same data and codes, got digests "0123456789abcdef" and "x"$/,
    ],
    [withRecipe({ device: "webgpu" }), /one device, got "cpu" and "webgpu"$/],
    [withRecipe({ stopping: { patience: 3 } }), /one stopping, got none and .*patience/],
    [fixture({ users: USERS + 1 }), /judged on the same users, got 12 and 13$/],
    [fixture({ steps: 5 }), /the same steps, got 4 and 5$/],
    [
      changed(small("msl", 0), ({ judging }) => judging.excludeHistory = true),
      /both or none must exclude the history when judged, got /,
    ],
  ];
  for (const [run, message] of refused) {
    assert.match(refusal(folderOf([small("sft", 0), run])), message);
  }
  const edited = (digest: string, seed: number): RunResult =>
    changed(small("mine", seed), ({ recipe }) => {
      Object.assign(recipe, { lossModule: { digest, normalization: "children" } });
    });
  const folder = folderOf([edited("a", 0), edited("b", 1)]);
  assert.match(refusal(folder), /runs of mine must have one lossModule, got .*"b".* and .*"a"/);
});

test("reading: variants name the settings in which their runs differ", () => {
  const namesOf = (...runs: readonly [loss: string, seed: number, recipe: object][]): string[] =>
    readResults(
      runs.map(([loss, seed, fields]) =>
        folderOf([changed(small(loss, seed), ({ recipe }) => Object.assign(recipe, fields))])
      ),
    ).runs.map(({ variant }) => variant);
  assert.deepEqual(
    namesOf(["sft", 0, {}], ["bear", 0, { xi: 3, lambda: 2, tau: 2, beam: 5 }]),
    ["sft", "bear"],
    "losses have their own settings",
  );
  assert.deepEqual(
    namesOf(["msl", 0, { dropout: 0.2 }], ["bear", 0, { dropout: 0.3 }]),
    ["msl dropout=0.2", "bear dropout=0.3"],
  );
  assert.deepEqual(
    namesOf(["msl", 0, {}], ["bear", 0, {}], ["bear", 1, { xi: 3, beam: 5 }]),
    ["msl", "bear B=10 xi=1", "bear B=5 xi=3"],
  );
  const lora = { targets: ["q", "v"], rank: 8, alpha: 16, dropout: 0 };
  assert.deepEqual(
    namesOf(["msl", 0, {}], ["msl", 0, { model: "read" }], ["msl", 0, { model: "read", lora }]),
    ["msl", "msl model=read", "msl model=read lora=q,v"],
  );
  assert.deepEqual(
    namesOf(["msl", 0, { model: "/runs/read/msl-seed0" }], ["msl", 0, {}]),
    ["msl model=msl-seed0", "msl"],
  );
  assert.deepEqual(
    namesOf(["msl", 0, { model: "/runs/read/x" }], ["msl", 0, { model: "/runs/other/x" }]),
    ["msl model=read/x", "msl model=other/x"],
    "names of models have what tells them apart",
  );
});

/** A run with other codes, of which it has more. */
function coded(codes: string, loss: string, seed: number, sequences?: string): RunResult {
  const options = { variant: loss, loss, seed, users: USERS, beams: [5, 10], steps: 3 };
  return changed(fixtureRun(options), ({ recipe, data }) => {
    Object.assign(recipe, { digest: codes, reading: { codes } });
    if (sequences !== undefined) data.sequences = sequences;
  });
}

/** A run with the data's codes. */
function own(loss: string, seed: number, sequences?: string): RunResult {
  return changed(small(loss, seed), ({ data }) => {
    if (sequences !== undefined) data.sequences = sequences;
  });
}

test("reading: runs with other codes of the same users and targets are compared", () => {
  const item = writeFixture([coded("item", "msl", 0, "same")], {
    ...fixtureBaselines(USERS),
    digest: "item",
  });
  after(() => rmSync(item, { recursive: true }));
  const plain = folderOf([own("msl", 0, "same"), own("sft", 0, "same")]);
  const { runs, baselines } = readResults([plain, item]);
  assert.deepEqual(runs.map(({ variant }) => variant), ["msl", "sft", "msl codes=item"]);
  assert.equal(baselines?.baselines.length, 3);
  assert.deepEqual(namedBySettings(runs), runs, "named once");
  assert.deepEqual(readResults([item]).runs.map(({ variant }) => variant), ["msl"]);

  const parent = folderOf([], false);
  for (const [name, folder] of [["own", plain], ["item", item]]) {
    symlinkSync(folder, join(parent, name));
  }
  const { runs: below, unfinished } = readResults([parent]);
  assert.deepEqual(unfinished, []);
  const names = below.map(({ variant }) => variant).sort();
  assert.deepEqual(names, ["msl", "msl codes=item", "sft"]);
});

test("reading: a run that reads one position an item is compared with one that reads tokens", () => {
  const plain = own("msl", 0, "same");
  const reading = { ...plain.recipe.reading, input: "items" } as const;
  const items = { ...plain, recipe: { ...plain.recipe, reading, digest: "items" } };
  const { runs } = readResults([folderOf([plain]), folderOf([items], false)]);
  assert.deepEqual(runs.map(({ variant }) => variant), ["msl", "msl input=items"]);
});

test("reading: runs with other codes are refused if they may have other users or targets", () => {
  const refused: readonly (readonly [RunResult, RunResult, RegExp])[] = [
    [
      own("msl", 0, "a"),
      coded("item", "msl", 0, "b"),
      /must be of the same users and targets, got digests "b" and "a"$/,
    ],
    [
      own("msl", 0),
      coded("item", "msl", 0, "a"),
      /runs with different codes must have a digest of their users and targets, got none in .*msl/,
    ],
    [
      own("msl", 0, "a"),
      coded("item", "msl", 0),
      /remove the result\.json of such runs and repeat their commands, which judge the models/,
    ],
    [
      own("msl", 0, "a"),
      changed(coded("item", "msl", 0, "a"), ({ recipe }) => {
        Object.assign(recipe, { device: "webgpu" });
      }),
      /they must have one device, got/,
    ],
    [
      own("msl", 0, "a"),
      changed(coded("item", "msl", 0, "a"), ({ recipe }) => {
        Object.assign(recipe, { reading: { codes: "item", limitUsers: 5 } });
      }),
      /they must have one reading, got \{"limitUsers":5\} and \{\}$/,
    ],
  ];
  for (const [a, b, message] of refused) {
    assert.match(refusal(folderOf([a], false), folderOf([b], false)), message);
  }
  const two = folderOf([coded("item", "msl", 0, "a")], false);
  const file = join(two, "baselines.json");
  writeFileSync(file, JSON.stringify({ ...fixtureBaselines(USERS), digest: "other" }));
  const other = `${file}: its digest must be that of the runs, 0123456789abcdef or item, got other`;
  assert.equal(refusal(folderOf([own("msl", 0, "a")], false), two), `Cannot use ${other}`);
});

test("reading: baselines that do not fit are refused", () => {
  const folder = folderOf([small("sft", 0)]);
  const valid = fixtureBaselines(USERS);
  const [first] = valid.baselines;
  const userOf = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 6, 6];
  const write = (baselines: object): void =>
    writeFileSync(join(folder, "baselines.json"), JSON.stringify(baselines));
  const refused: readonly (readonly [object, RegExp])[] = [
    [{ ...valid, digest: "other" }, /baselines\.json: its digest must be that of the runs/],
    [fixtureBaselines(USERS + 1), /popularity must rank the 12 users of the runs, got 13$/],
    [{ ...valid, baselines: [first, first] }, /at "baselines\.1\.name": it must occur once/],
    [{ ...valid, userOf: [0, 0, 1] }, /at "userOf": it must have 12 entries, got 3$/],
    [{ ...valid, userOf }, /at "userOf\.10": it must be at most 5, got 6$/],
    [{ ...valid, baselines: [], userOf: [0, 0] }, /userOf must name the user .* 12 cases, got 2$/],
    [
      { ...valid, baselines: [first, { ...first, name: "x", ranks: [0] }] },
      /at "baselines\.1\.ranks": it must have 12 entries, got 1$/,
    ],
  ];
  for (const [baselines, message] of refused) {
    write(baselines);
    assert.match(refusal(folder), message);
  }
  const other = folderOf([small("sft", 1)]);
  write({ ...valid, baselines: [first] });
  const twice = `Cannot use ${join(folder, "baselines.json")}: it must be the same as ` +
    `${join(other, "baselines.json")}, got other rankings`;
  assert.equal(refusal(other, folder), twice);
});

test("reading: messages name file, field and value", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const beam = (change: (outcome: Writable<BeamOutcome>) => void) => (run: Writable<RunResult>) =>
    change(run.test.beams[1]);
  type Change = (run: Writable<RunResult>) => void;
  const refused: readonly (readonly [Change, string | RegExp])[] = [
    [({ recipe }) => recipe.beam = 0, '"recipe.beam": it must be at least 1, got 0'],
    [(run) => run.epochs = most, `"epochs": it must be at most 20, got ${most}`],
    [(run) => run.bestEpoch = 19, /^"bestEpoch": it must be at most 1\d, got 19$/],
    [
      ({ recipe }) => recipe.epochs = most,
      `"recipe.epochs": it must be at most 1000000, got ${most}`,
    ],
    [({ test }) => test.absent = 13, '"test.absent": it must be at most 12, got 13'],
    [({ costs }) => costs?.widths.pop(), '"costs.widths": it must have 10 entries, got 9'],
    [
      ({ costs }) => costs?.searches[1].ranks.pop(),
      '"costs.searches.1.ranks": it must have 10 entries, got 9',
    ],
    [beam((b) => b.beam = 5), '"test.beams.1.beam": it must be above 5, got 5'],
    [beam((b) => b.ranks = [1]), '"test.beams.1.ranks": it must have 12 entries, got 1'],
    [beam((b) => b.ranks[3] = 10), '"test.beams.1.ranks.3": it must be at most 9, got 10'],
    [
      beam((b) => b.exactRanks[0] = 10),
      '"test.beams.1.exactRanks.0": it must be at most 9, got 10',
    ],
    [beam((b) => b.lostAt[0] = 9), '"test.beams.1.lostAt.0": it must be at most 4, got 9'],
    [beam((b) => b.reached[1] = 13), '"test.beams.1.reached.1": it must be at most 12, got 13'],
    [beam((b) => b.violated[2] = 99), '"test.beams.1.violated.2": it must be at most 12, got 99'],
    [beam((b) => b.vacuous[2] = 99), '"test.beams.1.vacuous.2": it must be at most 12, got 99'],
    [
      beam(({ margins }) => margins.after.pop()),
      '"test.beams.1.margins.after": it must have 4 entries, got 3',
    ],
    [
      beam(({ margins }) => margins.after[0].pop()),
      '"test.beams.1.margins.after.0": it must have 48 entries, got 47',
    ],
    [
      beam(({ pruned }) => pruned.tie.push(0)),
      '"test.beams.1.pruned.tie": it must have 4 entries, got 5',
    ],
    [
      beam(({ pruned }) => pruned.tie[0]++),
      /^"test\.beams\.1\.pruned": it must count the \d+ targets that the search lost, got \d+$/,
    ],
    [
      beam(({ certificates }) => certificates.pruned += 12),
      /^"test\.beams\.1\.certificates": they must be of 12 users, got \d+$/,
    ],
    [beam((b) => b.exactLists = 13), '"test.beams.1.exactLists": it must be at most 12, got 13'],
  ];
  for (const [change, message] of refused) {
    const run = { ...small("sft", 0), costs: fixtureCosts() };
    const found = refusal(folderOf([changed(run, change)]));
    assert.match(found, /^Cannot load .*sft-seed0.result\.json at "/);
    const said = found.replace(/^.*result\.json at /, "");
    if (typeof message === "string") assert.equal(said, message);
    else assert.match(said, message);
  }
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
