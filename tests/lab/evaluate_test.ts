/** Evaluation against an enumeration of the whole catalogue on the host. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { foldIn, keyOf, normal } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { popularity } from "../../lab/evaluate/baselines.ts";
import { type Dataset, evaluationCases, plainPrompt } from "../../lab/data/dataset.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import { ArgumentError } from "../../core/errors.ts";
import { evaluate, evaluateBaseline, type EvaluateOptions } from "../../lab/evaluate/evaluate.ts";
import { hitRate, ndcg } from "../../lab/evaluate/metrics.ts";
import { measureSearches, spreadCases } from "../../lab/evaluate/search_costs.ts";
import { searchName } from "../../lab/report/comparison.ts";
import type { Decoder, StepRows } from "../../models/decode/decoder.ts";
import { certifiesTop } from "../../lab/analysis/certificates.ts";
import { attribute, margins, prunedAt } from "../../lab/analysis/pruning.ts";
import {
  type ListSearchOptions,
  nameOfSearch,
  openListSearch,
  type SearchChoice,
} from "../../lab/analysis/searches.ts";
import type { TeacherForced } from "../../lab/analysis/verdicts.ts";
import { logSumExp } from "../../models/decode/ranked.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import { Trie } from "../../models/decode/trie.ts";
import { add, sub } from "../../ops/binary.ts";
import { gather } from "../../ops/gather.ts";
import { reshape } from "../../ops/layout.ts";
import { cast } from "../../ops/select.ts";
import { take } from "../../ops/take.ts";

/** A small shop in which two more items share their tokens with others. */
const shop = synthetic({ seed: 5, items: 100, users: 300 });
const paths = [...shop.paths, shop.paths[3], shop.paths[50]];
const dataset: Dataset = {
  ...shop,
  items: [...shop.items, "100", "101"],
  paths,
  prompt: plainPrompt(paths),
};
const V = dataset.tokens.length;
const trie = new Trie(dataset.paths);

/**
 * Logits: bias[last word of the history, which ends in an end token], plus table[token before] once
 * there is one.
 */
const bias = normal(foldIn(keyOf(1), 0), V * V);
const table = normal(foldIn(keyOf(1), 1), V * V);

function pathLogits(history: readonly number[], path: readonly number[]): Float64Array {
  const user = (history.at(-2) as number) * V;
  const before = path.at(-1);
  return Float64Array.from(
    { length: V },
    (_, v) => bias[user + v] + (before === undefined ? 0 : table[before * V + v]),
  );
}

class ToyDecoder implements Decoder<Tensor> {
  readonly vocabSize = V;
  readonly #bias: Tensor;
  readonly #table: Tensor;

  constructor(device: Device) {
    this.#bias = device.tensor(bias, [V, V]);
    this.#table = device.tensor(table, [V, V]);
  }

  prefill(tokens: Tensor, lengths: Tensor): { logits: Tensor; cache: Tensor } {
    const [U] = tokens.shape;
    const at = cast(sub(cast(reshape(lengths, [U, 1]), "float"), 2), "int"); // (U, 1)
    const last = cast(reshape(gather(cast(tokens, "float"), at), [U]), "int");
    const logits = take(this.#bias, last); // (U, V)
    return { logits, cache: logits };
  }

  step(cache: Tensor, { tokens, users }: StepRows): Tensor {
    return add(take(cache, users), take(this.#table, tokens));
  }
}

type Settings =
  & { readonly beam: number }
  & Pick<
    EvaluateOptions,
    "split" | "historyLength" | "excludeHistory" | "normalization" | "tau" | "limitUsers"
  >;

/** What the toy says along paths; of a node with one child nothing, under "children". */
function teacherForced({ normalization, tau = 1 }: Partial<Settings>): TeacherForced {
  const whole = normalization === "vocabulary";
  return (histories, leaves) =>
    Promise.resolve(leaves.map((leaf, u) => {
      const path = trie.pathOf(leaf);
      return path.map((_, t) => {
        const before = path.slice(0, t);
        const z = pathLogits(histories[u], before);
        const tokens = trie.tokensUnder(before.reduce((node, v) => trie.child(node, v), 0));
        return {
          children: whole || tokens.length > 1 ? Array.from(tokens, (v) => z[v]) : [],
          ...(whole && { logSumExp: logSumExp(z.map((x) => x / tau)) }),
        };
      });
    }));
}

/** The leaves that are not blocked, best first, from the log probabilities along every path. */
function exactRanking(
  logits: (path: readonly number[]) => Float64Array,
  blocked: ReadonlySet<number>,
  { normalization, tau = 1 }: Settings,
): number[] {
  const scored: { leaf: number; score: number }[] = [];
  const walk = (node: number, path: readonly number[], score: number): void => {
    if (trie.childCount(node) === 0) return void scored.push({ leaf: node, score });
    const z = logits(path).map((x) => x / tau);
    const tokens = [...trie.tokensUnder(node)].filter((v) => !blocked.has(trie.child(node, v)));
    const seen = normalization === "vocabulary" ? z : Float64Array.from(tokens, (v) => z[v]);
    const sum = logSumExp(seen);
    for (const v of tokens) walk(trie.child(node, v), [...path, v], score + z[v] - sum);
  };
  walk(0, [], 0);
  return scored.sort((a, b) => b.score - a.score || a.leaf - b.leaf).map(({ leaf }) => leaf);
}

async function compare(settings: Settings): Promise<{ pruned: number; absent: number }> {
  const device = cpu({ float: "float64" });
  using deviceTrie = trie.upload(device);
  let reported = 0;
  const { users, absent: out, beams, verdicts } = await evaluate({
    ...settings,
    beams: [settings.beam],
    decoder: new ToyDecoder(device),
    teacherForced: teacherForced(settings),
    trie: deviceTrie,
    dataset,
    onProgress: (done, total) => {
      assert.ok(done > reported && done <= total);
      reported = done;
    },
  });

  const [found] = beams;
  const { beam, normalization, tau = 1 } = settings;
  const cases = evaluationCases(
    dataset,
    settings.split,
    settings.historyLength,
    settings.limitUsers,
  );
  const ranks: number[] = [];
  const exactRanks: number[] = [];
  const lost: number[] = [];
  const causes = { violation: 0, displacement: 0, length: 0, tie: 0 };
  let [inTop, pruned, absent, certified] = [0, 0, 0, 0];
  const vacuous = Array.from({ length: trie.maxDepth }, () => ({ part: 0, whole: 0 }));
  for (const { history, target } of cases) {
    const tokens = dataset.prompt(history);
    const logits = (path: readonly number[]): Float64Array => pathLogits(tokens, path);
    const excluded = settings.excludeHistory ? history : [];
    const blocked = new Set(trie.blockedNodes(excluded));
    const leaf = trie.leafOf[target];
    const result = referenceBeamSearch(trie, logits, { beam, normalization, tau, excluded });
    const rank = result.ranking.findIndex((item) => item.leaf === leaf);
    const exactRank = exactRanking(logits, blocked, settings).slice(0, beam).indexOf(leaf);
    ranks.push(rank);
    exactRanks.push(exactRank);
    lost.push(prunedAt(trie, leaf, result.steps));
    if (certifiesTop(result, Math.min(10, beam))) certified++;
    if (blocked.has(leaf)) {
      absent++;
      continue;
    }
    const path = margins(trie, leaf, logits, { beam, normalization, tau, blocked });
    path.forEach(({ choices }, t) => {
      vacuous[t].whole++;
      if (choices <= beam) vacuous[t].part++;
    });
    if (exactRank >= 0) inTop++;
    if (exactRank >= 0 && rank < 0) {
      pruned++;
      const { steps } = result;
      const why = attribute(trie, leaf, { steps, margins: path, beam, rounding: 2 ** -48 });
      causes[why?.cause as keyof typeof causes]++;
    }
  }

  const n = cases.length;
  assert.equal(reported, n);
  assert.equal(users, n);
  assert.equal(found.beam, beam);
  assert.deepEqual(found.ranks, ranks);
  assert.deepEqual(found.exact.ranks, exactRanks);
  for (const k of [5, 10]) {
    assert.equal(found.hr[k], hitRate(ranks, k));
    assert.equal(found.ndcg[k], ndcg(ranks, k));
    assert.equal(found.exact.hr[k], hitRate(exactRanks, k));
    assert.equal(found.exact.ndcg[k], ndcg(exactRanks, k));
  }
  verdicts.forEach(({ beams: [{ certificate }] }, i) => {
    if (certificate !== "undecided") assert.equal(ranks[i] >= 0, certificate === "retrieved");
  });
  assert.equal(found.inExactTop, inTop);
  assert.equal(found.pruned, pruned);
  assert.equal(out, absent);
  assert.equal(found.pruningRate, inTop === 0 ? 0 : pruned / inTop);
  assert.deepEqual(found.causes, causes);
  assert.equal(found.violationShare, pruned === 0 ? 0 : causes.violation / pruned);
  assert.equal(found.certifiedShare, certified / n);
  assert.deepEqual(found.vacuousShare, vacuous.map(({ part, whole }) => part / whole));
  const alive = (t: number): number => lost.filter((step) => step === 0 || step > t + 1).length / n;
  assert.deepEqual(found.survival, vacuous.map((_, t) => alive(t)));
  assert.equal(found.survival.at(-1), ranks.filter((rank) => rank >= 0).length / n);
  return { pruned, absent };
}

const CASES: Readonly<Record<string, Settings>> = {
  "more users than are judged together": { beam: 8, split: "test", historyLength: 20 },
  "a beam narrower than the lists, vocabulary normalization, a temperature": {
    beam: 4,
    split: "validation",
    historyLength: 3,
    normalization: "vocabulary",
    tau: 1.5,
    limitUsers: 60,
  },
  "the history excluded, the first users only": {
    beam: 8,
    split: "test",
    historyLength: 20,
    excludeHistory: true,
    limitUsers: 60,
  },
};

for (const [what, settings] of Object.entries(CASES)) {
  test(`evaluate: agrees with enumeration: ${what}`, async () => {
    const { pruned, absent } = await compare(settings);
    assert.ok(pruned > 0, "the case must have pruned targets to say anything");
    assert.equal(absent, 0);
  });
}

test("evaluate: a target that exclusion takes out is absent", async () => {
  // Every other user takes an item of the history again; for some of them another item shares its
  // leaf.
  const again = (u: number): boolean => u % 2 === 0;
  const cases = dataset.test.map((user, u) =>
    again(u) ? { ...user, target: user.history[0] } : user
  );
  const device = cpu({ float: "float64" });
  using deviceTrie = trie.upload(device);
  const options: EvaluateOptions = {
    decoder: new ToyDecoder(device),
    teacherForced: teacherForced({}),
    trie: deviceTrie,
    dataset: { ...dataset, test: cases },
    split: "test",
    beams: [10],
    historyLength: 20,
    excludeHistory: true,
    limitUsers: 40,
  };
  const judged = cases.slice(0, 40);
  assert.ok(judged.some(({ history }, u) => again(u) && [3, 50].includes(history[0])));
  const out = await evaluate(options);
  const [beam] = out.beams;
  const absent = judged.filter(({ history, target }) => history.includes(target));
  assert.ok(absent.length >= 20 && absent.length < 40);
  assert.equal(out.absent, absent.length);
  judged.forEach((user, u) => assert.ok(!absent.includes(user) || beam.ranks[u] === -1));
  assert.ok(beam.survival.every((share) => share >= 0 && share <= 1));
  const kept = await evaluate({ ...options, excludeHistory: false });
  assert.equal(kept.absent, 0);
});

test("evaluate: several beams in one call are what each is alone", async () => {
  const device = cpu({ float: "float64" });
  using deviceTrie = trie.upload(device);
  for (const normalization of ["children", "vocabulary"] as const) {
    const options: Omit<EvaluateOptions, "beams"> = {
      decoder: new ToyDecoder(device),
      teacherForced: teacherForced({ normalization }),
      trie: deviceTrie,
      dataset,
      split: "test",
      historyLength: 20,
      excludeHistory: true,
      normalization,
      limitUsers: 60,
    };
    const together = await evaluate({ ...options, beams: [4, 12, 8] });
    assert.deepEqual(together.beams.map(({ beam }) => beam), [4, 12, 8]);
    assert.ok(together.beams.every(({ pruned }) => pruned > 0));
    for (const [b, found] of together.beams.entries()) {
      const alone = await evaluate({ ...options, beams: [found.beam] });
      const verdicts = together.verdicts.map((v) => ({ ...v, beams: [v.beams[b]] }));
      assert.deepEqual(alone, { ...together, beams: [found], verdicts });
    }
    for (const beams of [[], [3, 3], [0], [2.5]]) {
      await assert.rejects(evaluate({ ...options, beams }), ArgumentError);
    }
  }
});

/** What every search of the toy is given. */
const SEARCHED = {
  dataset,
  split: "test",
  historyLength: 20,
  limitUsers: 60,
} as const;

const SEARCHES: readonly SearchChoice[] = [
  { method: "adaptive" },
  { method: "best-first" },
  { method: "best-first", budget: 1 },
  { method: "huggingface" },
  { method: "huggingface", lengthPenalty: 0 },
];

for (const search of SEARCHES) {
  for (const normalization of ["children", "vocabulary"] as const) {
    test(`evaluate: lists by ${nameOfSearch(search)} over ${normalization}`, async () => {
      const device = cpu({ float: "float64" });
      using deviceTrie = trie.upload(device);
      const beam = 8;
      const options = { ...SEARCHED, decoder: new ToyDecoder(device), trie: deviceTrie };
      const { beams: [found], verdicts } = await evaluate({
        ...options,
        search,
        normalization,
        beams: [beam],
        excludeHistory: true,
        teacherForced: teacherForced({ normalization }),
      });
      const { beams: [plain] } = await evaluate({
        ...options,
        normalization,
        beams: [beam],
        excludeHistory: true,
        teacherForced: teacherForced({ normalization }),
      });
      assert.deepEqual(found.exact, plain.exact, "whatever was searched");
      const lost = found.exact.ranks.filter((rank, u) => rank >= 0 && found.ranks[u] < 0).length;
      assert.equal(found.pruned, lost);
      if (search.method !== "huggingface") {
        const isEnded = search.budget !== undefined;
        assert.equal(found.certifiedShare < 1, isEnded);
        assert.deepEqual(found.causes, { violation: 0, displacement: lost, length: 0, tie: 0 });
        assert.equal(lost > 0, isEnded);
        if (!isEnded) assert.deepEqual(found.ranks, found.exact.ranks);
        assert.ok(found.survival.slice(0, -1).every((share) => share === 1));
        return;
      }
      const cases = evaluationCases(dataset, "test", 20, 60);
      cases.forEach(({ history, target }, u) => {
        const tokens = dataset.prompt(history);
        const { ranking, steps } = referenceBeamSearch(trie, (path) => pathLogits(tokens, path), {
          beam,
          normalization,
          excluded: history,
          semantics: "huggingface",
          endToken: trie.tokens[trie.leafOf[0]],
          lengthPenalty: search.lengthPenalty,
        });
        const leaf = trie.leafOf[target];
        assert.equal(found.ranks[u], ranking.findIndex((item) => item.leaf === leaf));
        assert.equal(verdicts[u].beams[0].lostAt, prunedAt(trie, leaf, steps));
      });
      assert.ok(lost > 0 && found.causes.violation + found.causes.length > 0);
      if (search.lengthPenalty === undefined) assert.notDeepEqual(found.ranks, plain.ranks);
    });
  }
}

test("searches: certified places are the exact ones, by Hugging Face's rules in their order", async () => {
  const device = cpu({ float: "float64" });
  using deviceTrie = trie.upload(device);
  const decoder = new ToyDecoder(device);
  const histories = evaluationCases(dataset, "test", 20, 60)
    .map(({ history }) => dataset.prompt(history));
  const open = (options: Partial<ListSearchOptions>) =>
    openListSearch(decoder, deviceTrie, { beam: 10, ...options });
  using exact = open({ method: "best-first", top: 40 });
  const best = (await exact.search(histories)).map(({ ranking }) => ranking.map((r) => r.leaf));
  for (const lengthPenalty of [-1, 0, 0.5, 2]) {
    using search = open({ method: "huggingface", beam: 40, lengthPenalty });
    let [certified, reordered] = [0, 0];
    (await search.search(histories)).forEach((found, u) => {
      const leaves = found.ranking.map(({ leaf }) => leaf);
      assert.deepEqual(leaves.slice(0, found.certified), best[u].slice(0, found.certified));
      certified += found.certified;
      if (leaves.some((leaf, i) => leaf !== best[u][i])) reordered++;
    });
    assert.ok(certified > 10 && reordered > 10, `${lengthPenalty}: ${certified} ${reordered}`);
  }
  using ragged = new Trie([[1, 2], [1, 3]]).upload(device);
  assert.throws(
    () => openListSearch(decoder, ragged, { beam: 1, method: "huggingface" }),
    { name: "UsageError", message: /items must end with the same token, .* got 2 different ones$/ },
  );
});

test("search costs: ranks are the searches', and beams are certified from B* on (T15)", async () => {
  assert.deepEqual([spreadCases(10, 3), spreadCases(3, 3)], [[0, 3, 6], [0, 1, 2]]);
  const device = cpu({ float: "float64" });
  using deviceTrie = trie.upload(device);
  const told: string[] = [];
  const { cases, searches, widths } = await measureSearches({
    decoder: new ToyDecoder(device),
    trie: deviceTrie,
    dataset,
    excludeHistory: true,
    historyLength: 20,
    cases: 90,
    beam: 15,
    onProgress: (done, total) => told.push(`${done}/${total}`),
  });
  assert.equal(cases, 90);
  assert.equal(told.at(-1), "9/9");
  assert.deepEqual(
    searches.map(searchName),
    [1, 2, 5, 10, 15, 20, 50].map((beam) => `beam ${beam}`).concat("adaptive", "best-first"),
  );
  const all = evaluationCases(dataset, "test", 20);
  const spread = Array.from({ length: 90 }, (_, i) => all[Math.floor(i * all.length / 90)]);
  const [adaptive, bestFirst] = searches.slice(-2);
  for (const { method, beam = trie.leafCount, ranks, certified, rows, milliseconds } of searches) {
    spread.forEach(({ history, target }, u) => {
      const tokens = dataset.prompt(history);
      const width = method === "beam" ? beam : trie.leafCount;
      const { ranking } = referenceBeamSearch(trie, (path) => pathLogits(tokens, path), {
        beam: width,
        excluded: history,
      });
      const list = ranking.slice(0, 10);
      assert.equal(ranks[u], list.findIndex(({ leaf }) => leaf === trie.leafOf[target]));
    });
    const sure = widths.filter((width) => (width as number) <= beam).length;
    if (method === "beam" && beam >= 10) assert.equal(certified, sure, `beam ${beam}`);
    if (method !== "beam") assert.equal(certified, 90);
    assert.ok(rows > 0 && milliseconds > 0);
  }
  assert.deepEqual(adaptive.ranks, bestFirst.ranks);
  assert.ok(bestFirst.rows < adaptive.rows);
});

test("evaluate: a baseline on the same users", () => {
  const cases = evaluationCases(shop, "test", 20);
  const scores = evaluateBaseline(popularity(shop, "test"), cases, [1, 100]);
  assert.equal(scores.ranks.length, 300);
  assert.equal(scores.hr[100], 1);
  assert.equal(scores.hr[1], scores.ranks.filter((rank) => rank === 0).length / 300);
});
