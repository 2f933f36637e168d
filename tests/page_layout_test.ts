/** Where the entries of a search stand in the page's figure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { foldSteps, layOut } from "../page/beam_layout.ts";
import type { BeamView, Entry, StepView } from "../page/protocol.ts";

/** A step with a pool of `size`, of which these nodes are shown: [node, parent, rank]. */
function step(
  number: number,
  size: number,
  kept: number,
  shown: readonly (readonly [number, number, number])[],
  target?: number,
): StepView {
  const entries = shown.map(([node, parent, rank]): Entry => ({
    node,
    parent,
    text: node === parent ? "" : `t${node}`,
    token: node,
    logProb: -1,
    score: -1 - rank / 10,
    kept: rank < kept,
    onTarget: node === target,
    place: 0,
    siblings: 1,
    items: 1,
    names: [`item ${node}`],
  }));
  const theta = size > kept ? { theta: -2 } : {};
  return {
    step: number,
    entries,
    ranks: shown.map(([, , rank]) => rank),
    poolSize: size,
    ...theta,
  };
}

/** Two of nine are kept; the target, node 8, is the eighth. Then nobody has a choice. */
const steps = [
  step(1, 9, 2, [[1, 0, 0], [2, 0, 1], [3, 0, 2], [4, 0, 3], [7, 0, 6], [8, 0, 7]], 8),
  step(2, 5, 2, [[11, 1, 0], [2, 2, 1], [12, 1, 2]]),
  step(3, 2, 2, [[111, 11, 0], [2, 2, 1]]),
  step(4, 2, 2, [[1111, 111, 0], [2, 2, 1]]),
];
const own = { siblings: 1, place: 0, logProb: 0, margin: 0, score: -1, competitors: 0 };
const view = {
  steps,
  target: { item: 8, name: "item 8", path: [8, 81, 82] },
  explanation: {
    lost: { cause: "violation", step: 1 },
    steps: [
      { ...own, step: 1, token: "t8" },
      { ...own, step: 2, token: "t81", siblings: 3, margin: 0.25 },
      { ...own, step: 3, token: "t82" },
      { ...own, step: 4, token: "<end>" },
    ],
  },
} as unknown as BeamView;

test("page: steps without a choice are folded", () => {
  const folded = foldSteps(steps).map((group) => group.map((s) => s.step));
  assert.deepEqual(folded, [[1], [2], [3, 4]]);
});

test("page: a column shows or counts its whole pool, best first", () => {
  const { columns, rows, gaps } = layOut(view, 900);
  for (const [column, { step }] of columns.entries()) {
    const shown = rows.filter((r) => r.column === column);
    const counted = gaps.filter((g) => g.column === column)
      .reduce((sum, { text }) => sum + parseInt(text), 0);
    assert.equal(shown.length + counted, step.poolSize);
    const inOrder = [...shown, ...gaps.filter((g) => g.column === column)]
      .map(({ y }) => y);
    assert.equal(new Set(inOrder).size, inOrder.length, "no two at one place");
    assert.deepEqual(shown.map((r) => r.rank), shown.map((r) => r.rank).sort((a, b) => a - b));
    assert.deepEqual(shown.map((r) => r.y), shown.map((r) => r.y).sort((a, b) => a - b));
  }
});

test("page: theta is between what is kept and what is dropped", () => {
  const { columns, rows } = layOut(view, 900);
  const { y } = columns[0].theta!;
  for (const row of rows.filter((r) => r.column === 0)) {
    assert.equal(row.y < y, row.entry.kept, row.text);
  }
  assert.equal(columns[2].theta, undefined);
});

test("page: links go from each entry to its parent, and the path of an entry is its tokens", () => {
  const { rows, links, columnWidth } = layOut(view, 900);
  const last = rows.find((r) => r.column === 2 && r.entry.node === 1111)!;
  assert.equal(last.text, "t111 t1111");
  assert.deepEqual(last.path, [1, 11, 111, 1111]);
  const parent = rows.find((r) => r.column === 1 && r.entry.node === 11)!;
  const link = links.find((l) => l.key === last.key)!;
  assert.equal(link.from[1] - parent.y, link.to[1] - last.y);
  assert.ok(link.from[0] > parent.x && link.from[0] <= parent.x + columnWidth);
  const ended = rows.find((r) => r.column === 2 && r.entry.node === 2)!;
  assert.deepEqual([ended.text, ended.path], ["item 2", [2]]);
});

test("page: after it was dropped the target goes on below, with its margins", () => {
  const { ghosts, lostAt, rows, links } = layOut(view, 900);
  assert.equal(lostAt, 0);
  assert.deepEqual(ghosts.map(({ text, note }) => [text, note]), [
    ["t81", "margin +0.25"],
    ["t82 ■", "no choice"],
  ]);
  assert.ok(ghosts.every(({ y }) => rows.every((r) => r.y < y)));
  assert.equal(links.filter(({ kind }) => kind === "ghost").length, 2);
});
