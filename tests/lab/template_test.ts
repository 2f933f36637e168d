/** Prompt templates: what they say, and what is refused. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { DataError } from "../../core/errors.ts";
import { loadTemplate, renderPrompt, type Template } from "../../lab/text/template.ts";
import { withFolder } from "./with_folder.ts";

function load(text: string | Uint8Array): Template {
  return withFolder({ "prompt.txt": text }, (folder) => loadTemplate(join(folder, "prompt.txt")));
}

test("template: the parts of a prompt", () => {
  assert.deepEqual(load("Bought {history}.\nNext: {item}\n"), {
    name: "prompt.txt",
    before: "Bought ",
    after: ".\nNext:",
    lead: " ",
  });
  assert.deepEqual(load('{history}\r\n"{item}'), {
    name: "prompt.txt",
    before: "",
    after: '\n"',
    lead: "",
  });
  assert.deepEqual(load("After {history} comes\n\n"), {
    name: "prompt.txt",
    before: "After ",
    after: " comes\n",
    lead: "",
  });
});

test("template: a prompt with titles, oldest first", () => {
  const template = load("Bought {history}.\nNext: {item}");
  assert.equal(renderPrompt(template, ["Pen", "Ink, blue"]), 'Bought "Pen", "Ink, blue".\nNext:');
  assert.equal(renderPrompt(template, []), "Bought .\nNext:");
  // A title is no pattern and no place.
  assert.equal(renderPrompt(template, ["$& {item}"]), 'Bought "$& {item}".\nNext:');
});

test("template: what is refused", () => {
  const cases: readonly (readonly [string | Uint8Array, RegExp])[] = [
    ["Next: {item}", /prompt\.txt: it must have \{history\} once, got 0 of them$/],
    ["", /it must have \{history\} once/],
    ["{history} {history}", /got 2 of them$/],
    ["{item} after {history}", /\{item\} must stand at its very end/],
    ["{history}: {item}.", /\{item\} must stand at its very end/],
    ["{history}: {item}{item}", /\{item\} must stand at its very end/],
    ["{user} bought {history}", /must be \{history\} and \{item\}, got \{user\}$/],
    [Uint8Array.of(0xc3, 0x28), /must be UTF-8/],
  ];
  for (const [text, told] of cases) {
    assert.throws(() => load(text), (error: unknown) => {
      assert.ok(error instanceof DataError, `${error}`);
      assert.match(error.message, told);
      return true;
    });
  }
  assert.throws(() => loadTemplate("no/such/prompt.txt"), DataError);
  withFolder(
    {},
    (folder) =>
      assert.throws(
        () => loadTemplate(join(folder, "none.txt")),
        /none\.txt: the file must be there/,
      ),
  );
});
