/** Lists of trained models, and audits of lists: of our own, of other shapes, and with faults. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { ArgumentError, DataError } from "../../core/errors.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { cooccurrence, popularity } from "../../lab/evaluate/baselines.ts";
import { evaluateBaseline } from "../../lab/evaluate/evaluate.ts";
import { folderAt } from "../../lab/files.ts";
import {
  type Audit,
  auditLists,
  type AuditOptions,
  type FaultName,
  FAULTS,
} from "../../lab/lists/audit.ts";
import { renderAudit } from "../../lab/lists/audit_text.ts";
import { readLists } from "../../lab/lists/read_lists.ts";
import {
  listToJson,
  openRun,
  recommend,
  recommendAll,
  recommendUser,
} from "../../lab/lists/recommend.ts";
import { renderRecommendation } from "../../lab/lists/recommend_text.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import { judgeModel } from "../../lab/train/models.ts";
import { exactTopK } from "../../models/decode/exact.ts";
import { runFile, stdinArgs } from "../command.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";
import { makeFolder } from "./with_folder.ts";

/** Machines that do other things as well need more than Bun's five seconds. */
const SLOW = { timeout: 60_000 };
const silent = { preparing() {}, started() {}, training() {}, evaluating() {} };

const DATA = smallFolder(); // two of whose items share their codes
const OUT = emptyFolder();
await runExperiment(
  parseOptions(
    `--data ${DATA} --layers 1 --dim 16 --heads 2 --ffn 32 --epochs 3 --lr 0.02 --beam 4 --loss msl --cost-users 0 --device cpu --out ${OUT}`
      .split(" "),
  ),
  silent,
);
const RUN = join(OUT, "msl-seed0");

/** Writes the lists of all users; the file. */
async function writeLists(options: { excludeHistory?: boolean; beam?: number }): Promise<string> {
  using run = await openRun(RUN, DATA);
  const path = join(emptyFolder(), "lists.jsonl");
  const lines: string[] = [];
  for await (const lists of recommendAll(run, options)) {
    lines.push(...lists.map((list) => JSON.stringify(listToJson(list))));
  }
  writeFileSync(path, lines.join("\n"));
  return path;
}

for (const excludeHistory of [false, true]) {
  for (const beam of [4, 12]) {
    const name = `B = ${beam}, ${excludeHistory ? "without" : "with"} the history`;
    test(
      `recommend: what all users get is clean, and HR and NDCG are evaluate's, ${name}`,
      SLOW,
      async () => {
        const ks = [2, 4];
        using run = await openRun(RUN, DATA);
        const { dataset, recipe, model } = run;
        const { beams: [judged] } = await judgeModel(model, {
          dataset,
          beams: [beam],
          ks,
          historyLength: recipe.history,
          excludeHistory,
        });
        const lists = await writeLists({ excludeHistory, beam });
        assert.match(readFileSync(lists, "utf8"), /"items":\[[^\n]*\["0","23"\]/, "a shared place");
        const found = await auditLists({ lists, data: DATA, ks, excludeHistory });
        assert.deepEqual(found.faults, []);
        assert.equal(found.judged, 40);
        const [{ hr, ndcg }] = found.scores;
        for (const k of ks) {
          assert.equal(hr[k].value, judged.hr[k]);
          assert.equal(ndcg[k].value, judged.ndcg[k]);
          assert.ok(hr[k].low <= hr[k].value && hr[k].value <= hr[k].high);
        }
        assert.ok(judged.hr[4] > 0 && judged.hr[4] < 1, "the comparison says something");
      },
    );
  }
}

test("recommend: places that are certified are those of the exact ranking", SLOW, async () => {
  using run = await openRun(RUN, DATA);
  const { dataset, model: { decoder, trie, normalization, tau } } = run;
  const histories = dataset.test.map(({ history }) => dataset.prompt(history));
  const exact = await exactTopK(decoder, trie, histories, 8, { normalization, tau });
  let certified = 0;
  for (const beam of [8, 9, 10, 11]) {
    for (const found of (await Array.fromAsync(recommendAll(run, { beam, top: 8 }))).flat()) {
      const u = dataset.test.findIndex(({ id }) => id === found.user);
      assert.equal(found.list.length, 8);
      certified += found.certified;
      for (let i = 0; i < found.certified; i++) {
        const ids = exact[u][i].items.map((item) => dataset.items[item]);
        assert.deepEqual(found.list[i].items.map(({ id }) => id), ids);
      }
    }
  }
  assert.ok(certified > 20 && certified < 4 * 40 * 8, `${certified}`);
});

test("recommend: exact searches certify every place, and a budget ends them", SLOW, async () => {
  using run = await openRun(RUN, DATA);
  const { dataset, model: { decoder, trie, normalization, tau } } = run;
  const histories = dataset.test.map(({ history }) => dataset.prompt(history));
  const exact = await exactTopK(decoder, trie, histories, 6, { normalization, tau });
  const expected = exact.map((list) => list.map(({ items }) => `${items}`));
  for (const method of ["adaptive", "best-first"] as const) {
    const found = (await Array.fromAsync(recommendAll(run, { search: { method }, top: 6 }))).flat();
    assert.deepEqual(
      found.map(({ list }) => list.map(({ items }) => `${items.map(({ id }) => id)}`)),
      expected,
    );
    assert.ok(found.every(({ certified, rows }) => certified === 6 && rows > 0));
    assert.match(renderRecommendation(run, found[0]), new RegExp(`24 items, ${method}`));
  }
  const search = { method: "best-first", budget: 2 } as const;
  const ended = (await Array.fromAsync(recommendAll(run, { search, top: 6 }))).flat();
  assert.ok(ended.some(({ certified }) => certified < 6));
  ended.forEach(({ list, certified, rows }, u) => {
    assert.ok(rows <= 2);
    const ids = list.slice(0, certified).map(({ items }) => `${items.map(({ id }) => id)}`);
    assert.deepEqual(ids, expected[u].slice(0, certified));
  });
  const json = listToJson(ended[0]);
  assert.partialDeepStrictEqual(json, { search: "best-first", budget: 2, rows: 2 });
});

test("recommend: one user, a history and all users give the same list", SLOW, async () => {
  using run = await openRun(RUN, DATA);
  const all = await Array.fromAsync(recommendAll(run));
  const [first] = all.flat();
  const ofUser = await recommendUser(run, "u0");
  assert.deepEqual(ofUser.list.map(({ items }) => items), first.list.map(({ items }) => items));
  const ofHistory = await recommend(run, first.history.map(({ id }) => id));
  assert.deepEqual(ofHistory.list.map(({ items }) => items), first.list.map(({ items }) => items));
  assert.equal(ofHistory.user, undefined);
  const text = renderRecommendation(run, ofUser, 80);
  assert.match(text, /^User u0 of .*24 items, beam B = 4/);
  assert.ok(text.split("\n").every((line) => line.length <= 80 || line.includes(OUT)), text);
});

const REFUSED: readonly [history: readonly string[], options: object, message: RegExp][] = [
  [["1", "99"], {}, /^Cannot recommend from .*ids of its 24 items, such as "0", got "99"$/],
  [[], {}, /got none$/],
  [["1"], { top: 5 }, /top must be an integer from 1 to the beam width 4, got 5$/],
  [["1"], { beam: 0 }, /beam must be a positive integer, got 0$/],
  [["1"], { search: { method: "best-first" }, top: 0 }, /k must be a positive integer, got 0$/],
];

test("recommend: what is not possible is refused", SLOW, async () => {
  using run = await openRun(RUN, DATA);
  for (const [history, options, message] of REFUSED) {
    await assert.rejects(recommend(run, history, options), (error) => {
      assert.ok(error instanceof ArgumentError);
      assert.match(error.message, message);
      return true;
    });
  }
});

/**
 * 30 items, of which the last two share their codes and the last has an empty title, and 12 users
 * of five items.
 */
const SHOP = makeFolder({
  "index.json": Object.fromEntries(Array.from({ length: 30 }, (_, i) => {
    const j = Math.min(i, 28);
    return [`${i}`, [`<a_${j % 4}>`, `<b_${j}>`]];
  })),
  "items.json": Object.fromEntries(Array.from({ length: 30 }, (_, i) => {
    const title = i === 29 ? "" : `Item no. ${i}`;
    return [`${i}`, { title: i === 7 ? "Caf&eacute; &amp; pen" : title }];
  })),
  "inter.json": Object.fromEntries(Array.from({ length: 12 }, (_, u) => {
    return [`u${u}`, [u, u + 1, u + 2, u + 3, u + 4]];
  })),
});
const shop = await loadDataset(SHOP);

/** A list as the plain shape has it; fields may be taken away. */
interface Line {
  user?: string;
  history?: string[];
  target?: string;
  items: (string | string[])[];
  logProbs?: number[];
  bestPruned?: number | null;
  certified?: number;
}

/** A list of ten items for each user, whose target is at a place of its own, or not there. */
function cleanLines(): Line[] {
  return shop.test.map(({ id, history, target }, u) => {
    const others = Array.from({ length: 28 }, (_, i) => (i + 3 * u) % 28)
      .filter((item) => item !== target && !history.includes(item));
    const items = others.slice(0, 10);
    if (u % 3 > 0) items[u % 10] = target;
    return {
      user: id,
      history: history.map(String),
      target: `${target}`,
      items: items.map(String),
    };
  });
}

/** Audits lines in a file. */
function audit(
  lines: readonly object[] | string,
  options: Partial<AuditOptions> = {},
): Promise<Audit> {
  const text = typeof lines === "string"
    ? lines
    : lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  const lists = join(makeFolder({ "lists.json": text }), "lists.json");
  return auditLists({ lists, data: SHOP, excludeHistory: true, ...options });
}

/** Each fault: what plants it in clean lines, how often it is then found, and its first example. */
const PLANTED: readonly [
  name: FaultName,
  plant: (lines: Line[]) => void,
  count: number,
  example: { line?: number; user?: string; what: string },
][] = [
  [
    "unknown item",
    (lines) => {
      lines[2].items[9] = "99";
      lines[4].items[0] = "<a_0><b_1>";
      lines[5].items[9] = ["27", "99"];
      lines[6].items[9] = "";
    },
    4,
    { line: 3, user: "u2", what: 'place 10: "99"' },
  ],
  [
    "repeated item",
    (lines) => {
      lines[0].items[6] = lines[0].items[1];
      lines[3].items[6] = code(lines[3].items[1] as string);
      lines[5].items[9] = ["27", "27"]; // within a place
    },
    3,
    { line: 1, user: "u0", what: `place 7: ${JSON.stringify(cleanLines()[0].items[1])}` },
  ],
  [
    "ambiguous item",
    (lines) => {
      lines[3].items[9] = "29";
      lines[6].items[9] = "<a_0><b_28>";
      lines[7].items[9] = ["28", "29"]; // which says so
    },
    2,
    { line: 4, user: "u3", what: 'place 10: "29" is one of 2 alike' },
  ],
  [
    "history item",
    (lines) => {
      lines[9].items[9] = "10";
      lines[10].items[9] = "11";
      lines[10].history = []; // which says nothing
    },
    2,
    { line: 10, user: "u9", what: 'place 10: "10"' },
  ],
  [
    "short list",
    (lines) => {
      lines[3].items.pop();
      lines[6].items = [];
    },
    2,
    { line: 4, user: "u3", what: "9 items" },
  ],
  [
    "other history",
    (lines) => {
      lines[1].history?.push("20");
      lines[2].history?.pop(); // the last one was not read
      lines[3].history?.reverse();
      lines[6].history?.push(lines[6].target as string); // a leak
    },
    4,
    { line: 2, user: "u1", what: "a history of 5 items" },
  ],
  [
    "unknown user",
    (lines) => {
      lines.push({ ...lines[0], user: "nobody" });
    },
    1,
    { line: 13, user: "nobody", what: '"nobody"' },
  ],
  [
    "repeated user",
    (lines) => {
      lines.push({ ...lines[4], items: lines[4].items.toReversed() });
    },
    1,
    { line: 13, user: "u4", what: "again" },
  ],
  [
    "missing user",
    (lines) => {
      lines.splice(7, 2);
    },
    2,
    { user: "u7", what: "" },
  ],
  [
    "unknown target",
    (lines) => {
      lines[8].target = "30";
    },
    1,
    { line: 9, user: "u8", what: '"30"' },
  ],
  [
    "other target",
    (lines) => {
      lines[8].target = "3";
    },
    1,
    { line: 9, user: "u8", what: '"3", not "12"' },
  ],
  [
    "false certificate",
    (lines) => {
      lines[1].logProbs = lines[1].items.map((_, i) => -3 - i);
      lines[1].bestPruned = -4.5;
      lines[1].certified = 3;
      lines[2].certified = 1; // without numbers
      lines[3] = { ...lines[3], logProbs: lines[3].items.map(() => -3), certified: 11 };
      lines[4] = { ...lines[4], logProbs: lines[1].logProbs.toReversed(), certified: 1 };
      const swapped = lines[1].logProbs.with(0, -4).with(1, -3); // place 1 is not the best
      lines[5] = { ...lines[5], logProbs: swapped, bestPruned: -4.5, certified: 1 };
    },
    5,
    { line: 2, user: "u1", what: "3 places claimed, 2 proved" },
  ],
];

test("audit: clean lists have no faults", async () => {
  const found = await audit(cleanLines());
  assert.deepEqual(found.faults, []);
  assert.equal(found.fromHistory, undefined);
  assert.equal(found.overAll, undefined);
  assert.deepEqual([found.shape, found.count, found.judged, found.users], ["plain", 12, 12, 12]);
  assert.match(renderAudit(found, 80), /\nNo faults\n/);
});

test("audit: the baselines are the lab's, on the users that have a list", async () => {
  const few = cleanLines().slice(3);
  const { scores } = await audit(few);
  const rule = { excludeHistory: true };
  const rankers = [popularity(shop, "test", rule), cooccurrence(shop, "test", rule)];
  for (const [i, ranker] of rankers.entries()) {
    const { hr, ndcg } = evaluateBaseline(ranker, shop.test.slice(3), [5, 10]);
    for (const k of [5, 10]) {
      assert.deepEqual([scores[i + 1].hr[k].value, scores[i + 1].ndcg[k].value], [hr[k], ndcg[k]]);
    }
    assert.ok(hr[10] > 0, ranker.name);
  }
});

for (const [name, plant, count, example] of PLANTED) {
  test(`audit: ${name}: it is found, and nothing else`, async () => {
    const lines = cleanLines();
    plant(lines);
    const { faults, ...found } = await audit(lines);
    assert.deepEqual(faults.map((fault) => [fault.name, fault.count]), [[name, count]]);
    assert.deepEqual(faults[0].examples[0], example);
    const text = renderAudit({ faults, ...found }, 80);
    assert.ok(text.includes(name) && text.includes(example.what));
    assert.ok(text.split("\n").every((line) => line.length <= 80), text);
  });
}

test("audit: the table above plants every fault but that of claims", () => {
  const names = [...PLANTED.map(([name]) => name), "other metric"];
  assert.deepEqual(names.toSorted(), Object.keys(FAULTS).toSorted());
});

test("audit: items of the history are counted, and no fault unless they must not be there", async () => {
  const lines = cleanLines();
  lines[9].items[9] = "10";
  const found = await audit(lines, { excludeHistory: false });
  assert.deepEqual(found.faults, []);
  assert.equal(found.fromHistory?.count, 1);
  // The whole history counts where the file does not say what was read.
  for (const line of lines) line.history = line.history?.slice(-1);
  assert.deepEqual((await audit(lines)).faults, []);
  for (const line of lines) delete line.history;
  assert.deepEqual((await audit(lines)).faults.map(({ name }) => name), ["history item"]);
});

test("audit: a place that is no item is a miss and keeps its place", async () => {
  const lines = cleanLines();
  const before = (await audit(lines)).scores[0];
  lines[1].items[0] = "99"; // above u1's target, which is second
  const after = (await audit(lines)).scores[0];
  assert.deepEqual([after.hr, after.ndcg], [before.hr, before.ndcg]);
  lines[1].items = ["99", ...lines[1].items.slice(0, 9)]; // and now one lower
  const lower = (await audit(lines)).scores[0];
  assert.equal(lower.hr[5].value, before.hr[5].value);
  const gain = (rank: number): number => 1 / Math.log2(rank + 2) / 12;
  const fall = before.ndcg[5].value - lower.ndcg[5].value;
  assert.ok(Math.abs(fall - (gain(1) - gain(2))) < 1e-12, `${fall}`);
});

test("audit: lists for nobody are faults, and nothing is judged", async () => {
  const lines = cleanLines().map((line) => ({ ...line, user: "nobody" }));
  const found = await audit(lines);
  assert.deepEqual([found.judged, found.scores, found.overAll], [0, [], undefined]);
  assert.deepEqual(found.faults.map(({ name, count }) => [name, count]), [
    ["unknown user", 12],
    ["missing user", 12],
  ]);
  assert.match(renderAudit(found, 80), /\nNo list is for a test user, so none is judged$/);
});

test("audit: ids are as distinct as the codes of the list's model, not those of the data", async () => {
  const lines = cleanLines().map((line) => ({ ...line, codes: "item" }));
  lines[3].items[9] = "29"; // whose codes in the data another has
  assert.deepEqual((await audit(lines)).faults, []);
  lines[6].items[9] = "<a_0><b_28>"; // which are codes of the data
  assert.deepEqual((await audit(lines)).faults.map(({ name }) => name), ["ambiguous item"]);
});

test("audit: interactions need no codes", async () => {
  const rows = Array.from({ length: 60 }, (_, i) => `${i % 6},${(i * 7) % 20},5,${i}`);
  const data = makeFolder({
    "ratings.csv": ["userId,movieId,rating,timestamp", ...rows].join("\n"),
  });
  const { test: cases, items } = await loadDataset(data, { kCore: 1, codes: "item" });
  const lines = cases.map(({ id, history, target }) => ({
    user: id,
    history: history.map((item) => items[item]),
    items: [items[target]],
  }));
  const found = await audit(lines, { data, reading: { kCore: 1 }, ks: [1] });
  assert.deepEqual([found.faults, found.scores[0].hr[1].value], [[], 1]);
});

test("audit: missing users are left out, and misses where all are judged", async () => {
  const lines = cleanLines().filter((_, u) => u % 3 > 0); // all with their target in the list
  const { scores: [own], overAll, judged } = await audit(lines);
  assert.equal(judged, 8);
  assert.equal(own.hr[10].value, 1);
  assert.equal(overAll?.hr[10].value, 8 / 12);
});

/** The code string of an item. */
const code = (id: string): string =>
  `<a_${Math.min(Number(id), 28) % 4}><b_${Math.min(Number(id), 28)}>`;

/** The same lists as other projects write them. */
const OTHERS = {
  MiniOneRec: ({ history = [], target = "", items }: Line) => ({
    input: `Can you predict what is next, given this: ${history.map(code).join(", ")}`,
    output: `${code(target)}\n`,
    predict: items.map((id) => `"${code(id as string)}"`),
    predict_ctr_prob: items.map((_, i) => 1 / (i + 1)),
  }),
  "MiniOneRec with compressed histories": ({ history = [], target = "", items }: Line) => ({
    input: `Given this: ${
      ["<compressed_attention:0.5124,0.0310>", ...history.slice(-2).map(code)].join(", ")
    }`,
    output: `${code(target)}\n`,
    predict: items.map((id) => code(id as string)),
  }),
  "MiniOneRec with titles": ({ target = "", items }: Line) => ({
    input: "The user has played these before:",
    output: [`"${title(target)}"`],
    predict: items.map((id) => `"${title(id as string)}"\n`),
  }),
  APAO: ({ history = [], target = "", items }: Line) => ({
    input: history.slice(-3).map(code),
    target: code(target),
    rec_items: items.map((id) => code(id as string).replace(">", "> ")),
    rec_scores: items.map((_, i) => -i),
  }),
};

function title(id: string): string {
  return id === "7" ? "Caf&eacute; &amp; pen" : `Item no. ${id}`;
}

for (const [name, write] of Object.entries(OTHERS)) {
  test(`audit: lists as ${name} writes them have the same scores`, async () => {
    const plain = await audit(cleanLines());
    const lines = cleanLines().map((line): object => write(line));
    for (const text of [JSON.stringify(lines), JSON.stringify(lines, null, 4), lines]) {
      const found = await audit(text);
      assert.equal(found.shape, name.split(" ")[0]);
      assert.deepEqual(found.faults, []);
      assert.deepEqual(found.scores, plain.scores);
    }
  });
}

test("audit: lists without users are found by their histories, and lines are those of the array", async () => {
  const plain = await audit(cleanLines());
  const lines = cleanLines().map(OTHERS.APAO).reverse();
  assert.deepEqual((await audit(lines)).scores, plain.scores);
  const found = await audit(JSON.stringify([...lines, lines[0]], null, 1));
  assert.deepEqual(found.faults.map(({ name, count }) => [name, count]), [["repeated user", 1]]);
  assert.deepEqual(found.faults[0].examples[0], { line: 2 + 12 * 32, user: "u11", what: "again" });
  const strange = { ...lines[0], input: [code("20")] };
  const [fault] = (await audit([...lines, strange])).faults;
  assert.deepEqual([fault.name, fault.examples[0].what], [
    "unknown user",
    "nobody has its history",
  ]);
});

test("audit: log-probabilities prove a list by what was pruned, or by the mass that is left", async () => {
  const lines = cleanLines();
  const logProbs = lines[0].items.map((_, i) => -2 - 0.1 * i);
  lines[0] = { ...lines[0], logProbs, bestPruned: -2.95 }; // below all
  lines[1] = { ...lines[1], logProbs, bestPruned: null }; // nothing was pruned
  lines[2] = { ...lines[2], logProbs, bestPruned: -2.5 }; // above some
  const mass = lines[3].items.map(() => Math.log(0.099)); // what is left has .01
  lines[3] = { ...lines[3], logProbs: mass };
  lines[4] = { ...lines[4], logProbs }; // what is left has .10
  assert.deepEqual((await audit(lines)).certified, {
    lists: 5,
    exact: 3,
    places: (10 + 10 + 5 + 10 + 3) / 50,
  });
  assert.equal((await audit(cleanLines())).certified, undefined);
  const short = cleanLines().slice(0, 1).map((line) => (
    { ...line, items: line.items.slice(0, 3), logProbs: logProbs.slice(0, 3), bestPruned: null }
  ));
  const { certified } = await audit(short);
  assert.deepEqual(certified, { lists: 1, exact: 0, places: 1 }, "3 places are no first 10");
});

test("audit: MiniOneRec's rows, of which a user has several, are told apart by their histories", async () => {
  const codes = ["<a_1><b_0>", "<a_2><b_0>", "<a_2><b_1>", "<a_3><b_0>"];
  const columns =
    "user_id,history_item_title,item_title,history_item_id,item_id,history_item_sid,item_sid";
  const row = (user: string, history: readonly number[], item: number): string => {
    const list = (of: (i: number) => string): string => `"[${history.map(of).join(", ")}]"`;
    return `${user},${list((i) => `'T${i}'`)},T${item},${list(String)},${item},` +
      `${list((i) => `'${codes[i]}'`)},${codes[item]}`;
  };
  const file = (...rows: readonly string[]): string => `${[columns, ...rows].join("\n")}\n`;
  const data = makeFolder({
    "info.txt": codes.map((code, i) => `${code}\tT${i}\t${i}\n`).join(""),
    "train.csv": file(row("A", [0], 1), row("B", [3], 2)),
    "valid.csv": file(row("B", [3, 2], 0)),
    "test.csv": file(row("A", [0, 1], 2), row("A", [0, 1, 2], 3), row("B", [2, 0], 1)),
  });
  const result = (history: readonly number[], target: number, predict: readonly number[]) => ({
    input: `Can you predict the next item, given: ${history.map((i) => codes[i]).join(", ")}`,
    output: `${codes[target]}\n`,
    predict: predict.map((i) => codes[i]),
  });
  const lists = [
    result([0, 1], 2, [3, 2]),
    result([0, 1, 2], 3, [3, 1]),
    result([2, 0], 1, [0, 3]),
  ];
  for (const order of [[0, 1, 2], [2, 1, 0]]) {
    const found = await audit(JSON.stringify(order.map((i) => lists[i]), null, 4), {
      data,
      ks: [1, 2],
      excludeHistory: false,
    });
    assert.deepEqual(found.faults, []);
    assert.deepEqual([found.scores[0].hr[1].value, found.scores[0].hr[2].value], [1 / 3, 2 / 3]);
  }
});

const CLAIMS: readonly [json: object, faults: number, shown: RegExp][] = [
  [{ "HR@10": 2 / 3 }, 0, /HR@10 +│ +\.6667 │ +\.6667 │ +\.0000/],
  [{ "hit@10": 0.6667, other: 1 }, 0, /HR@10/], // rounded
  [
    { final_results: { "hit@10": 0.7, "ndcg@10": 0.1 } },
    2,
    /HR@10 +│ +\.7000 │ +\.6667 │ +-\.0333/,
  ],
  [{ mean_results: { "Recall@3": 0.5 } }, 1, /HR@3/],
  [{ "HR@20": 0.5 }, 1, /HR@20 0\.5, not 0\.6667; no list has more than 10 items/],
];

test("audit: claimed metrics are counted again", async () => {
  for (const [json, faults, shown] of CLAIMS) {
    const claims = join(makeFolder({ "claims.json": json }), "claims.json");
    const found = await audit(cleanLines(), { claims });
    const count = found.faults.find(({ name }) => name === "other metric")?.count ?? 0;
    assert.deepEqual([count, found.faults.length], [faults, Math.min(1, faults)]);
    assert.match(renderAudit(found, 80), shown);
  }
  for (
    const [json, message] of [
      [{ "HR@10": 8.2 }, /claims.json at "HR@10": a metric must be a share from 0 to 1, got 8.2$/],
      [{ accuracy: 1 }, /claims.json: it must have metrics such as "HR@10".*got accuracy$/],
    ] as const
  ) {
    const claims = join(makeFolder({ "claims.json": json }), "claims.json");
    await assert.rejects(audit(cleanLines(), { claims }), message);
  }
});

test("audit: a run says which targets its search prunes", SLOW, async () => {
  const lists = await writeLists({});
  const found = await auditLists({ lists, data: DATA, ks: [4], checkpoint: RUN, beam: 2 });
  assert.ok(found.search);
  const { beam, pruned, missed } = found.search;
  assert.equal(beam, 2);
  assert.ok(pruned.length > 0 && missed <= pruned.length, `${pruned.length}`);
  assert.ok(renderAudit(found, 80).includes(pruned[0].cause));
});

const GOOD = '{"user": "u0", "items": ["1"]}';

/** Malformed files, and what is said of them. */
const MALFORMED: readonly [text: string, message: RegExp][] = [
  ["", /lists.json: it must hold lists, got none$/],
  ["[]", /lists.json: it must hold lists, got none$/],
  [`${GOOD}\n{"user": "u1", "items": `, /lists.json line 2: a list must be JSON, got /],
  [`${GOOD}\n\n{"user": "u1"}`, /lists.json line 3: items must be present, got none$/],
  [`${GOOD}\n{"items": [1.5]}`, /line 2: items.0 must be an id, or an array of ids, got 1.5$/],
  [`${GOOD}\n{"items": [[]]}`, /line 2: items.0 must /],
  ['{"user": null, "items": ["1"]}', /line 1: user must be an id, got null$/],
  ['{"user": 1e300, "items": ["1"]}', /line 1: user must be valid: a number must be a safe int/],
  ['{"items": ["1"], "logProbs": [NaN]}', /line 1: a list must be JSON, got /],
  ['{"items": ["1"], "codes": 3}', /line 1: codes must be string, got 3$/],
  [
    `${GOOD}\n{"items": ["1"], "items": []}`,
    /line 2: a list must not have a key twice, got "items"$/,
  ],
  [
    '{"items": ["1"], "logProbs": [0.1]}',
    /line 1: logProbs.0 must be valid: .* at most 0, got 0.1$/,
  ],
  ['{"items": ["1"], "logProbs": []}', /as many logProbs as items/],
  [
    '{"user": "u0", "predictions": []}',
    /line 1: a list must be an object with items, .*got fields user, predictions$/,
  ],
  ['{\n  "user": "u0"\n}', /line 1: a list must be JSON/],
  ["3", /line 1: a list must be an object with items.*got 3$/],
  [`[${GOOD},\n${GOOD}`, /line 2: an array must end with \], got the end of the file$/],
  [`[${GOOD},\n]`, /line 2: lists must stand between commas, got none$/],
  [`[,${GOOD}]`, /line 1: lists must stand between commas/],
  [`[${GOOD}\n${GOOD}]`, /line 1: a list must be JSON/],
  [`[${GOOD}]\n[]`, /line 2: nothing must follow the array, got more$/],
  [`[${GOOD}}`, /line 1: an array must end with \], got }$/],
  ['[{"predict": ["x"]}]', /line 1: output must be present, got none$/],
  ['[{"rec_items": [], "target": 3}]', /line 1: target must be string, got 3$/],
];

test("audit: malformed files are refused with file and line", () => {
  for (const [text, message] of MALFORMED) {
    const folder = folderAt(makeFolder({ "lists.json": text }));
    assert.throws(() => [...readLists(folder, "lists.json")], (error) => {
      assert.ok(error instanceof DataError);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("audit: brackets and quotes in texts, marks and pieces of a file do not matter", () => {
  const items = ['a "quoted\\" ] text', "[{,", "é".repeat(50_000)];
  const objects = [{ user: "1", items }, { user: "2", items: [] }];
  for (
    const text of [
      `\uFEFF${JSON.stringify(objects, null, 2)}\n`,
      ` ${JSON.stringify(objects)}`,
      `\uFEFF${objects.map((one) => JSON.stringify(one)).join("\r\n\r\n")}`,
    ]
  ) {
    const folder = folderAt(makeFolder({ "lists.json": text }));
    const rows = [...readLists(folder, "lists.json")].map(({ row: { user, items } }) => ({
      user,
      items,
    }));
    assert.deepEqual(rows, objects);
  }
});

function command(args: string): { code: number | null; stdout: string; stderr: string } {
  return runFile(`lab/cli/main.ts ${args}`, "-R -W");
}

test("recommend and audit: the commands", SLOW, () => {
  const out = join(emptyFolder(), "new", "lists.jsonl");
  const of = `recommend --checkpoint ${RUN} --data ${DATA} --device cpu --threads 1`;
  const all = command(`${of} --all --out ${out}`);
  assert.equal(all.code, 0, all.stderr);
  assert.match(
    all.stdout,
    /40 lists; \d+ % of them, and \d+ % of all\s+places, are\s+certified.*\s+exact;\s+[\d.]+\s+rows/,
  );
  assert.deepEqual(readdirSync(dirname(out)), ["lists.jsonl"]);
  const before = readFileSync(out, "utf8");
  const again = command(`${of} --all --top 1 --out ${out}`);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /lists\.jsonl: it must not exist already, got one; --overwrite/);
  assert.equal(readFileSync(out, "utf8"), before);
  assert.equal(command(`${of} --all --out ${out} --overwrite`).code, 0);
  assert.equal(readFileSync(out, "utf8"), before);
  const one = command(`${of} --user u3 --json`);
  assert.equal(one.code, 0, one.stderr);
  assert.equal(one.stdout, `${readFileSync(out, "utf8").split("\n")[3]}\n`);

  const clean = command(`audit ${out} --data ${DATA} --ks 4 --json`);
  assert.equal(clean.code, 0, clean.stderr);
  assert.deepEqual(JSON.parse(clean.stdout).faults, []);
  const faulty = command(`audit ${out} --data ${DATA} --ks 5`);
  assert.equal(faulty.code, 1, faulty.stderr);
  assert.match(faulty.stdout, /short list +│ +40 │/);

  const best = command(`${of} --user u3 --search best-first --top 3`);
  assert.match(best.stdout, /The first 3 of 3 are certified to be the exact ones \(T9\); \d+ rows/);

  const refused = command(`${of} --all --out ${join(out, "lists.jsonl")}`);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Cannot make the folder .*lists\.jsonl: it must not be a file/);
  const failed = join(emptyFolder(), "lists.jsonl");
  assert.equal(command(`${of} --all --top 5 --out ${failed}`).code, 1);
  assert.ok(!existsSync(failed));
  assert.deepEqual(readdirSync(dirname(failed)), []);
});

test("recommend --all: a signal leaves nothing half-written", {
  ...SLOW,
  skip: process.platform === "win32" && "Windows has no such signals",
}, () => {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    const folder = emptyFolder();
    const args =
      `--checkpoint ${RUN} --data ${DATA} --device cpu --all --out ${folder}/lists.jsonl`;
    const input = `
import process from "node:process";
import { parse } from "./lab/cli/flags.ts";
import { recommendLine } from "./lab/cli/recommend.ts";
const running = recommendLine.run(parse(recommendLine, ${JSON.stringify(args.split(" "))}));
process.kill(process.pid, "${signal}"); // while the file is open
await running;
`;
    const ended = spawnSync(process.execPath, stdinArgs("-A"), { input, encoding: "utf8" });
    const left = readdirSync(folder);
    if (left.length === 0) assert.equal(ended.status, code, ended.stderr);
    else { // it was heard too late
      assert.deepEqual(left, ["lists.jsonl"]);
      assert.equal(readFileSync(join(folder, left[0]), "utf8").split("\n").length, 41);
    }
  }
});

const USAGE: readonly [args: string, message: RegExp][] = [
  [`recommend --checkpoint ${RUN}`, /one of --user, --history and --all, got none/],
  [`recommend --checkpoint ${RUN} --user u1 --all`, /got --user and --all/],
  [`recommend --checkpoint ${RUN} --all`, /--all: --out must name a file/],
  [`recommend --checkpoint ${RUN} --user u1 --overwrite`, /--overwrite: it must come with --all/],
  [`recommend --checkpoint ${RUN} --history 1,,2`, /--history: it must be ids with commas/],
  [`recommend --checkpoint ${RUN} --user u1 --budget 5`, /--budget: it must come with --search/],
  ["audit", /it must name one file of lists, got none/],
  ["audit a b", /it must name one file of lists, got a b/],
  ["audit a --beam 3", /--beam: it must come with --checkpoint/],
  [`audit a --checkpoint ${RUN} --codes item`, /--codes: it must come without --checkpoint/],
];

test("recommend and audit: bad usage", SLOW, () => {
  for (const [args, message] of USAGE) {
    const { code, stderr } = command(args);
    assert.equal(code, 2, args);
    assert.match(stderr, message);
  }
});
