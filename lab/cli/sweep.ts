// deno-lint-ignore-file no-console -- prints the ranking
/**
 * Searches for the settings of losses: `deno task sweep --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { rankByValidation, renderRanking } from "../compare/ranking.ts";
import { runGrid } from "./grid.ts";

await runGrid("sweep", process.argv.slice(2), ({ results }, { out }) => {
  console.log(renderRanking(rankByValidation(results)));
  console.error(`Figures and test results: npx deno task report ${out}`);
  return Promise.resolve();
});
