// deno-lint-ignore-file no-console -- it prints
/**
 * What a GPU does and how fast it is, for an issue: `deno task bench:gpu --help` lists the options.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { type CommandLine, runCommand } from "../lab/cli/flags.ts";
import { choice, flag, integer, optional, real, text } from "../lab/cli/kinds.ts";
import {
  type DeviceReport,
  type Figure,
  type Measured,
  measureDevice,
} from "../lab/device/measure.ts";
import { openDevice } from "../lab/devices.ts";
import { createProgress } from "../lab/progress.ts";
import { renderTable } from "../lab/table.ts";

interface Options {
  readonly device: "cpu" | "webgpu";
  readonly threads: number | undefined;
  readonly only: string;
  readonly seconds: number;
  readonly out: string | undefined;
}

const LINE: CommandLine<Options> = {
  name: "bench:gpu",
  usage: "[options]",
  does: "Checks all kernels on this machine's GPU and times it, with the cpu beside it. Prints a " +
    "table to the standard error and one JSON object, to be pasted into an issue.",
  flags: {
    device: flag(choice(["cpu", "webgpu"]), "what to measure", "webgpu"),
    threads: optional(integer(1, 64), "threads of the cpu device", "default one a core, at most 8"),
    only: flag(
      text("<part>"),
      "measure what has this in its name, such as step",
      "",
      "default all",
    ),
    seconds: flag(real("at least 0", (x) => x >= 0), "how long to repeat each figure", 1),
    out: optional(text("<file>"), "where to write the JSON", "default the standard output"),
  },
  run: main,
};

async function main({ device: kind, threads, only, seconds, out }: Options): Promise<void> {
  const device = await openDevice(kind, threads);
  const reference = kind === "webgpu" ? await openDevice("cpu", threads) : undefined;
  let progress: ReturnType<typeof createProgress> | undefined;
  const report = await measureDevice(device, {
    reference,
    only,
    seconds,
    onProgress(done, total, next): void {
      progress ??= createProgress({ label: "bench:gpu", total });
      progress.update(done, { now: next });
    },
  });
  progress?.finish(render(report));
  const json = JSON.stringify(report);
  if (out === undefined) console.log(json);
  else writeFileSync(out, `${json}\n`);
  if ((report.conformance?.failed.length ?? 0) > 0) process.exitCode = 1;
}

/** The report for people. */
function render({ device, reference, conformance, figures }: DeviceReport): string {
  const { adapter, software } = device;
  const lines = [`${device.kind}: ${adapter}${software ? ", a program on the processor" : ""}`];
  if (reference) lines.push(`beside it ${reference.kind}: ${reference.adapter}`);
  if (device.gpu && !device.gpu.features.includes("timestamp-query")) {
    lines.push("without timestamp-query: there are no times on the GPU alone");
  }
  if (conformance) {
    const { passed, failed, refused } = conformance;
    lines.push(
      `kernels: ${passed} passed, ${failed.length} failed, ${refused.length} refused`,
      ...failed.map(({ kernel, reason }) => `  ${kernel} failed: ${reason}`),
      ...refused.map(({ kernel, reason }) => `  ${kernel} was refused: ${reason}`),
    );
  }
  if (figures.length === 0) return lines.join("\n");
  const head = ["a product, step, user", `${device.kind} ms`, "GPU ms", "GFLOP/s"];
  const beside = reference ? [`${reference.kind} ms`, "GFLOP/s"] : [];
  const rows = figures.map(({ name, device, reference }) => [
    name,
    ...cellsOf(device, ["ms", "gpuMs", "gflops"]),
    ...(reference ? cellsOf(reference, ["ms", "gflops"]) : []),
  ]);
  return [...lines, renderTable([...head, ...beside], rows)].join("\n");
}

function cellsOf(side: Figure["device"], keys: readonly (keyof Measured)[]): (string | number)[] {
  if ("error" in side) return keys.map((_, i) => i === 0 ? side.error : "-");
  return keys.map((key) => side[key] ?? "-");
}

await runCommand(LINE, process.argv.slice(2));
