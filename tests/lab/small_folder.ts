/** A tiny data set of semantic IDs on disk, for tests that run whole experiments. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ITEMS = 24;
const USERS = 40;

/**
 * A new folder with inter.json and index.json: 24 items of three codes, two of which share theirs;
 * 40 users and one short.
 */
export function smallFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "beargrad-data-"));
  const index: Record<string, string[]> = {};
  for (let i = 0; i < ITEMS; i++) {
    const j = i === ITEMS - 1 ? 0 : i;
    index[`${i}`] = [`<a_${j % 4}>`, `<b_${Math.floor(j / 4) % 3}>`, `<c_${Math.floor(j / 12)}>`];
  }
  const inter: Record<string, number[]> = { short: [1, 2] };
  for (let u = 0; u < USERS; u++) {
    inter[`u${u}`] = Array.from({ length: 4 + (u % 5) }, (_, t) => (u * 5 + t * t + 3 * t) % ITEMS);
  }
  writeFileSync(join(folder, "index.json"), JSON.stringify(index));
  writeFileSync(join(folder, "inter.json"), JSON.stringify(inter));
  return folder;
}

/** A new, empty folder. */
export function emptyFolder(): string {
  return mkdtempSync(join(tmpdir(), "beargrad-out-"));
}

/** Runs a test in a folder of its own, which goes with it. */
export function inFolder(run: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = emptyFolder();
    try {
      await run(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}
