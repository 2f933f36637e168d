// deno-lint-ignore-file no-console -- it prints
/**
 * What bundles of the npm package weigh: `deno task bench:size` builds it and prints a table.
 *
 * @module
 */
import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import { renderTable } from "../lab/table.ts";

/** What programs use of `beargrad`. */
const USED = {
  "sum, on the cpu": "{ cpu, sum }",
  "sum, on WebGPU": "{ sum, webgpu }",
  "an MLP and its training": "{ AdamW, add, cpu, crossEntropy, linear, tanh, valueAndGrad }",
  "the transformer, bear, beam search": `{ AdamW, BeamSearch, bear, capture, cosineSchedule, cpu,
    initTransformer, Transformer, TransformerDecoder, Trie, trieLogProb, valueAndGrad }`,
  "all of beargrad": "*",
} as const;

/** The size of a bundle in bytes: minified, and then compressed. */
export interface BundleSize {
  readonly minified: number;
  readonly gzipped: number;
}

/** Bundles what programs use from dist/. */
export async function bundleSizes(): Promise<Record<keyof typeof USED, BundleSize>> {
  const sizes = Object.entries(USED).map(async ([name, used]) => {
    const { outputFiles: [{ contents }] } = await build({
      stdin: { contents: `export ${used} from "./dist/mod.js"`, resolveDir: "." },
      bundle: true,
      minify: true,
      format: "esm",
      write: false,
    });
    return [name, { minified: contents.length, gzipped: gzipSync(contents, { level: 9 }).length }];
  });
  return Object.fromEntries(await Promise.all(sizes));
}

if (import.meta.main) {
  const kB = (bytes: number): string => (bytes / 1000).toFixed(1);
  const rows = Object.entries(await bundleSizes()).map((
    [name, { minified, gzipped }],
  ) => [name, kB(minified), kB(gzipped)]);
  console.log(renderTable(["what is used", "minified kB", "gzipped kB"], rows));
}
