/** Prompt templates: what they say, and what is refused. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { loadTemplate, renderPrompt, type Template } from "../../lab/text/template.ts";
import { isRefusal } from "./datasets.ts";
import { withFolder } from "./with_folder.ts";

function load(text: string | Uint8Array): Template {
  return withFolder({ "prompt.txt": text }, (folder) => loadTemplate(join(folder, "prompt.txt")));
}

test("template: the parts of a prompt", () => {
  const cases = [
    ["Bought {history}.\nNext: {item}\n", "Bought ", ".\nNext:", " "],
    ['{history}\r\n"{item}', "", '\n"', ""],
    ["After {history} comes\n\n", "After ", " comes\n", ""],
  ] as const;
  for (const [text, before, after, lead] of cases) {
    assert.deepEqual(load(text), { name: "prompt.txt", before, after, lead });
  }
});

test("template: a prompt with titles, oldest first", () => {
  const template = load("Bought {history}.\nNext: {item}");
  assert.equal(renderPrompt(template, ["Pen", "Ink, blue"]), 'Bought "Pen", "Ink, blue".\nNext:');
  assert.equal(renderPrompt(template, []), "Bought .\nNext:");
  // A title is no pattern and no place.
  assert.equal(renderPrompt(template, ["$& {item}"]), 'Bought "$& {item}".\nNext:');
});

const REFUSED: readonly (readonly [string | Uint8Array, RegExp])[] = [
  ["Next: {item}", /prompt\.txt: it must have \{history\} once, got 0 of them$/],
  ["", /it must have \{history\} once/],
  ["{history} {history}", /got 2 of them$/],
  ["{item} after {history}", /\{item\} must be at its end/],
  ["{history}: {item}.", /\{item\} must be at its end/],
  ["{history}: {item}{item}", /\{item\} must be at its end/],
  ["{user} bought {history}", /must be \{history\} and \{item\}, got \{user\}$/],
  [Uint8Array.of(0xc3, 0x28), /must be UTF-8/],
];

test("template: what is refused", () => {
  for (const [text, message] of REFUSED) {
    assert.throws(() => load(text), (error) => isRefusal(error, "prompt.txt", message));
  }
  const none = (folder: string) => () => loadTemplate(join(folder, "none.txt"));
  assert.throws(none("no/such"), (error) => isRefusal(error, "no/such", /the folder must exist/));
  withFolder(
    {},
    (folder) =>
      assert.throws(none(folder), (error) => isRefusal(error, folder, /it must hold none\.txt/)),
  );
});
