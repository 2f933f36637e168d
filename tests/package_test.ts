/**
 * The npm package as its users have it: packed, installed into an empty folder, and used there by
 * Node, Deno and Bun, by TypeScript and by a bundler.
 */
import { build, type Plugin, stop } from "esbuild";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { bundleSizes } from "../benches/size.ts";
import { inDeno } from "./command.ts";
import { testDevices } from "./devices.ts";

const { version, engines, exports } = JSON.parse(readFileSync("package.json", "utf8")) as {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
};

/** The oldest Node that package.json allows. */
const OLDEST = ["npx", "-y", `node@${engines.node.replace(">=", "")}.0`];

/** How runtimes run a file. */
const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  "the oldest Node": OLDEST,
  "Node 24": ["npx", "-y", "node@24.21.0"],
  "Deno": [process.execPath, "run", "-A"],
  "Bun": ["npx", "-y", "bun@1.4.5"],
};

/** A program for each subpath. It throws, or prints `ok`. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "beargrad": `
import { Worker } from "node:worker_threads";
import { cpu, matmul, ones, sum, valueAndGrad } from "beargrad";
const device = cpu({ threads: 2, Worker });
const { value, grads } = valueAndGrad(({ w }) => sum(matmul(w, w)))({ w: ones(device, [2, 2]) });
if (await value.item() !== 8 || (await grads.w.data())[3] !== 4) throw new Error("wrong");
const x = ones(device, [512, 512]);
for (const end = Date.now() + 20_000; device.stats.sharedLaunches === 0;) {
  if (Date.now() > end) throw new Error("no thread has started");
  if ((await matmul(x, x).data())[0] !== 512) throw new Error("wrong");
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log("ok");`,
  "beargrad/engine": `
import { cpu, linear } from "beargrad/engine";
const device = cpu();
const y = linear(device.tensor([1, 2]), device.tensor([[3, 4]]));
console.log(await y.item() === 11 ? "ok" : "wrong");`,
  "beargrad/lab": `
import { loadDataset, parseOptions } from "beargrad/lab";
const { items } = await loadDataset("synthetic");
console.log(items.length === 400 && parseOptions([]).batch === 32 ? "ok" : "wrong");`,
  "beargrad/theory": `
import { exactTheorems, exactWorlds, verifyPropositions } from "beargrad/theory";
const found = await verifyPropositions(exactWorlds(), exactTheorems, { cases: 20, seed: 1 });
console.log(found.every(({ failures }) => failures === 0) ? "ok" : "wrong");`,
};

const WEBGPU = `
import { ones, sum } from "beargrad";
import { openDevice } from "beargrad/lab";
const device = await openDevice("webgpu");
for (let i = 0; i < 20; i++) {
  globalThis.gc?.();
  if (await sum(ones(device, [1000])).item() !== 1000) throw new Error("wrong");
}
console.log("ok");`;

/** Reads a half. */
const HALF = `
import { decodeSafetensors } from "beargrad";
const header = '{"x":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}';
const bytes = new Uint8Array([header.length, 0, 0, 0, 0, 0, 0, 0,
  ...new TextEncoder().encode(header), 0, 60]);
try {
  console.log(decodeSafetensors(bytes).tensors.x.data[0]);
} catch (error) {
  console.log(error.name, error.message);
}`;

/** A program that is only checked. The two below it pass what libraries of types declare. */
const TYPED = `
import { cpu, type Device, type Tensor, Transformer, valueAndGrad, webgpu } from "beargrad";
import { matmul } from "beargrad/engine";
import { evaluate, openDevice, type Options, parseOptions, Trainer } from "beargrad/lab";
import { exactTheorems, type World } from "beargrad/theory";
export const options: Options = parseOptions([]);
export const device: Device = cpu();
export function product(a: Tensor, b: Tensor): Tensor {
  using scope = device.arena();
  return scope && matmul(a, b);
}
export type Known = World;
export const names: readonly unknown[] = [
  evaluate, exactTheorems, openDevice, Trainer, Transformer, valueAndGrad, webgpu,
];`;
const TYPED_IN_BROWSERS = `${TYPED}
export const gpu: Promise<Device> = webgpu(navigator.gpu);`;
const TYPED_IN_NODE = `
import { Worker } from "node:worker_threads";${TYPED}
export const threads: Device = cpu({ threads: 2, Worker });`;

/** What small trainings are asked for. */
const SMALL = "--layers 1 --dim 16 --heads 2 --ffn 32 --epochs 1 --device cpu --threads 2 " +
  "--loss bear --limit-users 16 --cost-users 0 --out";

/** The most that bundles may weigh, gzipped, in kB. docs/install.md has what they weigh. */
const MOST = {
  "sum, on the cpu": 15,
  "sum, on WebGPU": 16,
  "an MLP and its training": 66,
  "the transformer, bear, beam search": 105,
  "all of beargrad": 128,
} as const;

const skip = !inDeno
  ? "Deno tests the package in every runtime"
  : spawnSync("npm", ["--version"]).status !== 0 && "there is no npm here";

/** The folder that the package is installed into, and the names of the files of its tarball. */
let folder: string;
let packed: readonly string[];

/** The standard output of a command that must succeed. */
function outputOf([command, ...args]: readonly string[], cwd = folder): string {
  const env = { ...process.env, NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: "utf8" });
  assert.equal(status, 0, `${command} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout.trim();
}

/** The standard output of the program of the package, in the oldest Node. */
function beargrad(args: string): string {
  return outputOf(["npx", "-y", "-p", OLDEST[2], "-c", `beargrad ${args}`]);
}

/** Writes a file into the folder and returns its name. */
function written(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return name;
}

before(() => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), "beargrad-package-"));
  const printed = outputOf(["npm", "pack", "--json", "--pack-destination", folder], ".");
  const [tarball] = JSON.parse(printed.slice(printed.indexOf("[\n")));
  packed = tarball.files.map(({ path }: { readonly path: string }) => path);
  written("package.json", '{ "private": true, "type": "module" }');
  outputOf(["npm", "install", "--no-audit", "--no-fund", tarball.filename]);
  for (const name of ["webgpu", "@types/node"]) { // large ones, which are here already
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(realpathSync(join("node_modules", name)), link);
  }
});
after(async () => {
  if (skip) return;
  await stop();
  rmSync(folder, { recursive: true });
});

test("package: the tarball has what exports names, and no tests, benches or docs", { skip }, () => {
  const others = packed.filter((file) => !file.startsWith("dist/"));
  assert.deepEqual(others.sort(), ["LICENSE", "README.md", "package.json"]);
  for (const target of Object.values(exports).flatMap((target) => Object.values(target))) {
    assert.ok(packed.includes(target.replace("./", "")), target);
  }
  for (const file of packed.filter((file) => file.startsWith("dist/"))) {
    assert.match(file, /^dist\/((core|kernels|ops|models|lab)\/.*|\w+)\.(js|d\.ts|js\.map)$/);
  }
});

for (const [runtime, command] of Object.entries(RUNTIMES)) {
  for (const [subpath, program] of Object.entries(PROGRAMS)) {
    test(`package: ${subpath} in ${runtime}`, { skip, timeout: 120_000 }, () => {
      assert.equal(outputOf([...command, written("program.mjs", program)]), "ok");
    });
  }
}

test("package: a Node without Float16Array reads no halves and says so", { skip }, () => {
  const name = written("half.mjs", HALF);
  assert.equal(outputOf([...RUNTIMES["Node 24"], name]), "1");
  assert.equal(
    outputOf([...OLDEST, name]),
    "DTypeError Cannot use half precision: the runtime must have Float16Array, as Node 24 has, " +
      "got none",
  );
});

const noWebgpu = testDevices.find(({ name }) => name === "webgpu")?.skip;
test("package: Node computes on WebGPU by npm's webgpu", { skip: skip || noWebgpu }, () => {
  const name = written("webgpu.mjs", WEBGPU);
  for (const command of [OLDEST, RUNTIMES["Node 24"]]) {
    assert.equal(outputOf([...command, "--expose-gc", name]), "ok");
  }
});

test("package: npx beargrad train gives the report and the bits of train.ts", { skip }, () => {
  const theirs = beargrad(`train ${SMALL} theirs`);
  const ours = outputOf(
    [process.execPath, "run", "-A", "train.ts", ...SMALL.split(" "), join(folder, "ours")],
    ".",
  );
  assert.match(ours, /\n│ bear /);
  assert.equal(theirs, ours);
  const [one, other] = ["theirs", "ours"].map((out) =>
    readFileSync(join(folder, out, "bear-seed0", "model.safetensors"))
  );
  assert.deepEqual(one, other);
});

test("package: a loss of one's own is trained by npx beargrad", { skip }, () => {
  const source = `import { mul, sft } from "beargrad";
    export const half = () => (logits, targets) => mul(0.5, sft()(logits, targets));`;
  const loss = `--losses ./${written("half_sft.mjs", source)}`;
  assert.match(beargrad(`train ${SMALL.replace("--loss bear", loss)} half`), /\n│ half_sft /);
});

test("package: its commands go by their name", { skip }, () => {
  assert.match(beargrad(""), /^Usage: npx beargrad <command>/);
  assert.match(beargrad("train --help"), /^Usage: npx beargrad train/);
});

test("package: an older Node is told so in a line", { skip }, () => {
  const args = ["-y", "-p", "node@20.20.2", "-c", "beargrad train"];
  const { status, stderr } = spawnSync("npx", args, { cwd: folder, encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /^Cannot start: Node must be 22\.3 or newer, got 20\.20\.2$/m);
  assert.doesNotMatch(stderr, /^ +at /m);
});

test("package: all of lab loads where Node's modules are empty, as in Vite", { skip }, async () => {
  const empty: Plugin = {
    name: "empty",
    setup({ onLoad, onResolve }) {
      const namespace = "empty";
      onResolve({ filter: /^(node:.*|os|util)$/ }, ({ path }) => ({ path, namespace }));
      onLoad({ filter: /.*/, namespace }, () => ({ contents: "module.exports = {};" }));
    },
  };
  await build({
    stdin: { contents: 'export * from "beargrad/lab";', resolveDir: folder },
    outfile: join(folder, "lab_for_browsers.mjs"),
    bundle: true,
    format: "esm",
    platform: "browser",
    plugins: [empty],
  });
  outputOf([...RUNTIMES["Node 24"], "lab_for_browsers.mjs"]);
});

for (const moduleResolution of ["nodenext", "bundler"]) {
  const module = moduleResolution === "bundler" ? "esnext" : "nodenext";
  for (
    const [name, program, options] of [
      ["no library but the language", TYPED, { lib: ["es2022"], types: [] }],
      ["a browser's library", TYPED_IN_BROWSERS, { lib: ["esnext", "dom"], types: [] }],
      ["Node's types", TYPED_IN_NODE, { lib: ["es2023"], types: ["node"] }],
    ] as const
  ) {
    test(`package: types, strict, ${moduleResolution}, with ${name}`, { skip }, () => {
      const compilerOptions = { strict: true, noEmit: true, target: "es2022", module };
      const all = { ...compilerOptions, moduleResolution, ...options };
      written("typed.ts", program);
      written("tsconfig.json", JSON.stringify({ compilerOptions: all, files: ["typed.ts"] }));
      outputOf(["node", resolve("node_modules/typescript/bin/tsc"), "-p", "."]);
    });
  }
}

test(
  "package: JSR takes it without a warning, with the version and subpaths of npm",
  { skip },
  () => {
    const jsr = JSON.parse(readFileSync("deno.json", "utf8"));
    assert.deepEqual([jsr.version, Object.keys(jsr.exports)], [version, Object.keys(exports)]);
    const args = ["publish", "--dry-run", "--allow-dirty", "--no-check"];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stripVTControlCharacters(stderr), /^(warning|error)\b/m);
  },
);

/** Shows the name of an error. */
const NAMED = `
import { DeviceError } from "beargrad";
console.log(new DeviceError("lost").name);`;

for (const keepNames of [false, true]) {
  const name = `package: a minified bundle behaves the same${keepNames ? ", with kept names" : ""}`;
  test(name, { skip }, async () => {
    const outfile = join(folder, "bundled.mjs");
    await build({
      stdin: { contents: PROGRAMS["beargrad"] + NAMED, resolveDir: folder },
      bundle: true,
      format: "esm",
      minify: true,
      keepNames,
      outfile,
      platform: "node",
    });
    assert.equal(outputOf([...RUNTIMES["Node 24"], outfile]), "ok\nDeviceError");
  });
}

test("package: bundles have what they need and little else", { skip }, async () => {
  for (const [name, { gzipped }] of Object.entries(await bundleSizes())) {
    const most = MOST[name as keyof typeof MOST];
    assert.ok(gzipped < 1000 * most, `${name}: ${gzipped} bytes, at most ${most} kB`);
  }
});
