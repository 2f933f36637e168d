/** Keeps the values that were used last. What is dropped is disposed. */
export class Cache<T> {
  readonly #values = new Map<string, T>();
  readonly #most: number;
  readonly #dispose: (value: T) => void;

  constructor(most: number, dispose: (value: T) => void) {
    this.#most = most;
    this.#dispose = dispose;
  }

  /** The value of a key, which is made if necessary. */
  of(key: string, make: () => T): T {
    const value = this.get(key) ?? make();
    this.set(key, value);
    return value;
  }

  /** The value of a key, if it is there. */
  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  /** Sets the value of a key, as the one used last. */
  set(key: string, value: T): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size <= this.#most) return;
    const [[oldest, dropped]] = this.#values;
    this.#values.delete(oldest);
    this.#dispose(dropped);
  }

  /** Drops all values. */
  clear(): void {
    for (const value of this.#values.values()) this.#dispose(value);
    this.#values.clear();
  }
}
