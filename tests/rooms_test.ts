/** The rooms of the project, the one direction in which they may import, and circles of files. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

/** Each room with the rooms that it may import from, itself included. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  core: ["core"],
  kernels: ["core", "kernels"],
  ops: ["core", "kernels", "ops"],
  models: ["core", "kernels", "ops", "models"],
  lab: ["core", "kernels", "ops", "models", "lab"],
};

/** Rooms that run in a browser as they are: no file system, no npm package, no runtime global. */
const PORTABLE = ["core", "kernels", "ops", "models"];

/** Build-time sources, which are not part of the library. */
const BUILD = [join("kernels", "wasm", "build.ts"), join("kernels", "wasm", "assembly")];

/** The entry files by the names that they are imported by. */
const { imports } = JSON.parse(readFileSync("deno.json", "utf8")) as {
  readonly imports: Readonly<Record<string, string>>;
};

function sources(room: string): string[] {
  return readdirSync(room, { recursive: true, encoding: "utf8" })
    .map((file) => join(room, file))
    .filter((file) => /\.tsx?$/.test(file) && !BUILD.some((build) => file.startsWith(build)));
}

/** The files of all rooms, benches, examples and tests, and the entry files. */
function allFiles(): string[] {
  const entries = readdirSync(".").filter((file) => file.endsWith(".ts"));
  const rooms = [...Object.keys(ROOMS), "page", "benches", "examples", "tests"];
  return [...entries, ...rooms.flatMap(sources)];
}

/** What a file imports, types included. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8").replaceAll(/^\s*\*.*$/gm, "");
  return [...text.matchAll(/\bfrom\s+"([^"]+)"|\bimport\("([^"]+)"\)|^import\s+"([^"]+)"/gm)]
    .map((match) => match[1] ?? match[2] ?? match[3]);
}

/** The files of the project that a file imports. */
function filesImportedBy(file: string): string[] {
  return importsOf(file).flatMap((specifier) => {
    if (specifier.startsWith(".")) return [normalize(join(dirname(file), specifier))];
    return specifier in imports ? [normalize(imports[specifier])] : [];
  });
}

for (const [room, allowed] of Object.entries(ROOMS)) {
  test(`rooms: ${room} imports from ${allowed.join(", ")} only`, () => {
    const files = sources(room);
    assert.ok(files.length > 0);
    for (const file of files) {
      for (const specifier of importsOf(file)) {
        if (specifier.startsWith(".")) {
          const target = normalize(join(dirname(file), specifier)).split(/[\\/]/)[0];
          assert.ok(allowed.includes(target), `${file} must not import ${specifier}`);
        } else {
          assert.ok(!PORTABLE.includes(room), `${file} must not import ${specifier}`);
        }
      }
    }
  });
}

test("rooms: page uses what the package exports, and only tests import page", () => {
  const packages = /^(@preact\/signals|d3-scale|d3-shape|fflate|preact(\/hooks)?)$/;
  const builds = /^(node:.*|esbuild)$/;
  for (const file of sources("page")) {
    for (const specifier of importsOf(file)) {
      const isBuild = file === join("page", "build.ts") && builds.test(specifier);
      const isAllowed = isBuild || specifier in imports || packages.test(specifier) ||
        /^\.\/[^/]+$/.test(specifier);
      assert.ok(isAllowed, `${file} must not import ${specifier}`);
    }
  }
  for (const file of allFiles().filter((file) => !/^(page|tests)\b/.test(file))) {
    for (const target of filesImportedBy(file)) {
      assert.ok(!target.startsWith("page"), `${file} must not import ${target}`);
    }
  }
});

test("rooms: the portable rooms use no runtime global", () => {
  for (const file of PORTABLE.flatMap(sources)) {
    const code = readFileSync(file, "utf8").replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
    const found = code.match(/\b(Deno|Bun|process|navigator|globalThis|window|document)\b\s*[.?[]/);
    assert.equal(found, null, `${file} must not use ${found?.[0]}`);
  }
});

/** A file and everything that it imports, directly or not. */
function closure(entry: string): Set<string> {
  const seen = new Set([entry]);
  for (const file of seen) {
    for (const specifier of importsOf(file)) {
      assert.match(specifier, /^\.\.?\//, `${file} must not import ${specifier}`);
      seen.add(normalize(join(dirname(file), specifier)));
    }
  }
  return seen;
}

for (const entry of ["engine.ts", "mod.ts"]) {
  test(`rooms: what imports ${entry} alone needs no package and no lab`, () => {
    const files = [...closure(entry)];
    assert.ok(files.includes(join("core", "webgpu_backend.ts")));
    assert.ok(files.includes(join("ops", "matmul.ts")));
    assert.ok(!files.some((file) => file.startsWith("lab")));
  });
}

test("rooms: what measures a device needs no package and no runtime's module", () => {
  assert.ok(closure(join("lab", "device", "measure.ts")).has(join("kernels", "index.ts")));
});

/** Groups of files that import each other, directly or not: each sorted and joined by spaces. */
function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const reached = new Map([...graph.keys()].map((file) => {
    const seen = new Set(graph.get(file));
    for (const next of seen) for (const target of graph.get(next) ?? []) seen.add(target);
    return [file, seen];
  }));
  const groups = [...reached].filter(([file, seen]) => seen.has(file)).map(([file, seen]) =>
    [...seen].filter((other) => reached.get(other)?.has(file)).sort().join(" ")
  );
  return [...new Set(groups)].sort();
}

test("rooms: no files import each other", () => {
  const graph = new Map(allFiles().map((file) => [file, filesImportedBy(file)]));
  for (const file of ["train.ts", ...graph.get("mod.ts") ?? []]) assert.ok(graph.has(file), file);
  assert.deepEqual(circlesIn(graph), []);
});

test("rooms: comments keep to 100 columns", () => {
  const isComment = /^\s*(\/\/|\/\*|\*)/;
  for (const file of allFiles()) {
    for (const [i, line] of readFileSync(file, "utf8").split("\n").entries()) {
      assert.ok(line.length <= 100 || !isComment.test(line), `${file}:${i + 1} is too long`);
    }
  }
});

test("rooms: the checks would notice a wrong import and a circle", () => {
  assert.ok(importsOf(join("tests", "rooms_test.ts")).includes("node:fs"));
  assert.ok(filesImportedBy("mod.ts").includes("engine.ts"));
  const graph = { a: ["b"], b: ["c", "d"], c: ["b"], d: ["e"], e: ["e"] };
  assert.deepEqual(circlesIn(new Map(Object.entries(graph))), ["b c", "e"]);
});
