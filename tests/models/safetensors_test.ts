/**
 * The safetensors format: round trips, a file laid out by hand, and files that are not what they
 * should be.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import * as fc from "fast-check";
import { CheckpointError } from "../../core/errors.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type SafeTensor,
  type SafeTensors,
} from "../../models/safetensors.ts";

const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 });

const tensors: fc.Arbitrary<SafeTensor> = shapes.chain((shape) => {
  const n = shape.reduce((a, b) => a * b, 1);
  const size = { minLength: n, maxLength: n };
  return fc.oneof(
    fc.float32Array(size).map((data) => ({ dtype: "F32" as const, shape, data })),
    fc.float64Array(size).map((data) => ({ dtype: "F64" as const, shape, data })),
    fc.int32Array(size).map((data) => ({ dtype: "I32" as const, shape, data })),
  );
});

/** Any character. The unit "binary" is the same, but takes a second to make. */
const character = fc.oneof(fc.nat(0xd7ff), fc.integer({ min: 0xe000, max: 0x10ffff }))
  .map((code) => String.fromCodePoint(code));

const names = fc.oneof(
  fc.string({ unit: character }),
  fc.constantFrom("model.norm.weight", "__proto__", "constructor", "1", "0", '"', "\n"),
).map((name) => name === "__metadata__" ? "w" : name);

/** A record with `__proto__` as a key like any other. */
function recordOf<T>(
  key: fc.Arbitrary<string>,
  value: fc.Arbitrary<T>,
): fc.Arbitrary<Record<string, T>> {
  return fc.uniqueArray(fc.tuple(key, value), { selector: ([k]) => k, maxLength: 6 })
    .map((entries): Record<string, T> => Object.fromEntries(entries));
}

/** Tensors as bytes, so that NaN and -0 compare by their bits. */
function bits(file: SafeTensors): unknown[] {
  return Object.entries(file).map(([name, { dtype, shape, data }]) => [
    name,
    dtype,
    shape,
    [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)],
  ]).sort();
}

/** A file of a header and data, with the true header length unless another is given. */
function fileOf(header: unknown, data: readonly number[] = [], length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

test("safetensors: what was written is read, bit for bit", () => {
  fc.assert(fc.property(recordOf(names, tensors), recordOf(fc.string(), fc.string()), (t, meta) => {
    const file = decodeSafetensors(encodeSafetensors(t, meta));
    assert.deepEqual(bits(file.tensors), bits(t));
    assert.deepEqual(Object.entries(file.metadata).sort(), Object.entries(meta).sort());
  }));
});

interface Entry {
  readonly data_offsets: readonly [number, number];
}

test("safetensors: the header is padded and every tensor lies at a multiple of its element", () => {
  fc.assert(fc.property(recordOf(names, tensors), (t) => {
    const bytes = encodeSafetensors(t);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assert.equal((8 + length) % 8, 0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    for (const [name, { data_offsets: [begin, end] }] of Object.entries<Entry>(header)) {
      assert.equal(begin % t[name].data.BYTES_PER_ELEMENT, 0);
      assert.equal(end - begin, t[name].data.byteLength);
    }
  }));
});

test("safetensors: views with an offset, and the buffers that files are read into", () => {
  const data = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
  const bytes = encodeSafetensors({ w: { dtype: "F32", shape: [2], data } });
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  for (const file of [bytes, shifted.subarray(3), Buffer.from(bytes)]) {
    assert.deepEqual(decodeSafetensors(file).tensors.w.data, new Float32Array([1, 2]));
  }
});

test("safetensors: a file laid out by hand", () => {
  // deno-fmt-ignore
  const data = [
    0x00, 0x00, 0x80, 0xbf, // a: -1
    0x00, 0x00, 0x20, 0x41, //    10
    0x80, 0x3f, // b: bfloat16 1
    0x49, 0x40, //    bfloat16 3.140625
    0x80, 0xff, //    bfloat16 -Infinity
    0x00, 0x3c, // c: float16 1
    0xff, 0x7b, //    float16 65504
    0x01, 0x80, //    float16 -2^-24
    0xfe, 0xff, 0xff, 0xff, // d: int32 -2
    0x18, 0x2d, 0x44, 0x54, 0xfb, 0x21, 0x09, 0x40, // e: float64 pi
  ];
  const header = {
    __metadata__: { format: "pt" },
    a: { dtype: "F32", shape: [2, 1], data_offsets: [0, 8] },
    e: { dtype: "F64", shape: [1], data_offsets: [24, 32] },
    c: { dtype: "F16", shape: [3], data_offsets: [14, 20] },
    b: { dtype: "BF16", shape: [3], data_offsets: [8, 14] },
    d: { dtype: "I32", shape: [], data_offsets: [20, 24] },
  };
  for (const padding of ["", " ", "     "]) {
    const file = decodeSafetensors(fileOf(JSON.stringify(header) + padding, data));
    assert.deepEqual(file, {
      metadata: { format: "pt" },
      tensors: {
        a: { dtype: "F32", shape: [2, 1], data: new Float32Array([-1, 10]) },
        b: { dtype: "F32", shape: [3], data: new Float32Array([1, 3.140625, -Infinity]) },
        c: { dtype: "F32", shape: [3], data: new Float32Array([1, 65504, -(2 ** -24)]) },
        d: { dtype: "I32", shape: [], data: new Int32Array([-2]) },
        e: { dtype: "F64", shape: [1], data: new Float64Array([Math.PI]) },
      },
    });
  }
});

test("safetensors: a file cut anywhere is refused, and so is one with more at its end", () => {
  const bytes = encodeSafetensors(
    {
      w: { dtype: "F32", shape: [3], data: new Float32Array(3) },
      x: { dtype: "F64", shape: [], data: new Float64Array(1) },
    },
    { step: "1" },
  );
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeSafetensors(bytes.subarray(0, length)), CheckpointError);
  }
  const longer = new Uint8Array(bytes.length + 1);
  longer.set(bytes);
  assert.throws(() => decodeSafetensors(longer, "w.safetensors"), {
    name: "CheckpointError",
    message: "Cannot read w.safetensors: its tensors must fill its 21 bytes of data, got 20",
  });
});

test("safetensors: one damaged byte gives a CheckpointError or a readable file, nothing else", () => {
  const bytes = encodeSafetensors({
    w: { dtype: "F32", shape: [2, 2], data: new Float32Array(4) },
  });
  fc.assert(fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
    const damaged = bytes.slice();
    damaged[at] = value;
    try {
      decodeSafetensors(damaged);
    } catch (error) {
      assert.ok(error instanceof CheckpointError, `${error}`);
      assert.match(error.message, /^Cannot read safetensors: .*, got .*$/);
    }
  }));
});

const F32 = { dtype: "F32", shape: [1], data_offsets: [0, 4] };
const FOUR = [0, 0, 0, 0];

/** Malformed files, with the error that each must give. */
const MALFORMED: readonly [what: string, bytes: Uint8Array, message: RegExp][] = [
  ["seven bytes", new Uint8Array(7), /must begin with 8 bytes of header length, got 7 bytes/],
  [
    "a huge header length",
    fileOf({}, [], 2n ** 63n),
    /at most 100000000 bytes, got 9223372036854775808/,
  ],
  ["a header past the end", fileOf({}, [], 3n), /its header of 3 bytes must be complete, got 2/],
  [
    "a name twice",
    fileOf(`{"w": ${JSON.stringify(F32)}, "\\u0077" : ${JSON.stringify(F32)}}`, FOUR),
    /its header must not have a key twice, got "w"/,
  ],
  ["a field twice", fileOf('{"w": {"dtype": "F32", "dtype": "I32"}}'), /key twice, got "dtype"/],
  ["deep nesting", fileOf(`{"w":${"[".repeat(1e5)}${"]".repeat(1e5)}}`), /must have dtype|be JSON/],
  ["a long name", fileOf({ ["w".repeat(1e6)]: 3 }), /tensor "w{76}\.\.\. must have dtype/],
  ["numbers too large", fileOf({ w: { ...F32, shape: [2 ** 40, 2 ** 40] } }, FOUR), /e\+24 bytes/],
  ["no JSON", fileOf("{w:"), /its header must be JSON/],
  ["no UTF-8", fileOf("{}").map((b) => b === 0x7d ? 0xff : b), /its header must be JSON/],
  ["an array", fileOf([]), /its header must be a JSON object, got \[\]/],
  ["null", fileOf("null"), /its header must be a JSON object, got null/],
  ["metadata of numbers", fileOf({ __metadata__: { a: 1 } }), /__metadata__ must be an object of/],
  ["an entry that is none", fileOf({ w: 3 }), /tensor "w" must have dtype .*, got none/],
  ["a dtype that is not read", fileOf({ w: { ...F32, dtype: "F8_E4M3" } }, FOUR), /got "F8_E4M3"/],
  ["a dtype from Object", fileOf({ w: { ...F32, dtype: "toString" } }, FOUR), /got "toString"/],
  ["a shape of halves", fileOf({ w: { ...F32, shape: [0.5] } }, FOUR), /shape .* got \[0.5\]/],
  ["a negative shape", fileOf({ w: { ...F32, shape: [-1] } }, FOUR), /shape .* got \[-1\]/],
  ["no shape", fileOf({ w: { dtype: "F32", data_offsets: [0, 4] } }, FOUR), /shape .* got none/],
  ["one offset", fileOf({ w: { ...F32, data_offsets: [0] } }, FOUR), /two data_offsets, got \[0\]/],
  [
    "too few bytes",
    fileOf({ w: { ...F32, shape: [2] } }, FOUR),
    /F32 \[2\] must have 8 bytes, got 4/,
  ],
  ["offsets backwards", fileOf({ w: { ...F32, data_offsets: [4, 0] } }, FOUR), /got -4/],
  ["an overlap", fileOf({ w: F32, x: F32 }, FOUR), /"x" must not overlap the one before/],
  [
    "a hole",
    fileOf({ w: { ...F32, data_offsets: [4, 8] } }, [...FOUR, ...FOUR]),
    /"w" must follow without a hole, at byte 0, got 4/,
  ],
  ["missing data", fileOf({ w: F32 }, [0, 0]), /"w" must end within the file's 2 bytes of data/],
];

for (const [what, bytes, message] of MALFORMED) {
  test(`safetensors: refuses ${what}`, () => {
    assert.throws(() => decodeSafetensors(bytes), (error) => {
      assert.ok(error instanceof CheckpointError);
      assert.match(error.message, message);
      return true;
    });
  });
}

test("safetensors: refuses to write what it could not read", () => {
  const w = { dtype: "F32", shape: [3], data: new Float32Array(2) } as const;
  assert.throws(() => encodeSafetensors({ w }), {
    name: "CheckpointError",
    message: 'Cannot write safetensors: tensor "w" of shape (3) must have 3 elements, got 2',
  });
  assert.throws(() => encodeSafetensors({ __metadata__: w }), CheckpointError);
});
