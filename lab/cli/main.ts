#!/usr/bin/env node
/**
 * The program behind the tasks and `npx beargrad`: `deno task compare` is `main.ts compare`.
 *
 * @module
 */
import process from "node:process";
import { auditLine } from "./audit.ts";
import { gridLine } from "./compare.ts";
import { codesLine } from "./codes.ts";
import { explainLine } from "./explain.ts";
import { runProgram } from "./flags.ts";
import { judgeLine } from "./judge.ts";
import { trainLine } from "./options.ts";
import { recommendLine } from "./recommend.ts";
import { reportLine } from "./report.ts";
import { verifyLine } from "./verify.ts";

await runProgram(
  "Trains small recommenders, compares losses, and shows what beam search prunes.",
  [
    trainLine,
    gridLine("compare"),
    gridLine("sweep"),
    codesLine,
    judgeLine,
    reportLine,
    verifyLine,
    explainLine,
    recommendLine,
    auditLine,
  ],
  process.argv.slice(2),
);
