/** Processes of the runtime that the tests run in. Only Deno has permissions. */
import { spawnSync } from "node:child_process";
import process from "node:process";

export const inDeno = "Deno" in globalThis;
const inBun = "Bun" in globalThis;

/** How `sh` runs a file, with {@link env}. */
export function runtime(permissions = ""): string {
  return inDeno ? `"$RUNTIME" run ${permissions}` : inBun ? '"$RUNTIME" run' : '"$RUNTIME"';
}

/** The environment of {@link runtime}. */
export const env = { ...process.env, RUNTIME: process.execPath, NO_COLOR: "1" };

/** The arguments of a runtime that runs a TypeScript module from its standard input. */
export function stdinArgs(...permissions: string[]): string[] {
  if (inDeno) return ["run", ...permissions, "--ext=ts", "-"];
  return inBun ? ["run", "-"] : ["--input-type=module-typescript", "-"];
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a file of the project, given with its arguments, without a terminal. The command goes to
 * `sh` as its input: where Deno's `spawnSync` sees a runtime in its arguments it adds permissions.
 */
export function runFile(command: string, permissions = "", after = ""): Outcome {
  const input = `${runtime(permissions)} ${command} </dev/null ${after}`;
  const { status, stdout, stderr } = spawnSync("sh", [], { input, encoding: "utf8", env });
  return { code: status, stdout, stderr };
}
