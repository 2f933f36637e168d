/**
 * The losses of a run: those of this project, by name, and a user's own, by the path of a module.
 *
 * @module
 */
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { BeargradError, DataError } from "../../core/errors.ts";
import { sharedFlags } from "../../models/losses/flags.ts";
import { isLossName, lossNamed, type LossOptions } from "../../models/losses/index.ts";
import type { Loss } from "../../models/losses/loss.ts";
import { readIfPresent } from "../files.ts";
import { tryLoss } from "./loss_probe.ts";
import { digestOfParts } from "../digest.ts";
import type { OpenLoss } from "./recipe.ts";

/** Whether a value of `--loss` is the path of a module rather than a name. */
export function isLossPath(given: string): boolean {
  return /[/\\]|\.(ts|js|mjs)$/.test(given);
}

/**
 * The name of the loss that a value of `--loss` stands for: for a module its file name without the
 * ending.
 */
export function lossNameOf(given: string): string {
  return isLossPath(given) ? basename(given, extname(given)) : given;
}

/**
 * Opens a loss of this project by its name, or a user's own by the path of its module, which
 * contains a slash or ends in .ts, .js or .mjs. Such a module exports exactly one function,
 * `(options: LossOptions) => Loss`, and may export `normalization`, "children" or "vocabulary",
 * which says how a trained model is searched. Default "children". The loss is tried on three
 * tokens.
 *
 * @throws {ArgumentError} if no loss has the name.
 * @throws {DataError} if there is no such file, it cannot be imported, it exports no function or
 * several, or the function does not return a loss: something that gives a scalar tensor.
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
    fail(given, "its file must have another name than the losses of this project", name);
  }
  let exported: Readonly<Record<string, unknown>>;
  try { // JSR accepts a dynamic import only if it sees the scheme
    exported = await import(`file://${pathToFileURL(resolve(given)).href.slice("file://".length)}`);
  } catch (error) {
    return fail(given, "it must be a module that can be imported", inWords(error), error);
  }
  const functions = Object.entries(exported).filter(([, value]) => typeof value === "function");
  if (functions.length !== 1) {
    const names = functions.map(([name]) => name).join(", ");
    fail(given, "it must export exactly one function, (options) => a loss", names || "none");
  }
  const make = functions[0][1] as (options: LossOptions) => Loss;
  const { normalization = "children" } = exported;
  if (normalization !== "children" && normalization !== "vocabulary") {
    const requirement = 'its normalization must be "children" or "vocabulary"';
    return fail(given, requirement, inWords(normalization));
  }
  await tryModule(given, make);
  return {
    name,
    normalization,
    needs: {},
    flags: sharedFlags,
    make: (options) => named(given, make(options)),
    module: { digest: digestOfParts([bytes]), normalization },
  };
}

/** Makes the loss with its defaults and applies it once. */
async function tryModule(given: string, make: (options: LossOptions) => Loss): Promise<void> {
  let actual: string;
  let cause: unknown;
  try {
    const loss: unknown = make({});
    if (typeof loss === "function") return void await tryLoss(loss as Loss);
    actual = inWords(loss);
  } catch (error) {
    actual = inWords(error);
    cause = error;
  }
  const requirement = "its function must give a loss, (logits, targets) => a scalar tensor";
  fail(given, requirement, actual, cause);
}

/** A loss whose errors name its file: one that passes the trial may still fail on a catalogue. */
function named(given: string, loss: Loss): Loss {
  return (logits, targets) => {
    try {
      return loss(logits, targets);
    } catch (error) {
      return fail(given, "it must give a loss of every batch", inWords(error), error);
    }
  };
}

/** The first line of what a module threw or returned. Errors of imports have more lines. */
function inWords(value: unknown): string {
  const text = value instanceof Error
    ? value instanceof BeargradError ? value.message : `${value}`
    : inspect(value, { depth: 0, breakLength: Infinity });
  return text.split("\n")[0];
}

function fail(given: string, requirement: string, actual: string, cause?: unknown): never {
  throw new DataError(`Cannot use the loss ${given}: ${requirement}, got ${actual}`, { cause });
}
