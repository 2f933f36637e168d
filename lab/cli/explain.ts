/**
 * `explain`: explains the beam search of one user of a trained model.
 *
 * @module
 */
import { renderExplanation, renderPruned } from "../analysis/explanation_text.ts";
import { type ExplainOptions, explainUser, prunedUsers } from "../analysis/explain_user.ts";
import { print } from "../terminal.ts";
import { Display, SHORT } from "./display.ts";
import { type CommandLine, refuse } from "./flags.ts";
import { jsonFlag, optional, text, toggle } from "./kinds.ts";
import { savedRunFlags, trainFlags } from "./options.ts";

/** What `explain` does. Without a user, the users whose target was pruned are listed. */
export type ExplainCommandOptions = Omit<ExplainOptions, "onProgress"> & {
  readonly user: string | undefined;
  readonly list: boolean;
  readonly json: boolean;
};

/** The command line of `explain`. */
export const explainLine: CommandLine<ExplainCommandOptions> = {
  name: "explain",
  usage: "--checkpoint <folder> --user <id> [options]",
  does:
    "Explains the beam search of one user: what competed at each step, where the target stood, " +
    "and where and why it was pruned.",
  flags: {
    ...savedRunFlags,
    user: optional(
      text("<id>"),
      "a test user, by the id in the data; ID#N where a user has several cases",
      "required, unless --list is given",
    ),
    excludeHistory: trainFlags.excludeHistory,
    list: toggle("list the users whose target is among the exact best and was pruned, and why"),
    json: jsonFlag,
  },
  complete({ options }): ExplainCommandOptions {
    const { user, list } = options;
    if (user === undefined && !list) {
      refuse("the command line", "--user must name a test user, unless --list is given");
    }
    if (user !== undefined && list) refuse("--list", "it must come without --user", "both");
    return options;
  },
  async run({ user, list: _, json, ...rest }): Promise<void> {
    using display = new Display();
    const onProgress: ExplainOptions["onProgress"] = (what, done, total) =>
      display.stage(what, done, total, SHORT);
    const options = { ...rest, onProgress };
    if (user === undefined) {
      const found = await prunedUsers(options);
      return print(json ? JSON.stringify(found) : renderPruned(found));
    }
    const found = await explainUser({ ...options, user });
    print(json ? JSON.stringify(found) : renderExplanation(found));
  },
};
