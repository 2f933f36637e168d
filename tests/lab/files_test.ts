/** Atomic writes, and what the system's refusals become. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { DataError } from "../../core/errors.ts";
import {
  appendLine,
  AtomicFile,
  fileError,
  isPresent,
  makeFolder,
  openFile,
  readIfPresent,
  writeFileAtomic,
  writeNewFile,
} from "../../lab/files.ts";
import { FolderLock } from "../../lab/train/folder_lock.ts";
import { withFolder } from "./with_folder.ts";
import { stdinArgs } from "../command.ts";

const posix = process.platform === "win32" && "Windows has none of it";

/** A test in a folder of its own. */
function inFolder(name: string, run: (folder: string) => void, skip: false | string = false): void {
  test(`files: ${name}`, { skip }, () => withFolder({}, run));
}

function refuses(run: () => void, requirement: string): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof DataError);
    assert.ok(error.message.includes(requirement), error.message);
    return true;
  });
}

inFolder("a write makes or replaces a file and leaves nothing beside it", (folder) => {
  const path = join(folder, "a.txt");
  writeFileAtomic(path, "one");
  assert.equal(readFileSync(path, "utf8"), "one");
  writeFileAtomic(path, Uint8Array.of(0, 255, 10));
  assert.deepEqual([...readFileSync(path)], [0, 255, 10]);
  assert.deepEqual(readdirSync(folder), ["a.txt"]);
});

inFolder(
  "a file in pieces is there whole, or not at all, and leaves nothing beside it",
  (folder) => {
    const path = join(folder, "a.txt");
    {
      using file = new AtomicFile(path);
      file.write("one\n");
      file.write("téo\n".repeat(50_000));
      assert.ok(!isPresent(path));
      file.commit();
    }
    assert.equal(readFileSync(path, "utf8"), `one\n${"téo\n".repeat(50_000)}`);
    {
      using file = new AtomicFile(path);
      file.write("two");
    }
    assert.equal(readFileSync(path, "utf8").slice(0, 3), "one");
    assert.deepEqual(readdirSync(folder), ["a.txt"]);
    refuses(() => new AtomicFile(join(folder, "none", "a.txt")), "its folder must exist");
    refuses(() => new AtomicFile(folder), "it must not be a folder");
  },
);

inFolder(
  "what others left beside a file, a link among it, is no obstacle and stays as it is",
  (folder) => {
    const path = join(folder, "a.txt");
    writeFileSync(join(folder, "other"), "other");
    symlinkSync("other", join(folder, ".a.txt.tmp"));
    writeFileAtomic(path, "whole");
    assert.equal(readFileSync(path, "utf8"), "whole");
    assert.equal(readFileSync(join(folder, "other"), "utf8"), "other");
    symlinkSync("nowhere", join(folder, "new"));
    assert.throws(() => writeNewFile(join(folder, "new"), "x"), { code: "EEXIST" });
    assert.deepEqual(readdirSync(folder).sort(), [".a.txt.tmp", "a.txt", "new", "other"]);
  },
);

inFolder("new files have the rights that the user's mask leaves", (folder) => {
  const before = process.umask(0o077);
  try {
    appendLine(join(folder, "a"), "x");
    writeFileAtomic(join(folder, "b"), "x");
  } finally {
    process.umask(before);
  }
  for (const file of ["a", "b"]) {
    assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file);
  }
}, posix);

inFolder("a named pipe or a device is refused, not waited for", (folder) => {
  const pipe = join(folder, "pipe");
  assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
  for (const read of [readIfPresent, openFile]) {
    refuses(() => read(pipe), `${pipe}: it must be a regular file, got a named pipe`);
    refuses(() => read("/dev/zero"), "/dev/zero: it must be a regular file, got a device");
  }
}, posix);

inFolder("what cannot be reached is not called missing", (folder) => {
  symlinkSync("loop", join(folder, "loop"));
  const below = join(folder, "loop", "a");
  refuses(() => isPresent(below), `Cannot read ${below}: its links must lead to`);
});

inFolder("a write that fails leaves the old file and nothing beside it", (folder) => {
  const path = join(folder, "a");
  mkdirSync(path);
  refuses(
    () => writeFileAtomic(path, "x"),
    `Cannot write ${path}: it must not be a folder, got E`,
  );
  assert.deepEqual(readdirSync(folder), ["a"]);
  assert.deepEqual(readdirSync(path), []);
});

inFolder("a failure to write the data removes the file beside", (folder) => {
  const path = join(folder, "a.txt");
  writeFileAtomic(path, "old");
  assert.throws(() => writeFileAtomic(path, 5 as unknown as string));
  assert.deepEqual(readdirSync(folder), ["a.txt"]);
  assert.equal(readFileSync(path, "utf8"), "old");
});

inFolder("lines are appended, each with its end", (folder) => {
  const path = join(folder, "a.jsonl");
  appendLine(path, "{}");
  appendLine(path, "[]");
  assert.equal(readFileSync(path, "utf8"), "{}\n[]\n");
});

inFolder("folders are made with those above, and twice is allowed", (folder) => {
  makeFolder(join(folder, "a", "b"));
  makeFolder(join(folder, "a", "b"));
  assert.deepEqual(readdirSync(join(folder, "a")), ["b"]);
});

inFolder("a missing file reads as undefined, anything else that is wrong does not", (folder) => {
  assert.deepEqual([isPresent(folder), isPresent(join(folder, "none"))], [true, false]);
  assert.equal(readIfPresent(join(folder, "none")), undefined);
  assert.equal(readIfPresent(join(folder, "none", "none")), undefined);
  refuses(() => readIfPresent(folder), `Cannot read ${folder}: it must not be a folder`);
  writeFileSync(join(folder, "a"), "a");
  refuses(
    () => readIfPresent(join(folder, "a", "b")),
    "its folder must not be a file, got ENOTDIR",
  );
});

inFolder("each refusal names the path and what it must be", (folder) => {
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
    `${missing}: its folder must exist, got ENOENT`,
  );
});

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
  // As Deno throws the less common ones.
  const numbers = {
    116: "Cannot write a: its network file system must still have it, got ESTALE",
    37: "Cannot write a: its file system must have locks to give, got ENOLCK",
    122: "Cannot write a: the user's quota must have room, got EDQUOT",
    9999: "Cannot write a: the system must allow it, got error 9999",
  };
  for (const [number, message] of Object.entries(numbers)) {
    const error = errorOf({ message: `Said in words (os error ${number})` });
    assert.ok(error instanceof DataError, number);
    if (process.platform === "linux") assert.equal(error.message, message);
  }
  for (const name of ["NotCapable", "PermissionDenied"]) {
    const error = errorOf({ name });
    assert.ok(error instanceof DataError);
    assert.match(
      error.message,
      /^Cannot write a: .* \(run with --allow-write, or as deno task\), got /,
    );
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
    "DataError Cannot write never.txt: Deno must be allowed to (run with --allow-write, or as deno task), got NotCapable",
  );
});

inFolder("a folder has one lock at a time, of a process that runs", (folder) => {
  const path = join(folder, ".lock");
  const isHeld = (who: string): void => {
    const before = readFileSync(path, "utf8");
    refuses(
      () => new FolderLock(folder),
      `Cannot write to ${folder}: one process at a time may, got ${who}`,
    );
    refuses(() => new FolderLock(folder), `if that is no longer running, remove ${path}`);
    assert.equal(readFileSync(path, "utf8"), before);
  };
  {
    using _lock = new FolderLock(folder);
    isHeld(`process ${process.pid} on ${hostname()} since 2`);
  }
  assert.deepEqual(readdirSync(folder), []);
  const gone = spawnSync(process.execPath, ["--version"]).pid;
  const since = "2026-01-02T03:04:05.678Z";
  const leave = (change: object): void => {
    const holder = { pid: gone, host: hostname(), since, locked: false, ...change };
    writeFileSync(path, JSON.stringify(holder));
  };
  for (const change of [{}, { pid: process.pid }, { locked: true }]) {
    leave(change);
    using _lock = new FolderLock(folder);
    assert.equal(JSON.parse(readFileSync(path, "utf8")).pid, process.pid);
  }
  assert.deepEqual(readdirSync(folder), []);
  leave({ host: "elsewhere" });
  isHeld(`process ${gone} on elsewhere since ${since}`);
  leave({ pid: process.ppid });
  isHeld(`process ${process.ppid} on`);
  writeFileSync(path, "");
  isHeld("another");
});

test("files: under Deno's permissions a lock ends with its process, killed or not", {
  skip,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "beargrad-"));
  const { href } = new URL("../../lab/train/folder_lock.ts", import.meta.url);
  const input = `import { FolderLock } from ${JSON.stringify(href)};
    new FolderLock(${JSON.stringify(folder)});
    console.log("locked");
    setInterval(() => {}, 1000);`;
  const start = (): ReturnType<typeof spawn> => {
    const args = ["run", "--no-prompt", "--allow-read", "--allow-write", "--ext=ts", "-"];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
    child.stdin?.end(input);
    return child;
  };
  const first = start();
  await once(first.stdout!, "data");
  const second = start();
  const [[code]] = await Promise.all([once(second, "exit")]);
  assert.equal(code, 1);
  assert.equal(JSON.parse(readFileSync(join(folder, ".lock"), "utf8")).pid, first.pid);
  first.kill("SIGKILL");
  await once(first, "exit");
  const third = start();
  await once(third.stdout!, "data");
  assert.equal(JSON.parse(readFileSync(join(folder, ".lock"), "utf8")).pid, third.pid);
  third.kill("SIGKILL");
  await once(third, "exit");
  rmSync(folder, { recursive: true });
});

inFolder("a lock that is a link to nowhere is refused, not waited for", (folder) => {
  symlinkSync("nowhere", join(folder, ".lock"));
  refuses(() => new FolderLock(folder), `remove ${join(folder, ".lock")}`);
}, posix);

test("files: of processes that contend for a lock, some of them killed, one at a time has it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "beargrad-"));
  const { href } = new URL("../../lab/train/folder_lock.ts", import.meta.url);
  const holder = { pid: spawnSync(process.execPath, ["--version"]).pid, host: hostname() };
  const stale = JSON.stringify({ ...holder, since: "then", locked: !skip });
  // Every third time a lock is left behind, as by a process that was killed.
  const input = `import { FolderLock } from ${JSON.stringify(href)};
    import { rmSync, writeFileSync } from "node:fs";
    process.chdir(${JSON.stringify(folder)});
    let held = 0;
    for (const end = Date.now() + 800; Date.now() < end;) {
      try {
        using lock = new FolderLock(".");
        writeFileSync("marker", "", { flag: "wx" });
        rmSync("marker");
        held++;
      } catch (error) {
        if (!error.message.includes("one process at a time")) console.log(error.message);
      }
      try {
        if (held % 3 === 0) writeFileSync(".lock", ${JSON.stringify(stale)}, { flag: "wx" });
      } catch {}
    }
    console.log(held > 0);`;
  const outputs = await Promise.all([1, 2, 3, 4].map(async () => {
    const child = spawn(process.execPath, stdinArgs("-A"), { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.end(`import process from "node:process";${input}`);
    let output = "";
    for await (const chunk of child.stdout) output += chunk;
    return output;
  }));
  rmSync(folder, { recursive: true });
  assert.deepEqual(outputs, Array(4).fill("true\n"));
});
