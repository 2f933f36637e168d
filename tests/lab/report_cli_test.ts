/** `deno task report` as a user runs it, and what it refuses. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { reportLine } from "../../lab/cli/report.ts";
import { runFile } from "../command.ts";
import { fixtureBaselines, fixtureRun, writeFixture } from "./report_fixture.ts";

function folder(): string {
  const runs = ["sft", "bear"].flatMap((loss) =>
    [0, 1].map((seed) => fixtureRun({ loss, seed, users: 20, beams: [10] }))
  );
  const made = writeFixture(runs.slice(0, 3), fixtureBaselines(20));
  after(() => rmSync(made, { recursive: true }));
  return made;
}

test("report: writes its files beside the runs and says where", { timeout: 60_000 }, () => {
  const made = folder();
  const { code, stdout, stderr } = runFile(`lab/cli/main.ts report ${made}`, "-R -W");
  assert.equal(code, 0, stderr);
  const files = [join(made, "report.md"), join(made, "report.html")];
  const lines = stdout.trimEnd().split("\n");
  assert.deepEqual(lines.slice(-2), files);
  assert.ok(lines.slice(0, -2).every(({ length }) => length <= 80), stdout);
  // As the report has them, over the seeds of each; the difference is over the seed that both have.
  const tables = readFileSync(files[0], "utf8");
  const cell = /(-?\.\d{4}) \[/g;
  for (const variant of ["sft", "bear"]) {
    const [row] = tables.match(new RegExp(`^\\| ${variant} +\\| +10 \\|.*`, "m")) ?? [""];
    const [, , hr, ndcg] = [...row.matchAll(cell)].map(([, value]) => value);
    assert.match(stdout, new RegExp(`^│ ${variant} +│ +[12] │ ${hr} │ +${ndcg} │`, "m"));
  }
  assert.match(stdout, /^│ bear .*│ [+−]?\.\d+ \[.*\] │$/m);
  assert.match(stderr, /3 runs of bear, sft\nbear lacks seed 1\n/);
  for (const file of files) assert.ok(existsSync(file));
});

test("report: what it cannot do is refused before anything is written", async () => {
  const made = folder();
  const refused = (folders: string[], baseline: string | undefined, message: RegExp) =>
    assert.rejects(async () => await reportLine.run({ folders, out: made, baseline }), message);
  await refused([made], "gru", /^UsageError: .*--baseline: it must be one of bear, sft, got gru$/);
  await refused(
    [join(made, "none")],
    undefined,
    /^DataError: Cannot read .*none: it must exist/,
  );
  writeFileSync(join(made, "sft-seed0", "result.json"), "{");
  await refused([made], undefined, /^DataError: Cannot load .*sft-seed0.result\.json: .*JSON/);
  assert.ok(!existsSync(join(made, "report.md")));
});
