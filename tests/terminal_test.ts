/**
 * Every command of README and docs on a pseudo-terminal of 80 columns: it asks nothing and fits.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { emptyFolder, smallFolder } from "./lab/small_folder.ts";

const COLUMNS = 80;
const OUT = emptyFolder();
const DATA = smallFolder();
const SMALL =
  "--layers 1 --dim 16 --heads 2 --ffn 64 --epochs 1 --batch 64 --threads 2 --device cpu";
const GRID = `--data ${DATA} ${SMALL} --seeds 1`;
const [QUICK, LOSSES, SWEEP, JUDGED] = ["quick", "losses", "sweep", "judged"].map((name) =>
  join(OUT, name)
);
const LISTS = join(OUT, "lists.jsonl");
const CHECKPOINT = `--checkpoint ${join(QUICK, "msl-seed0")} --data ${DATA}`;

/**
 * Commands, written as README and docs have them, with small arguments and their code. Some need
 * what earlier ones leave.
 */
const COMMANDS: readonly [command: string, args: string, code: number][] = [
  // Large enough to start threads.
  ["run train.ts", `${SMALL.replace("--dim 16", "--dim 64")} --losses msl --limit-users 60`, 0],
  ["task train", `--data ${DATA} ${SMALL} --losses msl --out ${QUICK}`, 0],
  ["task compare", `${GRID} --losses msl --verify-users 5 --out ${LOSSES}`, 0],
  ["task sweep", `${GRID} --losses bear --xi 1,2 --verify-users 0 --out ${SWEEP}`, 0],
  ["task judge", `--data ${DATA} --runs ${LOSSES} --tau 0.5 --out ${JUDGED}`, 0],
  ["task codes", `--data ${DATA} --codes hierarchical:4x3`, 0],
  ["task report", LOSSES, 0],
  ["task verify", `${CHECKPOINT} --limit-users 5`, 0],
  ["task explain", `${CHECKPOINT} --user u12`, 0],
  ["task recommend", `${CHECKPOINT} --user u12`, 0],
  ["task recommend", `${CHECKPOINT} --all --out ${LISTS}`, 0],
  ["task audit", `${LISTS} --data ${DATA}`, 0],
  ["task compare", "--help", 0],
  ["task recommend", "--help", 0],
  ["task audit", "--help", 0],
  ["task train", "--losess msl", 2],
];

const { tasks } = JSON.parse(readFileSync("deno.json", "utf8"));

/**
 * What `deno` is given for a command: `deno task` would install the packages a second time here.
 */
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

for (const [command, args, code] of COMMANDS) {
  const options = args.includes(OUT) ? "" : ` ${args}`;
  test(
    `deno ${command}${options}: asks nothing and fits ${COLUMNS} columns`,
    { skip, timeout: 120_000 },
    () => {
      const shown = `stty cols ${COLUMNS}; ${process.execPath} ${expanded(command)} ${args}`;
      const { status, stdout } = spawnSync("script", ["-qec", shown, "/dev/null"], {
        stdio: ["ignore", "pipe", "pipe"],
        encoding: "utf8",
        timeout: 100_000, // a question would wait forever
      });
      const lines = stripVTControlCharacters(stdout).split(/[\r\n]+/);
      assert.equal(status, code, stdout);
      assert.doesNotMatch(stdout, /Allow\?/);
      const isCopied = (line: string): boolean => line.includes(OUT) || line.startsWith("  (seed ");
      const wide = lines.filter((line) => [...line].length > COLUMNS && !isCopied(line));
      assert.deepEqual(wide, []);
    },
  );
}

test("the commands of README and docs are among those", () => {
  const pages = readdirSync("docs").filter((file) => file.endsWith(".md"));
  const texts = ["README.md", ...pages.map((page) => join("docs", page))]
    .map((page) => readFileSync(page, "utf8"));
  const blocks = texts.join("\n").match(/^```sh\n[^]*?^```/gm) ?? [];
  const shown = blocks.join("\n").matchAll(/^(?:npx (?:-y )?)?deno ((?:run|task) [\w.:/]+)/gm);
  const commands = new Set([...shown].map(([, command]) => command));
  assert.ok(commands.size >= 8, "they show commands");
  const others = /^task (bench|ok|page|proofs|test)|^run examples/;
  for (const command of commands) {
    const isRun = COMMANDS.some(([one]) => one === command);
    assert.ok(isRun || others.test(command), command);
  }
});
