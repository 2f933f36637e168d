/**
 * Builds the page: `deno task page` writes page/dist, a folder that any web server can serve, and
 * `deno task page --serve` shows it. The models that come with the page are trained by the first
 * build and kept in page/.cache.
 *
 * @module
 */
import { decodeSafetensors, encodeSafetensors, lossNamed } from "beargrad";
import { openDevice, recipeOf, synthetic } from "beargrad/lab";
import { build, stop } from "esbuild";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, extname, join, normalize } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { type ExampleIndex, Explorer } from "./explorer.ts";
import {
  defaultSettings,
  type Files,
  type SearchSettings,
  type TrainSettings,
  type UserInfo,
} from "./protocol.ts";
import { trainOptions } from "./training.ts";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);

/** The models that come with the page. */
const EXAMPLES: TrainSettings = {
  ...defaultSettings,
  losses: ["sft", "msl", "bear"],
};

/** Kilobytes, gzipped, of what a browser loads. */
export interface Sizes {
  /** The page and its worker. */
  readonly page: number;
  /** The models that come with it. */
  readonly examples: number;
  /** What is loaded with the first data set of titles. */
  readonly titles: number;
}

/** Builds the page into a folder, which is emptied first. */
export async function buildPage(out: string): Promise<Sizes> {
  rmSync(out, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: {
      main: join(here, "main.tsx"),
      worker: join(here, "worker.ts"),
      styles: join(here, "styles.css"),
    },
    alias: Object.fromEntries(
      ["engine", "lab", "theory"].map((name) => [`beargrad/${name}`, join(root, `${name}.ts`)])
        .concat([["beargrad", join(root, "mod.ts")]]),
    ),
    outdir: out,
    bundle: true,
    external: ["node:*", "webgpu", "@colors/colors"], // needed outside browsers only
    format: "esm",
    splitting: true,
    chunkNames: "[name]-[hash]",
    target: "es2024",
    minify: true,
    metafile: true,
    jsx: "automatic",
    jsxImportSource: "preact",
    absWorkingDir: root,
    logLevel: "warning",
    logOverride: { "import-is-undefined": "silent" }, // commander is left out
  });
  await stop();
  cpSync(join(here, "index.html"), join(out, "index.html"));
  cpSync(await examples(), join(out, "example"), { recursive: true });

  const { outputs } = metafile;
  const first = Object.keys(outputs).filter((path) =>
    outputs[path].entryPoint?.startsWith("page/")
  );
  const eager = reachable(outputs, first, ["import-statement"]);
  const all = reachable(outputs, first, ["import-statement", "dynamic-import"]);
  const at = (paths: Iterable<string>): string[] => [...paths].map((path) => join(root, path));
  for (const path of at(Object.keys(outputs).filter((path) => !all.has(path)))) rmSync(path);
  return {
    page: gzipped([...at(eager), join(out, "index.html")]),
    examples: gzipped(filesIn(join(out, "example"))),
    titles: gzipped(at([...all].filter((path) => !eager.has(path)))),
  };
}

type Outputs = Awaited<ReturnType<typeof build<{ metafile: true }>>>["metafile"]["outputs"];

/** Some files and what they import. esbuild also writes what only unused code imports. */
function reachable(
  outputs: Outputs,
  first: readonly string[],
  kinds: readonly string[],
): ReadonlySet<string> {
  const reached = new Set(first);
  for (const path of reached) {
    for (const { path: next, kind } of outputs[path].imports) {
      if (kinds.includes(kind) && next in outputs) reached.add(next);
    }
  }
  return reached;
}

/** The size of some files in kilobytes, each gzipped. */
function gzipped(paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + gzipSync(readFileSync(path)).length, 0) / 1000;
}

/**
 * The folder of the models that come with the page. They are trained again when their recipes
 * change, which the data are part of; after other changes of the engine, remove `page/.cache`.
 */
async function examples(): Promise<string> {
  const device = await openDevice("cpu");
  const dataset = synthetic();
  const recipes = EXAMPLES.losses.map((loss) =>
    recipeOf(trainOptions(EXAMPLES), lossNamed(loss), dataset, device)
  );
  device.dispose();
  const key = createHash("sha256").update(JSON.stringify(recipes)).digest("hex").slice(0, 12);
  const folder = join(here, ".cache", key);
  if (existsSync(join(folder, "index.json"))) return folder;
  process.stderr.write("Training the page's example models, once: up to half a minute\n");
  const trained = new Map<string, Files>();
  const explorer = new Explorer((event) => {
    if (event.kind === "snapshot") trained.set(event.loss, event.files);
  });
  await explorer.open("cpu");
  await explorer.data({ kind: "synthetic" });
  const runs = [];
  const lost: { readonly model: string; readonly user: UserInfo }[] = [];
  await explorer.train(EXAMPLES);
  for (const [loss, files] of trained) {
    const model = await explorer.addModel(files, "example", loss);
    const search: SearchSettings = {
      ...model.search,
      beam: 10,
      excludeHistory: false,
      excluded: [],
      forced: [],
    };
    const found = await explorer.lostUsers(model.id, search, Infinity);
    lost.push(...found.map((user) => ({ model: model.id, user })));
    mkdirSync(join(folder, model.id), { recursive: true });
    for (const [name, bytes] of files) {
      writeFileSync(join(folder, model.id, name), name.startsWith("state") ? slim(bytes) : bytes);
    }
    runs.push({ id: model.id, files: [...files.keys()] });
  }
  const index: ExampleIndex = { runs, opening: openingOf(lost) };
  writeFileSync(join(folder, "index.json"), JSON.stringify(index));
  return folder;
}

/** The state of a run without the optimiser's: what is needed to search the model. */
function slim(state: Uint8Array): Uint8Array {
  return encodeSafetensors({}, decodeSafetensors(state).metadata);
}

/** The user that the page opens on: the one that the smallest widening finds. */
function openingOf(
  lost: readonly { readonly model: string; readonly user: UserInfo }[],
): ExampleIndex["opening"] {
  const cost = ({ user: { lost } }: { readonly user: UserInfo }): number =>
    1000 * (lost?.neededBeam ?? Infinity) + 10 * (lost?.exactRank ?? 0) + (lost?.step ?? 0);
  const [first] = lost.filter(({ model }) => model === "msl").sort((a, b) => cost(a) - cost(b));
  return { model: first.model, user: first.user.id };
}

/** All files of a folder. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) =>
    join(folder, file)
  )
    .filter((path) => statSync(path).isFile());
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
};

/** A server that is running. */
export interface Served {
  /** The address of the page. */
  readonly url: string;
  /** Ends the server. */
  close(): void;
}

/**
 * Serves a folder on this machine, below a prefix such as `/demo/`. With `isolated` its answers
 * have the headers that browsers ask for before they let workers share memory.
 */
export async function servePage(
  folder: string,
  { port = 0, prefix = "/", isolated = true }: {
    readonly port?: number;
    readonly prefix?: string;
    readonly isolated?: boolean;
  } = {},
): Promise<Served> {
  const server = createServer(({ url = "/" }, response) => {
    const { pathname } = new URL(url, "http://127.0.0.1");
    const inside = normalize(decodeURIComponent(pathname.slice(prefix.length - 1)));
    const path = join(folder, inside.endsWith("/") ? `${inside}index.html` : inside);
    if (!pathname.startsWith(prefix) || !existsSync(path) || !statSync(path).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
      "Cache-Control": "no-cache",
      ...(isolated && {
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
      }),
    }).end(readFileSync(path));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  const { port: open } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${open}${prefix}`, close: () => server.close() };
}

if (import.meta.main) {
  const other = process.argv.slice(2).find((argument) => argument !== "--serve");
  if (other !== undefined) {
    process.stderr.write(`Cannot use ${other}: the options must be none or --serve, got another\n`);
    process.exit(2);
  }
  const out = join(here, "dist");
  const { page, examples, titles } = await buildPage(out);
  const kB = (size: number): string => `${size.toFixed(0)} kB`;
  process.stdout.write(
    `${out}\n${kB(page)} gzipped, example models ${kB(examples)}, for titles ${kB(titles)}\n`,
  );
  if (process.argv.includes("--serve")) {
    const { url } = await servePage(out, { port: 8080 }).catch(() => servePage(out));
    process.stdout.write(`The page is at ${url} until Ctrl+C\n`);
  }
}
