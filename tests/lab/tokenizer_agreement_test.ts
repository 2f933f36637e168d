/** Two implementations of one tokenizer: r50k, and its ranks written as a tokenizer.json. */
import assert from "node:assert/strict";
import { test } from "node:test";
import ranks from "gpt-tokenizer/bpeRanks/r50k_base";
import { loadTokenizer } from "../../lab/text/tokenizer.ts";
import { BYTES } from "./tokenizer_folder.ts";
import { makeFolder, removeFolder } from "./with_folder.ts";

const TEXTS = [
  " DYMO Labeling Tape, ½\" x 23', Black Print on White Tape (45013)",
  " Post-it® Notes, 3 x 3-Inches,\u00a0Canary Yellow, 12-Pads/Pack",
  "Smead® Hanging  File Folder\n31.1x 25.4x18.1 cm,gray",
  ' Bought "Pen", "Ink".\nThe next product is: prototype constructor',
  " 日本語のペン — naïve café, 𝄞 👩‍🔬",
  "it's we'll THEY'RE   3.14159 $5.00   ",
];

/** The pair that each token is merged from: its bytes after all earlier merges. */
function mergesOf(tokens: readonly string[]): string[] {
  const rank = new Map(tokens.map((token, i) => [token, i]));
  return tokens.flatMap((token, own) => {
    const parts = [...token];
    while (parts.length > 2) {
      const joined = parts.slice(1).map((part, i) => rank.get(parts[i] + part) ?? Infinity)
        .map((r) => (r < own ? r : Infinity));
      const at = joined.indexOf(Math.min(...joined));
      parts.splice(at, 2, parts[at] + parts[at + 1]);
    }
    return parts.length === 2 ? [parts.join(" ")] : [];
  });
}

test("tokenizer: r50k as a tokenizer.json", { timeout: 60_000 }, async () => {
  const encoder = new TextEncoder();
  const tokens = (ranks as readonly (string | readonly number[])[]).map((token) =>
    [...(typeof token === "string" ? encoder.encode(token) : token)].map((b) => BYTES[b]).join("")
  );
  const merges = mergesOf(tokens);
  assert.deepEqual([tokens.length, merges.length], [50256, 50000]);
  const folder = makeFolder({
    "tokenizer.json": {
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
      decoder: { type: "ByteLevel" },
      added_tokens: [{ id: 50256, content: "<|endoftext|>", special: true }],
      model: {
        type: "BPE",
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
      },
    },
  });
  try {
    const [ours, theirs] = [await loadTokenizer(folder), await loadTokenizer("r50k")];
    assert.equal(ours.vocabSize, theirs.vocabSize);
    for (const text of TEXTS) {
      const ids = theirs.encode(text);
      assert.deepEqual(ours.encode(text), ids, text);
      assert.deepEqual(ids.map(ours.text), ids.map(theirs.text), text);
    }
  } finally {
    removeFolder(folder);
  }
});
