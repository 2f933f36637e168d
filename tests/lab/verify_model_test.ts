/** `verifyModel` on tiny trained runs. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ArgumentError, CheckpointError } from "../../core/errors.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import type { ExperimentReport } from "../../lab/train/experiment_report.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { lineWidth } from "../../lab/table.ts";
import { type ModelVerification, verifyModel } from "../../lab/analysis/verify_model.ts";
import { renderModelVerification } from "../../lab/analysis/verification_text.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";

const DATA = smallFolder();
const OUT = emptyFolder();
const SMALL = ["--layers", "1", "--dim", "16", "--heads", "2", "--ffn", "32", "--batch", "8"];
SMALL.push("--cost-users", "0");
const HOW = ["--loss", "sft,bear", "--epochs", "4", "--lr", "0.01", "--beam", "3", "--tau", "1.5"];
const silent = { preparing() {}, started() {}, training() {}, validating() {}, evaluating() {} };
let trained: Promise<ExperimentReport> | undefined;

/** Trains once; the folder of a loss. */
async function runOf(loss: "sft" | "bear"): Promise<string> {
  const args = ["--data", DATA, "--device", "cpu", "--out", OUT, ...SMALL, ...HOW];
  trained ??= runExperiment(parseOptions(args), silent);
  await trained;
  return join(OUT, `${loss}-seed0`);
}

/** What must be so in any verification. */
function checkParts(found: ModelVerification): void {
  const { theorems, verdicts, users, causes, survival } = found;
  assert.deepEqual(
    theorems.map((t) => t.id),
    "T1 T2 T2' T3 T4 T5 T6 T7 T8 T9 T11 T13 T13' T15".split(" "),
  );
  for (const { id, instances, holds, undecided, violations } of theorems) {
    assert.equal(instances, holds + undecided + violations, id);
  }
  const { retrievedByCount, retrievedByMass, prunedAtStep, prunedByForce } = verdicts;
  const certain = [retrievedByCount, retrievedByMass, ...prunedAtStep, prunedByForce];
  const open = [verdicts.undecidable, verdicts.undecided];
  assert.equal([...certain, ...open].reduce((sum, c) => sum + c.users, 0), users);
  for (const { users, confirmed } of certain) assert.equal(confirmed, users);
  const returned = retrievedByCount.users + retrievedByMass.users +
    open.reduce((sum, c) => sum + c.confirmed, 0);
  assert.equal(returned / users, found.retrieved);
  assert.equal(survival.at(-1), found.retrieved);
  const { ranked, widths } = found;
  assert.ok(ranked.returned <= ranked.users && ranked.users <= found.inExactTop);
  for (const proved of Object.values(ranked.proved)) assert.ok(proved <= ranked.returned);
  assert.ok(ranked.proved.T13 <= ranked.proved["T13'"]);
  assert.deepEqual(widths, widths.toSorted((a, b) => a.lists - b.lists));
  assert.ok(widths[0].lists <= found.exactLists + 1e-9);
  const pruned = Object.values(causes).reduce((a, b) => a + b, 0);
  assert.ok(pruned <= found.inExactTop);
}

test("verifyModel: a trained run violates nothing, under both normalisations", async () => {
  for (const loss of ["sft", "bear"] as const) {
    const checkpoint = await runOf(loss);
    const seen: number[] = [];
    const found = await verifyModel({
      checkpoint,
      data: DATA,
      onProgress: (done, total) => {
        assert.equal(total, 40);
        seen.push(done);
      },
    });
    checkParts(found);
    assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
    assert.equal(seen.at(-1), 40);
    assert.equal(found.violations, 0);
    assert.equal(found.users, 40);
    assert.equal(found.beam, 3);
    assert.equal(found.tau, 1.5);
    assert.equal(found.normalization, loss === "sft" ? "vocabulary" : "children");
    assert.ok(found.eps > 0 && found.eps < 1e-4, `${found.eps}`);
    for (const id of ["T1", "T2", "T3", "T5", "T7", "T8", "T11"]) {
      const theorem = found.theorems.find((t) => t.id === id);
      assert.ok(theorem !== undefined && theorem.holds > 0, id);
    }
    // The same model was judged when it was trained.
    const run = (await trained)?.runs.find((r) => r.loss === loss);
    assert.deepEqual(found.survival, run?.test.beams[0].survival);
    assert.deepEqual(found.causes, run?.test.beams[0].causes);
    assert.deepEqual(JSON.parse(JSON.stringify(found)), found);

    const text = renderModelVerification(found);
    for (const wanted of ["T11", "certified pruned by step 1 (T2)", "0 violations in", "eps = "]) {
      assert.ok(text.includes(wanted), wanted);
    }
    for (const line of text.split("\n")) assert.ok(line.length <= lineWidth(), line);
  }
});

test("verifyModel: another beam, the first users only", async () => {
  const checkpoint = await runOf("bear");
  const found = await verifyModel({ checkpoint, data: DATA, beam: 24, limitUsers: 5 });
  checkParts(found);
  assert.equal(found.users, 5);
  assert.equal(found.violations, 0);
  assert.equal(found.retrieved, 1); // the beam holds the whole catalogue
  assert.equal(found.exactLists, 1);
  assert.deepEqual(found.vacuous, [1, 1, 1]);
  const { retrievedByMass, retrievedByCount } = found.verdicts;
  assert.equal(retrievedByMass.users + retrievedByCount.users, 5);
});

test("verifyModel: what is no run of the data is refused", async () => {
  const checkpoint = await runOf("bear");
  await assert.rejects(verifyModel({ checkpoint: emptyFolder(), data: DATA }), CheckpointError);
  await assert.rejects(verifyModel({ checkpoint, data: "synthetic" }), CheckpointError);
  await assert.rejects(verifyModel({ checkpoint, data: DATA, limitUsers: 0 }), ArgumentError);
  await assert.rejects(verifyModel({ checkpoint, data: DATA, beam: 0.5 }), ArgumentError);
  writeFileSync(join(OUT, "sft-seed0", "config.json"), "{");
  const broken = { checkpoint: await runOf("sft"), data: DATA };
  await assert.rejects(verifyModel(broken), CheckpointError);
});
