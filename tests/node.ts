/**
 * Lets Node find `beargrad` in the sources, where deno.json says: `node --import ./tests/node.ts`.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";

const root = new URL("../", import.meta.url);
const { imports } = JSON.parse(readFileSync(new URL("deno.json", root), "utf8")) as {
  readonly imports: Readonly<Record<string, string>>;
};

registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier in imports ? new URL(imports[specifier], root).href : specifier, context),
});
