/**
 * Compares losses: `deno task compare --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { runGrid } from "./grid.ts";

await runGrid("compare", process.argv.slice(2), () => Promise.resolve());
