/**
 * Finishes what tsc writes to dist/ for the npm package; `deno task build` runs both.
 *
 * - Declarations import .js files, as the modules beside them do.
 * - Calls that make constants of modules, such as ops and kernels, are marked as pure, so that
 *   bundlers drop those that are not used.
 *
 * @module
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

for (const name of readdirSync("dist", { recursive: true, encoding: "utf8" })) {
  const file = join("dist", name);
  if (file.endsWith(".d.ts")) {
    rewrite(file, /(?<=(?:from |import\()"\.[^"]*)\.ts(?=")/g, ".js");
  } else if (/^(core|kernels|ops|models)\b.*\.js$/.test(name)) {
    rewrite(file, /(?<=^(?:export )?const \w+ = )(?=(?:new )?[\w.]+\()/gm, "/* @__PURE__ */ ");
  }
}

function rewrite(file: string, pattern: RegExp, replacement: string): void {
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(pattern, replacement));
}
