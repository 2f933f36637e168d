/**
 * The items and test users of a data set, by the names that files of lists give them.
 *
 * @module
 */
import { decodeHTMLStrict } from "entities";
import type { Dataset, EvaluationCase } from "../data/dataset.ts";
import type { Entry, ListRow, Naming } from "./read_lists.ts";

/** Finds the items of a catalogue by name. */
export class Catalogue {
  readonly #byName: Readonly<Record<Naming, ReadonlyMap<string, readonly number[]>>>;
  readonly #alike: ReadonlyMap<string, readonly number[]>;
  readonly #keys: readonly string[];

  /** Reads the names of all items. */
  constructor({ items, titles, paths, tokens }: Dataset) {
    const indices = [...items.keys()];
    this.#keys = paths.map((path) => path.join());
    this.#alike = Map.groupBy(indices, (item) => this.#keys[item]);
    this.#byName = {
      id: new Map(items.map((id, item) => [id, [item]])),
      code: Map.groupBy(indices, (item) => paths[item].map((token) => tokens[token]).join("")),
      // An empty title names nothing.
      title: titles === undefined
        ? new Map()
        : Map.groupBy(indices.filter((item) => titles[item] !== ""), (item) => titles[item]),
    };
  }

  /**
   * The items that an entry stands for; none if a name of it is unknown. A name counts in the first
   * way of `naming` in which the catalogue has it. Titles are also looked up with their HTML
   * entities decoded, as the data's are.
   */
  itemsOf(entry: Entry, naming: readonly Naming[]): readonly number[] {
    if (typeof entry === "string") return this.#named(entry, naming);
    const found = entry.map((name) => this.#named(name, naming));
    return found.every((items) => items.length > 0) ? found.flat() : [];
  }

  /** All items with the codes of an item, itself included. */
  alike(item: number): readonly number[] {
    return this.#alike.get(this.#keys[item]) ?? [];
  }

  #named(name: string, naming: readonly Naming[]): readonly number[] {
    for (const way of naming) {
      const names = this.#byName[way];
      const found = names.get(name) ??
        (way === "title" ? names.get(decodeHTMLStrict(name).trim()) : undefined);
      if (found !== undefined) return found;
    }
    return [];
  }
}

/** Finds the test case that a list is for. */
export class Cases {
  readonly #cases: readonly EvaluationCase[];
  readonly #catalogue: Catalogue;
  readonly #byUser = new Map<string, number[]>();
  #byLastItem: ReadonlyMap<number, readonly number[]> | undefined;

  /** Reads the names of all users. */
  constructor(cases: readonly EvaluationCase[], catalogue: Catalogue) {
    this.#cases = cases;
    this.#catalogue = catalogue;
    cases.forEach(({ id, user = id }, at) => {
      for (const name of new Set([id, user])) {
        const named = this.#byUser.get(name);
        if (named === undefined) this.#byUser.set(name, [at]);
        else named.push(at);
      }
    });
  }

  /**
   * The index of the test case that a list is for, or -1. A list with a user is for a case of that
   * user. A list without one is for the case at its own place in the file, `index`, if that case
   * has no list yet and their histories match; else for a case with the same history. A list
   * without user and history is for the case at its place. Of several cases, the best has the
   * list's history, then its target, then no list yet, which `isTaken` says.
   */
  indexOf(
    row: ListRow,
    index: number,
    naming: readonly Naming[],
    isTaken: (at: number) => boolean,
  ): number {
    const { user, history = [], target } = row;
    const isFit = (at: number): boolean => this.fits(history, at, naming);
    let candidates: readonly number[];
    if (user !== undefined) candidates = this.#byUser.get(user) ?? [];
    else if (history.length === 0) candidates = index < this.#cases.length ? [index] : [];
    else if (index < this.#cases.length && !isTaken(index) && isFit(index)) candidates = [index];
    else {
      this.#byLastItem ??= Map.groupBy(
        this.#cases.keys(),
        (at) => this.#cases[at].history.at(-1) as number,
      );
      candidates = this.#catalogue.itemsOf(history[history.length - 1], naming)
        .flatMap((item) => this.#byLastItem?.get(item) ?? []).filter(isFit);
    }
    if (candidates.length < 2) return candidates[0] ?? -1;
    const targets = target === undefined ? [] : this.#catalogue.itemsOf(target, naming);
    const merit = (at: number): number =>
      (isFit(at) ? 4 : 0) + (targets.includes(this.#cases[at].target) ? 2 : 0) +
      (isTaken(at) ? 0 : 1);
    return candidates.reduce((best, at) => merit(at) > merit(best) ? at : best);
  }

  /** Whether a history is the end of that of a case. */
  fits(history: readonly string[], at: number, naming: readonly Naming[]): boolean {
    const whole = this.#cases[at].history;
    const from = whole.length - history.length;
    return from >= 0 &&
      history.every((name, i) => this.#catalogue.itemsOf(name, naming).includes(whole[from + i]));
  }
}
