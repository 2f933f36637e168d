/// <reference lib="dom" />
/** The page: its address and files anywhere, the whole of it in Chromium. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { unzipSync, zipSync } from "fflate";
import type { Browser, ConsoleMessage, Page } from "puppeteer-core";
import { loadDataset, memoryFolder, parseOptions, runExperiment } from "../lab.ts";
import fc from "fast-check";
import { foldIn, keyOf, uniform } from "../core/random.ts";
import { referenceBeamSearch, Trie } from "../mod.ts";
import { type Address, formatAddress, parseAddress } from "../page/address.ts";
import type { Served, Sizes } from "../page/build.ts";
import { Explorer } from "../page/explorer.ts";
import { foldersIn, gather } from "../page/files.ts";
import { defaultSettings, type Files } from "../page/protocol.ts";
import { smallestBeam } from "../page/smallest_beam.ts";
import { catalogues } from "./models/tries.ts";

const plain = { beam: 10, excludeHistory: false, excluded: [], forced: [] };

test("page: the address of a state is read back, and a default state has none", () => {
  const states: readonly Address[] = [
    { ...plain, model: "msl 2", second: "bear", user: "7#12" },
    { ...plain, beam: 11, tau: 0.75, normalization: "vocabulary", user: "ä & = #" },
    { ...plain, excludeHistory: true, excluded: [3, 17], forced: [60, 2] },
    { ...plain, losses: ["msl", "bear-convex"], flags: { xi: 0.5, beam: 5, lambda: 0 } },
  ];
  for (const state of states) {
    assert.deepEqual({ ...plain, ...parseAddress(`#${formatAddress(state)}`) }, state);
  }
  assert.equal(formatAddress(plain), "");
  assert.equal(formatAddress({ ...plain, model: "msl", beam: 11 }), "model=msl&beam=11");
});

test("page: what is malformed in an address is ignored", () => {
  const bad = "#model=&user=5&beam=0&tau=abc&over=all&new=2&out=1.x&first=-1&other=1&%";
  assert.deepEqual(parseAddress(bad), { user: "5" });
  assert.deepEqual(parseAddress("#beam=1e3&tau=0&out=1..2&first=99999999999"), {});
  assert.deepEqual(parseAddress("#beam&losses=..&with=xi-0&with=eta-1"), {});
  assert.deepEqual(parseAddress("#with=constructor-1"), {});
});

test("page: files are told apart: a run, several runs, data", () => {
  const found = (name: string, ...paths: string[]) => {
    const files = new Map(paths.map((path) => [path, new Uint8Array(0)] as const));
    const { data, runs } = foldersIn({ name, files });
    return [data, runs].map((all) => all.map(({ name, files }) => [name, ...files.keys()]));
  };
  const run = ["config.json", "model.safetensors", "state.safetensors"];
  assert.deepEqual(found("msl", ...run), [[], [["msl", ...run]]]);
  const data = ["index.json", "inter.json"];
  assert.deepEqual(found("pens", ...data), [[["pens", ...data]], []]);
  const runs = [...run.map((f) => `sft-seed0/${f}`), "a/bear-seed0/config.json"];
  assert.deepEqual(found("all", "summary.json", ...runs, ...data.map((f) => `pens/${f}`)), [
    [["pens", ...data]],
    [["sft-seed0", ...run], ["bear-seed0", "config.json"]],
  ]);
});

test("page: a .zip is unpacked and a broken one is refused by its name", async () => {
  const zipped = zipSync({
    "a/b/index.json": new Uint8Array([1]),
    "a/b/.hidden": new Uint8Array(1),
    "__MACOSX/a/b/._index.json": new Uint8Array(1),
  });
  const read = (name: string, bytes: Uint8Array<ArrayBuffer>) =>
    gather([[name, new File([bytes], name)]]);
  const inside = new Map([["index.json", new Uint8Array([1])]]);
  assert.deepEqual(await read("UP.ZIP", zipped), { name: "b", files: inside });
  await assert.rejects(read("cut.zip", zipped.slice(0, -30)), {
    message: "Cannot read cut.zip: it must be a whole .zip file, got: invalid zip data",
  });
});

test("page: models and data that are closed meanwhile do not fail a search", async () => {
  const trained = new Map<string, Files>();
  const explorer = new Explorer((event) => {
    if (event.kind === "snapshot") trained.set(event.loss, event.files);
  });
  await explorer.open("cpu", 1);
  const { info, users } = await explorer.data({ kind: "synthetic" });
  assert.deepEqual([info.users, users[3].index], [users.length, 3]);
  const small = { ...defaultSettings, losses: ["msl"], layers: 1, dim: 8, heads: 1, ffn: 8 };
  await explorer.train({ ...small, epochs: 1 });
  const add = () => explorer.addModel(trained.get("msl")!, "trained", "msl");
  const { search } = await add();
  const settings = { ...search, excludeHistory: false, excluded: [], forced: [] };
  const close: readonly (() => Promise<unknown>)[] = [
    () => explorer.removeModel("msl"),
    () => explorer.data({ kind: "synthetic" }),
  ];
  for (const [i, closeIt] of close.entries()) {
    if (i > 0) await add();
    const shown = explorer.search("msl", users[0].id, settings);
    const lost = explorer.lostUsers("msl", settings, Infinity);
    await new Promise((resolve) => setTimeout(resolve, 0)); // until the search has begun
    await closeIt();
    assert.equal((await shown).user.id, users[0].id);
    assert.ok((await lost).length < users.length);
    await assert.rejects(explorer.search("msl", users[0].id, settings), /a model that is open/);
  }
});

test("page: the smallest beam is the first of all widths that returns a leaf", () => {
  const size = { depth: 4, fanOut: 4, vocabulary: 6 };
  let known = 0;
  fc.assert(fc.property(catalogues(size), fc.nat(), (paths, seed) => {
    const trie = new Trie(paths);
    const logits = (prefix: readonly number[]): ArrayLike<number> =>
      uniform(prefix.reduce((key, token) => foldIn(key, token), keyOf(seed)), size.vocabulary)
        .map((x) => 5 * x);
    const search = (beam: number) => referenceBeamSearch(trie, logits, { beam });
    const lists = Array.from({ length: trie.leafCount }, (_, i) => search(i + 1).ranking);
    const [whole, narrow] = [search(trie.leafCount).steps, search(8).steps];
    for (const leaf of trie.leafOf) {
      const first = 1 + lists.findIndex((list) => list.some((item) => item.leaf === leaf));
      assert.equal(smallestBeam(trie, whole, leaf), first);
      const found = smallestBeam(trie, narrow, leaf);
      if (found === undefined) continue;
      assert.equal(found, first);
      if (trie.leafCount > 8) known++;
    }
  }));
  assert.ok(known > 0);
});

const CHROMIUM = process.env.BEARGRAD_CHROMIUM ?? "/usr/bin/chromium";
const isRequired = Boolean(process.env.BEARGRAD_REQUIRE_BROWSER);
const skip = !("Deno" in globalThis)
  ? "the page is built with Deno"
  : existsSync(CHROMIUM) || isRequired
  ? false
  : `no ${CHROMIUM}`;

/** The folder of everything that is written. */
let temporary: string;
let sizes: Sizes;
let isolated: Served;
let plainServer: Served;
let browser: Browser;

before(async () => {
  if (skip !== false) return;
  temporary = mkdtempSync(join(tmpdir(), "beargrad-page-"));
  const { buildPage, servePage } = await import("../page/build.ts");
  const { launch } = await import("puppeteer-core");
  const site = join(temporary, "site");
  sizes = await buildPage(site);
  isolated = await servePage(site, { prefix: "/some/where/" });
  plainServer = await servePage(site, { prefix: "/", isolated: false });
  browser = await launch({
    executablePath: CHROMIUM,
    args: ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"],
  });
});

after(async () => {
  if (skip !== false) return;
  await browser.close();
  isolated.close();
  plainServer.close();
  rmSync(temporary, { recursive: true });
});

/**
 * Opens the page, runs `use`, and fails if there was an error or a warning in the console, a file
 * that is missing, or a request to elsewhere.
 */
async function visit(
  served: Served,
  hash: string,
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("console", (message: ConsoleMessage) => {
    if (["error", "warn"].includes(message.type())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(`${error}`));
  page.on("request", (request) => {
    const isOwn = request.url().replace(/^blob:/, "").startsWith(new URL(served.url).origin);
    if (!isOwn) wrong.push(`requests ${request.url()}`);
  });
  page.on("response", (response) => {
    if (!response.ok() && response.status() !== 304) wrong.push(`no ${response.url()}`);
  });
  page.setDefaultTimeout(30_000);
  await page.goto(`${served.url}${hash}`);
  await heading(page, /buys next/);
  await use(page);
  assert.deepEqual(wrong, []);
  await context.close();
}

/** Waits until the heading of the page matches. */
async function heading(page: Page, pattern: RegExp): Promise<string> {
  const handle = await page.waitForFunction(
    (source: string) => {
      const text = document.querySelector("h1")?.textContent?.replaceAll("\u00a0", " ") ?? "";
      return new RegExp(source).test(text) && text;
    },
    {},
    pattern.source,
  );
  return await handle.jsonValue() as string;
}

/** Clicks what a user would call so. */
async function click(page: Page, role: string, name: string): Promise<void> {
  await page.locator(`::-p-aria([role="${role}"][name="${name}"])`).click();
}

/** Waits for an alert, and returns its text. */
async function alert(page: Page): Promise<string> {
  const handle = await page.waitForFunction(() =>
    document.querySelector("[role=alert] p span")?.textContent
  );
  return await handle.jsonValue() as string;
}

/** Drops a file or a folder of the disk on the page. */
async function drop(page: Page, path: string): Promise<void> {
  const client = await page.createCDPSession();
  const data = { items: [], files: [path], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const) {
    await client.send("Input.dispatchDragEvent", { type, x: 200, y: 200, data });
  }
  await client.detach();
}

function writeFolder(name: string, files: Readonly<Record<string, string>>): string {
  const folder = join(temporary, name);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  return folder;
}

/** A data set of semantic ids. */
const shop = {
  "index.json": JSON.stringify(
    Object.fromEntries(
      Array.from({ length: 30 }, (_, i) => [i, [`<a_${i % 5}>`, `<b_${i % 3}>`, `<c_${i}>`]]),
    ),
  ),
  "inter.json": JSON.stringify(
    Object.fromEntries(
      Array.from({ length: 40 }, (_, u) => [u, [0, 1, 2, 3, 4].map((i) => (7 * u + 3 * i) % 30)]),
    ),
  ),
};

test("page: it is small enough", { skip }, () => {
  assert.ok(sizes.page < 400, `${sizes.page} kB without models and tokenizer`);
  assert.ok(sizes.examples < 1000 && sizes.titles < 400, JSON.stringify(sizes));
});

test("page: it opens on a lost item, which a wider beam finds", { skip }, async () => {
  await visit(isolated, "", async (page) => {
    const lost = await heading(page, /drops it at step/);
    const [, width] = /B = (\d+)/.exec(lost) as unknown as [string, string];
    assert.equal(width, "10");
    await click(page, "button", "One more");
    const found = await heading(page, /returns it as number/);
    assert.match(found, /B = 11/);
    assert.match(page.url(), /#.*beam=11/);
    await click(page, "button", "One less");
    await heading(page, /drops it at step/);
  });
});

test("page: the address restores what is shown", { skip }, async () => {
  let address = "";
  let shown = "";
  await visit(isolated, "", async (page) => {
    await click(page, "button", "A user whose item is lost");
    await click(page, "button", "One more");
    await heading(page, /B = 11/);
    await page.waitForFunction(() => /user=/.test(location.hash));
    address = new URL(page.url()).hash;
    shown = await heading(page, /B = 11/);
  });
  await visit(isolated, address, async (page) => {
    await page.waitForFunction(
      (text: string) =>
        document.querySelector("h1")?.textContent?.replaceAll("\u00a0", " ") === text,
      {},
      shown,
    );
  });
});

/** What {@link watch} has seen. */
interface Seen {
  /** Layout shifts that no input explains: how large, and what moved. */
  shifts: string[];
  /** The longest task of the main thread, in milliseconds. */
  longest: number;
}

/** Watches the page from now on. */
function watch(page: Page): Promise<void> {
  return page.evaluate(() => {
    const seen = Object.assign(globalThis, { seen: { shifts: [], longest: 0 } as Seen }).seen;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const shift = entry as PerformanceEntry & {
          readonly value: number;
          readonly hadRecentInput: boolean;
          readonly sources: readonly { readonly node?: Node }[];
        };
        const moved = shift.sources.map(({ node }) => node?.textContent?.slice(0, 40));
        if (!shift.hadRecentInput) seen.shifts.push(`${shift.value}: ${moved.join(", ")}`);
      }
    }).observe({ type: "layout-shift" });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        seen.longest = Math.max(seen.longest, duration);
      }
    }).observe({ type: "longtask" });
  });
}

/** Sets a number field of the form. */
async function fill(page: Page, name: string, value: string): Promise<void> {
  await page.locator(`::-p-aria([role="spinbutton"][name="${name}"])`).fill(value);
}

/** Waits until some element of a role has a text. */
async function says(page: Page, role: string, text: string): Promise<void> {
  await page.waitForFunction(
    (selector: string, text: string) =>
      [...document.querySelectorAll(selector)].some((e) => e.textContent?.includes(text)),
    {},
    role,
    text,
  );
}

test("page: a tap on an entry shows its numbers and keeps all others", { skip }, async () => {
  await visit(isolated, "", async (page) => {
    await page.setViewport({ width: 360, height: 800, isMobile: true, hasTouch: true });
    await heading(page, /drops it at step/);
    const entry = await page.waitForSelector(".entry.kept:not(.target)");
    const name = await entry!.evaluate((e) => e.querySelector(".token")!.textContent);
    await entry!.tap();
    await says(page, ".card-name", `${name}is kept`);
    assert.doesNotMatch(page.url(), /first=/);
  });
});

test("page: an address that fits no model, user or item is ignored", { skip }, async () => {
  await visit(isolated, "#model=none&second=none&user=none&out=99999&first=99999", async (page) => {
    await heading(page, /drops it at step/);
  });
  await visit(isolated, "#first=0&beam=9999", async (page) => { // no item begins so
    await heading(page, /not among the items/);
  });
});

test(
  "page: it trains without shifting its layout, and the model can be searched",
  { skip },
  async (t) => {
    await visit(isolated, "", async (page) => {
      await fill(page, "epochs", "2");
      await watch(page);
      await click(page, "button", "Train");
      await says(page, ".run", "users per second");
      await click(page, "button", "Pause");
      await says(page, "[role=status]", "paused");
      await click(page, "button", "Resume");
      await says(page, "[role=status]", "done");
      await says(page, "tr", "trained here, epoch 2");
      const { shifts, longest } = await page.evaluate(() =>
        (globalThis as unknown as { readonly seen: Seen }).seen
      );
      t.diagnostic(`the longest task of the main thread: ${longest.toFixed(0)} ms`);
      assert.deepEqual(shifts, []);
      await click(page, "button", "Remove bear 2");
      await page.waitForFunction(() => !/bear 2|before its/.test(document.body.textContent!));
    });
  },
);

test(
  "page: without isolation it has one thread; a stop keeps what was trained",
  { skip },
  async () => {
    await visit(plainServer, "", async (page) => {
      await fill(page, "epochs", "50");
      await click(page, "button", "Train");
      await says(page, ".run", "users per second");
      const began = performance.now();
      await click(page, "button", "Stop");
      await says(page, "tr", "trained here");
      await page.locator('::-p-aria([role="button"][name="Train"])').wait();
      assert.ok(performance.now() - began < 5000);
      await says(page, "section", "the page is not cross-origin isolated");
    });
  },
);

test("page: data are dropped, in semantic ids and in titles", { skip }, async () => {
  const titles = writeFolder("books", {
    "id2name4Rec.json": JSON.stringify(
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i, `Book ${"abcde"[i % 5]} ${i}`])),
    ),
    "train.csv": "user_id,item_ids,timestamp\n" +
      Array.from({ length: 20 }, (_, u) => `${u},"[${u}, ${(u + 1) % 20}]",${u}\n`).join(""),
    "test.csv": 'user_id,item_ids,timestamp\n7,"[1, 2, 3]",99\n',
  });
  await visit(isolated, "", async (page) => {
    await drop(page, writeFolder("pens", shop));
    await says(page, "p", "30 items, 40 users, up to 3 words");
    await drop(page, titles);
    await says(page, "p", "20 items, 1 users");
  });
});

test("page: a broken file is refused in the reader's words", { skip }, async () => {
  const broken = { ...shop, "inter.json": '{"0": [1, 2, 3' };
  const files = new Map(
    Object.entries(broken).map(([name, text]) => [name, new TextEncoder().encode(text)] as const),
  );
  const refusal = await loadDataset(memoryFolder("broken", files)).catch((e: Error) => e.message);
  await visit(isolated, "", async (page) => {
    const before = await heading(page, /buys next/);
    await drop(page, writeFolder("broken", broken));
    assert.equal(await alert(page), refusal);
    assert.equal(await heading(page, /buys next/), before);
  });
});

test(
  "page: what changes while data load or users are looked for is no error",
  { skip },
  async () => {
    const pens = writeFolder("pens", shop);
    /** Turns the beam width in every task for a while. */
    const turn = (page: Page) =>
      page.evaluate(async () => {
        const width = document.querySelector<HTMLInputElement>("#beam-width")!;
        for (let i = 0; i < 60; i++) {
          width.value = String(1 + (7 * i) % 50);
          width.dispatchEvent(new Event("input", { bubbles: true }));
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      });
    const alerts = (page: Page) =>
      page.$$eval("[role=alert] p", (all) => all.map((p) => p.textContent));
    await visit(isolated, "", async (page) => {
      await Promise.all([turn(page), click(page, "button", "A user whose item is lost")]);
      const lost = click(page, "button", "A user whose item is lost");
      await Promise.all([lost, click(page, "button", "Remove msl"), turn(page)]);
      await heading(page, /buys next/);
      await Promise.all([drop(page, pens), turn(page)]);
      await says(page, "p", "30 items, 40 users");
      assert.deepEqual(await alerts(page), []);
    });
  },
);

test("page: scores are those of the search that is shown", { skip }, async () => {
  const scored = (page: Page, count: number) =>
    page.waitForFunction(
      (count: number) =>
        document.querySelectorAll("td").values().filter((cell) =>
          /\d %$/.test(cell.textContent ?? "")
        ).toArray().length === count,
      {},
      count,
    );
  const heat = (page: Page, value: string) =>
    page.$eval("input[type=range][min='0.2']", (input, value) => {
      (input as HTMLInputElement).value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }, value);
  await visit(isolated, "", async (page) => {
    await click(page, "button", "Evaluate on 300 test users, B = 10");
    await scored(page, 6);
    await heat(page, "0.5");
    await scored(page, 0);
    await heat(page, "1");
    await scored(page, 6);
  });
});

test("page: a model goes to the command line and comes back", { skip }, async () => {
  await visit(isolated, "", async (page) => {
    const client = await page.createCDPSession();
    const downloadPath = join(temporary, "downloads");
    await client.send("Browser.setDownloadBehavior", {
      behavior: "allow",
      downloadPath,
      browserContextId: page.browserContext().id,
    });
    const shown = await heading(page, /drops it at step/);
    const [, user, step] = /^User (\d+) .* at step (\d+)/.exec(shown) ?? [];
    await click(page, "button", "Download msl");
    const zipped = join(downloadPath, "msl.zip");
    while (!existsSync(zipped)) await new Promise((resolve) => setTimeout(resolve, 50));
    for (const [path, bytes] of Object.entries(unzipSync(readFileSync(zipped)))) {
      mkdirSync(join(downloadPath, dirname(path)), { recursive: true });
      writeFileSync(join(downloadPath, path), bytes);
    }
    const checkpoint = join(downloadPath, "msl");
    const run = ["run", "-A", "--no-check", "lab/cli/main.ts"];
    const explain = [...run, "explain", "--checkpoint", checkpoint, "--user", user, "--json"];
    const { lost } = JSON.parse(execFileSync(process.execPath, explain, { encoding: "utf8" }));
    assert.equal(`${lost.step}`, step);

    await drop(page, zipped);
    await says(page, "tr", "dropped");
    assert.equal(await heading(page, /buys next/), shown);
  });
});

test("page: a run of the command line is dropped", { skip }, async () => {
  const out = join(temporary, "runs");
  const options = "--losses bear --layers 1 --dim 16 --heads 1 --ffn 32 --epochs 1 --device cpu";
  await runExperiment(parseOptions([...options.split(" "), "--out", out]));
  await visit(isolated, "", async (page) => {
    await drop(page, join(out, "bear-seed0"));
    await says(page, "tr", "dropped");
    await page.waitForFunction(() => location.hash.includes("bear-seed0"));
    await heading(page, /buys next/);
    await drop(page, writeFolder("pens", shop));
    await says(page, "p", "30 items");
    await drop(page, join(out, "bear-seed0"));
    assert.match(
      await alert(page),
      /^Cannot use bear-seed0: the data must be synthetic, which it was trained on, got pens/,
    );
  });
});
