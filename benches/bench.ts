// deno-lint-ignore-file no-console -- it prints
/**
 * How fast the engine is here, with jax-js beside it: `deno task bench --help` lists the options.
 *
 * @module
 */
import process from "node:process";
import { Bench } from "tinybench";
import type { Device } from "../core/tensor.ts";
import { DeviceError, UsageError } from "../core/errors.ts";
import { openDevice } from "../lab/devices.ts";
import { type CommandLine, runCommand } from "../lab/cli/flags.ts";
import { choice, flag, integer, optional, text, toggle } from "../lab/cli/kinds.ts";
import { renderTable } from "../lab/table.ts";
import { type Case, cases, type Program } from "./cases.ts";
import { buildCost, nestedCatalogue, randomPaths, walkCost } from "./catalogue.ts";
import { type Cost, median, rounded } from "./measure.ts";

interface Options {
  readonly device: "cpu" | "webgpu";
  readonly threads: number | undefined;
  readonly only: string;
  readonly rounds: number;
  readonly alone: boolean;
}

const LINE: CommandLine<Options> = {
  name: "bench",
  usage: "[options]",
  does: "Times matrix products, kernels, losses and catalogues.",
  flags: {
    device: flag(choice(["cpu", "webgpu"]), "where to compute", "cpu"),
    threads: optional(integer(1, 64), "threads of our cpu device", "default one a core, at most 8"),
    only: flag(text("<part>"), "time what has this in its name, such as matmul", "", "default all"),
    rounds: flag(integer(1, 100), "how often to alternate: ours, theirs, ours, theirs ...", 3),
    alone: toggle("leave jax-js out"),
  },
  run: main,
};

/** A round of one case takes about so long, milliseconds. */
const ROUND = 300;

/** Work that does not wait, and what waits for it. */
interface Work {
  run(): void;
  finish(): Promise<unknown>;
}

/**
 * What one run costs, over about `ROUND` milliseconds: as many runs before each wait as a tenth of
 * that has room for.
 */
async function timed({ run, finish }: Work): Promise<Cost> {
  for (let i = 0; i < 2; i++) run();
  await finish();
  const began = performance.now();
  run();
  await finish();
  const batch = Math.max(1, Math.round(ROUND / 5 / (performance.now() - began)));
  let cpu = process.cpuUsage();
  let used = 0;
  const bench = new Bench({ time: ROUND, iterations: 2, warmup: false });
  bench.add("work", async () => {
    for (let i = 0; i < batch; i++) run();
    await finish();
  }, {
    beforeAll: () => void (cpu = process.cpuUsage()),
    afterAll(): void {
      const { user, system } = process.cpuUsage(cpu);
      used = (user + system) / 1000;
    },
  });
  await bench.run();
  const [{ result, runs }] = bench.tasks;
  if (result.state !== "completed") throw new Error("a bench did not complete");
  return { wall: result.latency.p50 / batch, cpu: used / runs / batch };
}

/** Ours and theirs in turn; of each the medians over the rounds. */
async function alternate(works: readonly Work[], rounds: number): Promise<Cost[]> {
  const costs: Cost[][] = works.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, work] of works.entries()) costs[i].push(await timed(work));
  }
  return costs.map((all) => ({
    wall: median(all.map((c) => c.wall)),
    cpu: median(all.map((c) => c.cpu)),
  }));
}

async function benchKernels(
  device: Device,
  chosen: readonly Case[],
  { rounds, alone, device: kind }: Options,
): Promise<void> {
  const theirs = !alone && chosen.some(({ peer }) => peer) ? await peers(kind) : undefined;
  const probe = device.tensor([0]);
  const rows: (string | number)[][] = [];
  for (const { name, gflop, gbyte, ours, peer } of chosen) {
    using _scope = device.arena();
    using program = fitting(device, ours);
    if (program === undefined) {
      rows.push([name, "-", "-", "does not fit"]);
      continue;
    }
    const works: Work[] = [{ run: program.run, finish: () => probe.data() }];
    if (peer && theirs) works.push(theirs(peer));
    const [a, b] = await alternate(works, rounds);
    const rate = gflop
      ? `${rounded(1000 * gflop / a.wall, 3)} GFLOP/s`
      : `${rounded(1000 * (gbyte ?? 0) / a.wall, 3)} GB/s`;
    rows.push([
      ...[name, rounded(a.wall, 3), rounded(a.cpu, 3), rate],
      ...(b ? [b.wall, b.cpu, b.wall / a.wall, b.cpu / a.cpu].map((x) => rounded(x, 3)) : []),
    ]);
  }
  const head = ["", "wall ms", "CPU ms", "rate"];
  const more = theirs ? ["jax-js wall", "jax-js CPU", "wall ratio", "CPU ratio"] : [];
  const blank = more.map(() => "-");
  const table = rows.map((row) => [...row, ...blank].slice(0, head.length + more.length));
  console.log(renderTable([...head, ...more], table));
}

/** Our work, unless a buffer of it is larger than the device allows. */
function fitting(device: Device, ours: Case["ours"]): Program | undefined {
  try {
    return ours(device);
  } catch (error) {
    if (error instanceof DeviceError) return undefined;
    throw error;
  }
}

/** jax-js is loaded only where it is wanted. */
async function peers(
  device: "cpu" | "webgpu",
): Promise<(work: NonNullable<Case["peer"]>) => Work> {
  const { openJax } = await import("./peer_step.ts");
  const { peerWork } = await import("./peer_cases.ts");
  await openJax(device);
  return peerWork;
}

const CATALOGUES = [1e3, 1e4, 1e5, 1e6];

async function benchCatalogue(device: Device): Promise<void> {
  const shapes = CATALOGUES.map((items) => ({ items, levels: 4, codes: 256 }));
  const built = [...shapes, { items: 1e6, levels: 8, codes: 32000 }].map((shape) => {
    const { nodes, ms, trieMiB, grownMiB } = buildCost(randomPaths(shape));
    const { items, levels, codes } = shape;
    return [
      items,
      `${levels} x ${codes}`,
      nodes,
      ...[ms, trieMiB, grownMiB].map((x) => rounded(x)),
    ];
  });
  const head = ["items", "tokens", "nodes", "build ms", "trie MiB", "process grew MiB"];
  console.log(renderTable(head, built));
  const rows: (string | number)[][] = [];
  for (const items of CATALOGUES) {
    const options = { beam: 10, users: 64, rounds: 15 };
    const { wall, cpu } = await walkCost(device, nestedCatalogue(items, options.beam), options);
    const first = Number(rows[0]?.[1] ?? wall);
    rows.push([items, rounded(wall), rounded(cpu), rounded(wall / first, 3)]);
  }
  const walk = ["items", "wall ms a step of 64 users, B = 10", "CPU ms", "of the smallest"];
  console.log(renderTable(walk, rows));
}

async function main(options: Options): Promise<void> {
  const chosen = cases.filter(({ name }) => name.includes(options.only));
  const catalogues = "catalogue".includes(options.only);
  if (chosen.length === 0 && !catalogues) {
    const names = cases.map(({ name }) => name).join("; ");
    throw new UsageError(
      `Cannot use --only: it must be part of a name (${names}; catalogue), got ${options.only}`,
    );
  }
  const device = await openDevice(options.device, options.threads);
  console.log(`${device.kind}: ${device.adapter}`);
  if (chosen.length > 0) await benchKernels(device, chosen, options);
  if (catalogues) await benchCatalogue(device);
}

await runCommand(LINE, process.argv.slice(2));
process.exit(); // jax-js leaves threads behind
