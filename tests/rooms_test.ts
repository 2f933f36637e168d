/** The rooms of the project and the one direction in which they may import. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

/** Each room with the rooms it may import from, itself included. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  core: ["core"],
  kernels: ["core", "kernels"],
  ops: ["core", "kernels", "ops"],
  models: ["core", "kernels", "ops", "models"],
  lab: ["core", "kernels", "ops", "models", "lab"],
};

/** Rooms that run in a browser as they are: no file system, no npm, no runtime global. */
const PORTABLE = ["core", "kernels", "ops", "models"];

/** Build-time sources, which are no part of the library. */
const BUILD = [join("kernels", "wasm", "build.ts"), join("kernels", "wasm", "assembly")];

function sources(room: string): string[] {
  return readdirSync(room, { recursive: true, encoding: "utf8" })
    .map((file) => join(room, file))
    .filter((file) => file.endsWith(".ts") && !BUILD.some((build) => file.startsWith(build)));
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8").replaceAll(/^\s*\*.*$/gm, "");
  return [...text.matchAll(/\bfrom\s+"([^"]+)"|\bimport\("([^"]+)"\)|^import\s+"([^"]+)"/gm)]
    .map((match) => match[1] ?? match[2] ?? match[3]);
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

test("rooms: the portable rooms touch no runtime global", () => {
  for (const file of PORTABLE.flatMap(sources)) {
    const code = readFileSync(file, "utf8").replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
    const found = code.match(/\b(Deno|Bun|process|navigator|globalThis|window|document)\b\s*[.?[]/);
    assert.equal(found, null, `${file} must not use ${found?.[0]}`);
  }
});

test("rooms: the check would notice a wrong import", () => {
  const specifiers = importsOf("tests/rooms_test.ts");
  assert.ok(specifiers.includes("node:fs"));
});

/** A file and all that it imports, directly or not. */
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
