/** Atomic writes, and what the system's refusals become. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { DataError } from "../../core/errors.ts";
import {
  appendLine,
  fileError,
  isPresent,
  makeFolder,
  readIfPresent,
  writeFileAtomic,
} from "../../lab/files.ts";

/** Runs a test in a folder of its own. */
function inFolder(run: (folder: string) => void): () => void {
  return () => {
    const folder = mkdtempSync(join(tmpdir(), "beargrad-"));
    try {
      run(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

function refuses(run: () => void, requirement: string): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof DataError);
    assert.ok(error.message.includes(requirement), error.message);
    return true;
  });
}

test(
  "files: a write makes or replaces a file and leaves nothing beside it",
  inFolder((folder) => {
    const path = join(folder, "a.txt");
    writeFileAtomic(path, "one");
    assert.equal(readFileSync(path, "utf8"), "one");
    writeFileAtomic(path, Uint8Array.of(0, 255, 10));
    assert.deepEqual([...readFileSync(path)], [0, 255, 10]);
    assert.deepEqual(readdirSync(folder), ["a.txt"]);
  }),
);

test(
  "files: what a killed write left beside a file is no obstacle",
  inFolder((folder) => {
    writeFileSync(join(folder, ".a.txt.tmp"), "half");
    writeFileAtomic(join(folder, "a.txt"), "whole");
    assert.deepEqual(readdirSync(folder), ["a.txt"]);
    assert.equal(readFileSync(join(folder, "a.txt"), "utf8"), "whole");
  }),
);

test(
  "files: a write that fails leaves the old file and nothing beside it",
  inFolder((folder) => {
    const path = join(folder, "a");
    mkdirSync(path);
    refuses(
      () => writeFileAtomic(path, "x"),
      `Cannot write ${path}: it must not be a folder, got E`,
    );
    assert.deepEqual(readdirSync(folder), ["a"]);
    assert.deepEqual(readdirSync(path), []);
  }),
);

test(
  "files: a failure to write the data removes the file beside",
  inFolder((folder) => {
    const path = join(folder, "a.txt");
    writeFileAtomic(path, "old");
    assert.throws(() => writeFileAtomic(path, 5 as unknown as string));
    assert.deepEqual(readdirSync(folder), ["a.txt"]);
    assert.equal(readFileSync(path, "utf8"), "old");
  }),
);

test(
  "files: lines are appended, each with its end",
  inFolder((folder) => {
    const path = join(folder, "a.jsonl");
    appendLine(path, "{}");
    appendLine(path, "[]");
    assert.equal(readFileSync(path, "utf8"), "{}\n[]\n");
  }),
);

test(
  "files: folders are made with those above, and twice is allowed",
  inFolder((folder) => {
    makeFolder(join(folder, "a", "b"));
    makeFolder(join(folder, "a", "b"));
    assert.deepEqual(readdirSync(join(folder, "a")), ["b"]);
  }),
);

test(
  "files: a missing file reads as undefined, anything else that is wrong does not",
  inFolder((folder) => {
    assert.deepEqual([isPresent(folder), isPresent(join(folder, "none"))], [true, false]);
    assert.equal(readIfPresent(join(folder, "none")), undefined);
    assert.equal(readIfPresent(join(folder, "none", "none")), undefined);
    refuses(() => readIfPresent(folder), `Cannot read ${folder}: it must not be a folder`);
    writeFileSync(join(folder, "a"), "a");
    refuses(
      () => readIfPresent(join(folder, "a", "b")),
      "its folder must not be a file, got ENOTDIR",
    );
  }),
);

test(
  "files: each refusal names the path and what it must be",
  inFolder((folder) => {
    writeFileSync(join(folder, "a"), "a");
    const below = join(folder, "a", "b");
    refuses(
      () => writeFileAtomic(below, "x"),
      `${below}: its folder must not be a file, got ENOTDIR`,
    );
    refuses(() => appendLine(below, "x"), `${below}: its folder must not be a file, got ENOTDIR`);
    refuses(() => makeFolder(below), `${below}: its folder must not be a file, got ENOTDIR`);
    const missing = join(folder, "none", "b");
    refuses(
      () => writeFileAtomic(missing, "x"),
      `${missing}: it and its folder must exist, got ENOENT`,
    );
  }),
);

test("files: a full disk, a forbidden folder and Deno's permissions are told apart", () => {
  const errorOf = (change: object): unknown =>
    fileError("write", "a", Object.assign(new Error("no"), change));
  const messages = {
    ENOSPC: "Cannot write a: its disk must have room, got ENOSPC",
    EACCES: "Cannot write a: the user must be allowed to, got EACCES",
    EMFILE: "Cannot write a: the system must allow it, got EMFILE",
  };
  for (const [code, message] of Object.entries(messages)) {
    const error = errorOf({ code });
    assert.ok(error instanceof DataError);
    assert.equal(error.message, message);
  }
  for (const name of ["NotCapable", "PermissionDenied"]) {
    const error = errorOf({ name });
    assert.ok(error instanceof DataError);
    assert.match(error.message, /^Cannot write a: .* \(run with -P or --allow-write\), got /);
  }
  const bug = new TypeError("a mistake in the program");
  assert.equal(fileError("write", "a", bug), bug);
});

const skip = process.versions.deno === undefined && "only Deno asks for permission";

test("files: without its permission Deno gives a typed error and no prompt", { skip }, () => {
  const { href } = new URL("../../lab/files.ts", import.meta.url);
  const input = `import { writeFileAtomic } from ${JSON.stringify(href)};
    try { writeFileAtomic("never.txt", "x"); } catch (error) { console.log(error.name, error.message); }`;
  const run = spawnSync(process.execPath, ["run", "--deny-write", "-"], {
    input,
    encoding: "utf8",
  });
  assert.equal(
    `${run.stdout}${run.stderr}`.trim(),
    "DataError Cannot write never.txt: Deno must be allowed to (run with -P or --allow-write), got NotCapable",
  );
});
