/** Codes that are made: specifications, clusters, duplicates, and runs that train on them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ArgumentError, CheckpointError, DataError, UsageError } from "../../core/errors.ts";
import { uniform } from "../../core/random.ts";
import { codesLine } from "../../lab/cli/codes.ts";
import { parseGridOptions } from "../../lab/cli/compare.ts";
import { parse } from "../../lab/cli/flags.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { indexOf, withMadeCodes } from "../../lab/codes/coded_dataset.ts";
import { describeCodes, renderCodes } from "../../lab/codes/describe.ts";
import { assign, kmeans } from "../../lab/codes/kmeans.ts";
import { makeCodes } from "../../lab/codes/make.ts";
import { trainRqvae, updateBooks } from "../../lab/codes/rqvae.ts";
import { formatSpec, parseSpec, wholeSpec } from "../../lab/codes/spec.ts";
import type { Vectors } from "../../lab/codes/vectors.ts";
import { compareLosses } from "../../lab/compare/compare.ts";
import { verifyModel } from "../../lab/analysis/verify_model.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { memoryFolder } from "../../lab/folder.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import { compareRuns } from "../../lab/report/compare_runs.ts";
import { readResults } from "../../lab/report/read_results.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import { readRecipe, readSavedRun } from "../../lab/train/models.ts";
import { npy } from "./vector_files.ts";
import { inFolder, smallFolder } from "./small_folder.ts";

const shop = synthetic({ users: 300 });

function digest(codes: unknown): string {
  return createHash("sha256").update(JSON.stringify(codes)).digest("hex").slice(0, 16);
}

test("parseSpec: what is given, defaults for the rest, and one way to write it", () => {
  const cases: readonly [text: string, canonical: string][] = [
    ["hierarchical:64x16", "hierarchical:64x16"],
    ["hierarchical:64x16,seed=0,from=behaviour,slack=none", "hierarchical:64x16"],
    ["hierarchical:8,slack=0,seed=7", "hierarchical:8,seed=7,slack=0"],
    ["residual:256x256x256,duplicates=free", "residual:256x256x256,duplicates=free"],
    ["product:16x16,power=1,dim=32,window=3", "product:16x16,dim=32,window=3,power=1"],
    ["random:4x4,seed=2", "random:4x4,seed=2"],
    ["rqvae:4x4,epochs=200,dim=64", "rqvae:4x4"],
    ["residual:4,from=a/b.npy", "residual:4,from=a/b.npy"],
    [
      "residual:4,from=behaviour@1+v.safetensors#x@0.50",
      "residual:4,from=behaviour+v.safetensors#x@0.5",
    ],
    ["residual:4,from=titles:models/llama@2", "residual:4,from=titles:models/llama@2"],
    ["residual:4,from=me@lab/v.npy", "residual:4,from=me@lab/v.npy"],
    ["residual:4,from=me@lab/v.npy@2", "residual:4,from=me@lab/v.npy@2"],
  ];
  for (const [text, canonical] of cases) {
    assert.equal(formatSpec(parseSpec(text)), canonical);
    assert.equal(formatSpec(parseSpec(canonical)), canonical);
    assert.equal(formatSpec(parseSpec(wholeSpec(text))), canonical);
  }
  const { from, slack, sizes } = parseSpec(
    "hierarchical:3x2,from=behaviour@2+titles:m+v.safetensors#t@0.5,slack=0.5",
  );
  assert.deepEqual(sizes, [3, 2]);
  assert.equal(slack, 0.5);
  assert.deepEqual(from, [
    { kind: "behaviour", place: "", weight: 2 },
    { kind: "titles", place: "m", weight: 1 },
    { kind: "file", place: "v.safetensors", tensor: "t", weight: 0.5 },
  ]);
});

test("wholeSpec: all options that the codes have, and no others", () => {
  const behaviour = "seed=0,from=behaviour,dim=64,window=8,shift=1,power=0.5";
  const cases: readonly [text: string, whole: string][] = [
    ["hierarchical:8x4", `${behaviour},slack=none,tokens=own,duplicates=last`],
    ["residual:8,window=3", `${behaviour.replace("8", "3")},duplicates=last`],
    ["product:8,from=v.npy@2", "seed=0,from=v.npy@2,duplicates=last"],
    ["rqvae:8,from=v.npy", "seed=0,from=v.npy,epochs=200,duplicates=last"],
    ["random:8", "seed=0,duplicates=last"],
  ];
  for (const [text, options] of cases) {
    assert.equal(wholeSpec(text), `${text.split(",")[0]},${options}`);
    assert.deepEqual(parseSpec(wholeSpec(text)), parseSpec(text));
  }
});

test("parseSpec: refusals say what it must be", () => {
  const cases: readonly [text: string, message: RegExp][] = [
    ["semantics", /it must be semantic, item, random, or one of .*, got semantics/],
    ["", /got an empty text/],
    ["hierarchical", /got hierarchical/],
    ["hierarchical:", /sizes must be .* such as 64x16, got an empty text/],
    ["hierarchical:64x", /sizes must be/],
    ["hierarchical:64x1", /from 2 to 65536/],
    ["hierarchical:64,sede=1", /options must be of seed, from, .*, got sede=1/],
    ["hierarchical:64,seed=1,seed=2", /each option must be given once/],
    ["hierarchical:64,seed=-1", /seed must be an integer of at least 0, got -1/],
    ["hierarchical:64,power=2", /power must be 0, 0.5 or 1, got 2/],
    ["hierarchical:64,slack=no", /slack must be a number of at least 0, or none/],
    ["hierarchical:64,duplicates=x", /duplicates must be last or free/],
    ["hierarchical:64,from=v.txt", /from must be behaviour, titles:FOLDER, .*got v.txt/],
    ["hierarchical:64,from=v.npy@0", /from must be .* got v.npy@0/],
    ["hierarchical:64,from=v.npy@1e300", /a weight from 1e-6 to 1e6 .* got v.npy@1e300/],
    ["hierarchical:64,shift=1e-310", /shift must be a number from 1e-6 to 1e6, got 1e-310/],
    ["residual:64,epochs=1", /epochs must come with rqvae/],
    ["residual:64,tokens=own", /tokens must come with hierarchical/],
    ["residual:64,slack=1", /slack must come with hierarchical/],
    ["random:64,dim=8", /dim must come without random/],
    ["residual:64,from=v.npy,window=3", /window must come with vectors from behaviour/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseSpec(text), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /^Cannot use --codes: /);
      assert.match(error.message, message);
      return true;
    }, text);
  }
});

/** Random vectors, of which some are equal. */
function randomVectors(n: number, dim: number, seed: number): Vectors {
  const data = uniform([seed, 3], n * dim);
  for (let i = 0; i + 5 < n; i += 5) data.copyWithin((i + 1) * dim, i * dim, (i + 1) * dim);
  return { data, dim };
}

const range = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);

function sizesOf(clusters: Int32Array, k: number): number[] {
  const sizes = new Array<number>(k).fill(0);
  for (const cluster of clusters) sizes[cluster]++;
  return sizes;
}

test("kmeans: no cluster is empty, and none is larger than its capacity", () => {
  for (const [n, k, capacity] of [[40, 7, 6], [40, 7, 9], [40, 40, 1], [30, 4, 30], [9, 1, 9]]) {
    for (let seed = 0; seed < 5; seed++) {
      const vectors = randomVectors(n, 5, seed);
      const { clusters } = kmeans(vectors, range(n), { k, capacity, key: [seed, 0] });
      const sizes = sizesOf(clusters, k);
      assert.ok(sizes.every((size) => size >= 1 && size <= capacity), `${n} ${k}: ${sizes}`);
    }
  }
  const same = { data: new Float64Array(20).fill(1), dim: 2 };
  assert.deepEqual(sizesOf(kmeans(same, range(10), { k: 10, key: [0, 0] }).clusters, 10), [
    ...new Array(10).fill(1),
  ]);
});

test("kmeans: groups that lie far apart are found", () => {
  const centres = [[0, 0], [10, 0], [0, 10], [10, 10]];
  const noise = uniform([5, 5], 80);
  const data = Float64Array.from({ length: 80 }, (_, at) => {
    const item = at >> 1;
    return centres[item % 4][at % 2] + noise[at];
  });
  const { clusters } = kmeans({ data, dim: 2 }, range(40), { k: 4, key: [1, 1] });
  for (let item = 4; item < 40; item++) assert.equal(clusters[item], clusters[item % 4]);
  assert.equal(new Set(clusters).size, 4);
});

test("assign: with a capacity, as joining the nearest pairs of item and centre first", () => {
  for (let seed = 0; seed < 20; seed++) {
    const [n, k, dim, capacity] = [17, 4, 3, 5];
    const vectors = randomVectors(n, dim, seed);
    const centres = uniform([seed, 9], k * dim);
    const pairs = Array.from({ length: n * k }, (_, at) => {
      const [item, centre] = [Math.floor(at / k), at % k];
      let distance = 0;
      for (let j = 0; j < dim; j++) {
        distance += (vectors.data[item * dim + j] - centres[centre * dim + j]) ** 2;
      }
      return { item, centre, distance };
    }).sort((a, b) => a.distance - b.distance || a.item - b.item || a.centre - b.centre);
    const expected = new Int32Array(n).fill(-1);
    const left = new Array<number>(k).fill(capacity);
    for (const { item, centre } of pairs) {
      if (expected[item] >= 0 || left[centre] === 0) continue;
      expected[item] = centre;
      left[centre]--;
    }
    assert.deepEqual(assign(vectors, range(n), centres, capacity), expected);
  }
});

/** The bits are the same in Deno, Bun and Node. */
const DIGESTS: readonly [spec: string, digest: string][] = [
  ["hierarchical:16x8,slack=0", "4d7437ab28437f8c"],
  ["hierarchical:16x8,seed=1", "b1a5b9b3f86df0b2"],
  ["hierarchical:8x8x8,slack=0,duplicates=free", "602f7c2ccbf03c0e"],
  ["hierarchical:16x8,slack=0,tokens=shared", "da0dcabc0c8cc78c"],
  ["residual:16x16,window=3,shift=2", "f7bff3b926c0ebe8"],
  ["residual:32x64,power=0,dim=16,duplicates=free", "80e3874800b4a4f7"],
  ["product:16x16,dim=24,power=1", "492faea390d905dd"],
  ["random:16x8", "1dbfe077579f5d15"],
];

for (const [spec, expected] of DIGESTS) {
  test(`makeCodes: ${spec} has the same bits in every runtime`, async () => {
    const codes = await makeCodes(shop, spec);
    assert.equal(digest(codes), expected);
    const { distinct, levels, items } = describeCodes(codes);
    const sizes = parseSpec(spec).sizes;
    assert.equal(distinct, items, "no two items have the same codes");
    assert.equal(new Set(codes.map(({ length }) => length)).size, 1, "equally many");
    const isOwn = spec.startsWith("hierarchical") && !spec.includes("shared");
    sizes.forEach((size, level) => {
      const { tokens, nodes } = levels[level];
      if (isOwn) assert.equal(tokens, nodes);
      else assert.ok(tokens <= size);
    });
    assert.equal(levels.length, sizes.length + (spec.includes("free") ? 0 : 1));
    assert.ok(codes.flat().every((code) => /^<[a-z]_\d+>$/.test(code)));
  });
}

test("makeCodes: clusters are balanced, at every level", async () => {
  for (const [slack, most] of [[",slack=0", [25, 4]], [",slack=0.2", [30, 4]]] as const) {
    const codes = await makeCodes(shop, `hierarchical:16x8${slack}`);
    for (const level of [0, 1]) {
      const sizes = Map.groupBy(codes, (path) => path.slice(0, level + 1).join()).values()
        .map(({ length }) => length);
      assert.ok(Math.max(...sizes) <= most[level], slack);
    }
  }
});

test("makeCodes: held-out items and later users' targets change nothing", async () => {
  const changed = {
    ...shop,
    validation: shop.validation.map((one) => ({ ...one, target: 399 - one.target })),
    test: shop.test.map((one) => ({
      ...one,
      history: [...one.history.slice(0, -1), 0],
      target: 1,
    })),
    known: () => [[1, 2, 3]],
    paths: shop.paths.map(() => [1]),
  };
  const own = await makeCodes(shop, "hierarchical:16x8");
  assert.deepEqual(await makeCodes(changed, "hierarchical:16x8"), own);
  const [first, ...others] = shop.training;
  const other = {
    ...shop,
    training: [{ ...first, items: first.items.toReversed().slice(1) }, ...others],
  };
  assert.notDeepEqual(await makeCodes(other, "hierarchical:16x8"), own);
});

test(
  "makeCodes: duplicates from a file of vectors",
  inFolder(async (folder) => {
    // Items 0, 2 and 4 are the same, and so are 1 and 3.
    const file = join(folder, "v.npy");
    writeFileSync(file, npy(Float64Array.of(0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 5, 0), [6, 2]));
    const data = { name: "six", items: [..."abcdef"], training: [] };
    const make = async (spec: string): Promise<string[]> =>
      (await makeCodes(data, `${spec},from=${file}`)).map((path) => path.join(" "));
    const last = (await make("residual:3")).map((path) => path.split(" "));
    assert.equal(new Set(last.map(([code]) => code)).size, 3);
    assert.deepEqual(last.map(([, count]) => count), [0, 0, 1, 1, 2, 0].map((n) => `<b_${n}>`));
    assert.equal(last[0][0], last[4][0]);
    for (const spec of ["residual:2x8", "hierarchical:2x3", "product:3x6", "random:2x3"]) {
      const from = spec.startsWith("random") ? "" : `,from=${file}`;
      const codes = await makeCodes(data, `${spec},duplicates=free${from}`);
      assert.equal(new Set(codes.map(String)).size, 6, spec);
      assert.ok(codes.every(({ length }) => length === 2));
    }
    const refused = (spec: string, message: RegExp) =>
      assert.rejects(
        make(spec),
        (error) => error instanceof DataError && message.test(error.message),
      );
    await refused("hierarchical:2x2,duplicates=free", /a code for each of 6 items, got 4/);
    await refused("residual:3x2,duplicates=free", /at most 2 items may share .*, got 3/);
    await refused("product:2x2x2", /a dimension for each of 3 levels, got 2/);
    await assert.rejects(
      makeCodes(data, "hierarchical:2,from=titles:models/none"),
      /^DataError: Cannot make codes of six from titles: it must have some, got none/,
    );
  }),
);

test("makeCodes: smaller numbers for what is used more, below every node", async () => {
  const uses = new Array<number>(shop.items.length).fill(0);
  for (const { items } of shop.training) for (const item of items) uses[item]++;
  const codes = await makeCodes(shop, "hierarchical:16x8,tokens=shared");
  for (const level of [0, 1, 2]) {
    for (
      const node of Map.groupBy(codes.keys(), (item) => codes[item].slice(0, level).join()).values()
    ) {
      const totals: number[] = [];
      for (const item of node) {
        const number = Number(/\d+/.exec(codes[item][level])?.[0]);
        totals[number] = (totals[number] ?? 0) + uses[item];
      }
      assert.deepEqual(totals, totals.toSorted((a, b) => b - a));
    }
  }
});

test(
  "makeCodes: an RQ-VAE tells groups apart, and trains the same again",
  { timeout: 120_000 },
  inFolder(async (folder) => {
    // 8 directions of 16 dimensions, 12 items near each.
    const noise = uniform([2, 2], 96 * 16);
    const data = noise.map((x, at) => {
      const [item, j] = [Math.floor(at / 16), at % 16];
      return (j === item % 8 ? 1 : 0) + 0.2 * (x - 0.5);
    });
    const file = join(folder, "v.npy");
    writeFileSync(file, npy(data, [96, 16]));
    const items = Array.from({ length: 96 }, (_, i) => `${i}`);
    const spec = `rqvae:8x4,epochs=40,from=${file}`;
    const codes = await makeCodes({ name: "groups", items, training: [] }, spec);
    for (const [item, [first]] of codes.entries()) assert.equal(first, codes[item % 8][0]);
    const { levels, distinct } = describeCodes(codes);
    assert.ok(levels[0].perplexity > 7.99, `${levels[0].perplexity}`);
    assert.equal(distinct, 96);
    assert.deepEqual(await makeCodes({ name: "groups", items, training: [] }, spec), codes);
    const free = await makeCodes(
      { name: "groups", items, training: [] },
      spec.replace("8x4", "8x24,duplicates=free"),
    );
    assert.deepEqual([describeCodes(free).distinct, free[0].length], [96, 2]);
  }),
);

test("trainRqvae: what it decodes comes nearer to the vectors", async () => {
  const noise = uniform([2, 2], 96 * 16);
  const data = noise.map((x, at) => (at % 16 === Math.floor(at / 16) % 8 ? 1 : 0) + 0.1 * x);
  const errors: number[] = [];
  await trainRqvae({ data, dim: 16 }, [8, 4], 300, [1, 2], (_, error) => errors.push(error));
  assert.equal(errors.length, 300);
  assert.ok(errors[299] < errors[0] / 5, `${errors[0]} to ${errors[299]}`);
});

test("updateBooks: codes become the means of what they stand for, dead ones are drawn again", () => {
  const latent = { data: Float64Array.of(0, 0, 0, 2, 10, 0, 10, 2), dim: 2 };
  const centres = Float64Array.of(1, 1, 9, 1, 1e6, 1e6);
  const book = { centres, uses: new Float64Array(3).fill(1), sums: centres.slice() };
  updateBooks([book], latent, [1, 1]);
  // The first keeps .99 of its sum and use, and gets .01 of two items.
  assert.deepEqual([...centres.slice(0, 2)].map((x) => x.toFixed(12)), [
    (0.99 / 1.01).toFixed(12),
    ((0.99 + 0.02) / 1.01).toFixed(12),
  ]);
  for (let step = 1; step < 2000; step++) updateBooks([book], latent, [1, step]);
  const rows = [0, 2, 4].map((at) => [...centres.slice(at, at + 2)]);
  assert.ok(rows.every(([x, y]) => x > -0.1 && x < 10.1 && y > -0.1 && y < 2.1), `${rows}`);
});

test("describeCodes: by hand", () => {
  const found = describeCodes([["a", "x"], ["a", "y"], ["b", "x"], ["c", "x"], ["c", "x"]], {
    beam: 1,
    // Of the pairs (0, 1), (1, 2), (3, 4) and (4, 0), two begin alike, and one is alike to the end.
    sequences: [{ items: [0, 1, 1, 2] }, { items: [3, 4, 0] }, { items: [2] }, { items: [] }],
  });
  const { levels: [first, second], ...rest } = found;
  assert.deepEqual(rest, {
    items: 5,
    distinct: 4,
    shared: 2,
    beam: 1,
    below: { a: 2, b: 1, c: 2 },
  });
  const entropy = -(0.8 * Math.log(0.4) + 0.2 * Math.log(0.2));
  assert.ok(Math.abs(first.perplexity - Math.exp(entropy)) < 1e-12);
  const { perplexity: _, ...counts } = first;
  assert.deepEqual(counts, {
    tokens: 3,
    nodes: 3,
    parents: 1,
    children: { min: 3, median: 3, max: 3 },
    siblings: 2,
    wide: 1,
    together: 2 / 4,
  });
  assert.equal(second.together, 1 / 4);
  const context = describeCodes([["a"], ["a"], ["b"]], {
    sequences: [{ items: [0, 1, 2, 0], context: 2 }, { items: [0, 1, 2], context: 3 }],
  });
  assert.equal(context.levels[0].together, 0, "items that are no targets do not count again");
  assert.equal("together" in describeCodes([["a"]], { sequences: [] }).levels[0], false);
  assert.deepEqual(
    [second.parents, second.nodes, second.children, second.siblings, second.wide],
    [3, 4, { min: 1, median: 1, max: 2 }, 2 / 5, 1],
  );
  const text = renderCodes(found);
  assert.match(text, /5 items, 4 distinct codes, 2 items that share theirs/);
  assert.match(text, /consecutive items alike so far +│ 0\.500 +│ 0\.250/);
});

test(
  "codes: what the command writes is what train reads",
  inFolder(async (folder) => {
    const data = smallFolder();
    const out = join(folder, "made");
    const run = (more = ""): Promise<void> => {
      const args = `--data ${data} --codes hierarchical:4x3 --out ${out} --json${more}`;
      return Promise.resolve(codesLine.run(parse(codesLine, args.split(" "))));
    };
    await run();
    const index = readFileSync(join(out, "index.json"), "utf8");
    writeFileSync(join(out, "inter.json"), readFileSync(join(data, "inter.json")));
    const written = await loadDataset(out);
    const made = await loadDataset(data, { codes: "hierarchical:4x3" });
    assert.deepEqual([written.paths, written.tokens], [made.paths, made.tokens]);
    assert.deepEqual(made.prompt([0]), [0, ...made.paths[0]]);
    assert.deepEqual(JSON.parse(index), indexOf(made));
    await assert.rejects(run(), /^DataError: Cannot write .*index\.json: .*--overwrite replaces/);
    assert.equal(readFileSync(join(out, "index.json"), "utf8"), index);
    await run(" --overwrite");
    assert.throws(
      () => parse(codesLine, ["--overwrite"]),
      /^UsageError: Cannot use --overwrite: it must come with --out, got none/,
    );
    writeFileSync(join(folder, "file"), "");
    const args = `--data ${data} --codes hierarchical:4x3 --out ${join(folder, "file")}`;
    await assert.rejects(
      Promise.resolve(codesLine.run(parse(codesLine, args.split(" ")))),
      /^DataError: Cannot make the folder .*file: it must not be a file/,
    );
  }),
);

test("loadDataset: made codes for interactions, which have none of their own", async () => {
  const rows = Array.from({ length: 60 }, (_, i) => `${i % 6},${(i * 7) % 20},5,${i}`);
  const text = ["userId,movieId,rating,timestamp", ...rows].join("\n");
  const folder = memoryFolder("ml", new Map([["ratings.csv", new TextEncoder().encode(text)]]));
  const own = await loadDataset(folder, { kCore: 1, codes: "item" });
  const made = await loadDataset(folder, { kCore: 1, codes: "hierarchical:4x3" });
  assert.deepEqual([made.items, made.test], [own.items, own.test]);
  assert.deepEqual(indexOf(made)[made.items[0]], (await makeCodes(own, "hierarchical:4x3"))[0]);
  await assert.rejects(loadDataset(folder), /^UsageError: .*--codes must be item or made ones/);
});

test("loadDataset: vectors need ids where no file has the order of the items", async () => {
  const rows = Array.from({ length: 60 }, (_, i) => `${i % 6},${(i * 7) % 20},5,${i}`);
  const files: Readonly<Record<string, string>> = {
    "ratings.csv": `userId,movieId,rating,timestamp\n${rows.join("\n")}`,
    "inter.json": JSON.stringify({ u: ["1", "2", "3"], v: ["2", "3", "1"] }),
  };
  for (const [file, text] of Object.entries(files)) {
    const folder = memoryFolder("ml", new Map([[file, new TextEncoder().encode(text)]]));
    const load = (from: string) =>
      loadDataset(folder, {
        ...(file === "ratings.csv" && { kCore: 1 }),
        codes: `hierarchical:2x2,from=behaviour+${from}`,
      });
    for (const vectors of ["none/v.npy", "none/v.safetensors#x"]) {
      await assert.rejects(load(vectors), {
        name: "UsageError",
        message: new RegExp(
          `the items of ml/${file} have no order .*\\.csv file with ids, got ${
            vectors.split("#")[0]
          }`,
        ),
      });
    }
    await assert.rejects(load("none/v.csv"), /^DataError: .*v\.csv/, "by its ids");
  }
});

test("withMadeCodes: refused where prompts are text", async () => {
  await assert.rejects(
    withMadeCodes({ ...shop, promptPerTarget: true }, "hierarchical:4x4"),
    ArgumentError,
  );
  await assert.rejects(
    loadDataset("synthetic", { codes: "hierarchical:4x4" }, "models/llama"),
    /^UsageError: Cannot use --codes hierarchical:4x4: .* without --model, got both$/,
  );
});

const SMALL = "--layers 1 --dim 16 --heads 2 --ffn 32 --epochs 1 --device cpu --threads 1 " +
  "--cost-users 0";

test(
  "train --codes: codes are kept beside the runs, which are resumed and judged on them",
  inFolder(async (folder) => {
    const data = smallFolder();
    const out = join(folder, "runs");
    const train = (more: string) =>
      runExperiment(
        parseOptions(`--data ${data} ${SMALL} --out ${out} ${more}`.split(" ")),
      );
    const codes = "hierarchical:6x2";
    const { runs: [{ test: first }], dataset } = await train(`--loss msl --codes ${codes}`);
    assert.equal(dataset.codes, codes);
    const kept = JSON.parse(readFileSync(join(out, "codes.json"), "utf8"));
    const whole = wholeSpec(codes);
    assert.deepEqual([kept.version, kept.codes, kept.index], [1, whole, indexOf(dataset)]);
    const { runs: [{ test: again }] } = await train(`--loss msl --codes ${codes},seed=0 --resume`);
    assert.deepEqual(again.beams, first.beams);

    const checkpoint = join(out, "msl-seed0");
    assert.deepEqual(readRecipe(checkpoint).reading, { codes: whole });
    const saved = await readSavedRun(checkpoint, data);
    assert.deepEqual(saved.dataset.paths, dataset.paths);
    const { violations, users } = await verifyModel({ checkpoint, data, limitUsers: 5 });
    assert.deepEqual([violations, users], [0, 5]);

    const refused = (run: Promise<unknown>, message: RegExp) =>
      assert.rejects(run, (e) => e instanceof CheckpointError && message.test(e.message));
    await refused(
      train("--codes hierarchical:6x3 --loss bear"),
      /its codes must be hierarchical:6x3/,
    );
    const changed = [{ hash: "0" }, { index: { ...kept.index, 3: ["<a_0>"] } }, { index: {} }];
    for (const change of changed) {
      writeFileSync(join(out, "codes.json"), JSON.stringify({ ...kept, ...change }));
      await refused(
        readSavedRun(checkpoint, data),
        /codes\.json: it must be as it was written, of/,
      );
    }
    writeFileSync(join(out, "codes.json"), "{}");
    await refused(readSavedRun(checkpoint, data), /codes\.json at "version"/);
    writeFileSync(join(out, "codes.json"), JSON.stringify(kept).slice(0, 300));
    await refused(readSavedRun(checkpoint, data), /codes\.json: it must be JSON, got /);
  }),
);

test(
  "compare --codes: one set of codes for all runs",
  inFolder(async (out) => {
    const args = `--data ${smallFolder()} --out ${out} --losses sft,msl --seeds 1 ${SMALL} ` +
      "--codes residual:4x4 --verify-users 2";
    const { results } = await compareLosses(parseGridOptions("compare", args.split(" ")));
    const whole = wholeSpec("residual:4x4");
    assert.deepEqual(results.map(({ recipe }) => recipe.reading.codes), [whole, whole]);
    assert.ok(existsSync(join(out, "codes.json")));
    assert.deepEqual(results.map(({ verification }) => verification?.users), [2, 2]);
  }),
);

test(
  "compare --codes: several kinds of codes, each in a folder of its own, in one report",
  inFolder(async (out) => {
    const data = smallFolder();
    const compare = (args: string) =>
      compareLosses(parseGridOptions(
        "compare",
        `--data ${data} --losses msl --seeds 2 ${SMALL} --verify-users 0 ${args}`.split(" "),
      ));
    const codes = "--codes semantic,item,hierarchical:3x3,seed=1";
    const { results } = await compare(`--out ${join(out, "whole")} ${codes}`);
    const names = ["msl", "msl codes=item", "msl codes=hierarchical:3x3,seed=1"];
    assert.deepEqual(
      results.map(({ variant, recipe: { seed } }) => [variant, seed]),
      names.flatMap((name) => [0, 1].map((seed) => [name, seed])),
    );
    assert.deepEqual(
      readdirSync(join(out, "whole")).sort(),
      ["hierarchical-3x3-seed=1", "item", "semantic"],
    );
    // Shards with folders of their own, of which one has no baselines of some codes.
    const parts = [0, 1].map((i) => join(out, `part${i}`));
    for (const [i, part] of parts.entries()) await compare(`--out ${part} ${codes} --shard ${i}/2`);
    const [whole, merged] = [[join(out, "whole")], parts].map((folders) => readResults(folders));
    assert.deepEqual([whole.unfinished, merged.unfinished], [[], []]);
    const ranksOf = ({ runs }: typeof whole) =>
      new Map(runs.map(({ variant, recipe, test }) => [`${variant} ${recipe.seed}`, test]));
    assert.deepEqual(ranksOf(merged), ranksOf(whole));
    assert.deepEqual(merged.baselines?.baselines, whole.baselines?.baselines);
    const found = compareRuns(whole.runs, whole.baselines, { resamples: 20 });
    assert.deepEqual(found.variants.map(({ name }) => name).sort(), names.toSorted());
    const checkpoint = join(out, "whole", "hierarchical-3x3-seed=1", "msl-seed0");
    assert.equal((await readSavedRun(checkpoint, data)).dataset.codes, "hierarchical:3x3,seed=1");
  }),
);

test(
  "compare --codes: codes that cannot be made are refused before anything is trained",
  inFolder(async (out) => {
    const args = `--data ${smallFolder()} --out ${out} --losses msl --seeds 1 ${SMALL} ` +
      "--codes semantic,hierarchical:3x3,from=none.csv";
    await assert.rejects(
      compareLosses(parseGridOptions("compare", args.split(" "))),
      /^DataError: .*none\.csv/,
    );
    assert.deepEqual(readdirSync(out), []);
  }),
);
