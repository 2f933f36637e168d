/**
 * What there is to say of one user's search, as data.
 *
 * @module
 */
import type { Attribution } from "./pruning.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { PathVerdict } from "./verify_user.ts";

/** How many items of a prefix are named. */
export const NAMED = 2;
/** By how much a logit may be off: far more than float32 makes it, as `verify` measures. */
export const LOGIT_ERROR = 1e-4;
/** An item as people know it. */
export interface NamedItem {
  /** The data set's own id. */
  readonly id: string;
  /** Its title, where the data set knows it. */
  readonly title?: string;
}

/** An entry of a step's pool. */
export interface PoolEntry {
  /** Its place in the pool, from 0. */
  readonly rank: number;
  /** The place, from 0, of the prefix that it goes on from among those kept before; absent at the first step. */
  readonly parent?: number;
  /** The log-probability of the prefix, log pi. */
  readonly logProb: number;
  /** Whether it is among the B that go on. */
  readonly kept: boolean;
  /** Whether the target begins with it. */
  readonly target: boolean;
  /** Its tokens as a text. */
  readonly prefix: string;
  /** How many items of the catalogue begin with it. */
  readonly items: number;
  /** The first of them, at most {@link NAMED}. */
  readonly named: readonly NamedItem[];
}

/** The pool of one step, in which the target's prefix competes. */
export interface ExplainedPool {
  /** How many entries compete. */
  readonly size: number;
  /** theta_t, the score of the B-th best; absent if there are fewer. */
  readonly threshold?: number;
  /** The place of the target's prefix, from 0. */
  readonly rank: number;
  /** theta_t - log pi of the target's prefix; above 0 if it falls here, absent if all are kept. */
  readonly gap?: number;
  /** Whether the target's prefix is kept. */
  readonly kept: boolean;
  /** The best, those around the threshold and those around the target; ranks tell what is left out. */
  readonly entries: readonly PoolEntry[];
}

/** What happens at one token of the target's path, or while the target, having ended, holds its place. */
export interface ExplainedStep {
  /** From 1. */
  readonly step: number;
  /** The target's token; absent once it has ended. */
  readonly token?: string;
  /** How many children its parent has, it included; 1 where nothing is to be chosen. */
  readonly siblings: number;
  /** Its place among them, from 0. */
  readonly place: number;
  /** Its log-probability, log p; 0 once the target has ended. */
  readonly logProb: number;
  /** log beta - log p, beta being that of the B-th best sibling: above 0 is a violation. */
  readonly margin: number;
  /** The log-probability of the target's prefix, log pi. */
  readonly score: number;
  /** How many prefixes can be above the target's, counted on its path (T6). */
  readonly competitors: number;
  /** What it competes with; absent after the step that lost it. */
  readonly pool?: ExplainedPool;
}

/** One user's search. */
export interface Explanation {
  /** What the model is called, and what it was trained with. */
  readonly model: string;
  /** The user's id. */
  readonly user: string;
  /** The data set's name. */
  readonly data: string;
  /** What items are written as, where it is not what the data set says. */
  readonly codes?: "item" | "random";
  /** Items in the catalogue. */
  readonly items: number;
  /** B. */
  readonly beam: number;
  /** What probabilities are normalised over. */
  readonly normalization: Normalization;
  /** The temperature. */
  readonly tau: number;
  /** The items that the model sees, oldest first. */
  readonly history: readonly NamedItem[];
  /** The item that should be found. */
  readonly target: NamedItem;
  /** Other items with the same tokens, which no search tells from it. */
  readonly alike: readonly NamedItem[];
  /** The steps; none if the target is not in the catalogue. */
  readonly steps: readonly ExplainedStep[];
  /** The target's place in the list, from 0; absent if it was not returned. */
  readonly rank?: number;
  /** Why it was not returned. */
  readonly lost?: Attribution;
  /** Its place among all items, from 0; absent if it is not among the first `ranked`. */
  readonly exactRank?: number;
  /** How many places of the exact ranking were looked at. */
  readonly ranked: number;
  /** What one teacher-forced pass says without a search (T2, T4, T6), up to errors of logits of {@link LOGIT_ERROR}. */
  readonly certificate: PathVerdict;
}
