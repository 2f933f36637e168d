/**
 * The program behind the tasks: `deno task compare` is `main.ts compare`.
 *
 * @module
 */
import process from "node:process";
import { runProgram } from "./program.ts";

await runProgram(process.argv.slice(2));
