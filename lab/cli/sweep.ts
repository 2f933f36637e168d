/**
 * Searches for the settings of losses: `deno task sweep --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { rankByValidation, renderRanking } from "../compare/ranking.ts";
import { runGrid } from "./grid.ts";
import { print, say } from "../terminal.ts";

await runGrid("sweep", process.argv.slice(2), ({ results }, { out }) => {
  print(renderRanking(rankByValidation(results)));
  say(`Figures and test results: deno task report ${out}`);
  return Promise.resolve();
});
