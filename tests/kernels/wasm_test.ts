/**
 * The WebAssembly versions of kernels: that they are built from their sources, and do what their
 * references do.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import type { BufferUse, Kernel, ParamType, WasmFunction, WasmModule } from "../../core/kernel.ts";
import { attentionForward } from "../../kernels/attention.ts";
import { kernels } from "../../kernels/index.ts";
import { swigluForward } from "../../kernels/swiglu.ts";
import { generate } from "../../kernels/wasm/build.ts";
import { plain, relaxed } from "../../kernels/wasm/bytes.ts";
import { simd } from "../../kernels/wasm/modules.ts";
import { run, solve } from "../../lab/device/conformance.ts";
import { check, sameBits } from "./harness.ts";

const decode = (base64: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

/** The ids of a module's sections, in their order (WebAssembly core specification, section 5.5). */
function sectionIds(bytes: Uint8Array): number[] {
  const ids: number[] = [];
  for (let at = 8; at < bytes.length;) {
    ids.push(bytes[at++]);
    let size = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      size += (bytes[at] & 127) * 2 ** shift;
      more = bytes[at++] >= 128;
    }
    at += size;
  }
  return ids;
}

/** What the module exports, on a memory of its own. */
function instantiate(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Exports {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports;
}

/** The kernel, its WebAssembly version taken from another module. */
function withModule<
  B extends Record<string, BufferUse>,
  P extends Record<string, ParamType>,
>(kernel: Kernel<B, P>, module: WasmModule): Kernel<B, P> {
  assert.ok(kernel.wasm);
  return { ...kernel, wasm: { ...kernel.wasm, module } };
}

test("wasm: the embedded bytes are what the sources compile to", {
  timeout: 60000,
  skip: "Deno" in globalThis
    ? false
    : "the compiler writes the same bytes in every runtime: Deno checks",
}, async () => {
  assert.ok(
    readFileSync("kernels/wasm/bytes.ts", "utf8") === await generate(),
    "kernels/wasm/bytes.ts is out of date: run `deno task wasm`",
  );
});

test("wasm: the bytes in use are these, relaxed SIMD first", () => {
  assert.deepEqual(simd.variants, [relaxed, plain]);
});

for (const [name, base64] of Object.entries({ relaxed, plain })) {
  const bytes = decode(base64);
  const valid = WebAssembly.validate(bytes);
  const skip = name === "relaxed" && !valid ? "this runtime has no relaxed SIMD" : false;

  test(`wasm: ${name} bytes need the scratch memory they are given, and bring no data`, {
    skip,
  }, () => {
    assert.ok(valid);
    const { scratchBytes } = instantiate(bytes);
    assert.equal((scratchBytes as () => number)(), simd.scratchBytes);
    assert.ok(sectionIds(bytes).includes(10)); // code
    assert.ok(!sectionIds(bytes).includes(11)); // data
  });

  test(`wasm: RMSNorm of ${name} bytes reads no line but those of its rows`, { skip }, () => {
    const exports = instantiate(bytes) as Record<string, WasmFunction>;
    const { rmsNormForward, rmsNormBackwardX, rmsNormBackwardWeight } = exports;
    const { addRmsNormForward, addRmsNormBackward } = exports;
    const [N, C, last] = [3, 5, 65536 - 64]; // behind the last line of the memory a read traps
    rmsNormForward(last, 64, 128, 192, C, 1e-5, 0, N, 0);
    for (const [dout, x] of [[last, 64], [64, last]]) {
      rmsNormBackwardX(dout, x, 128, 192, 256, C, 0, N, 0);
      rmsNormBackwardWeight(dout, x, 192, 256, N, C, 0, 1, 0);
      addRmsNormForward(dout, x, 128, 192, 256, 320, C, 1e-5, 0, N, 0);
      addRmsNormBackward(dout, x, 128, 192, 256, 320, C, 0, N, 0);
    }
  });

  const device = cpu();
  const module: WasmModule = { variants: [base64], scratchBytes: simd.scratchBytes };

  for (const kernel of kernels) {
    const { wasm } = kernel;
    if (!wasm) continue;
    test(`wasm: ${kernel.name} with ${name} bytes, twice with the same bits`, {
      skip,
    }, async () => {
      let calls = 0;
      const args: typeof wasm.args = (...given) => {
        calls++;
        return wasm.args(...given);
      };
      const version: Kernel = { ...kernel, wasm: { ...wasm, module, args } };
      const cases = solve(kernel, device);
      const once = await check(version, cases, device);
      assert.ok(sameBits(await run(version, cases, device), once));
      assert.equal(calls, 2 * cases.length);
    });
  }

  test(`wasm: exponentials of ${name} bytes are right to 3e-7, and special numbers keep`, {
    skip,
  }, async () => {
    const gates = Float32Array.from({ length: 1100 }, (_, i) => i / 10 - 87);
    const special = [NaN, Infinity, -Infinity, 1000, -1000, 0, -0];
    const gate = Float32Array.from([...gates, ...special]);
    using _scope = device.arena();
    const F = gate.length;
    const x = device.tensor([...gate, ...gate.map(() => 1)]);
    const out = device.tensor(gate);
    device.run(withModule(swigluForward[0], module), { x, out }, { N: 1, F });
    const actual = await out.data();
    for (const [i, g] of gates.entries()) {
      const expected = g / (1 + Math.exp(-g));
      assert.ok(Math.abs(actual[i] - expected) <= 3e-7 * Math.abs(expected), `${g}: ${actual[i]}`);
    }
    assert.deepEqual([...actual.slice(gates.length)], [NaN, Infinity, NaN, 1000, -0, 0, -0]);
  });

  test(`wasm: logarithms of ${name} bytes are right to 1e-7`, { skip }, async () => {
    const sizes = { B: 1, T: 500, H: 1, KVH: 1, D: 4 };
    using _scope = device.arena();
    const [qkv, out, lse] = [6000, 2000, 500].map((n) => device.tensor(new Float32Array(n)));
    device.run(withModule(attentionForward, module), { qkv, out, lse }, sizes);
    for (const [t, actual] of (await lse.data()).entries()) { // t + 1 scores of 0
      const expected = Math.log(t + 1);
      assert.ok(Math.abs(actual - expected) <= 1e-7 * Math.max(1, expected), `${t}: ${actual}`);
    }
  });
}
