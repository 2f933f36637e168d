/**
 * The device that the page computes on, and its figures.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { createWorker } from "./client.ts";
import { CopyButton } from "./copy_button.tsx";
import { attempt, device } from "./state.ts";
import { trainDevice } from "./train_state.ts";
import { fixed } from "./words.ts";

/** The section. */
export function DevicePanel(): JSX.Element {
  const report = useSignal<unknown>(undefined);
  const progress = useSignal<string | undefined>(undefined);
  const measure = async (): Promise<void> => {
    progress.value = "opening the device";
    report.value = await attempt(undefined, () => measured((text) => progress.value = text));
    progress.value = undefined;
  };
  const used = trainDevice.value ?? device.value;
  return (
    <section class="device" id="device" aria-labelledby="device-title">
      <h2 id="device-title">This device</h2>
      <p class="lead">
        {used === undefined ? "Opening…" : `The models run on ${used.adapter}.`}{" "}
        {used?.notes.map((note) => <span key={note}>{note}</span>)}
        Nothing leaves this page.
      </p>
      <div class="row">
        <button type="button" disabled={progress.value !== undefined} onClick={measure}>
          Measure this device
        </button>
        {report.value !== undefined && (
          <CopyButton
            label="Copy as JSON"
            text={() => JSON.stringify(report.value, undefined, 2)}
          />
        )}
        <span class="quiet" role="status">
          {progress.value ?? "Checks every kernel and times products, training steps and searches."}
        </span>
      </div>
      {report.value !== undefined && <Figures report={report.value as Report} />}
    </section>
  );
}

/** A worker of its own measures, so that searches go on. */
async function measured(onProgress: (text: string) => void): Promise<unknown> {
  const worker = createWorker();
  worker.onEvent((event) => {
    if (event.kind === "progress") onProgress(`${event.what}, ${event.done} of ${event.total}`);
  });
  try {
    await worker.call("open", "auto");
    return await worker.call("measure");
  } finally {
    worker.terminate();
  }
}

/** What the panel reads of the report. */
interface Report {
  readonly conformance?: { readonly passed: number; readonly failed: readonly unknown[] };
  readonly figures?: readonly {
    readonly name: string;
    readonly per: string;
    readonly device: Measured;
    readonly reference?: Measured;
  }[];
}

interface Measured {
  readonly ms?: number;
  readonly gflops?: number;
  readonly error?: string;
}

function Figures({ report }: { report: Report }): JSX.Element {
  const { conformance, figures = [] } = report;
  const hasReference = figures.some(({ reference }) => reference !== undefined);
  return (
    <div class="table">
      {conformance !== undefined && (
        <p>
          {conformance.passed} kernels agree with their reference, {conformance.failed.length}{" "}
          do not.
        </p>
      )}
      <table>
        <thead>
          <tr>
            <th scope="col">Figure</th>
            <th scope="col">ms</th>
            <th scope="col">GFLOP/s</th>
            {hasReference && <th scope="col">cpu, ms</th>}
          </tr>
        </thead>
        <tbody>
          {figures.map(({ name, per, device, reference }) => (
            <tr key={name}>
              <th scope="row">
                {name} <span class="quiet">per {per}</span>
              </th>
              <td title={device.error}>
                {device.error === undefined ? number(device.ms) : "failed"}
              </td>
              <td>{number(device.gflops)}</td>
              {hasReference && <td>{number(reference?.ms)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function number(value: number | undefined): string {
  return value === undefined ? "" : fixed(value, value < 10 ? 2 : 0);
}
