/**
 * Every op there is. An op exported by a module that is listed here is gradient-checked in float64.
 *
 * @module
 */
import type { Op, OpOutput } from "../core/op.ts";
import * as rmsNorm from "./rms_norm.ts";
import * as trieLogProb from "./trie_log_prob.ts";

/** The modules of this room that export ops; a test checks that none is missing. */
const modules: readonly Record<string, unknown>[] = [rmsNorm, trieLogProb];

/** Every op, by registration. */
export const ops: readonly Op<readonly unknown[], OpOutput>[] = modules
  .flatMap((module) => Object.values(module))
  .filter((value): value is Op<readonly unknown[], OpOutput> =>
    typeof value === "function" && "spec" in value
  );
