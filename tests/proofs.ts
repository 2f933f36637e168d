/**
 * Compiles the Rocq files of proofs/, and prints each theorem and the axioms that it rests on.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** The text of files by the names that Rocq imports them by. */
export type Sources = Readonly<Record<string, string>>;

/** A theorem or an example, as Rocq prints it. */
export interface Proof {
  readonly name: string;
  /** The statement with all its hypotheses. */
  readonly statement: string;
  /** What it rests on: {@link CLOSED}, or a list of axioms. */
  readonly assumptions: string;
}

/** What Rocq says of a theorem that rests on no axiom. */
export const CLOSED = "Closed under the global context";

/** The files of proofs/, each after those that it imports. */
export function readProofs(): Sources {
  const names = ["search", "theorems", "worlds"];
  return Object.fromEntries(names.map((name) => [name, readFileSync(`proofs/${name}.v`, "utf8")]));
}

/** Says how to install Rocq's compiler; false where it is there. */
export function missingRocq(): string | false {
  return spawnSync("coqc", ["--version"]).status !== 0 &&
    "coqc is missing: on Debian 13, apt-get install --no-install-recommends coq (8.20)";
}

/** Compiles files in a temporary folder. Throws what Rocq reports about a proof that fails. */
export function checkProofs(sources: Sources): Proof[] {
  const missing = missingRocq();
  if (missing) throw new Error(missing);
  const folder = mkdtempSync(join(tmpdir(), "proofs-"));
  const compile = (name: string, text: string): string => {
    writeFileSync(join(folder, `${name}.v`), text);
    const args = ["-q", "-Q", ".", "Beargrad", `${name}.v`];
    const { status, stdout, stderr } = spawnSync("coqc", args, { cwd: folder, encoding: "utf8" });
    if (status !== 0) throw new Error(`Cannot check ${name}.v: ${stdout}${stderr}`);
    return stdout;
  };
  try {
    for (const [name, text] of Object.entries(sources)) compile(name, text);
    const names = Object.values(sources).flatMap((text) =>
      [...text.matchAll(/^(?:Theorem|Example) ([\w']+)/gm)].map((match) => match[1])
    );
    const answers = compile(
      "questions",
      `From Coq Require Import List Arith QArith.
From Beargrad Require Import ${Object.keys(sources).join(" ")}.
Import ListNotations.
Open Scope nat_scope.
Set Printing Width 100.
${names.map((name) => `Check ${name}. Print Assumptions ${name}.`).join("\n")}
`,
    );
    return answers.split(/^(?=[\w']+\n {5}: )/m).map((answer) => {
      const [, name, statement, assumptions] =
        /^(.+)\n {5}: ([^]+?)\n((?:Closed|Axioms:)[^]+)\n$/.exec(answer) ?? [];
      return { name, statement, assumptions };
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
  const open = proofs.filter(({ assumptions }) => assumptions !== CLOSED);
  process.stdout.write(`${proofs.length} statements, ${open.length} rest on axioms\n`);
  if (open.length > 0) process.exitCode = 1;
}
