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
      title: titles === undefined ? new Map() : Map.groupBy(indices, (item) => titles[item]),
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
  readonly #byUser = new Map<string, number | undefined>(); // undefined where it may be several
  #byLastItem: ReadonlyMap<number, readonly number[]> | undefined;

  /** Reads the names of all users. */
  constructor(cases: readonly EvaluationCase[], catalogue: Catalogue) {
    this.#cases = cases;
    this.#catalogue = catalogue;
    cases.forEach(({ user }, at) => {
      if (user !== undefined) this.#byUser.set(user, this.#byUser.has(user) ? undefined : at);
    });
    cases.forEach(({ id }, at) => this.#byUser.set(id, at));
  }

  /**
   * The index of the case of a list, or -1. A list without a user is for the case at its place in
   * the file, `index`, unless its history is not that of the case. Then it is for a case with its
   * history, best with its target too, and best one that `isTaken` does not name.
   */
  indexOf(
    row: ListRow,
    index: number,
    naming: readonly Naming[],
    isTaken: (at: number) => boolean,
  ): number {
    if (row.user !== undefined) return this.#byUser.get(row.user) ?? -1;
    const { history = [] } = row;
    const here = index < this.#cases.length ? index : -1;
    if (history.length === 0) return here;
    if (here >= 0 && !isTaken(here) && this.fits(history, here, naming)) return here;
    this.#byLastItem ??= Map.groupBy(
      this.#cases.keys(),
      (at) => this.#cases[at].history.at(-1) as number,
    );
    const last = this.#catalogue.itemsOf(history[history.length - 1], naming);
    const targets = row.target === undefined ? [] : this.#catalogue.itemsOf(row.target, naming);
    const merit = (at: number): number =>
      (targets.includes(this.#cases[at].target) ? 2 : 0) + (isTaken(at) ? 0 : 1);
    const [best = -1] = last.flatMap((item) => this.#byLastItem?.get(item) ?? [])
      .filter((at) => this.fits(history, at, naming))
      .sort((a, b) => merit(b) - merit(a) || a - b);
    return best;
  }

  /** Whether a history is the end of that of a case. */
  fits(history: readonly string[], at: number, naming: readonly Naming[]): boolean {
    const whole = this.#cases[at].history;
    const from = whole.length - history.length;
    return from >= 0 &&
      history.every((name, i) => this.#catalogue.itemsOf(name, naming).includes(whole[from + i]));
  }
}
