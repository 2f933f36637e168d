/** The proofs of proofs/: Rocq accepts them, without axioms, and docs/theory.md names them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { exactWorlds } from "../lab/theorems/generators.ts";
import type { World } from "../lab/theorems/world.ts";
import { total } from "../lab/theorems/world_model.ts";
import { inDeno } from "./command.ts";
import { checkProofs, CLOSED, missingRocq, readProofs } from "./proofs.ts";

const sources = readProofs();
const skip = inDeno
  ? !process.env.BEARGRAD_REQUIRE_ROCQ && missingRocq()
  : "Rocq checks the same in every runtime";

test("proofs: docs/theory.md says which statements are proved", () => {
  const proved = [...sources.theorems.matchAll(/^Theorem (T\d+'?)/gm)].map(([, id]) => id);
  const page = readFileSync("docs/theory.md", "utf8");
  for (const section of page.split(/^### /m).slice(1)) {
    const [id] = section.split("\n", 1);
    const isNamed = section.split(/^## /m)[0].includes("`proofs/theorems.v`");
    assert.equal(isNamed, proved.includes(id), id);
  }
});

test("proofs: nothing is assumed", () => {
  for (const [name, text] of Object.entries(sources)) {
    const code = text.replaceAll(/\(\*[^]*?\*\)/g, "");
    const words = /\b(Admitted|admit|give_up|Axioms?|Parameters?|Conjecture|Unset|bypass_check)\b/;
    assert.equal(words.exec(code)?.[0], undefined, name);
  }
});

/** For Rocq: all beams and levels of a world, as the code finds them. */
function exampleOf(world: World, name: string): string {
  const { trie, beam, depth, children, weights, outside, spec, search, levels } = world;
  const list = (entries: readonly string[]): string => `[${entries.join("; ")}]`;
  const path = (v: number): string => list(Array.from(trie.pathOf(v), String));
  const paths = (lists: readonly (readonly number[])[]): string =>
    list(lists.map((nodes) => list(nodes.map(path))));
  const nodes = children.flatMap((siblings, parent) => {
    const gone = spec?.normalization === "vocabulary" ? outside[parent] : [];
    const sum = total([...siblings.map((v) => weights[v]), ...gone]);
    return siblings.map((v) => `(${path(v)}, (${weights[v]}, ${sum}))`);
  });
  return `Definition ${name} : world := ${list(nodes)}.
Example ${name}_beams :
  map (returned ${name} ${beam}) (seq 1 ${depth}) = ${paths(search.map(({ kept }) => kept))}.
Proof. now vm_compute. Qed.
Example ${name}_levels :
  map (exact ${name}) (seq 1 ${depth}) = ${paths(levels.slice(1))}.
Proof. now vm_compute. Qed.
`;
}

test("proofs: Rocq accepts them, without axioms, about the search of the code", {
  skip,
}, async () => {
  const examples: string[] = [];
  await exactWorlds().search((world) => {
    if (world.leaves.length > 0) examples.push(exampleOf(world, `w${examples.length}`));
    return true;
  }, { cases: 50, seed: 17 });
  assert.ok(examples.length > 40);
  const code = `From Coq Require Import List.
From Beargrad Require Import search worlds.
Import ListNotations.
${examples.join("")}`;
  const proofs = checkProofs({ ...sources, code });
  for (const { name, assumptions } of proofs) assert.equal(assumptions, CLOSED, name);
  const found = proofs.map(({ name }) => name);
  for (const [, name] of sources.theorems.matchAll(/^Theorem (\S+)/gm)) {
    assert.ok(found.includes(name), name);
  }
  assert.ok(found.includes("w40_beams"));
});

test("proofs: an axiom is reported, and a wrong proof refused", { skip }, () => {
  const wrong = "Theorem T0 : 1 = 2.\nProof. ";
  const proofs = checkProofs({ a: `Axiom a : False.\n${wrong}destruct a. Qed.` });
  assert.equal(proofs.length, 1);
  assert.deepEqual([proofs[0].name, proofs[0].statement], ["T0", "1 = 2"]);
  assert.match(proofs[0].assumptions, /^Axioms:\s+a : False$/);
  assert.throws(() => checkProofs({ a: `${wrong}reflexivity. Qed.` }), /Cannot check a\.v/);
});
