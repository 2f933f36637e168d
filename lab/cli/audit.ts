/**
 * `audit`: checks generated lists, of this project or another, against catalogue and split.
 *
 * @module
 */
import process from "node:process";
import type { Reading } from "../data/load.ts";
import { type DeviceChoice, openDevice } from "../devices.ts";
import { auditLists, type AuditOptions } from "../lists/audit.ts";
import { renderAudit } from "../lists/audit_text.ts";
import { print } from "../terminal.ts";
import { readingOf } from "../train/recipe.ts";
import { Display, SHORT } from "./display.ts";
import { type CommandLine, flagName, refuse } from "./flags.ts";
import { ascending, flag, jsonFlag, optional, text } from "./kinds.ts";
import { readingFlags, savedRunFlags, trainFlags } from "./options.ts";

/** What `audit` is given besides how the data are read. */
export type AuditSettings =
  & Pick<AuditOptions, "claims" | "checkpoint" | "beam" | "excludeHistory">
  & {
    readonly data: string;
    readonly ks: readonly number[];
    readonly device: DeviceChoice;
    readonly threads: number | undefined;
    readonly json: boolean;
  };

/** What `audit` is given. */
export type GivenAuditOptions =
  & AuditSettings
  & { readonly [K in keyof typeof readingFlags]: Reading[K] };

/** What `audit` does. */
export type AuditCommandOptions = AuditSettings & Pick<AuditOptions, "lists" | "reading">;

/** The command line of `audit`. */
export const auditLine: CommandLine<GivenAuditOptions, AuditCommandOptions> = {
  name: "audit",
  usage: "<lists> --data <data> [options]",
  does:
    "Checks a file of recommended lists against the catalogue and the split, and counts HR and " +
    "NDCG again. The file is JSONL or a JSON array: of recommend, MiniOneRec or APAO " +
    "(docs/lists.md). The exit code is 1 if there are faults.",
  flags: {
    data: { ...trainFlags.data, help: "data set of the lists: synthetic, or a folder or file" },
    ks: flag(ascending, "list lengths k of HR@k and NDCG@k; shorter lists are a fault", [5, 10]),
    excludeHistory: {
      ...trainFlags.excludeHistory,
      help: "items of the user's history in a list are a fault",
    },
    claims: optional(
      text("<file>"),
      'JSON with the metrics that are claimed, such as {"HR@10": 0.07}',
      "default none",
    ),
    checkpoint: optional(
      text("<folder>"),
      "folder of the run that made the lists, to search again",
      "default none",
    ),
    beam: { ...savedRunFlags.beam, help: "beam width of that search" },
    device: trainFlags.device,
    threads: trainFlags.threads,
    ...readingFlags,
    json: jsonFlag,
  },
  operands: true,
  complete({ options, given, operands }): AuditCommandOptions {
    if (operands.length !== 1 || operands[0] === "") {
      refuse("the command line", "it must name one file of lists", operands.join(" ") || "none");
    }
    const isRun = options.checkpoint !== undefined;
    const others = isRun ? Object.keys(readingFlags) : ["beam", "device", "threads"];
    const other = others.find((key) => given.has(key));
    if (other !== undefined) {
      const requirement = `it must come ${isRun ? "without" : "with"} --checkpoint`;
      refuse(flagName(other), requirement, isRun ? "both" : undefined);
    }
    return { ...options, lists: operands[0], reading: readingOf(options) };
  },
  async run({ device, threads, json, ...options }): Promise<void> {
    using display = new Display();
    const found = await auditLists({
      ...options,
      device: options.checkpoint === undefined ? undefined : await openDevice(device, threads),
      onProgress: (what, done, total) => display.stage(what, done, total, SHORT),
    });
    print(json ? JSON.stringify(found) : renderAudit(found));
    if (found.faults.length > 0) process.exitCode = 1;
  },
};
