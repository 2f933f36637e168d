// deno-lint-ignore-file no-console -- it prints
/**
 * What a training step costs: `deno task bench:step --help` lists the options.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { cpu } from "../core/cpu_backend.ts";
import type { Device } from "../core/tensor.ts";
import { openDevice } from "../lab/devices.ts";
import { type CommandLine, refuse, runCommand } from "../lab/cli/flags.ts";
import { choice, flag, integer, jsonFlag, optional, toggle } from "../lab/cli/kinds.ts";
import { renderTable } from "../lab/table.ts";
import type { LossName } from "../models/losses/index.ts";
import { costOf, median, peakRssMiB, rounded } from "./measure.ts";
import { type Steps, trainingSteps } from "../lab/device/training_steps.ts";
import { batchLosses, type ConfigName, configNames } from "../lab/device/workload.ts";

const engines = ["beargrad", "jax-js"] as const;
type Engine = (typeof engines)[number];

interface Options {
  readonly config: ConfigName;
  readonly device: "cpu" | "webgpu";
  readonly threads: number | undefined;
  readonly loss: LossName;
  readonly steps: number;
  readonly engine: Engine;
  readonly peer: "jax-js" | undefined;
  readonly rounds: number;
  readonly reference: boolean;
  readonly json: boolean;
}

const LINE: CommandLine<Options> = {
  name: "bench:step",
  usage: "[options]",
  does: "Measures a training step on a fixed batch: forward, loss, backward, AdamW.",
  flags: {
    config: flag(choice(configNames), "size of the decoder", "S"),
    device: flag(choice(["cpu", "webgpu"]), "where to compute", "cpu"),
    threads: optional(integer(1, 64), "threads of our cpu device", "default one a core, at most 8"),
    loss: flag(choice(batchLosses), "loss of the step", "sft"),
    steps: flag(integer(3, 10000), "steps in all; the first two warm up and are not timed", 10),
    engine: flag(choice(engines), "engine that takes the step", "beargrad"),
    peer: optional(
      choice(["jax-js"]),
      "engine to alternate with, in processes of their own",
      "default none",
    ),
    rounds: flag(integer(1, 100), "how often to alternate", 2),
    reference: toggle("compare the losses with those of the cpu in float64 (slow)"),
    json: jsonFlag,
  },
  run: main,
};

/** What was measured. Times are medians over the steps after the second. */
interface Report {
  readonly engine: Engine;
  readonly config: ConfigName;
  readonly device: string;
  readonly loss: LossName;
  /** Milliseconds until a step's loss is on the host and its weights are updated. */
  readonly medianMs: number;
  /** Processor milliseconds of all threads, for a step. */
  readonly cpuMs: number;
  readonly peakRssMiB: number;
  /** Kernel launches of a step; not known of a peer. */
  readonly dispatches?: number;
  /** Device memory in use, MiB. */
  readonly liveMiB?: number;
  /** The loss of every step. */
  readonly losses: readonly number[];
  /** The largest relative difference of a loss from float64. */
  readonly referenceDifference?: number;
}

const WARM_UP = 2;

async function measure(
  { config, device: kind, threads, loss, steps, engine, reference }: Options,
): Promise<Report> {
  const device = engine === "beargrad" ? await openDevice(kind, threads) : undefined;
  const run = device ? trainingSteps(device, config, loss) : await peerSteps(kind, config);
  const losses: number[] = [];
  const walls: number[] = [];
  const cpus: number[] = [];
  let launches = 0;
  for (let i = 0; i < steps; i++) {
    const before = device?.stats.launches ?? 0;
    const { wall, cpu } = await costOf(async () => losses.push(await run.next()));
    if (i < WARM_UP) continue;
    walls.push(wall);
    cpus.push(cpu);
    launches = (device?.stats.launches ?? 0) - before;
  }
  return {
    engine,
    config,
    device: kind,
    loss,
    medianMs: rounded(median(walls)),
    cpuMs: rounded(median(cpus)),
    peakRssMiB: Math.round(peakRssMiB()),
    ...(device && { dispatches: launches, ...deviceMemory(device) }),
    losses,
    ...(reference && { referenceDifference: await referenceDifference(config, loss, losses) }),
  };
}

function deviceMemory(device: Device): { liveMiB: number } {
  return { liveMiB: rounded(device.stats.liveBytes / 2 ** 20) };
}

/** jax-js is loaded only where it is asked for. */
async function peerSteps(device: "cpu" | "webgpu", config: ConfigName): Promise<Steps> {
  const { jaxSteps, openJax } = await import("./peer_step.ts");
  await openJax(device);
  return jaxSteps(config);
}

async function referenceDifference(
  config: ConfigName,
  loss: LossName,
  losses: readonly number[],
): Promise<number> {
  const run = trainingSteps(cpu({ float: "float64" }), config, loss);
  let worst = 0;
  for (const value of losses) {
    const exact = await run.next();
    worst = Math.max(worst, Math.abs(value - exact) / Math.abs(exact));
  }
  return rounded(worst);
}

/** This command again in a process of its own, for one engine. */
function measureApart(engine: Engine, { config, device, threads, loss, steps }: Options): Report {
  const runtime = "Deno" in globalThis ? ["run", "-A"] : [];
  const given = { config, device, loss, steps, engine, ...(threads && { threads }) };
  const args = Object.entries(given).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const script = fileURLToPath(import.meta.url);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...runtime, script, ...args, "--json"],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`${engine} failed:\n${stderr}`);
  return JSON.parse(stdout);
}

/** Ours, theirs, ours, theirs, ...: of each the medians over the rounds. */
function compare(options: Options): Record<Engine, Report> {
  const reports: Record<Engine, Report[]> = { "beargrad": [], "jax-js": [] };
  for (let round = 0; round < options.rounds; round++) {
    for (const engine of engines) reports[engine].push(measureApart(engine, options));
  }
  const middle = (all: readonly Report[]): Report => ({
    ...all[0],
    medianMs: rounded(median(all.map((r) => r.medianMs))),
    cpuMs: rounded(median(all.map((r) => r.cpuMs))),
    peakRssMiB: Math.max(...all.map((r) => r.peakRssMiB)),
  });
  return { "beargrad": middle(reports.beargrad), "jax-js": middle(reports["jax-js"]) };
}

function render(reports: readonly Report[]): string {
  const rows = reports.map((r) => [
    `${r.engine} ${r.config} ${r.device} ${r.loss}`,
    r.medianMs,
    r.cpuMs,
    r.peakRssMiB,
    r.dispatches ?? "-",
    `${rounded(r.losses[0], 6)} ... ${rounded(r.losses.at(-1) as number, 6)}`,
    r.referenceDifference ?? "-",
  ]);
  const head = ["step", "wall ms", "CPU ms", "peak MiB", "dispatches", "loss", "off float64"];
  return renderTable(head, rows);
}

async function main(options: Options): Promise<void> {
  const { engine, loss, peer, json } = options;
  const jax = engine === "jax-js" || peer !== undefined;
  if (jax && loss !== "sft") refuse("--loss", "it must be sft where jax-js takes the step", loss);
  if (jax && options.reference) refuse("--reference", "it must come without jax-js", "both");
  if (peer === undefined) {
    const report = await measure(options);
    return console.log(json ? JSON.stringify(report) : render([report]));
  }
  const { beargrad: ours, "jax-js": theirs } = compare(options);
  const ratios = {
    wall: rounded(theirs.medianMs / ours.medianMs, 3),
    cpu: rounded(theirs.cpuMs / ours.cpuMs, 3),
  };
  if (json) return console.log(JSON.stringify({ ...ours, peer: theirs, ratios }));
  console.log(render([ours, theirs]));
  console.log(
    `jax-js takes ${ratios.wall} times the wall time and ${ratios.cpu} times the CPU time`,
  );
}

await runCommand(LINE, process.argv.slice(2));
process.exit(); // jax-js leaves threads behind
