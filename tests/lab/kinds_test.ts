/**
 * Whole experiments on titles and on a pretrained model's adapter: trained, saved, resumed and
 * verified.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { treeLeaves } from "../../core/tree.ts";
import { loadAdapter } from "../../lab/train/model_folder.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import type { Observer } from "../../lab/train/run.ts";
import type { ExperimentReport } from "../../lab/train/experiment_report.ts";
import { renderExplanation } from "../../lab/analysis/explanation_text.ts";
import { explainUser } from "../../lab/analysis/explain_user.ts";
import { readConfig } from "../../lab/train/model_folder.ts";
import { parseOptions } from "../../lab/cli/options.ts";
import { openModel } from "../../lab/train/models.ts";
import { verifyModel } from "../../lab/analysis/verify_model.ts";
import { parameterCount } from "../../models/transformer.ts";
import { jsonOf } from "./model_files.ts";
import { emptyFolder, smallFolder } from "./small_folder.ts";
import { type Files, makeFolder } from "./with_folder.ts";

const run = (args: string, observer: Observer = {}): Promise<ExperimentReport> =>
  runExperiment(
    parseOptions(`--device cpu --threads 1 --batch 8 --cost-users 0 ${args}`.split(" ")),
    observer,
  );

/** Two dozen titles that share beginnings, two of them very long, 30 users, and a prompt. */
function titleFolder(): string {
  const colours = ["Red", "Blue", "Dark Green", "Black"];
  const things = ["pen", "ink, 2 oz", "box", "gel pen", "paper &amp; card", "tape"];
  const titles = colours.flatMap((colour) => things.map((thing) => `${colour} ${thing}`));
  // Both are cut as paths, but not in prompts.
  titles[3] += " large".repeat(45);
  titles[10] += " small".repeat(130);
  const windows = Array.from({ length: 30 }, (_, u) => {
    const items = Array.from({ length: 5 }, (_, t) => (5 * u + t * t + 3 * t) % titles.length);
    return { u, ids: items.map((item) => `i${item}`) };
  });
  const rows = (from: number, until: number, at: number): string =>
    windows.map(({ u, ids }) => `${u},"['${ids.slice(from, until).join("', '")}']",${at + u}\n`)
      .join("");
  const header = "user_id,item_ids,timestamp\n";
  const files: Files = {
    "id2name4Rec.json": Object.fromEntries(titles.map((title, i) => [`i${i}`, title])),
    "train.csv": header + rows(0, 3, 100) + rows(0, 4, 200),
    "test.csv": header + rows(1, 5, 300),
    "prompt.txt": "Bought: {history}.\nNext: {item}\n",
  };
  return makeFolder(files);
}

const TITLES = titleFolder();

/** Explains a user, whose target the search returns or loses as the ranks of an evaluation say. */
async function explains(
  checkpoint: string,
  data: string,
  user: string,
  { ranks }: ExperimentReport["runs"][number]["test"]["beams"][number],
): Promise<void> {
  const found = await explainUser({ checkpoint, data, user });
  assert.equal(found.rank ?? -1, ranks[0]);
  const lines = renderExplanation(found, 80).split("\n");
  for (const line of lines) assert.ok(line.length <= 80, line);
  assert.ok(
    lines.includes(
      ranks[0] < 0
        ? `Pruned at step ${found.lost?.step}, cause: ${found.lost?.cause}`
        : `Retrieved at rank ${ranks[0] + 1} of the list`,
    ),
  );
}

for (
  const [what, args, bos, eos] of [
    ["titles alone", "--loss sft --targets last --hold-out 3 --limit-users 20 --epochs 1", 0, 1],
    [
      "titles after a prompt",
      `--loss bear --prompt ${join(TITLES, "prompt.txt")} --limit-users 6 --epochs 2`,
      ...[50256, 50256], // <|endoftext|> of r50k
    ],
  ] as const
) {
  test(`kinds: ${what} are trained on and verified`, { timeout: 60_000 }, async () => {
    const out = emptyFolder();
    const size = "--layers 1 --dim 8 --heads 2 --ffn 16 --history 3 --beam 4";
    const report = await run(`--data ${TITLES} ${size} ${args} --out ${out}`);
    for (const { loss, test } of report.runs) {
      const checkpoint = join(out, `${loss}-seed0`);
      const { bos_token_id, eos_token_id } = jsonOf(checkpoint, "config.json");
      assert.deepEqual([bos_token_id, eos_token_id], [bos, eos]);
      const found = await verifyModel({ checkpoint, data: TITLES });
      assert.equal(found.violations, 0);
      assert.deepEqual([found.items, found.users], [24, test.users]);
      assert.deepEqual(found.survival, test.beams[0].survival);
      assert.deepEqual(found.causes, test.beams[0].causes);
      for (const id of ["T1", "T2", "T11"]) {
        const theorem = found.theorems.find((t) => t.id === id);
        assert.ok(theorem !== undefined && theorem.holds > 0, id);
      }
      await explains(checkpoint, TITLES, "0", test.beams[0]);
    }
  });
}

test(
  "kinds: an adapter of a pretrained model is trained, saved, resumed and verified",
  { timeout: 60_000 },
  async () => {
    const model = "tests/golden/llama-tiny";
    const data = smallFolder(); // 10 tokens, of the model's 120
    const args = `--data ${data} --model ${model} --lora q,v --half --lora-rank 4 --lr 0.02 ` +
      "--loss bear --beam 3 --history 4 --epochs 2";
    const [whole, torn] = [emptyFolder(), emptyFolder()];
    const losses: number[] = [];
    const report = await run(`${args} --out ${whole}`, {
      training: (_, { loss }) => losses.push(loss),
    });
    assert.ok(losses.at(-1)! < losses[0], losses.join(", "));

    const folder = join(whole, "bear-seed0");
    assert.deepEqual(readdirSync(folder).sort(), [
      "adapter_config.json",
      "adapter_model.safetensors",
      "metrics.jsonl",
      "state.safetensors",
    ]);
    const json = jsonOf(folder, "adapter_config.json");
    assert.deepEqual(
      [json.peft_type, json.base_model_name_or_path, json.r, json.target_modules],
      ["LORA", model, 4, ["q_proj", "v_proj"]],
    );
    const { adapter } = loadAdapter(cpu(), folder, readConfig(model));
    assert.equal(treeLeaves(adapter).length, 2 * 2 * 2);

    const stop = new Error("stopped in the last epoch");
    const stopping: Observer = {
      training(_, { epoch }): void {
        if (epoch === 1) throw stop;
      },
    };
    await assert.rejects(run(`${args} --out ${torn}`, stopping), stop);
    await run(`${args} --out ${torn} --resume`);
    for (const file of ["adapter_model.safetensors", "adapter_config.json"]) {
      const bytes = (out: string) => readFileSync(join(out, "bear-seed0", file)).toString("base64");
      assert.equal(bytes(torn), bytes(whole), file);
    }
    await assert.rejects(
      run(`${args.replace(" --half", "")} --out ${torn} --resume`),
      /half must be that of its checkpoint, true, got none$/,
    );

    const found = await verifyModel({ checkpoint: folder, data });
    assert.equal(found.violations, 0);
    await explains(folder, data, "u0", report.runs[0].test.beams[0]);
    assert.deepEqual(found.survival, report.runs[0].test.beams[0].survival);
    assert.deepEqual(found.causes, report.runs[0].test.beams[0].causes);

    const floats = emptyFolder();
    await run(`${args.replace(" --half", "").replace("--epochs 2", "--epochs 1")} --out ${floats}`);
    const dataset = await loadDataset(data);
    const bytes = async (out: string): Promise<number> => {
      const device = cpu();
      const options = { normalization: "children", tau: 1 } as const;
      using _open = await openModel(device, join(out, "bear-seed0"), dataset, options);
      return device.stats.liveBytes;
    };
    const saved = await bytes(floats) - await bytes(whole);
    const matrices = parameterCount(readConfig(model)) - 5 * 48; // all but the norms
    assert.ok(saved > 1.9 * matrices && saved <= 2 * matrices, `${saved} of ${matrices}`);
  },
);
