/**
 * Compiles the Rocq files of proofs/, and prints their theorems and the axioms that each rests on:
 * `deno task proofs`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** A theorem as Rocq sees it. */
export interface Proof {
  readonly name: string;
  /** The whole statement, with every hypothesis. */
  readonly statement: string;
  /** Whether it rests on no axiom. */
  readonly isClosed: boolean;
  /** What Rocq says that it rests on. */
  readonly assumptions: string;
}

/** A file's text by the name that Rocq imports it by. */
export type Sources = Readonly<Record<string, string>>;

/** The files of proofs/, each after those that it imports. */
export function readProofs(): Sources {
  const names = ["search", "theorems", "worlds"];
  return Object.fromEntries(names.map((name) => [name, readFileSync(`proofs/${name}.v`, "utf8")]));
}

/** Says in one line how to install Rocq's compiler; undefined where it is there. */
export function missingRocq(): string | undefined {
  if (spawnSync("coqc", ["--version"]).status === 0) return undefined;
  return "coqc is missing: apt-get install --no-install-recommends coq (Rocq 8.20, on Debian 13)";
}

/** The theorems of files, compiled in a folder of their own; throws what Rocq reports. */
export function checkProofs(sources: Sources): Proof[] {
  const folder = mkdtempSync(join(tmpdir(), "proofs-"));
  const compile = (name: string, text: string): string => {
    writeFileSync(join(folder, `${name}.v`), text);
    const args = ["-q", "-Q", ".", "Beargrad", `${name}.v`];
    const { status, stdout, stderr } = spawnSync("coqc", args, { cwd: folder, encoding: "utf8" });
    if (status !== 0) throw new Error(`Cannot check proofs/${name}.v: ${stdout}${stderr}`);
    return stdout;
  };
  try {
    for (const [name, text] of Object.entries(sources)) compile(name, text);
    const theorems = Object.values(sources).flatMap((text) =>
      [...text.matchAll(/^\s*(?:Theorem|Example)\s+([\w']+)/gm)].map((match) => match[1])
    );
    const asked = theorems.map((name) => `Check ${name}. Print Assumptions ${name}.`);
    const answer = compile(
      "assumptions",
      `From Coq Require Import List Arith QArith.
From Beargrad Require Import ${Object.keys(sources).join(" ")}.
Import ListNotations.
Open Scope nat_scope.
Set Printing Width 100.
${asked.join("\n")}
`,
    );
    return answer.split(/^(?=[\w']+ *\n {5}: )/m).map((part) => {
      const [, name, statement, assumptions] =
        /^([\w']+)\s+: ([^]*?)\n((?:Closed under|Axioms:|Section)[^]*)$/.exec(part) ?? [];
      if (name === undefined) throw new Error(`Cannot read what Rocq prints: ${part}`);
      const isClosed = assumptions.trim() === "Closed under the global context";
      return { name, statement, isClosed, assumptions: assumptions.trim() };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const missing = missingRocq();
  if (missing) {
    process.stderr.write(`${missing}\n`);
    process.exit(1);
  }
  const proofs = checkProofs(readProofs());
  for (const { name, statement, assumptions } of proofs) {
    process.stdout.write(`${name}\n     : ${statement}\n${assumptions}\n\n`);
  }
  const open = proofs.filter(({ isClosed }) => !isClosed).map(({ name }) => name);
  process.stdout.write(`${proofs.length} theorems, ${open.length} of them with an axiom\n`);
  if (open.length > 0) process.exit(1);
}
