/**
 * What items are written as: a data set with its codes exchanged, to tell what they contribute.
 *
 * @module
 */
import { foldIn, keyOf, permutation } from "../../core/random.ts";
import { ArgumentError } from "../../core/errors.ts";
import { BOS, type Dataset, plainPrompt } from "./dataset.ts";

/** What an item is written as. {@link withCodes} says what each is for. */
export const CODES = ["semantic", "item", "random"] as const;

/** One of {@link CODES}. */
export type Codes = typeof CODES[number];

/**
 * A data set whose items are written in another way. Items, users and what is to be predicted stay
 * what they are, so that results can be compared user by user.
 *
 * - `semantic`: the data set's own codes, semantic ids or titles. It comes back as it is.
 * - `item`: one token an item, in the catalogue's order, with a vocabulary of items + 1. The trie is
 *   one choice among all items, so beam search returns the exact ranking and prunes nothing of it,
 *   and BEAR is a top-B loss. Items that shared their path no longer do. What is left is a decoder
 *   over items (Kang and McAuley, SASRec, 2018). The difference to `semantic` is what codes and
 *   search do together.
 * - `random`: the items' own paths dealt out anew, by a permutation drawn from `seed`. The trie stays
 *   the same to the last node, and with it lengths, children at each step, what a beam can hold and
 *   how many tokens are learnt; a path just no longer says what its item is like. Codes drawn afresh
 *   would change the trie as well, and a difference could be due to that. The difference to
 *   `semantic` is what the meaning of the codes gives. In prompts of text an item stands with the
 *   title of the item whose path it got.
 *
 * @throws {ArgumentError} if one token an item is asked for where prompts are texts.
 *
 * @example
 * ```ts
 * import { Trie } from "beargrad";
 * import { synthetic, withCodes } from "beargrad/lab";
 *
 * const shop = synthetic();
 * const { paths } = withCodes(shop, "item");
 * console.log(paths[0], paths[399]); // [1] [400]
 * const shuffled = withCodes(shop, "random");
 * console.log(new Trie(shuffled.paths).nodeCount === new Trie(shop.paths).nodeCount); // true
 * ```
 */
export function withCodes(dataset: Dataset, codes: Codes, seed = 0): Dataset {
  if (codes === "semantic") return dataset;
  return codes === "item" ? oneTokenEach(dataset) : dealtAnew(dataset, seed);
}

function oneTokenEach(dataset: Dataset): Dataset {
  const { eos: _none, promptPerTarget, ...rest } = dataset;
  if (promptPerTarget) {
    throw new ArgumentError(
      `Cannot write each item of ${dataset.name} as one token: prompts must be of items, ` +
        "got prompts of text",
    );
  }
  const paths = dataset.items.map((_, item) => [item + 1]);
  return {
    ...rest,
    codes: "item",
    paths,
    tokens: ["<bos>", ...dataset.items],
    bos: BOS,
    prompt: plainPrompt(paths),
  };
}

function dealtAnew(dataset: Dataset, seed: number): Dataset {
  const { paths, prompt } = dataset;
  const dealt = permutation(foldIn(keyOf(seed), 0xc0de), paths.length);
  return {
    ...dataset,
    codes: "random",
    paths: paths.map((_, item) => paths[dealt[item]]),
    prompt: (history) => prompt(history.map((item) => dealt[item])),
  };
}
