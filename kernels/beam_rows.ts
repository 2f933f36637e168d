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

/** What the first R rows feed, in that order: the token, user and ancestors (L) of each. */
export const feedRows = defineKernel({
  name: "feedRows",
  buffers: {
    order: "read int",
    tokens: "read int",
    ancestors: "read int",
    fed: "write int",
    users: "write int",
    lines: "write int",
  },
  params: { R: "u32", B: "u32", L: "u32" },
  cpu({ order, tokens, ancestors, fed, users, lines }, { R, B, L }): void {
    for (let i = 0; i < R; i++) {
      const r = order[i];
      fed[i] = tokens[r];
      users[i] = Math.floor(r / B);
      for (let j = 0; j < L; j++) lines[i * L + j] = ancestors[r * L + j];
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
fn kernel(i: u32) {
  let r = u32(order[i]);
  fed[i] = tokens[r];
  users[i] = i32(r / p.B);
  for (var j = 0u; j < p.L; j++) { lines[i * p.L + j] = ancestors[r * p.L + j]; }
}`,
  cases: () => [{
    name: "two users of three rows",
    params: { R: 6, B: 3, L: 2 },
    buffers: {
      order: [1, 2, 4, 0, 3, 5],
      tokens: integers(6, 9, 1),
      ancestors: integers(12, 6, 2),
      fed: 6,
      users: 6,
      lines: 12,
    },
  }],
});
