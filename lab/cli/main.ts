#!/usr/bin/env node
/**
 * The program behind the tasks and `npx beargrad`: `deno task compare` is `main.ts compare`.
 *
 * @module
 */
import process from "node:process";
import { say } from "../terminal.ts";
import { gridLine } from "./compare.ts";
import { explainLine } from "./explain.ts";
import { runProgram } from "./flags.ts";
import { judgeLine } from "./judge.ts";
import { trainLine } from "./options.ts";
import { reportLine } from "./report.ts";
import { verifyLine } from "./verify.ts";

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 3)) { // npm only warns
  say(`Cannot start: Node must be 22.3 or newer, got ${process.versions.node}`);
  process.exit(1);
}

await runProgram(
  "Trains small recommenders, compares losses, and shows what beam search prunes.",
  [
    trainLine,
    gridLine("compare"),
    gridLine("sweep"),
    judgeLine,
    reportLine,
    verifyLine,
    explainLine,
  ],
  process.argv.slice(2),
);
