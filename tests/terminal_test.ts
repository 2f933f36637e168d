/** Every command of the README on a pseudo-terminal of 80 columns: it asks nothing and fits. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { emptyFolder, smallFolder } from "./lab/small_folder.ts";

const COLUMNS = 80;
const OUT = emptyFolder();
const DATA = smallFolder();
const MODEL =
  "--layers 1 --dim 16 --heads 2 --ffn 64 --epochs 1 --batch 64 --threads 2 --device cpu";
const GRID = `--data ${DATA} ${MODEL} --seeds 1`;

/** Small arguments for each command, which is written as the README's are; in order, as some need what others leave. */
const COMMANDS: Readonly<Record<string, string>> = {
  "run train.ts": `${MODEL.replace("--dim 16", "--dim 64")} --limit-users 100`, // large enough to start threads
  "task train": `${MODEL} --loss msl --limit-users 40 --out ${join(OUT, "quick")}`,
  "task compare": `${GRID} --losses sft,msl --out ${join(OUT, "losses")}`,
  "task sweep": `${GRID} --losses bear --xi 1,2 --out ${join(OUT, "sweep")}`,
  "task judge": `--data ${DATA} --runs ${join(OUT, "losses")} --tau 0.5 --out ${
    join(OUT, "judged")
  }`,
  "task report": join(OUT, "losses"),
  "task verify": `--checkpoint ${join(OUT, "quick", "msl-seed0")} --limit-users 20`,
  "task explain": `--checkpoint ${join(OUT, "quick", "msl-seed0")} --user 12`,
};

const { tasks } = JSON.parse(readFileSync("deno.json", "utf8"));

/** What `deno` is given for a command: `deno task` would install the packages a second time here. */
function expanded(command: string): string {
  const [verb, name] = command.split(" ");
  return verb === "task" ? tasks[name].replace("deno ", "") : command;
}

const inDeno = "Deno" in globalThis;
const skip = !inDeno
  ? "only Deno asks for permissions"
  : spawnSync("script", ["--version"]).status === 0
  ? false
  : "there is no script(1) here to make a pseudo-terminal";

for (const [command, args] of Object.entries(COMMANDS)) {
  test(
    `deno ${command}: asks nothing and fits ${COLUMNS} columns`,
    { skip, timeout: 120_000 },
    () => {
      const shown = `stty cols ${COLUMNS}; ${process.execPath} ${expanded(command)} ${args}`;
      const { status, stdout } = spawnSync("script", ["-qec", shown, "/dev/null"], {
        stdio: ["ignore", "pipe", "pipe"],
        encoding: "utf8",
        timeout: 100_000, // a question would wait forever
      });
      const lines = stripVTControlCharacters(stdout).split(/[\r\n]+/);
      assert.equal(status, 0, stdout);
      assert.doesNotMatch(stdout, /Allow\?/);
      const isCopied = (line: string): boolean => line.includes(OUT) || line.startsWith("  (seed ");
      const wide = lines.filter((line) => [...line].length > COLUMNS && !isCopied(line));
      assert.deepEqual(wide, []);
    },
  );
}

test("the commands of the README are among those", () => {
  const blocks = readFileSync("README.md", "utf8").match(/^```sh\n[^]*?^```/gm) ?? [];
  const shown = blocks.join("\n").matchAll(
    /^(?:npx (?:-y )?)?deno ((?:run|task) [\w.:]+)/gm,
  );
  const commands = new Set([...shown].map(([, command]) => command));
  assert.ok(commands.size >= 5, "the README shows commands");
  const benches = /^task (bench|ok|test)/;
  for (const command of commands) {
    assert.ok(command in COMMANDS || benches.test(command), command);
  }
});
