/**
 * The losses that look at whole prefixes or carry a state, against plain evaluations of their
 * formulas.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { foldIn, keyOf, uniform } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Trie } from "../../models/decode/trie.ts";
import { apaoPair, apaoPoint } from "../../models/losses/apao.ts";
import { beamExact } from "../../models/losses/beam_exact.ts";
import type { Loss, Targets } from "../../models/losses/loss.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { testDevices } from "../devices.ts";
import { sigmoid, token } from "./loss_cases.ts";

const V = 12;
const ABSENT = -1e30;

/** A token to predict: its logits, the item it is of and its place there, from 1. */
interface Row {
  readonly z: readonly number[];
  readonly item: number;
  readonly t: number;
}

/** Items that are predicted, row by row, with rows of nothing between; and negatives of some. */
interface Case {
  readonly paths: readonly (readonly number[])[];
  readonly rows: readonly (Row | undefined)[];
  /** For each target with negatives the row of its first token, and the rows of each negative. */
  readonly duels: readonly {
    readonly row: number;
    readonly negatives: readonly (readonly Row[])[];
  }[];
  /** By row. */
  readonly thresholds: readonly number[];
  readonly tau: number;
  readonly xi: number;
  /** beta of the apao losses, lambda of the other. */
  readonly weight: number;
  readonly eta: number;
}

/** Ten items of one to four tokens, the first of which are common. */
const PATHS = [
  ...[[0], [1, 2], [1, 3, 4, 5], [1, 3, 4, 6], [1, 3, 7, 5], [2, 2, 2], [2, 9, 0, 0], [3, 1]],
  ...[[8, 8, 8, 8], [11, 5]],
];

function caseOf(seed: number): Case {
  let draws = 0;
  const key = foldIn(keyOf(77), seed);
  const draw = (): number => uniform(foldIn(key, draws++), 1)[0];
  const pick = (n: number): number => Math.floor(draw() * n);
  const logits = (): number[] =>
    Array.from({ length: V }, () => seed % 3 === 0 ? pick(3) : 8 * draw() - 4);
  const rowsOf = (item: number): Row[] =>
    PATHS[item].map((_, i) => ({ z: logits(), item, t: i + 1 }));
  const rows: (Row | undefined)[] = [];
  const duels: { row: number; negatives: Row[][] }[] = [];
  const thresholds: number[] = [];
  for (let i = 0; i < 4; i++) {
    const item = pick(PATHS.length);
    if (draw() < 0.7) duels.push({ row: rows.length, negatives: [] });
    rows.push(...rowsOf(item));
    if (draw() < 0.5) rows.push(undefined);
    const searched = draw() < 0.7;
    while (thresholds.length < rows.length) {
      const row = rows[thresholds.length];
      thresholds.push(searched && row && draw() < 0.9 ? -4 * draw() * row.t : ABSENT);
    }
  }
  for (const duel of duels) {
    for (let k = 0; k < 3; k++) duel.negatives.push(rowsOf(pick(PATHS.length)));
  }
  const [tau, xi] = [[1, 0.5, 2][pick(3)], [1, 0.5, 2.5][pick(3)]];
  return { paths: PATHS, rows, duels, thresholds, tau, xi, weight: 2 * draw(), eta: 2 * pick(2) };
}

const prefixOf = (item: number, t: number): string => PATHS[item].slice(0, t).join(",");

/** How many different prefixes of t tokens there are. */
const prefixes = (t: number): number =>
  new Set(PATHS.filter((path) => path.length >= t).map((_, i, all) => all[i].slice(0, t).join()))
    .size;

/**
 * log p of a row's token and its gradient, over the vocabulary or the tokens that go on to an item.
 */
function logProbOf(
  row: Row,
  over: "children" | "vocabulary",
  tau: number,
): { logP: number; dlogP: readonly number[] } {
  const path = PATHS[row.item];
  const before = path.slice(0, row.t - 1).join();
  const children = [
    ...new Set(
      PATHS.filter((p) => p.length >= row.t && p.slice(0, row.t - 1).join() === before)
        .map((p) => p[row.t - 1]),
    ),
  ];
  const all = row.z.map((_, v) => v);
  return token(row.z, over === "children" ? children : all, children, path[row.t - 1], {
    ...{ B: 1, tau, xi: 1, lambda: 1 },
  });
}

interface Expected {
  readonly value: number;
  /** What each row's log p is worth: dL / dlog p. */
  readonly pull: readonly number[];
  /** The same of negatives' rows, by duel, negative and step. */
  readonly negativePull?: readonly (readonly (readonly number[])[])[];
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** S_t by row. */
function scores(
  rows: readonly (Row | undefined)[],
  over: "children" | "vocabulary",
  tau: number,
): number[] {
  let S = 0;
  return rows.map((row) => {
    if (row === undefined) return 0;
    const { logP } = logProbOf(row, over, tau);
    S = row.t === 1 ? logP : S + logP;
    return S;
  });
}

/** Adds `by` to what the log p of all rows of an item up to row n are worth. */
function pullUpTo(pull: number[], rows: readonly (Row | undefined)[], n: number, by: number): void {
  const { t } = rows[n] as Row;
  for (let m = n - t + 1; m <= n; m++) pull[m] += by;
}

function weightsOf(L: readonly number[], eta: number): number[] {
  const w = L.map((x) => x * Math.exp(eta * x));
  return w.map((x) => x / (total(w) || 1));
}

function point({ rows, tau, xi, weight, eta }: Case): Expected {
  const real = rows.filter((row) => row !== undefined);
  const logP = rows.map((row) => row ? logProbOf(row, "vocabulary", tau).logP : 0);
  const S = scores(rows, "vocabulary", tau);
  const at = (t: number): number[] => rows.flatMap((row, n) => row?.t === t ? [n] : []);
  const steps = [1, 2, 3, 4];
  const L = steps.map((t) => total(at(t).map((n) => -S[n] / (t * xi))) / (at(t).length || 1));
  const w = weightsOf(L, eta);
  const pull = rows.map((row) => row ? -1 / real.length : 0);
  steps.forEach((t, i) => {
    for (const n of at(t)) pullUpTo(pull, rows, n, -weight * w[i] / (t * xi * at(t).length));
  });
  return { value: -total(logP) / real.length + weight * total(w.map((x, i) => x * L[i])), pull };
}

function pair({ rows, duels, tau, xi, weight, eta }: Case): Expected {
  const real = rows.filter((row) => row !== undefined);
  const logP = rows.map((row) => row ? logProbOf(row, "vocabulary", tau).logP : 0);
  const S = scores(rows, "vocabulary", tau);
  const fights = duels.flatMap(({ row, negatives }, d) => {
    const { item } = rows[row] as Row;
    return PATHS[item].map((_, i) => {
      const t = i + 1;
      const seen = new Set([prefixOf(item, t)]);
      const against = negatives.flatMap((negative, k) => {
        const prefix = prefixOf(negative[0].item, t);
        if (negative.length < t || seen.has(prefix)) return [];
        seen.add(prefix);
        return [k];
      });
      const kappa = (prefixes(t) - 1) / against.length;
      const mass = against.map((k) =>
        kappa * Math.exp(scores(negatives[k], "vocabulary", tau)[t - 1] / xi)
      );
      const own = Math.exp(S[row + i] / xi);
      const all = own + total(mass);
      return {
        d,
        t,
        n: row + i,
        against,
        shares: mass.map((m) => m / all),
        loss: -Math.log(own / all) / t,
      };
    });
  });
  const steps = [1, 2, 3, 4];
  const at = (t: number): typeof fights => fights.filter((fight) => fight.t === t);
  const L = steps.map((t) => total(at(t).map(({ loss }) => loss)) / (at(t).length || 1));
  const w = weightsOf(L, eta);
  const pull = rows.map((row) => row ? -1 / real.length : 0);
  const negativePull = duels.map(({ negatives }) =>
    negatives.map((negative) => negative.map(() => 0))
  );
  for (const { d, t, n, against, shares } of fights) {
    const each = weight * w[t - 1] / (at(t).length * t * xi);
    pullUpTo(pull, rows, n, -each * total(shares));
    against.forEach((k, j) => {
      for (let i = 0; i < t; i++) negativePull[d][k][i] += each * shares[j];
    });
  }
  const value = -total(logP) / real.length + weight * total(w.map((x, i) => x * L[i]));
  return { value, pull, negativePull };
}

function exact({ rows, thresholds, tau, xi, weight }: Case): Expected {
  const real = rows.filter((row) => row !== undefined);
  const logP = rows.map((row) => row ? logProbOf(row, "children", tau).logP : 0);
  const S = scores(rows, "children", tau);
  const searched = rows.flatMap((_, n) => thresholds[n] > ABSENT ? [n] : []);
  const x = (n: number): number => (thresholds[n] - S[n]) / xi;
  const term = total(searched.map((n) => Math.log1p(Math.exp(x(n))))) / (searched.length || 1);
  const pull = rows.map((row) => row ? -1 / real.length : 0);
  for (const n of searched) {
    pullUpTo(pull, rows, n, -weight * sigmoid(x(n)) / (xi * searched.length));
  }
  return { value: -total(logP) / real.length + weight * term, pull };
}

/**
 * What a loss gives on a device: its value, and the gradients by the rows' and the negatives'
 * logits.
 */
async function run(
  device: Device,
  loss: Loss,
  kase: Case,
): Promise<{ value: number; grads: number[] }> {
  using _scope = device.arena();
  const trie = new Trie(kase.paths);
  const nodeOf = (row: Row | undefined): number => {
    if (row === undefined) return -1;
    return PATHS[row.item].slice(0, row.t - 1).reduce((node, v) => trie.child(node, v), 0);
  };
  const labelOf = (row: Row | undefined): number => row ? PATHS[row.item][row.t - 1] : 0;
  const ints = (values: readonly number[]): Tensor => device.tensor(Int32Array.from(values));
  const [W, K, D] = [kase.duels.length, 3, 4];
  const dense = kase.duels.flatMap(({ negatives }) =>
    negatives.flatMap((negative) => Array.from({ length: D }, (_, i) => negative.at(i)))
  );
  const logScales = kase.duels.flatMap(({ row, negatives }) =>
    negatives.flatMap((negative, k) =>
      [1, 2, 3, 4].map((t) => {
        const { item } = kase.rows[row] as Row;
        if (t > PATHS[item].length) return ABSENT;
        const own = prefixOf(item, t);
        const counts = (other: readonly Row[], j: number): boolean =>
          other.length >= t && prefixOf(other[0].item, t) !== own &&
          negatives.slice(0, j).every((r) =>
            r.length < t || prefixOf(r[0].item, t) !== prefixOf(other[0].item, t)
          );
        const n = negatives.filter(counts).length;
        return counts(negative, k) ? Math.log((prefixes(t) - 1) / n) : ABSENT;
      })
    )
  );
  const some = W > 0;
  const table = (rows: readonly (Row | undefined)[]): Tensor =>
    device.tensor(rows.map((row) => [...row?.z ?? new Array<number>(V).fill(0.5)]));
  const params = { z: table(kase.rows), ...(some && { negatives: table(dense) }) };
  const { value, grads } = valueAndGrad((p: { z: Tensor; negatives?: Tensor }) => {
    const targets: Targets = {
      trie: trie.upload(device),
      nodes: ints(kase.rows.map(nodeOf)),
      labels: ints(kase.rows.map(labelOf)),
      thresholds: device.tensor([...kase.thresholds]),
      ...(p.negatives && {
        negatives: {
          logits: p.negatives,
          nodes: ints(dense.map(nodeOf)),
          labels: ints(dense.map(labelOf)),
          rows: ints(
            kase.duels.flatMap(({ row }) =>
              Array.from(
                { length: D },
                (_, i) => i < PATHS[(kase.rows[row] as Row).item].length ? row + i : -1,
              )
            ),
          ),
          logScales: device.tensor(logScales, [W, K, D]),
        },
      }),
    };
    return loss(p.z, targets);
  })(params as { z: Tensor; negatives?: Tensor });
  const [[number], ...flat] = await device.read([
    value,
    grads.z,
    ...(some ? [grads.negatives as Tensor] : []),
  ]);
  return { value: number, grads: flat.flatMap((data) => [...data]) };
}

/** The gradients by logits, in the order of `run`. */
function gradients(
  kase: Case,
  { pull, negativePull }: Expected,
  over: "children" | "vocabulary",
): number[] {
  const times = (row: Row | undefined, by: number): number[] =>
    row ? logProbOf(row, over, kase.tau).dlogP.map((g) => by * g) : new Array<number>(V).fill(0);
  return [
    ...kase.rows.flatMap((row, n) => times(row, pull[n])),
    ...kase.duels.flatMap(({ negatives }, d) =>
      negatives.flatMap((negative, k) =>
        [0, 1, 2, 3].flatMap((i) => times(negative.at(i), negativePull?.[d][k][i] ?? 0))
      )
    ),
  ];
}

const LOSSES = {
  "apao-point": {
    over: "vocabulary",
    make: ({ tau, xi, weight, eta }: Case) => apaoPoint({ tau, xi, beta: weight, eta }),
    expected: point,
  },
  "apao-pair": {
    over: "vocabulary",
    make: ({ tau, xi, weight, eta }: Case) => apaoPair({ tau, xi, beta: weight, eta }),
    expected: pair,
  },
  "beam-exact": {
    over: "children",
    make: ({ tau, xi, weight }: Case) => beamExact({ tau, xi, lambda: weight }),
    expected: exact,
  },
} as const;

for (const { name, skip, open } of testDevices) {
  const [cases, tolerance] = name === "cpu float64" ? [30, 1e-10] : [6, 1e-5];
  for (const [lossName, { over, make, expected }] of Object.entries(LOSSES)) {
    test(`losses: ${lossName} is its formula on ${name}`, { skip }, async () => {
      const device = await open();
      for (let seed = 0; seed < cases; seed++) {
        const kase = caseOf(seed);
        if (lossName === "apao-pair" && kase.duels.length === 0) continue;
        const wanted = expected(kase);
        const actual = await run(device, make(kase), kase);
        const close = (a: number, b: number, what: string): void =>
          assert.ok(
            Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)),
            `${seed}, ${what}: ${a}, ${b}`,
          );
        close(actual.value, wanted.value, "value");
        const slopes = gradients(kase, wanted, over);
        assert.equal(actual.grads.length, slopes.length);
        slopes.forEach((slope, i) => close(actual.grads[i], slope, `gradient ${i}`));
      }
    });
  }
}
