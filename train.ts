/**
 * Trains a small decoder with each of some losses, decodes it with beam search over the catalogue,
 * and prints what was retrieved and what was pruned. `--help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { runCommand } from "./lab/cli/flags.ts";
import { trainLine } from "./lab/cli/options.ts";

await runCommand(trainLine, process.argv.slice(2));
