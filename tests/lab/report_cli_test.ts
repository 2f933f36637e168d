/** The report command as a user runs it: a process of its own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { UsageError } from "../../core/errors.ts";
import { parseReportOptions } from "../../lab/cli/report_options.ts";
import { fixtureBaselines, fixtureRun, writeFixture } from "./report_fixture.ts";

const inDeno = "Deno" in globalThis;
const timeout = 60_000;

/** The command goes to `sh` as its input: where Deno's `spawnSync` sees a runtime in its arguments it adds permissions. */
function report(args: string): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync("sh", [], {
    input: `"$RUNTIME" run ${inDeno ? "-R -W" : ""} lab/cli/report.ts ${args} </dev/null`,
    encoding: "utf8",
    env: { ...process.env, RUNTIME: process.execPath, NO_COLOR: "1" },
  });
  return { code: status, stdout, stderr };
}

function folder(): string {
  const runs = ["sft", "bear"].flatMap((loss) =>
    [0, 1].map((seed) => fixtureRun({ loss, seed, users: 20, beams: [10] }))
  );
  const made = writeFixture(runs.slice(0, 3), fixtureBaselines(20));
  after(() => rmSync(made, { recursive: true }));
  return made;
}

test("report.ts: writes its files beside the runs and says where", { timeout }, () => {
  const made = folder();
  const { code, stdout, stderr } = report(made);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `${join(made, "report.md")}\n${join(made, "report.html")}\n`);
  assert.match(stderr, /3 runs of bear, sft\nbear lacks seed 1\n/);
  for (const file of stdout.trim().split("\n")) assert.ok(existsSync(file));
});

test("report.ts: what it cannot do ends with one line and a code", { timeout }, () => {
  const made = folder();
  const refused = (args: string, code: number, message: RegExp): void => {
    const outcome = report(args);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.equal(outcome.stdout, "");
    assert.doesNotMatch(outcome.stderr, /^\s+at /m, "no stack trace");
    const lines = outcome.stderr.split("\n").filter((line) => line.startsWith("Cannot"));
    assert.equal(lines.length, 1, outcome.stderr);
    assert.match(lines[0], message);
  };
  refused("", 2, /it must name a folder with finished runs, got none$/);
  refused(`${made} --baseline gru`, 2, /--baseline: it must be one of bear, sft, got gru$/);
  refused(join(made, "nothing"), 1, /^Cannot read .*nothing: it and its folder must exist/);
  writeFileSync(join(made, "sft-seed0", "result.json"), "{");
  refused(made, 1, /^Cannot load .*sft-seed0.result\.json: it must be JSON/);
  assert.ok(!existsSync(join(made, "report.md")));
});

test("report.ts: arguments", () => {
  const parse = (text: string) => parseReportOptions(text.split(" ").filter((arg) => arg !== ""));
  assert.deepEqual(parse("a --out b c --baseline=msl"), {
    ...{ folders: ["a", "c"], out: "b", baseline: "msl", help: false },
  });
  assert.ok(parse("--help").help);
  for (
    const wrong of [
      "",
      "--out b",
      "a --out",
      "a --out --help",
      "a --colour",
      "a -x",
      "a --out b --out c",
    ]
  ) {
    assert.throws(() => parse(wrong), UsageError, wrong);
  }
});
