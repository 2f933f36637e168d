/**
 * What a device does and how fast it is, as one plain object: kernels against their references,
 * matrix products, training steps, decoding.
 *
 * @module
 */
import type { AdapterDetails } from "../../core/backend.ts";
import { adapterDetails, gpuTime } from "../../core/device.ts";
import { ArgumentError, DeviceError } from "../../core/errors.ts";
import type { Device } from "../../core/tensor.ts";
import { kernels } from "../../kernels/index.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { Trie } from "../../models/decode/trie.ts";
import { matmul, type MatmulOptions } from "../../ops/matmul.ts";
import { conformanceOf } from "./conformance.ts";
import { randomDecoder } from "./decoding.ts";
import { trainingSteps } from "./training_steps.ts";
import { catalogue, histories, ITEMS, LEVELS, wave } from "./workload.ts";

/** The version in package.json, which a page cannot read. */
const VERSION = "0.1.0";

/** The least and the most runs of a figure that are timed, where there is time for repetition. */
const [LEAST_RUNS, MOST_RUNS] = [3, 100];

/** Users of a search, items of a history, and the beam width, of the decoding figure. */
const [USERS, HISTORY, BEAM] = [64, 20, 10];

/** What a device says of itself. */
export interface DeviceFacts {
  /** Which kind of device it is. */
  readonly kind: "cpu" | "webgpu";
  /** The name of the adapter; of a cpu device, how it computes. */
  readonly adapter: string;
  /** Whether it is a program on the processor, such as llvmpipe. */
  readonly software: boolean;
  /** What WebGPU says of the adapter. */
  readonly gpu?: AdapterDetails;
}

/** Times in milliseconds: the median over the runs, and the least. */
export interface Measured {
  /** Until the host has the result. */
  readonly ms: number;
  /** The least of these. */
  readonly leastMs: number;
  /** On the GPU alone, where the adapter has `timestamp-query`. */
  readonly gpuMs?: number;
  /** The least of these. */
  readonly leastGpuMs?: number;
  /** Of a product: operations over `gpuMs`, else over `ms`. */
  readonly gflops?: number;
  /** Kernel launches of a step, or of a search for 64 users. */
  readonly launches?: number;
  /** The number of runs that were timed; a run of products is many of them. */
  readonly runs: number;
}

/** One thing that was measured. */
export interface Figure {
  /** Such as `product 2560 x 128 x 1027`. */
  readonly name: string;
  /** More about it, such as `logits of S and P`. */
  readonly what: string;
  /** What a time is for. */
  readonly per: "product" | "step" | "user";
  /** On the device, or why it failed. */
  readonly device: Measured | { readonly error: string };
  /** On the reference. */
  readonly reference?: Measured | { readonly error: string };
}

/** A kernel that did not pass, and why. */
export interface KernelProblem {
  /** The kernel's name. */
  readonly kernel: string;
  /** The first difference, or an error's message. */
  readonly reason: string;
}

/** What {@link measureDevice} returns. It can be written as JSON as it is. */
export interface DeviceReport {
  /** The version of beargrad. */
  readonly version: string;
  /** When it was measured, ISO 8601. */
  readonly date: string;
  /** The runtime, such as `Deno/2.9.6`, or the browser. */
  readonly runtime: string;
  /** The processor's cores. */
  readonly cores: number;
  /** The device. */
  readonly device: DeviceFacts;
  /** What was measured beside it. */
  readonly reference?: DeviceFacts;
  /** Kernels against their float64 references; refused are those that exceed the adapter. */
  readonly conformance?: {
    readonly passed: number;
    readonly failed: readonly KernelProblem[];
    readonly refused: readonly KernelProblem[];
  };
  /** Times. */
  readonly figures: readonly Figure[];
}

/** Options of {@link measureDevice}. */
export interface MeasureOptions {
  /** A device to measure beside it, such as the cpu. Its kernels are not compared. */
  readonly reference?: Device;
  /** About how long a figure is repeated after it has warmed up. Default 1; at 0 it runs once. */
  readonly seconds?: number;
  /** Measures only what has this in its name: `conformance`, `product`, `step S`. Default all. */
  readonly only?: string;
  /** Called before each kernel and figure: how many are done, of how many, and what is next. */
  readonly onProgress?: (done: number, total: number, next: string) => void;
  /** Stops before the next kernel or figure: an AbortSignal. */
  readonly signal?: { throwIfAborted(): void };
}

/** Work that runs again and again. */
interface Work extends Disposable {
  /** Does the work `times` times and waits for the last. */
  run(times: number): Promise<unknown>;
}

interface Subject {
  readonly name: string;
  readonly what: string;
  readonly per: Figure["per"];
  /** Operations of a product, in units of 1e9. */
  readonly gflop?: number;
  start(device: Device): Work;
}

/**
 * Products: out (M, N) = a (M, K) b (K, N). The first four are of training with 32 x 80 positions
 * (in S and P the width is 128; ffn is 512 in S and 1024 in P), the fifth is of decoding 64 users
 * with 10 beams, the last shows what the device can do at best.
 */
const PRODUCTS: readonly [M: number, K: number, N: number, what: string, MatmulOptions][] = [
  [2560, 128, 1027, "logits of S and P", { transposeB: true }],
  [2560, 128, 1024, "gate and up of S", { transposeB: true }],
  [1024, 2560, 128, "weight gradient of gate and up of S", { transposeA: true }],
  [2560, 1024, 128, "down of P", { transposeB: true }],
  [640, 128, 1024, "gate and up of S in decoding", { transposeB: true }],
  [2048, 2048, 2048, "a large square", {}],
];

const subjects: readonly Subject[] = [
  ...PRODUCTS.map(([M, K, N, what, options]): Subject => ({
    name: `product ${M} x ${K} x ${N}`,
    what,
    per: "product",
    gflop: 2e-9 * M * K * N,
    start(device): Work {
      const a = device.tensor(wave(M * K), options.transposeA ? [K, M] : [M, K]);
      const b = device.tensor(wave(K * N), options.transposeB ? [N, K] : [K, N]);
      const probe = device.tensor([0]);
      return {
        run(times): Promise<unknown> {
          for (let i = 0; i < times; i++) {
            using _scope = device.arena();
            matmul(a, b, options);
          }
          return probe.data();
        },
        [Symbol.dispose](): void {},
      };
    },
  })),
  ...(["S", "P"] as const).map((name): Subject => ({
    name: `step ${name}`,
    what: "32 windows of 80 positions, sft",
    per: "step",
    start(device): Work {
      const steps = trainingSteps(device, name, "sft");
      return { run: () => steps.next(), [Symbol.dispose]: () => steps[Symbol.dispose]() };
    },
  })),
  {
    name: "decoding S",
    what: `${USERS} users, ${HISTORY} items each, beam ${BEAM}`,
    per: "user",
    start(device): Work {
      const paths = catalogue(ITEMS);
      const trie = new Trie(paths).upload(device);
      const length = 1 + HISTORY * LEVELS;
      const { decoder } = randomDecoder(device, "S", length, LEVELS);
      const search = new BeamSearch(decoder, trie, { beam: BEAM, batch: USERS });
      const users = histories(USERS, HISTORY, ITEMS);
      const prompts = users.map((items) => [0, ...items.flatMap((item) => paths[item])]);
      return {
        run: () => search.search(prompts),
        [Symbol.dispose](): void {
          search[Symbol.dispose]();
          trie.dispose();
        },
      };
    },
  },
];

/**
 * Checks a device and times it: every kernel against its float64 reference, six matrix products,
 * training steps of models S and P (benches/README.md has their sizes), and beam search. It runs in
 * every runtime and in a browser's worker, and takes about a minute on a GPU. Nothing else should
 * use the devices meanwhile.
 *
 * A kernel or a figure that fails is a line of the report, not an error.
 *
 * @throws {ArgumentError} if `only` is part of no name.
 *
 * @example
 * ```ts
 * import { cpu } from "beargrad";
 * import { measureDevice } from "beargrad/lab";
 *
 * const report = await measureDevice(cpu(), { only: "product 640", seconds: 0 });
 * console.log(report.figures[0].device); // { ms: 4.7, leastMs: 4.7, gflops: 35.6, runs: 1 }
 * ```
 */
export async function measureDevice(
  device: Device,
  options: MeasureOptions = {},
): Promise<DeviceReport> {
  const { reference, seconds = 1, only = "", onProgress, signal } = options;
  const checked = "conformance".includes(only) ? kernels : [];
  const chosen = subjects.filter(({ name }) => name.includes(only));
  const total = checked.length + chosen.length * (reference ? 2 : 1);
  if (total === 0) {
    const names = ["conformance", ...subjects.map(({ name }) => name)].join("; ");
    throw new ArgumentError(
      `Cannot measure a device: only must be part of a name (${names}), got ${only}`,
    );
  }
  let done = 0;
  const next = async (name: string): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve)); // so that an abort is heard
    signal?.throwIfAborted();
    onProgress?.(done++, total, name);
  };

  const problems = { failed: [] as KernelProblem[], refused: [] as KernelProblem[] };
  for (const kernel of checked) {
    await next(`kernel ${kernel.name}`);
    const found = await conformanceOf(kernel, device);
    if (found.verdict === "passed") continue;
    problems[found.verdict].push({ kernel: kernel.name, reason: found.reason });
  }
  const passed = checked.length - problems.failed.length - problems.refused.length;

  const figures: Figure[] = [];
  for (const subject of chosen) {
    const { name, what, per } = subject;
    const measured = async (on: Device): Promise<Figure["device"]> => {
      await next(`${name} on ${on.kind}`);
      return await measure(subject, on, 1000 * seconds);
    };
    figures.push({
      ...{ name, what, per },
      device: await measured(device),
      ...(reference && { reference: await measured(reference) }),
    });
  }
  return {
    version: VERSION,
    date: new Date().toISOString(),
    runtime: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
    device: factsOf(device),
    ...(reference && { reference: factsOf(reference) }),
    ...(checked.length > 0 && { conformance: { passed, ...problems } }),
    figures,
  };
}

async function measure(
  subject: Subject,
  device: Device,
  budget: number,
): Promise<Figure["device"]> {
  using _scope = device.arena();
  try {
    using work = subject.start(device);
    return await timed(subject, work, device, budget);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return { error: error.message };
  }
}

/** Runs work once to compile its kernels, then until the budget of milliseconds is spent. */
async function timed(
  { per, gflop }: Subject,
  work: Work,
  device: Device,
  budget: number,
): Promise<Measured> {
  await work.run(1);
  let times = 1; // products are so short that a wait for each would be most of the time
  if (per === "product") { while (await wallOf(() => work.run(times)) < budget / 8) times *= 2; }
  const before = device.stats.launches;
  const walls: number[] = [];
  const gpus: (number | undefined)[] = [];
  const end = performance.now() + budget;
  const least = budget > 0 ? LEAST_RUNS : 1;
  do {
    gpus.push(
      await gpuTime(device, async () => {
        walls.push(await wallOf(() => work.run(times)));
      }),
    );
  } while (walls.length < least || (performance.now() < end && walls.length < MOST_RUNS));
  const runs = walls.length;
  const launches = (device.stats.launches - before) / runs;
  const share = per === "user" ? USERS : times;
  const wall = summary(walls, share);
  const known = gpus.filter((ms) => ms !== undefined);
  const gpu = known.length === runs ? summary(known, share) : undefined;
  return {
    ms: wall.median,
    leastMs: wall.least,
    ...(gpu && { gpuMs: gpu.median, leastGpuMs: gpu.least }),
    ...(gflop !== undefined && { gflops: rounded(1000 * gflop / (gpu ?? wall).median) }),
    ...(gflop === undefined && { launches }),
    runs,
  };
}

async function wallOf(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

/** The median and the least, each over `share`. */
function summary(values: readonly number[], share: number): { median: number; least: number } {
  return { median: rounded(median(values) / share), least: rounded(Math.min(...values) / share) };
}

function factsOf(device: Device): DeviceFacts {
  const { kind, adapter, software } = device;
  const gpu = adapterDetails(device);
  return { kind, adapter, software, ...(gpu && { gpu }) };
}

/** The middle one; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A number to so many significant digits, as a number. */
export function rounded(x: number, digits = 4): number {
  return Number(x.toPrecision(digits));
}
