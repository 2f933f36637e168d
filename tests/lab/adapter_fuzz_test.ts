/** Damaged adapter folders: they load, or are refused in one line; nothing else. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { loadAdapter, saveAdapter } from "../../lab/train/model_folder.ts";
import type { LoraConfig } from "../../models/lora.ts";
import { assertRefusal, fuzzRuns, mutate, randomOf } from "../fuzz.ts";
import { livelyAdapter } from "../models/adapters.ts";
import { grouped } from "../models/llamas.ts";
import { inFolder } from "./small_folder.ts";

const lora: LoraConfig = { targets: ["q", "up"], rank: 2, alpha: 4, dropout: 0.1 };

for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
  test(
    `fuzz: ${file}`,
    inFolder(async (folder) => {
      const device = cpu();
      const adapter = livelyAdapter(device, grouped, lora, 1);
      await saveAdapter(folder, grouped, { lora, adapter });
      const path = join(folder, file);
      const good = readFileSync(path);
      const random = randomOf(1);
      const outcomes = { loaded: 0, refused: 0 };
      for (let run = fuzzRuns(500); run > 0; run--) {
        writeFileSync(path, mutate(random, good));
        using _scope = device.arena();
        const before = device.stats.liveBytes;
        try {
          loadAdapter(device, folder, grouped);
          outcomes.loaded++;
        } catch (error) {
          assertRefusal(error, folder);
          assert.equal(device.stats.liveBytes, before);
          outcomes.refused++;
        }
      }
      assert.ok(outcomes.loaded > 0 && outcomes.refused > 0, JSON.stringify(outcomes));
    }),
  );
}
