/** MSL's adaptive temperature against its formula, and the state that it carries. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Trie } from "../../models/decode/trie.ts";
import { mslAts, mslAtsLoss } from "../../models/losses/msl_ats.ts";
import { sample } from "../../ops/cases.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { testDevices } from "../devices.ts";
import { token } from "./loss_cases.ts";

const V = 16;
/** The state before the first step. */
const [START] = mslAtsLoss.needs.state ?? [];
/** Twelve first tokens, after two of which there is a choice. */
const PATHS = [...Array.from({ length: 10 }, (_, v) => [v]), [10, 1], [10, 2], [11, 3], [11, 4]];
/** Tokens to predict: what came before in the item, and the token. */
const TOKENS = [[[], 4], [[], 10], [[10], 2], undefined, [[], 11], [[11], 3], [[], 0]] as const;

const mean = (values: readonly number[]): number =>
  values.reduce((a, b) => a + b, 0) / values.length;

/** The formula: the temperature that a batch asks for. */
function asked(z: readonly (readonly number[])[]): number {
  const first = TOKENS.flatMap((t, n) => t && t[0].length === 0 ? [{ z: z[n], label: t[1] }] : []);
  const tokens = Array.from({ length: 12 }, (_, v) => v);
  const negatives = first.flatMap((row) => tokens.map((v) => row.z[v]));
  const mu = mean(negatives);
  const variance = negatives.reduce((sum, x) => sum + (x - mu) ** 2, 0) / (negatives.length - 1);
  const d = mean(first.map((row) => row.z[row.label])) - mu;
  const C = Math.log(12 * 0.25);
  const tau = (d + Math.sqrt(Math.max(0, d * d - 2 * C * variance))) / (2 * C);
  return Math.min(5, Math.max(1.5, tau));
}

function expected(
  z: readonly (readonly number[])[],
  tau: number,
): { value: number; grad: number[] } {
  const rows = TOKENS.map((t, n) => {
    if (t === undefined) return { logP: 0, dlogP: new Array<number>(V).fill(0) };
    const [before, label] = t;
    const children = PATHS.filter((path) => before.every((v, i) => path[i] === v))
      .map((path) => path[before.length]);
    const different = [...new Set(children)];
    return token(z[n], different, different, label, { B: 1, tau, xi: 1, lambda: 1 });
  });
  const N = TOKENS.filter((t) => t !== undefined).length;
  return {
    value: rows.reduce((sum, row) => sum - tau * row.logP, 0) / N,
    grad: rows.flatMap((row) => row.dlogP.map((g) => (-tau * g) / N)),
  };
}

interface Step {
  readonly value: number;
  readonly grad: readonly number[];
  readonly tau: number;
}

/** Steps on a device, each with the state that the one before left. */
async function run(device: Device, batches: readonly Tensor[], carries: boolean): Promise<Step[]> {
  const host = new Trie(PATHS);
  const trie = host.upload(device);
  const nodeOf = (t: typeof TOKENS[number]): number =>
    t === undefined ? -1 : t[0].length === 0 ? 0 : host.child(0, t[0][0]);
  const nodes = device.tensor(Int32Array.from(TOKENS, nodeOf));
  const labels = device.tensor(Int32Array.from(TOKENS, (t) => t?.[1] ?? 0));
  const state = device.tensor([START]);
  const steps: Step[] = [];
  for (const z of batches) {
    const { value, grads } = valueAndGrad((z: Tensor) =>
      mslAts()(z, { trie, nodes, labels, ...(carries && { state }) })
    )(z);
    const [[number], grad, [tau]] = await device.read([value, grads, state]);
    steps.push({ value: number, grad: [...grad], tau });
  }
  return steps;
}

for (const { name, skip, open } of testDevices) {
  test(`losses: msl-ats is its formula, step by step, on ${name}`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const tolerance = name === "cpu float64" ? 1e-10 : 1e-5;
    const spread = [1, 3, 9, 30].map((s, i) => sample(device, [TOKENS.length, V], i, -s, s));
    // The label far ahead, so that the temperature is between its bounds.
    const ahead = sample(device, [TOKENS.length, V], 9);
    const data = Float64Array.from(await ahead.data());
    TOKENS.forEach((t, n) => data[n * V + (t?.[1] ?? 0)] += 3);
    const batches = [...spread, device.tensor(data, [TOKENS.length, V])];
    const steps = await run(device, batches, true);
    let tau = 1.5;
    const asks: number[] = [];
    for (const [i, batch] of batches.entries()) {
      const flat = await batch.data();
      const z = TOKENS.map((_, n) => [...flat.slice(n * V, (n + 1) * V)]);
      asks.push(asked(z));
      tau = 0.95 * tau + 0.05 * asked(z);
      const wanted = expected(z, tau);
      const close = (a: number, b: number, what: string): void =>
        assert.ok(
          Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)),
          `${i}, ${what}: ${a}, ${b}`,
        );
      close(steps[i].tau, tau, "tau");
      close(steps[i].value, wanted.value, "value");
      wanted.grad.forEach((g, k) => close(steps[i].grad[k], g, `gradient ${k}`));
    }
    assert.ok(asks.includes(1.5) && asks.some((x) => x > 1.5 && x < 5), `${asks}`);
  });
}

test("losses: msl-ats without a state is always at its first step", async () => {
  const device = cpu({ float: "float64" });
  const z = sample(device, [TOKENS.length, V], 9, -30, 30);
  const [first] = await run(device, [z], true);
  for (const { value, tau } of await run(device, [z, z], false)) {
    assert.equal(value, first.value);
    assert.equal(tau, 1.5); // untouched
  }
});

test("losses: msl-ats among at most four first tokens has the highest temperature", async () => {
  const device = cpu({ float: "float64" });
  const trie = new Trie([[0], [1], [2, 1], [2, 2]]).upload(device);
  const nodes = device.tensor(new Int32Array([0]));
  const labels = device.tensor(new Int32Array([1]));
  const state = device.tensor([START]);
  const value = mslAts()(device.tensor([[0, 0, 0]]), { trie, nodes, labels, state });
  const tau = 0.95 * 1.5 + 0.05 * 5;
  assert.ok(Math.abs(await state.item() - tau) < 1e-12);
  assert.ok(Math.abs(await value.item() - tau * Math.log(3)) < 1e-12);
});
