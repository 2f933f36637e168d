/**
 * All losses of this project. A loss is defined in its file and has one line here.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import { apaoPairLoss, apaoPointLoss } from "./apao.ts";
import { beamExactLoss } from "./beam_exact.ts";
import { bearLosses } from "./bear.ts";
import { type LossFlag, type LossSettings, type SharedFlag, sharedFlags } from "./flags.ts";
import type { FlagOf, LossDefinition } from "./loss.ts";
import { mslLoss } from "./msl.ts";
import { mslAtsLoss } from "./msl_ats.ts";
import { sftLoss } from "./sft.ts";

/** All losses, one line each. The types of their names and flags derive from it. */
export const definitions = [
  sftLoss,
  mslLoss,
  mslAtsLoss,
  ...bearLosses,
  apaoPointLoss,
  apaoPairLoss,
  beamExactLoss,
] as const;

/** The name of a loss of this project. */
export type LossName = (typeof definitions)[number]["name"];

/** The name of a flag of losses. */
export type LossFlagName = SharedFlag | FlagOf<(typeof definitions)[number]>;

/** Values of flags. A missing one has its default. */
export type LossOptions = Partial<LossSettings<LossFlagName>>;

/** A loss of any name, such as a user's own. */
export type AnyLoss = LossDefinition<string, LossFlagName>;

/** All losses, in the order of tables and figures. */
export const losses: readonly LossDefinition<LossName, LossFlagName>[] = definitions;

/** The names of all losses. */
export const lossNames: readonly LossName[] = losses.map(({ name }) => name);

/** All flags of losses: the shared ones first, then those of one loss. */
export const lossFlags: Readonly<Record<LossFlagName, LossFlag>> = Object.assign(
  {},
  sharedFlags,
  ...losses.map(({ flags }) => flags),
);

/** The names of all flags, in the order of {@link lossFlags}. */
export const lossFlagNames = Object.keys(lossFlags) as readonly LossFlagName[];

/** The losses that read a flag. */
export function readersOf(flag: LossFlagName): readonly LossName[] {
  return losses.filter(({ flags }) => flag in flags).map(({ name }) => name);
}

/** Whether a loss of this project has this name. */
export function isLossName(name: string): name is LossName {
  return losses.some((loss) => loss.name === name);
}

/**
 * The loss of a name.
 *
 * @throws {ArgumentError} if there is none.
 */
export function lossNamed(name: string): LossDefinition<LossName, LossFlagName> {
  const found = losses.find((loss) => loss.name === name);
  if (found !== undefined) return found;
  throw new ArgumentError(
    `Cannot make a loss: its name must be one of ${lossNames.join(", ")}, got ${name}`,
  );
}
