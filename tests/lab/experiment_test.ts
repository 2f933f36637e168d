/** Whole experiments on a tiny data set: what they write, that they resume, that devices agree. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointError, DeviceError } from "../../core/errors.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import type { Observer } from "../../lab/train/run.ts";
import type { ExperimentReport } from "../../lab/train/experiment_report.ts";
import { type MetricsLine, truncateMetrics } from "../../lab/train/run_folder.ts";
import { loadRun } from "../../lab/train/saved_run.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { renderReport, summaryOf } from "../../lab/train/experiment_report.ts";
import { testDevices } from "../devices.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";

const DATA = smallFolder();
const SMALL = ["--layers", "1", "--dim", "16", "--heads", "2", "--ffn", "32", "--batch", "8"];
SMALL.push("--threads", "1"); // no workers to start
const webgpu = testDevices.find((device) => device.name === "webgpu");

class Interrupted extends Error {}

function run(
  args: readonly string[],
  observer: Observer = {},
): Promise<ExperimentReport> {
  const costs = args.includes("--cost-users") ? [] : ["--cost-users", "0"];
  return runExperiment(
    parseOptions(["--data", DATA, "--device", "cpu", ...SMALL, ...args, ...costs]),
    observer,
  );
}

/** Stops an experiment as a crash would, in the middle of an epoch. */
function interruptAt(run: string, step: number): Observer {
  return {
    training(name, report): void {
      if (name === run && report.step >= step) throw new Interrupted();
    },
  };
}

/** The metrics of the run in a folder. */
const metricsIn = (...folder: string[]): MetricsLine[] =>
  truncateMetrics(join(...folder, "metrics.jsonl"), Infinity).curve;

const bytesOf = (folder: string, file: string): string =>
  readFileSync(join(folder, file)).toString("base64");

test("experiment: writes metrics, a checkpoint a run and a summary, and nothing else", async () => {
  const out = emptyFolder();
  const args = ["--loss", "sft,bear", "--epochs", "1", "--exclude-history", "--out", out];
  args.push("--cost-users", "40");
  const told: string[] = [];
  const preparing = (what: string, done: number, total: number): void =>
    void told.push(`${what} ${done}/${total}`);
  const report = await run(args, { preparing });
  const total = report.dataset.test.length; // each by popularity and two of co-occurrence
  assert.deepEqual(
    told,
    Array.from(
      { length: 3 * total },
      (_, i) => `judging baselines ${Math.floor((i + 1) / 3)}/${total}`,
    ),
  );
  const text = renderReport(report);
  for (const word of ["popularity", "co-occurrence", "sft", "bear", "HR@10", "step 3"]) {
    assert.ok(text.includes(word), word);
  }
  assert.ok(!text.includes("NaN") && !text.includes("undefined"));
  assert.deepEqual(report.runs.map((r) => r.normalization), ["vocabulary", "children"]);
  assert.deepEqual(report.dataset.skipped, [{ what: "users with fewer than 3 items", count: 1 }]);
  assert.deepEqual(readdirSync(out).sort(), [
    "bear-seed0",
    "sft-seed0",
    "summary.json",
  ]);
  assert.deepEqual(readdirSync(join(out, "bear-seed0")).sort(), [
    "config.json",
    "metrics.jsonl",
    "model.safetensors",
    "state.safetensors",
  ]);

  const config = JSON.parse(readFileSync(join(out, "bear-seed0", "config.json"), "utf8"));
  assert.deepEqual([config.bos_token_id, config.eos_token_id], [0, null]); // codes have no end
  const summary = JSON.parse(readFileSync(join(out, "summary.json"), "utf8"));
  assert.deepEqual(summary, JSON.parse(JSON.stringify(summaryOf(report))));
  assert.equal(summary.version, 2);
  assert.deepEqual(Object.keys(summary.data), ["name", "users", "items"]);
  assert.equal(summary.data.users, 40);
  assert.equal(summary.data.items, 24);
  assert.deepEqual(summary.runs.map((r: { loss: string }) => r.loss), ["sft", "bear"]);
  assert.deepEqual(Object.keys(summary.runs[0]), [
    "loss",
    "seed",
    "device",
    "adapter",
    "steps",
    "trainSeconds",
    "tokensPerSecond",
    "costs",
    "test",
  ]);
  const { costs, test: { users } } = summary.runs[0];
  assert.deepEqual([costs.cases, costs.widths.length], [users, users]);
  const bestFirst = costs.searches.find((s: { method: string }) => s.method === "best-first");
  assert.equal(bestFirst["HR@10"], report.runs[0].test.beams[0].exact.hr[10]);
  assert.equal(bestFirst.certified, users);
  assert.match(text, /sft, best-first +│/);
  assert.deepEqual(Object.keys(summary.runs[0].test), ["users", "absent", "beams"]);
  const { beams: [found, ...others] } = summary.runs[0].test;
  assert.deepEqual(others, []);
  assert.equal(found.beam, 10);
  assert.equal(found["HR@10"], report.runs[0].test.beams[0].hr[10]);
  assert.equal(found["exact NDCG@5"], report.runs[0].test.beams[0].exact.ndcg[5]);
  assert.deepEqual(Object.keys(found), [
    ...["HR@5", "HR@10", "NDCG@5", "NDCG@10"],
    ...["exact HR@5", "exact HR@10", "exact NDCG@5", "exact NDCG@10"],
    ...["beam", "inExactTop", "pruned", "pruningRate", "violationShare", "causes"],
    ...["vacuousShare", "survival", "certifiedShare"],
  ]);

  for (const run of summary.runs) {
    const lines = metricsIn(out, `${run.loss}-seed0`);
    assert.equal(lines[lines.length - 1].step, run.steps);
  }

  await run(["--loss", "msl", "--epochs", "1", "--out", out]); // another loss joins the summary
  const { runs } = JSON.parse(readFileSync(join(out, "summary.json"), "utf8"));
  assert.deepEqual(runs.map((r: { loss: string }) => r.loss), ["sft", "bear", "msl"]);
});

test("experiment: the loss falls, and an interrupted one resumes and ends with the same bits", async () => {
  const names = ["bear", "msl-ats", "apao-pair", "beam-exact"];
  const args = ["--loss", names.join(","), "--epochs", "2", "--dropout", "0.2", "--lr", "0.05"];
  args.push("--warmup", "2", "--negatives", "2");
  const [whole, torn, other] = [emptyFolder(), emptyFolder(), emptyFolder()];
  const report = await run([...args, "--out", whole]);
  const losses = report.runs[0].training.curve.map(({ loss }) => loss);
  assert.ok(losses[losses.length - 1] < losses[0] - 0.01, `${losses}`);

  // Stopped in an epoch of the second run, so that the first is finished and the others not begun.
  const { steps } = report.runs[1];
  const halfway = interruptAt("msl-ats-seed0", Math.ceil(steps * 0.6));
  await assert.rejects(run([...args, "--out", torn], halfway), Interrupted);
  assert.ok(existsSync(join(torn, "msl-ats-seed0", "state.safetensors")));
  const resumed = await run([...args, "--out", torn, "--resume"]);
  const tests = (r: ExperimentReport): unknown =>
    summaryOf(r).runs.map(({ loss, test }) => ({ loss, test }));
  assert.deepEqual(tests(resumed), tests(report));

  const flags = ["beta", "eta", "negatives", "searchEvery"];
  const own = [[], [], ["beta", "eta", "negatives"], ["searchEvery"]];
  for (const [i, name] of names.entries()) {
    const folder = `${name}-seed0`;
    for (const file of ["model.safetensors", "config.json"]) {
      assert.equal(bytesOf(torn, join(folder, file)), bytesOf(whole, join(folder, file)), name);
    }
    const [a, b] = [torn, whole].map((out) =>
      metricsIn(out, folder).map((l) => ({ ...l, tokensPerSecond: 0 }))
    );
    assert.deepEqual(a, b);
    const curve = resumed.runs[i].training.curve.map((l) => ({ ...l, tokensPerSecond: 0 }));
    assert.deepEqual(curve, b);
    const { recipe, tensors } = loadRun(join(whole, folder));
    assert.deepEqual(flags.filter((flag) => flag in recipe), own[i]); // those that its loss reads
    assert.equal("state" in tensors, name === "msl-ats");
  }
  await run([...args, "--loss", "bear", "--seed", "1", "--out", other].slice(2));
  assert.notEqual(
    bytesOf(other, "bear-seed1/model.safetensors"),
    bytesOf(whole, "bear-seed0/model.safetensors"),
  );
});

test("experiment: resuming says where runs go on, what starts afresh, and what was torn", async () => {
  const out = emptyFolder();
  const args = ["--loss", "msl,bear", "--epochs", "2", "--out", out];
  await assert.rejects(run(args, interruptAt("bear-seed0", 1)), Interrupted);
  const metrics = join(out, "msl-seed0", "metrics.jsonl");
  appendFileSync(metrics, '{"step": 5');
  const notes: string[] = [];
  const saved: string[] = [];
  await run([...args, "--resume"], {
    note: (text) => notes.push(text),
    saved: (run, epoch, epochs) => saved.push(`${run} ${epoch}/${epochs}`),
  });
  assert.deepEqual(notes, [
    "bear-seed0 starts afresh: it was not saved before",
    `msl-seed0 lost the end of the last line of ${metrics}, which is dropped`,
    "msl-seed0 goes on after epoch 2 of 2",
  ]);
  assert.deepEqual(saved, ["msl-seed0 2/2", "bear-seed0 1/2", "bear-seed0 2/2"]);

  writeFileSync(metrics, "");
  notes.length = 0;
  await run([...args, "--resume"], { note: (text) => notes.push(text) });
  assert.equal(notes[0], `msl-seed0 lost the lines of ${metrics} after step 0; it was saved at 10`);
});

test("experiment: a second one in the same folder is refused, and the first does not notice", async () => {
  const out = emptyFolder();
  const args = ["--loss", "msl", "--epochs", "2", "--out", out];
  let second: Promise<unknown> | undefined;
  await run(args, {
    training: () => void (second ??= run([...args, "--resume"]).catch((error) => error)),
  });
  assert.match(
    `${await second}`,
    /^DataError: Cannot write to .*: one process at a time may, got process \d+ on .* since 2/,
  );
  const steps = metricsIn(out, "msl-seed0").map(({ step }) => step);
  assert.deepEqual(steps, [5, 10]);
  assert.deepEqual(readdirSync(out).sort(), ["msl-seed0", "summary.json"]);
});

test("experiment: a summary that cannot be added to is refused before training, and kept", async () => {
  const never = { training: () => assert.fail("trained") };
  const contents: Record<string, RegExp> = {
    '{"version": 1, "runs": []}': / at "version": it must be 2, got 1/,
    "{}": / at "version": it must be present, got none/,
    '{"version": 2, "runs": [': /: it must be JSON, got .+/,
    '{"version": 2, "runs": [{"loss": "msl"}]}':
      / at "runs\.0\.seed": it must be present, got none/,
    '{"version": 2, "runs": [], "data": {"name": "other", "users": 40, "items": 24}}':
      /: its data must have the name .*, got other/,
    '{"version": 2, "runs": [{}], "runs": []}': /: it must not have a key twice, got "runs"/,
    "": /: it must be JSON, got .+/,
  };
  for (const [text, what] of Object.entries(contents)) {
    const out = emptyFolder();
    const path = join(out, "summary.json");
    writeFileSync(path, text);
    await assert.rejects(run(["--loss", "msl", "--out", out], never), {
      name: "CheckpointError",
      message: new RegExp(
        `^Cannot (load|add to) ${path}${what.source}; move it away, or name another --out$`,
      ),
    });
    assert.equal(readFileSync(path, "utf8"), text);
    assert.deepEqual(readdirSync(out), ["summary.json"]);
  }
});

test("experiment: a summary that cannot be written costs no report", async () => {
  const out = emptyFolder();
  const { runs, unwritten } = await run(["--loss", "msl,sft", "--epochs", "1", "--out", out], {
    evaluating: () => void mkdirSync(join(out, "summary.json"), { recursive: true }),
  });
  assert.deepEqual(runs.map(({ loss }) => loss), ["msl", "sft"]);
  assert.match(unwritten?.message ?? "", /^Cannot write .*summary\.json: it must not be a folder/);
});

test("experiment: refuses to overwrite runs, to resume nothing, another recipe or other data", async () => {
  const out = emptyFolder();
  const args = ["--loss", "msl", "--epochs", "1", "--out", out];
  const none = join(out, "none");
  await assert.rejects(run([...args.slice(0, -1), none, "--resume"]), {
    name: "CheckpointError",
    message: `Cannot resume from ${none}: the folder must exist, got none`,
  });
  assert.deepEqual(readdirSync(out), []);

  await run(args);
  const before = bytesOf(out, "msl-seed0/state.safetensors");
  await assert.rejects(
    run(args),
    /^CheckpointError: Cannot start in .*: it must not hold these runs/,
  );
  await assert.rejects(
    run([...args, "--resume", "--lr", "0.5"]),
    /^CheckpointError: Cannot resume .*: lr must be that of its checkpoint, 0.004, got 0.5$/,
  );
  assert.equal(bytesOf(out, "msl-seed0/state.safetensors"), before);

  const data = join(DATA, "inter.json");
  const text = readFileSync(data, "utf8");
  const users = JSON.parse(text);
  writeFileSync(data, JSON.stringify({ ...users, u0: users.u0.toReversed() }));
  try {
    const message = /^CheckpointError: .*: the data's digest must be/;
    await assert.rejects(run([...args, "--resume"]), message);
  } finally {
    writeFileSync(data, text);
  }

  writeFileSync(join(out, "msl-seed0", "state.safetensors"), "torn");
  await assert.rejects(run([...args, "--resume"]), CheckpointError);
});

test("experiment: weights that are not finite are not saved", async () => {
  const out = emptyFolder();
  const model = ["--layers", "1", "--dim", "8", "--heads", "2", "--ffn", "8", "--batch", "64"];
  const args = ["--data", DATA, "--device", "cpu", "--loss", "bear", "--epochs", "1", ...model];
  const options = parseOptions([...args, "--lr", "1e30", "--warmup", "0", "--out", out]);
  const { failed } = await runExperiment(options);
  assert.match(failed[0].reason, /^Cannot save/);
  assert.deepEqual(readdirSync(join(out, "bear-seed0")), ["metrics.jsonl"]);
});

test("experiment: a loss that is not finite fails alone, and the report says so first", async () => {
  const out = emptyFolder();
  const path = join(emptyFolder(), "broken.ts");
  const root = new URL("../../mod.ts", import.meta.url).href;
  writeFileSync(
    path,
    `import { msl, mul } from "${root}";\nexport const a = () => (z, t) => mul(NaN, msl()(z, t));\n`,
  );
  const notes: string[] = [];
  const args = ["--loss", `msl,${path},bear`, "--epochs", "1", "--out", out];
  const report = await run(args, { note: (text) => void notes.push(text) });
  const [{ name, reason }, ...others] = report.failed;
  assert.deepEqual([report.runs.map(({ loss }) => loss), others], [["msl", "bear"], []]);
  assert.match(reason, /^Cannot go on training broken at step 5: .* must be finite, got NaN/);
  assert.deepEqual(notes, [`${name} failed: ${reason}`]);
  const summary = JSON.parse(readFileSync(join(out, "summary.json"), "utf8"));
  assert.deepEqual(summary.runs.map((r: { loss: string }) => r.loss), ["msl", "bear"]);
  const text = renderReport(report, 1000);
  assert.ok(text.startsWith(`Failed: ${name}: ${reason}.\n`), text);
  assert.match(text, /\nRetrieved, [^]*│ msl [^]*│ bear /);
  assert.match(renderReport({ ...report, runs: [] }), /^Failed: broken-seed0: [^]*│ popularity /);
});

test("experiment: a checkpoint that cannot be written costs no tables of the runs before", async () => {
  const out = emptyFolder();
  const args = ["--loss", "msl,bear,sft", "--epochs", "1", "--out", out];
  const block = (name: string): Observer => ({
    training(run): void {
      if (run === name) {
        mkdirSync(join(out, name, "state.safetensors", "full"), { recursive: true });
      }
    },
  });
  const { runs, unwritten } = await run(args, block("bear-seed0"));
  assert.deepEqual(runs.map(({ loss }) => loss), ["msl"]);
  assert.match(`${unwritten}`, /^DataError: Cannot write .*bear-seed0.state\.safetensors/);
});

test("experiment: webgpu and cpu reach losses that agree", { skip: webgpu?.skip }, async () => {
  const losses = async (device: string): Promise<number[]> => {
    const seen: number[] = [];
    const args = ["--data", DATA, ...SMALL, "--loss", "bear", "--epochs", "1", "--device", device];
    args.push("--limit-users", "16", "--cost-users", "0");
    await runExperiment(parseOptions(args), {
      training: (_run, { loss }) => void seen.push(loss),
    });
    return seen;
  };
  const [onCpu, onGpu] = [await losses("cpu"), await losses("webgpu")];
  assert.equal(onCpu.length, onGpu.length);
  onCpu.forEach((loss, i) => assert.ok(Math.abs(loss - onGpu[i]) < 1e-4 * Math.abs(loss)));
});

test("experiment: DeviceError is what a missing adapter gives", async () => {
  const { webgpu: open } = await import("../../core/webgpu.ts");
  await assert.rejects(open(undefined), DeviceError);
});
