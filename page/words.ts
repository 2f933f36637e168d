/**
 * The words of the page: what losses and terms mean, and how numbers are written.
 *
 * @module
 */
import type { LossOptions } from "beargrad";
import type { Explanation } from "beargrad/lab";
import type { LossInfo } from "./protocol.ts";

/** What each loss does, in the order of their colours. */
const doings: Readonly<Record<string, string>> = {
  "sft": "Plain cross-entropy: each word against all words.",
  "msl": "Each word against the words that can follow.",
  "msl-ats": "msl at a temperature that follows the model.",
  "bear": "msl weighted by the margin, as its authors released it.",
  "bear-paper": "bear as its paper prints it.",
  "bear-convex": "bear turned round: it pulls harder at words that would be dropped.",
  "apao-point": "Every beginning of an item counts, the worst one most.",
  "apao-pair": "apao-point against sampled items. Takes about twice as long.",
  "beam-exact": "Searches while it trains and learns from what the search loses.",
};

/** What a loss does. */
export function doingOf(loss: string): string {
  return doings[loss] ?? "";
}

/** The colour of a loss. */
export function colourOf(loss: string): string {
  const place = Object.keys(doings).indexOf(loss);
  return `var(--series-${place < 0 ? 0 : place})`;
}

/** The sign of a flag, and the ends of its slider. */
export const signs: Readonly<Record<keyof LossOptions, readonly [string, number, number]>> = {
  beam: ["B", 1, 50],
  xi: ["ξ", 0.1, 5],
  lambda: ["λ", 0, 5],
  tau: ["τ", 0.1, 3],
  beta: ["β", 0, 2],
  eta: ["η", 0, 5],
  negatives: ["negatives", 1, 32],
  searchEvery: ["search every", 1, 20],
};

/** The flags that some of these losses read, once each. */
export function flagsOf(losses: readonly LossInfo[], names: readonly string[]): LossInfo["flags"] {
  const read = losses.filter(({ name }) => names.includes(name)).flatMap(({ flags }) => flags);
  return read.filter((flag, i) => read.findIndex(({ name }) => name === flag.name) === i);
}

/** What a term means. */
export const terms = {
  B: "The beam width: how many beginnings the search keeps after each word.",
  loss:
    "What training makes small. The models that come with the page differ in nothing but their loss.",
  temperature:
    "The model's logits are divided by it. Below 1 likely words become likelier still, above 1 all " +
    "words become more alike. Words in one place keep their order, whole items need not.",
  over:
    "Children: the words that can follow share a probability of 1. Vocabulary: all words share it, " +
    "and what goes to words that cannot follow is lost.",
  theta: "The score of the last beginning that is kept. What is below it is dropped.",
  "log p": "The log-probability of one word, given the history and the words before it.",
  "log π":
    "The score of a beginning: the log p of its words, added up. It can only fall as words follow.",
  margin:
    "How far a word is behind the B-th best of those that could stand in its place, as a difference " +
    "of log p. Above 0, no beam of width B can keep it.",
  pool: "All beginnings that compete at a step: every child of those that were kept.",
  siblings: "The words that can follow the same beginning.",
  items: "How many items of the catalogue begin so.",
  "pruning rate":
    "Of the items that the model itself ranks among its best B, the share that beam search loses.",
  "HR@10": "How often the item that was bought next is among the first 10.",
  "NDCG@10": "As HR@10, but a higher place counts more.",
  exact: "Every item of the catalogue is scored in full and sorted. Nothing can be lost.",
  violation: "A word of the item has a margin above 0: B other words are better in its place.",
  displacement: "No word of the item has a margin above 0, yet it is dropped.",
  length: "An item that is complete keeps its score while longer ones still fall.",
  tie: "Of beginnings with the same score, the first in the catalogue is kept.",
} as const;

/** Why beam search did not return an item. */
export function causeOf({ beam, lost, steps }: Explanation): string {
  const violated = joined([steps.find(({ margin }) => margin > 0)?.token ?? ""]);
  const causes: Readonly<Record<string, string>> = {
    violation: `${
      beam === 1 ? "another word beats" : `${beam} or more words beat`
    } “${violated}” in its place.`,
    displacement: "beginnings elsewhere in the catalogue score higher.",
    length: "shorter items, complete already, score higher.",
    tie: "its score equals θ, and only the order of the catalogue decides.",
  };
  return causes[lost?.cause ?? ""];
}

/** 1st, 2nd, 3rd, 4th. */
export function ordinal(n: number): string {
  const tens = n % 100;
  const suffix = tens >= 11 && tens <= 13 ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th";
  return `${grouped(n)}${suffix}`;
}

/** A whole number with thin groups: 1 500. */
export function grouped(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, n > 9999 ? "\u2009" : "");
}

/** A number with a true minus sign. */
export function fixed(x: number, digits = 3): string {
  const text = Math.abs(x).toFixed(digits);
  return x < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** A log-probability, in the same width whatever it is. */
export function logged(x: number): string {
  return fixed(x, x > -10 ? 3 : x > -100 ? 2 : 1);
}

/** A number with its sign, also where it is above 0. */
export function signed(x: number, digits = 3): string {
  return x > 0 ? `+${fixed(x, digits)}` : fixed(x, digits);
}

/** "1 item", "38 items". */
export function counted(n: number, what: string): string {
  return `${grouped(n)} ${what}${n === 1 ? "" : "s"}`;
}

/** Tokens as one text. Those of a tokenizer bring their spaces along, words do not. */
export function joined(texts: readonly string[]): string {
  const separator = texts.some((text) => /^\s|\s$/.test(text)) ? "" : " ";
  return texts.map(tokenText).filter((text) => text !== "").join(separator).trim();
}

/** The start of a long text. */
export function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).trimEnd()}…`;
}

/** The sign of the end of an item. */
export const END = "■";

/** A token as one reads it: the end token has a sign. */
function tokenText(text: string): string {
  return text.replace(/^<(end|eos)>$/i, END);
}
