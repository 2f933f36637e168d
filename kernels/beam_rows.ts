/**
 * Which of the R = U B rows of a frontier need a model: those with enough choices ahead of their
 * node. The rows to feed come first, then the others, both by number: `order` has the row at each
 * place, and `place` has the place of each row that needs a model, -1 for the others.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { integers } from "./cases.ts";

/**
 * order and place (R), and how many rows need a model: those whose node has an `ahead` of `least`
 * or more. The WGSL counts the rows before each, R^2 in all.
 */
export const activeRows = defineKernel({
  name: "activeRows",
  buffers: {
    nodes: "read int",
    ahead: "read int",
    order: "write int",
    place: "write int",
    count: "write int",
  },
  params: { R: "u32", least: "i32" },
  cpu({ nodes, ahead, order, place, count }, { R, least }): void {
    let active = 0;
    for (let r = 0; r < R; r++) {
      const needed = nodes[r] >= 0 && ahead[nodes[r]] >= least;
      place[r] = needed ? active : -1;
      if (needed) order[active++] = r;
    }
    for (let r = 0, at = active; r < R; r++) if (place[r] < 0) order[at++] = r;
    count[0] = active;
  },
  invocations: ({ R }) => R,
  wgsl: `
fn isActive(r: u32) -> bool {
  let node = nodes[r];
  return node >= 0 && ahead[max(node, 0)] >= p.least;
}
fn kernel(r: u32) {
  var before = 0u;
  var all = 0u;
  for (var i = 0u; i < p.R; i++) {
    if (isActive(i)) {
      all++;
      if (i < r) { before++; }
    }
  }
  if (isActive(r)) {
    place[r] = i32(before);
    order[before] = i32(r);
  } else {
    place[r] = -1;
    order[all + r - before] = i32(r);
  }
  if (r == 0u) { count[0] = i32(all); }
}`,
  cases: () =>
    [[0, 0, 1, 0, 1], [0, 0, 0, 0, 0], [2, 2, 2, 2, 2], [2, 1, 2, 1, 0]].flatMap((ahead) =>
      [1, 2].map((least) => ({
        name: `at least ${least} of ${ahead}`,
        params: { R: 7, least },
        buffers: { nodes: [4, -1, 2, 3, 2, 0, -1], ahead, order: 7, place: 7, count: 1 },
      }))
    ),
});

/**
 * What the rows in the first R places feed as generated token number `step`: its token and user,
 * and the slots of its prefix (R, L). Those of the tokens before are in `before`, (., L), at the
 * place of the row that it extends, 0 for one without a place; its own is `first` + its place. One
 * invocation per place.
 */
export const feedRows = defineKernel({
  name: "feedRows",
  buffers: {
    order: "read int",
    tokens: "read int",
    parents: "read int",
    place: "read int",
    before: "read int",
    fed: "write int",
    users: "write int",
    slots: "write int",
  },
  params: { R: "u32", B: "u32", L: "u32", step: "u32", first: "u32" },
  cpu(
    { order, tokens, parents, place, before, fed, users, slots },
    { R, B, L, step, first },
  ): void {
    slots.fill(0);
    for (let i = 0; i < R; i++) {
      const r = order[i];
      fed[i] = tokens[r];
      users[i] = Math.floor(r / B);
      const from = step === 0 ? 0 : Math.max(place[parents[r]], 0) * L;
      for (let j = 0; j < step; j++) slots[i * L + j] = before[from + j];
      slots[i * L + step] = first + i;
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
fn kernel(i: u32) {
  let r = u32(order[i]);
  fed[i] = tokens[r];
  users[i] = i32(r / p.B);
  for (var j = 0u; j < p.L; j++) {
    var slot = 0;
    if (j < p.step) { slot = before[u32(max(place[parents[r]], 0)) * p.L + j]; }
    if (j == p.step) { slot = i32(p.first + i); }
    slots[i * p.L + j] = slot;
  }
}`,
  cases: () =>
    [0, 1, 2].map((step) => ({
      name: `two users of three rows, step ${step}`,
      params: { R: 6, B: 3, L: 3, step, first: 40 },
      buffers: {
        order: [1, 2, 4, 0, 3, 5],
        tokens: integers(6, 9, 1),
        parents: [1, 0, 0, 5, 4, 5],
        place: [2, 0, -1, -1, 1, 3],
        before: integers(4 * 3, 40, 2),
        fed: 6,
        users: 6,
        slots: 18,
      },
    })),
});
