/** The explanation of one user's search, on catalogues whose probabilities are written down. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { type Dataset, leaveOneOut, plainPrompt } from "../../lab/data/dataset.ts";
import { explain, shownRanks } from "../../lab/analysis/explanation.ts";
import { renderExplanation, renderPruned } from "../../lab/analysis/explanation_text.ts";
import type { ExplainedStep, Explanation } from "../../lab/analysis/explanation.ts";
import type { PathLogits } from "../../models/decode/host_log_probs.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import { Trie } from "../../models/decode/trie.ts";
import { smooth, TableDecoder } from "../models/table_decoder.ts";
import { catalogues } from "../models/tries.ts";

const device = cpu({ float: "float64" });
const TOKENS = ["<bos>", "A", "B", "C", "x", "y", "z"];

/** A catalogue of items such as "A x". */
function shopOf(items: readonly string[], tokens = TOKENS): Dataset {
  const paths = items.map((item) => item.split(" ").map((text) => tokens.indexOf(text)));
  return {
    name: "shop",
    items: items.map((_, i) => `i${i}`),
    titles: items.map((item) => `the ${item}`),
    paths,
    tokens,
    ...leaveOneOut([{ id: "u", items: [0, 1, 2] }]),
    prompt: plainPrompt(paths),
    skipped: [],
  };
}

/**
 * A model by the probabilities of tokens after a path: { "": { A: 0.5 }, A: { x: 1 } }; logs of
 * them are its logits.
 */
function modelOf(said: Readonly<Record<string, Readonly<Record<string, number>>>>): PathLogits {
  return (path) => {
    const row = said[path.map((token) => TOKENS[token]).join(" ")] ?? {};
    return TOKENS.map((text) => Math.log(row[text] ?? 1e-9));
  };
}

interface Case {
  readonly data: Dataset;
  readonly model: PathLogits;
  readonly target: number;
  readonly beam: number;
  readonly excluded?: readonly number[];
}

function explained({ data, model, target, beam, excluded = [] }: Case): Explanation {
  const trie = new Trie(data.paths);
  const options = { beam, normalization: "children", tau: 1 } as const;
  const found = referenceBeamSearch(trie, model, { ...options, excluded });
  const kase = { id: "u", history: data.items.length > 1 ? [0, 1] : [0], target };
  const shared = { dataset: data, trie, kase, found, model, ...options };
  return explain({ ...shared, name: "m", excluded, exactRank: 3, ranked: 5 });
}

function close(actual: number | undefined, expected: number): void {
  assert.ok(Math.abs((actual ?? NaN) - expected) < 1e-9, `${actual} ${expected}`);
}

/** A step without its pool, and the numbers of the pool. */
function numbers({ step, siblings, place, competitors, pool }: ExplainedStep): object {
  return {
    step,
    siblings,
    place,
    competitors,
    size: pool?.size,
    rank: pool?.rank,
    kept: pool?.kept,
  };
}

// P: A x .25, A y .25, B x .27, B y .03, C .2
const shop = shopOf(["A x", "A y", "B x", "B y", "C"]);
const model = modelOf({
  "": { A: 0.5, B: 0.3, C: 0.2 },
  A: { x: 0.5, y: 0.5 },
  B: { x: 0.9, y: 0.1 },
});
const on = { data: shop, model, beam: 2 };

test("explain: a target that is displaced", () => {
  const found = explained({ ...on, target: 3 });
  assert.deepEqual(found.lost, { cause: "displacement", step: 2 });
  assert.equal(found.rank, undefined);
  assert.equal(found.exactRank, 3);
  assert.deepEqual(found.steps.map(numbers), [
    // A is above B.
    { step: 1, siblings: 3, place: 1, competitors: 1, size: 3, rank: 1, kept: true },
    // Below A .5 / .03 allows both items, C counts with .2, and x is above y.
    { step: 2, siblings: 2, place: 1, competitors: 4, size: 4, rank: 3, kept: false },
  ]);
  const [first, second] = found.steps;
  close(first.logProb, Math.log(0.3));
  close(first.margin, 0);
  close(first.pool?.threshold, Math.log(0.3));
  close(first.pool?.gap, 0);
  close(second.logProb, Math.log(0.1));
  close(second.score, Math.log(0.03));
  close(second.margin, 0); // with two siblings, the threshold is the second's: its own
  close(second.pool?.threshold, Math.log(0.25));
  close(second.pool?.gap, Math.log(0.25 / 0.03));
  const entries = second.pool?.entries ?? [];
  assert.deepEqual(
    entries.map(({ rank, parent, prefix, kept, target }) => [rank, parent, prefix, kept, target]),
    [
      [0, 1, "B x", true, false],
      [1, 0, "A x", true, false],
      [2, 0, "A y", false, false],
      [3, 1, "B y", false, true],
    ],
  );
  assert.deepEqual(entries[0].named, [{ id: "i2", title: "the B x" }]);
  assert.deepEqual(
    first.pool?.entries.map(({ prefix, items }) => [prefix, items]),
    [["A", 2], ["B", 2], ["C", 1]],
  );
  // A is ahead and leaves .25 to one of its items at least, and x is ahead of y.
  assert.deepEqual(found.certificate, { kind: "pruned", by: "T2'", step: 2 });
});

test("explain: a violation, which a teacher-forced pass certifies", () => {
  const found = explained({ ...on, target: 4 });
  assert.deepEqual(found.lost, { cause: "violation", step: 1 });
  assert.equal(found.steps.length, 1);
  close(found.steps[0].margin, Math.log(0.3 / 0.2));
  close(found.steps[0].pool?.gap, Math.log(0.3 / 0.2));
  assert.deepEqual(found.certificate, { kind: "pruned", by: "T2", step: 1 });
  const text = renderExplanation(found);
  assert.match(text, /^Step 1: C, PRUNED$/m);
  assert.match(text, /locally {3}3 of 3 siblings, log p -1.609, margin \+0.405: a violation/);
  assert.match(text, /^Pruned at step 1, cause: violation$/m);
  assert.match(text, /certified pruned by step 1 \(T2\)/);
});

test("explain: a violation after the fall is one too", () => {
  const data = shopOf(["A x", "B x", "B y", "B z"]);
  const after = modelOf({ "": { A: 0.6, B: 0.4 }, B: { x: 0.5, y: 0.3, z: 0.2 } });
  const found = explained({ data, model: after, target: 3, beam: 1 });
  assert.deepEqual(found.lost, { cause: "violation", step: 1 });
  assert.deepEqual(found.steps.map(({ pool }) => pool === undefined), [false, true]);
  close(found.steps[1].margin, Math.log(0.5 / 0.2));
  const text = renderExplanation(found);
  assert.match(text, /^Step 2: z, after the target was lost$/m);
  assert.match(text, /^ {2}step 2: z is 3 of 3 siblings, not of the best 1: margin \+0.916$/m);
});

test("explain: a retrieved target, which counting certifies", () => {
  const found = explained({ ...on, target: 2 });
  assert.equal(found.rank, 0);
  assert.equal(found.lost, undefined);
  assert.deepEqual(found.steps.map(({ competitors }) => competitors), [1, 1]);
  // P = .27 is below 1 / 3, so T4 is silent.
  assert.deepEqual(found.certificate, { kind: "retrieved", by: "T6" });
  const text = renderExplanation(found);
  assert.match(text, /^Retrieved at rank 1 of the list$/m);
  assert.match(text, /certified retrieved \(T6\)/);
  assert.match(text, /T4 {2}P = 0.270; above 1 \/ \(B \+ 1\) = 0.333 it/);
  assert.match(text, /T6 {2}up to 1 competitor, at step 1; .* certain with fewer than 2$/m);
});

test("explain: an item that ended takes the place of a longer one, and the other way round", () => {
  const data = shopOf(["A x", "A y", "B x", "C"]);
  const ended = modelOf({ "": { A: 0.3, B: 0.25, C: 0.45 }, A: { x: 0.6, y: 0.4 } });
  const found = explained({ data, model: ended, target: 1, beam: 2 });
  assert.deepEqual(found.lost, { cause: "length", step: 2 }); // behind C .45 and A x .18
  assert.match(renderExplanation(found), /items that had ended before took the places/);

  const long = shopOf(["A x", "A y", "B x", "B y", "C"]);
  const [a, b] = [{ x: 0.5, y: 0.5 }, { x: 0.95, y: 0.05 }];
  const late = modelOf({ "": { A: 0.42, B: 0.38, C: 0.2 }, A: a, B: b });
  const other = explained({ data: long, model: late, target: 4, beam: 3 });
  assert.deepEqual(other.lost, { cause: "length", step: 2 }); // .361, .21, .21 and then C
  const [, last] = other.steps;
  assert.deepEqual([last.token, last.logProb, last.siblings], [undefined, 0, 1]);
  close(last.score, Math.log(0.2));
  const text = renderExplanation(other);
  assert.match(text, /^Step 2: the target has ended, PRUNED$/m);
  assert.match(text, /it had ended before, and longer items took its place/);
});

test("explain: a tie", () => {
  const found = explained({ ...on, target: 1 }); // A x has as much, and comes first
  assert.deepEqual(found.lost, { cause: "tie", step: 2 });
  assert.match(renderExplanation(found), /the order of equals decided/);
});

test("explain: without the history; a target in it is absent", () => {
  const out = explained({ ...on, target: 3, excluded: [0, 2] });
  assert.equal(out.items, shop.items.length - 2);
  assert.deepEqual(out.steps.map(numbers), [
    { step: 1, siblings: 3, place: 1, competitors: 1, size: 3, rank: 1, kept: true },
    // What is left are A y .5, B y .3 and C .2, which is not kept.
    { step: 2, siblings: 1, place: 0, competitors: 1, size: 2, rank: 1, kept: true },
  ]);
  assert.equal(out.rank, 1);
  assert.deepEqual(out.steps[0].pool?.entries.map(({ items }) => items), [1, 1, 1]);
  const absent = explained({ ...on, target: 2, excluded: [0, 2] });
  assert.deepEqual([absent.lost?.cause, absent.steps.length], ["absent", 0]);
  assert.match(renderExplanation(absent), /it is in the history, which is taken out/);
});

test("explain: steps without a choice are one line", () => {
  const items = ["A x y z x y", "B x", "B y"];
  const found = explained({
    data: shopOf(items),
    model: modelOf({ "": { A: 0.3, B: 0.7 }, B: { x: 0.8, y: 0.2 } }),
    target: 0,
    beam: 3,
  });
  const text = renderExplanation(found);
  assert.deepEqual(text.match(/^Steps? .*/gm), [
    "Step 1: A, kept",
    "Steps 2 to 6: x y z x y, no choice, kept",
  ]);
  // B x .56 is above, B y .14 below.
  assert.match(text, /^ {2}globally {2}2 of 3 in the pool, log pi -1.204, theta -1.966$/m);
});

test("explain: items of one path are named together; tokens with spaces of their own are joined", () => {
  const tokens = ["<bos>", " Red", " pen", "cil", "<end>"];
  const paths = [[1, 2, 4], [1, 2, 3, 4], [1, 2, 4]];
  const data: Dataset = {
    ...shop,
    items: ["a", "b", "c"],
    titles: ["Red pen", "Red pencil", "Red \u001b[31mpen\nnew"],
    paths,
    tokens,
    prompt: plainPrompt(paths),
  };
  const found = explained({ data, model: () => tokens.map(() => 0), target: 0, beam: 2 });
  assert.deepEqual(found.alike, [{ id: "c", title: data.titles?.[2] }]);
  const prefixes = found.steps.flatMap(({ pool }) =>
    pool?.entries.map(({ prefix }) => prefix) ?? []
  );
  assert.ok(prefixes.includes("Red pencil"), prefixes.join("|"));
  const text = renderExplanation(found);
  assert.match(text, /with the same tokens: Red \[31mpen new \(c\)/);
  // deno-lint-ignore no-control-regex -- none of them may reach a terminal
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f]/);
});

test("explain: of a large pool the best, those around the threshold and around the target", () => {
  assert.deepEqual(shownRanks(100, 20, 50), [0, 1, 2, 18, 19, 20, 21, 49, 50, 51]);
  assert.deepEqual(shownRanks(100, 3, 0), [0, 1, 2, 3, 4]);
  assert.deepEqual(shownRanks(5, 20, 4), [0, 1, 2, 3, 4]);
});

test("explain: what is left out is counted, and no line is too wide", () => {
  const title = "a very long title, ".repeat(12);
  const size = 300;
  const tokens = ["<bos>", ...Array.from({ length: size }, (_, i) => `${title}${i}`)];
  const paths = Array.from({ length: size }, (_, i) => [i + 1]);
  const data: Dataset = {
    ...shop,
    items: paths.map((_, i) => `${i}`),
    titles: tokens.slice(1),
    paths,
    tokens,
    prompt: plainPrompt(paths),
  };
  const falling: PathLogits = () => tokens.map((_, token) => -token / 100);
  const found = explained({ data, model: falling, target: 77, beam: 20 });
  const lines = renderExplanation(found, 80).split("\n");
  for (const line of lines) assert.ok(line.length <= 80, line);
  const hidden = lines.flatMap((line) => /^ +: +: +(\d+) more$/.exec(line)?.[1] ?? []).map(Number);
  assert.deepEqual(hidden, [15, 54, 221]); // ranks 3-17, 22-75, 79-299
  const shown = lines.filter((line) => /^ {2}(->| {2}) +\d+ /.test(line)).length;
  assert.equal(shown + hidden.reduce((a, b) => a + b), size);
  const at = (part: RegExp): number => lines.findIndex((line) => part.test(line));
  assert.ok(at(/^ +20 /) < at(/---theta/) && at(/---theta/) < at(/^ +21 /));
  assert.match(lines[at(/^ {2}->/)], /^ {2}-> +78 +-/);
});

test("explain: the list of pruned users", () => {
  assert.equal(renderPruned([]), "No target among the exact best was pruned");
  const one = { user: "7", target: "i3", step: 2, cause: "tie", exactRank: 3 } as const;
  assert.match(renderPruned([one]), /│ +7 +│ i3 +│ +4 +│ +2 +│ tie +│/);
});

test("explain: on any catalogue what it says fits together", () => {
  const cases = fc.record({
    paths: catalogues({ depth: 4, fanOut: 3, vocabulary: TOKENS.length }),
    beam: fc.integer({ min: 1, max: 6 }),
    seed: fc.nat(1e6),
    target: fc.nat(1e6),
  });
  fc.assert(
    fc.property(cases, ({ paths, beam, seed, target }) => {
      const items = paths.map((_, i) => `${i}`);
      const { titles: _, ...rest } = shop;
      const data: Dataset = { ...rest, items, paths: paths.map((path) => [...path]) };
      const decoder = new TableDecoder(device, TOKENS.length, smooth(seed, TOKENS.length));
      const said = decoder.logitsAfter([1]);
      const found = explained({ data, model: said, beam, target: target % paths.length });
      const { steps, rank, lost, certificate } = found;
      assert.equal(rank === undefined, lost !== undefined);
      for (const { pool, margin, competitors } of steps) {
        if (margin > 1e-9) assert.equal(lost?.cause, "violation"); // T1
        if (pool === undefined) continue;
        assert.ok(pool.rank <= competitors); // T6 counts at least those that are above
        assert.equal(pool.kept, pool.rank < beam);
        assert.equal(pool.kept, !((pool.gap ?? -1) > 0));
      }
      if (certificate.kind === "retrieved") assert.ok(rank !== undefined);
      if (certificate.kind === "pruned") assert.ok((lost?.step ?? Infinity) <= certificate.step);
      for (const line of renderExplanation(found, 80).split("\n")) {
        assert.ok(line.length <= 80, line);
      }
    }),
    { numRuns: 300, seed: 6 },
  );
});
