/**
 * The device that the page computes on, and its figures.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { DeviceReport } from "beargrad/lab";
import type { JSX } from "preact";
import { createWorker } from "./client.ts";
import { attempt, device } from "./state.ts";
import { trainDevice } from "./train_state.ts";
import { fixed } from "./words.ts";

/** The section. */
export function DevicePanel(): JSX.Element {
  const report = useSignal<DeviceReport | undefined>(undefined);
  const progress = useSignal<string | undefined>(undefined);
  const isCopied = useSignal(false);
  const measure = async (): Promise<void> => {
    progress.value = "opening the device";
    isCopied.value = false;
    report.value = await attempt(undefined, () => measured((text) => progress.value = text));
    progress.value = undefined;
  };
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(JSON.stringify(report.value, undefined, 2));
    isCopied.value = true;
  };
  const used = trainDevice.value ?? device.value;
  return (
    <section class="device" id="device" aria-labelledby="device-title">
      <h2 id="device-title">This device</h2>
      <p class="lead">
        {used === undefined ? "Opening…" : `The models run on ${used.adapter}. `}
        {used?.notes.join(" ")} Nothing leaves this page.
      </p>
      <div class="row">
        <button type="button" disabled={progress.value !== undefined} onClick={measure}>
          Measure this device
        </button>
        {report.value !== undefined && (
          <button
            type="button"
            class="plain"
            onClick={() => attempt(undefined, copy)}
          >
            {isCopied.value ? "Copied" : "Copy as JSON"}
          </button>
        )}
        <span class="quiet">
          {progress.value ?? "Checks every kernel and times products, training steps and searches."}
        </span>
        <span class="visually-hidden" role="status">
          {progress.value !== undefined
            ? "measuring"
            : report.value !== undefined
            ? "measured"
            : ""}
        </span>
      </div>
      {report.value !== undefined && <Figures report={report.value} />}
    </section>
  );
}

/** A worker of its own measures, so that searches go on. */
async function measured(onProgress: (text: string) => void): Promise<DeviceReport> {
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

function Figures({ report }: { report: DeviceReport }): JSX.Element {
  const { conformance, figures } = report;
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
          {figures.map(({ name, what, per, device, reference }) => (
            <tr key={name}>
              <th scope="row">
                {name} <span class="quiet">{what}{per === "product" ? "" : `, per ${per}`}</span>
              </th>
              <td title={"error" in device ? device.error : undefined}>{milliseconds(device)}</td>
              <td>{"gflops" in device && device.gflops && number(device.gflops)}</td>
              {hasReference && <td>{milliseconds(reference)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function milliseconds(of: DeviceReport["figures"][number]["reference"]): string {
  if (of === undefined) return "";
  return "error" in of ? "failed" : number(of.ms);
}

function number(value: number): string {
  return fixed(value, value < 10 ? 2 : 0);
}
