/**
 * Runs tests in headless Chromium and Firefox and ends with one line: `N passed, N failed, N
 * skipped`. `BEARGRAD_CHROMIUM` and `BEARGRAD_FIREFOX` say where they are. A browser that is absent
 * is skipped, but Chromium is required if `BEARGRAD_REQUIRE_BROWSER` is set.
 *
 * @module
 */
import { build, type Plugin, stop } from "esbuild";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { launch, type LaunchOptions, type Page } from "puppeteer-core";
import type { Result } from "./node.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");

/** How long a page may be silent, in milliseconds. */
const SILENCE = 90_000;

/** Headers by the first folder of an address. */
const HEADERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  isolated: {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
  },
  plain: {},
  strict: { // cross-origin isolated, but no worker may load a blob: URL
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "worker-src 'self'",
  },
};

/** What is visited: headers, script, whether it runs in a worker, errors that the page reports. */
const VISITS = [
  { headers: "isolated", script: "worker", inWorker: true },
  { headers: "isolated", script: "page", inWorker: false },
  { headers: "plain", script: "few", inWorker: true },
  { headers: "plain", script: "few", inWorker: false },
  { headers: "strict", script: "few", inWorker: true, errors: /Content.Security.Policy/ },
  { headers: "strict", script: "few", inWorker: false, errors: /Content.Security.Policy/ },
] as const;

interface Browser {
  readonly name: string;
  readonly path: string;
  readonly options: LaunchOptions;
}

const BROWSERS: readonly Browser[] = [
  {
    name: "Chromium",
    path: process.env.BEARGRAD_CHROMIUM ?? "/usr/bin/chromium",
    options: {
      args: [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--enable-unsafe-webgpu", // WebGPU on a software adapter
        "--js-flags=--expose-gc",
      ],
    },
  },
  {
    name: "Firefox",
    path: process.env.BEARGRAD_FIREFOX ?? "/usr/bin/firefox-esr",
    options: { browser: "firefox" },
  },
];

/** `node:` modules are what `assert.ts` and `node.ts` export. */
const shims: Plugin = {
  name: "node",
  setup({ onResolve }): void {
    onResolve({ filter: /^node:/ }, ({ path }) => (
      { path: join(HERE, path.startsWith("node:assert") ? "assert.ts" : "node.ts") }
    ));
  },
};

/** The scripts of the pages. `mod.ts` and what it imports need no shims. */
async function bundle(): Promise<Map<string, string>> {
  const common = { bundle: true, format: "esm", platform: "browser", write: false } as const;
  const tests = await build({
    ...common,
    entryPoints: ["worker.ts", "page.ts", "few.ts"].map((file) => join(HERE, file)),
    outdir: "/",
    keepNames: true, // messages have names of classes
    external: ["webgpu"], // imported in Node and Bun only
    plugins: [shims],
    logLevel: "error",
  });
  const mod = await build({
    ...common,
    entryPoints: [join(ROOT, "mod.ts")],
    outdir: "/",
    minify: true,
  });
  await stop();
  const files = [...tests.outputFiles, ...mod.outputFiles];
  return new Map(files.map(({ path, text }) => [path.slice(1), text]));
}

/** What the page of a visit is. */
const html = (script: string, inWorker: boolean): string =>
  `<!doctype html><meta charset="utf-8"><title>Tests</title><link rel="icon" href="data:,">
<script type="module">${
    inWorker ? `new Worker("${script}.js", { type: "module" })` : `import "./${script}.js"`
  }</script>`;

class Server {
  /** Where results go. */
  onResult: (result: Result | null) => void = () => {};
  readonly #scripts: ReadonlyMap<string, string>;
  readonly #server = createServer((request, response) => this.#answer(request, response));

  constructor(scripts: ReadonlyMap<string, string>) {
    this.#scripts = scripts;
  }

  /** Starts. Returns its address. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url?.slice(1) ?? "";
    if (path === "result") {
      let body = "";
      request.setEncoding("utf8").on("data", (chunk: string) => body += chunk);
      request.on("end", () => {
        response.end();
        this.onResult(JSON.parse(body));
      });
      return;
    }
    const [headers, file] = path.split("/");
    for (const [name, value] of Object.entries(HEADERS[headers] ?? {})) {
      response.setHeader(name, value);
    }
    const script = this.#scripts.get(file);
    const [name, place] = file.split(".");
    if (script !== undefined) {
      response.setHeader("Content-Type", "text/javascript").end(script);
    } else if (place === "worker" || place === "page") {
      response.setHeader("Content-Type", "text/html").end(html(name, place === "worker"));
    } else if (path.startsWith("tests/golden/") && existsSync(join(ROOT, path))) {
      response.end(readFileSync(join(ROOT, path)));
    } else {
      response.writeHead(404).end();
    }
  }
}

/** Visits a page and collects its results, its errors among them. */
async function visit(
  page: Page,
  server: Server,
  address: string,
  errors: RegExp | undefined,
): Promise<Result[]> {
  const results: Result[] = [];
  let fatal: (detail: string) => void;
  const end = new Promise<string | null>((resolve) => {
    fatal = resolve;
    let timer = setTimeout(() => {}, 0);
    const wait = (): void => {
      clearTimeout(timer);
      const at = results.at(-1)?.title ?? "the start";
      timer = setTimeout(() => resolve(`nothing happened after: ${at}`), SILENCE);
    };
    wait();
    server.onResult = (result) => {
      if (result !== null) {
        results.push(result);
        return wait();
      }
      clearTimeout(timer);
      resolve(null);
    };
  });
  const failed = (title: string, detail: string): void => {
    if (!errors?.test(detail)) results.push({ title, outcome: "failed", detail });
  };
  page.on("pageerror", (error) => {
    if (!errors?.test(`${error}`)) fatal(`${error}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error") failed("(the console)", message.text());
  });
  await page.goto(address);
  const detail = await end;
  if (detail !== null) failed("(the page)", detail);
  return results;
}

const counts = { passed: 0, failed: 0, skipped: 0 };

/** Prints failures, and why tests were skipped, and counts. */
function report(where: string, results: readonly Result[], seconds: number): void {
  const of = (outcome: Result["outcome"]): Result[] => results.filter((r) => r.outcome === outcome);
  for (const { title, detail } of of("failed")) print(`FAILED ${where}: ${title}\n${detail}\n`);
  const reasons = Object.entries(Object.groupBy(of("skipped"), (r) => r.detail ?? ""));
  const here = { passed: 0, failed: 0, skipped: 0 };
  for (const { outcome } of results) {
    here[outcome]++;
    counts[outcome]++;
  }
  print(
    `${where}: ${here.passed} passed, ${here.failed} failed, ${here.skipped} skipped ` +
      `(${seconds.toFixed(1)} s)`,
  );
  for (const [reason, skipped = []] of reasons) print(`  ${skipped.length} skipped: ${reason}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function runIn({ name, path, options }: Browser, server: Server, url: string): Promise<void> {
  const browser = await launch({ executablePath: path, headless: true, ...options });
  try {
    for (const { headers, script, inWorker, ...rest } of VISITS) {
      const began = performance.now();
      const page = await browser.newPage();
      const where = inWorker ? "worker" : "page";
      const errors = "errors" in rest ? rest.errors : undefined;
      const address = `${url}/${headers}/${script}.${where}`;
      const results = await visit(page, server, address, errors);
      report(`${name}, ${where}, ${headers}`, results, (performance.now() - began) / 1000);
      await page.close();
    }
  } finally {
    await browser.close();
  }
}

const present = BROWSERS.filter(({ name, path }) => {
  if (existsSync(path)) return true;
  const required = name === "Chromium" && process.env.BEARGRAD_REQUIRE_BROWSER;
  counts[required ? "failed" : "skipped"]++;
  print(`${required ? "FAILED" : "skipped"} ${name}: there is no ${path}`);
  return false;
});
if (present.length > 0) {
  const server = new Server(await bundle());
  const url = await server.start();
  for (const browser of present) await runIn(browser, server, url);
  server.stop();
}
print(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;
