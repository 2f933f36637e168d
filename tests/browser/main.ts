/**
 * Runs tests in headless Chromium and Firefox and ends with one line: `N passed, N failed, N
 * skipped`. `BEARGRAD_CHROMIUM` and `BEARGRAD_FIREFOX` say where they are. A browser that is absent
 * is skipped, but Chromium is required if `BEARGRAD_REQUIRE_BROWSER` is set.
 *
 * @module
 */
import { build, type Plugin, stop } from "esbuild";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { launch } from "puppeteer-core";
import type { Result } from "./node.ts";
import { train } from "./training.ts";

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

/**
 * What is visited: headers, script, whether it runs in a worker, errors that the page reports, and
 * whether all its workers must end.
 */
const VISITS = [
  { headers: "isolated", script: "worker", inWorker: true },
  { headers: "isolated", script: "page", inWorker: false },
  { headers: "isolated", script: "few", inWorker: false, leavesNoWorker: true },
  { headers: "plain", script: "few", inWorker: true },
  { headers: "plain", script: "few", inWorker: false },
  { headers: "strict", script: "few", inWorker: true, errors: /Content.Security.Policy/ },
  { headers: "strict", script: "few", inWorker: false, errors: /Content.Security.Policy/ },
];

/** Shows a page. `onError` is called with what it writes to its console as an error. */
type Open = (address: string, onError: (detail: string) => void) => Promise<{
  /** The number of workers that the page has now. */
  workers?(): number;
  /** Leaves the page. */
  close(): Promise<void>;
}>;

interface Browser {
  readonly name: string;
  readonly path: string;
  readonly open: Open;
}

const chromium = process.env.BEARGRAD_CHROMIUM ?? "/usr/bin/chromium";
const firefox = process.env.BEARGRAD_FIREFOX ?? "/usr/bin/firefox-esr";

const openChromium: Open = async (address, onError) => {
  const browser = await launch({
    executablePath: chromium,
    args: [
      "--headless=new",
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--enable-unsafe-webgpu", // WebGPU on a software adapter
      "--js-flags=--expose-gc",
    ],
  });
  const page = await browser.newPage();
  page.on("pageerror", (error) => onError(`${error}`));
  page.on("console", (message) => message.type() === "error" && onError(message.text()));
  await page.goto(address);
  return { workers: () => page.workers().length, close: () => browser.close() };
};

/** Without a debugger: under WebDriver BiDi, Firefox 153 may hang where a worker starts workers. */
const openFirefox: Open = (address) => {
  const profile = mkdtempSync(join(tmpdir(), "beargrad-firefox-"));
  const args = ["--headless", "--no-remote", "--profile", profile, address];
  const child = spawn(firefox, args, { stdio: "ignore", detached: true });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const close = async (): Promise<void> => {
    process.kill(-(child.pid as number), "SIGKILL"); // with its child processes
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return Promise.resolve({ close });
};

const BROWSERS: readonly Browser[] = [
  { name: "Chromium", path: chromium, open: openChromium },
  { name: "Firefox", path: firefox, open: openFirefox },
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
    inWorker // a browser may end a worker that nobody refers to
      ? `globalThis.tests = new Worker("${script}.js", { type: "module" })`
      : `import "./${script}.js"`
  }</script>`;

class Server {
  /** Where results go. */
  onResult: (result: Result | null) => void = () => {};
  /** The hash of training here, and whether the browser has this runtime's engine. */
  expected: { readonly expected: string; readonly sameEngine: boolean } | undefined;
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
    if (path === "expected") return void response.end(JSON.stringify(this.expected));
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

/** Shows a page and collects its results, and errors but those that match `expected`. */
async function visit(
  open: Open,
  server: Server,
  address: string,
  expected: RegExp | undefined,
  leavesNoWorker = false,
): Promise<Result[]> {
  const results: Result[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const failed = (title: string, detail: string): void => {
    results.push({ title, outcome: "failed", detail });
  };
  const silent = (): void => {
    failed("(the page)", `nothing happened after: ${results.at(-1)?.title ?? "the start"}`);
    resolve();
  };
  let timer = setTimeout(silent, SILENCE);
  server.onResult = (result) => {
    clearTimeout(timer);
    if (result === null) return resolve();
    results.push(result);
    timer = setTimeout(silent, SILENCE);
  };
  const browser = await open(address, (detail) => {
    if (!expected?.test(detail)) failed("(the console)", detail);
  });
  await promise;
  if (leavesNoWorker && browser.workers) {
    for (let i = 0; i < 100 && browser.workers() > 0; i++) await sleep(50);
    const left = browser.workers();
    const title = "the workers end with their devices";
    if (left === 0) results.push({ title, outcome: "passed" });
    else failed(title, `${left} are left`);
  }
  await browser.close();
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
  const expected = await train();
  for (const { name, open } of present) {
    server.expected = { expected, sameEngine: name === "Chromium" };
    for (const { headers, script, inWorker, errors, leavesNoWorker } of VISITS) {
      const began = performance.now();
      const where = inWorker ? "worker" : "page";
      const address = `${url}/${headers}/${script}.${where}`;
      const results = await visit(open, server, address, errors, leavesNoWorker);
      report(`${name}, ${where}, ${headers}`, results, (performance.now() - began) / 1000);
    }
  }
  server.stop();
}
print(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;
