/**
 * The losses of a run: this project's, by name, and a user's own, out of a module.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { BeargradError, DataError } from "../../core/errors.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { sharedFlags } from "../../models/losses/flags.ts";
import {
  type AnyLoss,
  isLossName,
  lossNamed,
  type LossOptions,
} from "../../models/losses/index.ts";
import type { Normalization } from "../../ops/trie_options.ts";
import { readIfPresent } from "../files.ts";
import { tryLoss } from "./loss_probe.ts";

/** What a recipe keeps of a loss out of a module. */
export interface LossModule {
  /** A digest of the file's text. What the file imports is not part of it. */
  readonly digest: string;
  /** What it normalises over. */
  readonly normalization: Normalization;
}

/** A loss that a run can be asked for. */
export interface OpenLoss extends AnyLoss {
  /** Where it comes out of a module, what a recipe keeps of it. */
  readonly module?: LossModule;
}

/** Whether what `--loss` was given is the path of a module rather than a name. */
export function isLossPath(given: string): boolean {
  return /[/\\]|\.(ts|js|mjs)$/.test(given);
}

/** What a loss is called: its name, or the name of its module without the ending. */
export function lossNameOf(given: string): string {
  return isLossPath(given) ? basename(given, extname(given)) : given;
}

/**
 * Opens a loss: one of this project's by its name, or that of a module by its path, which contains a slash or ends in .ts, .js or
 * .mjs. Such a module exports exactly one function, `(options: LossOptions) => Loss`, and may export `normalization`, "children" or
 * "vocabulary", which says how a model trained with it is searched: "children" unless told. The loss is tried on three tokens.
 *
 * @throws {ArgumentError} if a name is not one of a loss.
 * @throws {DataError} if there is no such file, it cannot be imported, it exports no function or several, or what the function
 * returns is not a loss: something that gives a scalar tensor.
 *
 * @example
 * ```ts
 * import { openLoss } from "beargrad/lab";
 *
 * const { name, normalization } = await openLoss("bear"); // or "./my_loss.ts"
 * console.log(name, normalization); // bear children
 * ```
 */
export async function openLoss(given: string): Promise<OpenLoss> {
  if (!isLossPath(given)) return lossNamed(given);
  const bytes = readIfPresent(given);
  if (bytes === undefined) fail(given, "it must be the path of a module", "no such file");
  const name = lossNameOf(given);
  if (isLossName(name)) {
    fail(given, "its file must not be named as a loss that there is", name);
  }
  const exported = await importFile(given);
  const make = functionOf(given, exported);
  const module = {
    digest: createHash("sha256").update(bytes).digest("hex").slice(0, 16),
    normalization: normalizationIn(given, exported),
  };
  await tryModule(given, make);
  const watched = (options: LossOptions): Loss => watch(given, make(options));
  return {
    name,
    normalization: module.normalization,
    needs: {},
    flags: sharedFlags,
    make: watched,
    module,
  };
}

/** A loss whose errors name its file: one that can be tried may still fail on a catalogue. */
function watch(given: string, loss: Loss): Loss {
  return (logits, targets) => {
    try {
      return loss(logits, targets);
    } catch (error) {
      return fail(given, "it must give a loss of every batch", messageOf(error), error);
    }
  };
}

/** Imports a file. Its path is relative to the working directory, not to this file. */
async function importFile(given: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return await import(pathToFileURL(resolve(given)).href);
  } catch (error) {
    return fail(given, "it must be a module that can be imported", messageOf(error), error);
  }
}

function functionOf(
  given: string,
  exported: Readonly<Record<string, unknown>>,
): (options: LossOptions) => Loss {
  const functions = Object.entries(exported).filter(([, value]) => typeof value === "function");
  const [[, make] = []] = functions;
  if (functions.length !== 1) {
    const actual = functions.map(([name]) => name).join(", ") || "none";
    fail(given, "it must export exactly one function, (options) => a loss", actual);
  }
  return make as (options: LossOptions) => Loss;
}

function normalizationIn(given: string, { normalization = "children" }: {
  readonly normalization?: unknown;
}): Normalization {
  if (normalization === "children" || normalization === "vocabulary") return normalization;
  return fail(
    given,
    'its normalization must be "children" or "vocabulary"',
    describe(normalization),
  );
}

/** Applies the loss once. */
async function tryModule(given: string, make: (options: LossOptions) => Loss): Promise<void> {
  const requirement = "its function must give a loss, (logits, targets) => a scalar tensor";
  let loss: unknown;
  try {
    loss = make({});
  } catch (error) {
    fail(given, requirement, messageOf(error), error);
  }
  if (typeof loss !== "function") fail(given, requirement, describe(loss));
  try {
    await tryLoss(loss as Loss);
  } catch (error) {
    fail(given, requirement, messageOf(error), error);
  }
}

/** Of a symbol or an object without a prototype `${value}` would throw. */
function describe(value: unknown): string {
  return firstLine(() => {
    const isObject = typeof value === "object" && value !== null;
    return isObject ? String(value.constructor?.name ?? "an object") : String(value);
  });
}

/** The first line of an error: those of imports go on with places in the code. */
function messageOf(error: unknown): string {
  return firstLine(() => {
    if (!(error instanceof Error)) return describe(error);
    return error instanceof BeargradError ? error.message : `${error.name}: ${error.message}`;
  });
}

/** The first line of a text; getters and proxies of a module may throw while it is made. */
function firstLine(textOf: () => string): string {
  try {
    return textOf().split("\n")[0];
  } catch {
    return "something that cannot be shown";
  }
}

function fail(given: string, requirement: string, actual: string, cause?: unknown): never {
  throw new DataError(`Cannot use the loss ${given}: ${requirement}, got ${actual}`, { cause });
}

/** The loss of a recipe, as far as it says which it is. */
export interface LossOfRecipe {
  /** The loss's name. */
  readonly loss: string;
  /** Where it comes out of a module, what is known of it. */
  readonly lossModule?: { readonly normalization: Normalization };
}

/**
 * What the loss of a recipe normalises over. A model is decoded under the normalisation that it was trained with.
 *
 * @throws {ArgumentError} if there is no such loss.
 */
export function normalizationOf({ loss, lossModule }: LossOfRecipe): Normalization {
  return lossModule?.normalization ?? lossNamed(loss).normalization;
}
