/**
 * What the tests use of `node:assert/strict`, for browsers. `assert_test.ts` compares the two.
 *
 * @module
 */

/** What an error must be: a pattern of its text, its class, some of its fields, or a check. */
type Expected = RegExp | object | ((error: unknown) => boolean);

class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** A value, in a message. */
function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, v) => typeof v === "bigint" ? `${v}n` : v) ?? `${value}`;
  return text.length > 500 ? `${text.slice(0, 500)}...` : text;
}

function fail(message: string): never {
  throw new AssertionError(message);
}

function check(holds: boolean, message: string | undefined, otherwise: () => string): void {
  if (!holds) fail(message ?? otherwise());
}

/** Whether two values are deeply and strictly equal. Circular values are not supported. */
export function isDeepStrictEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Date && a.getTime() !== (b as Date).getTime()) return false;
  if (a instanceof RegExp && `${a}` !== `${b}`) return false;
  if (a instanceof Error && (a.message !== (b as Error).message || a.name !== (b as Error).name)) {
    return false;
  }
  if (a instanceof Map || a instanceof Set) return sameEntries(a, b as typeof a);
  if (a instanceof ArrayBuffer) {
    return isDeepStrictEqual(new Uint8Array(a), new Uint8Array(b as ArrayBuffer));
  }
  const [keys, others] = [keysOf(a), keysOf(b)];
  return keys.length === others.length && keys.every((key) =>
    Object.hasOwn(b, key) &&
    isDeepStrictEqual(a[key as keyof typeof a], b[key as keyof typeof b])
  );
}

function sameEntries<T extends Map<unknown, unknown> | Set<unknown>>(a: T, b: T): boolean {
  const rest = [...b];
  return a.size === b.size && [...a].every((entry) => {
    const at = rest.findIndex((other) => isDeepStrictEqual(entry, other));
    return at >= 0 && rest.splice(at, 1).length === 1;
  });
}

function keysOf(value: object): PropertyKey[] {
  const symbols = Object.getOwnPropertySymbols(value)
    .filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
  const length = Array.isArray(value) ? ["length"] : [];
  return [...Object.keys(value), ...length, ...symbols];
}

/** Fails unless `error` is what `expected` says. */
function checkError(error: unknown, expected: Expected | undefined): void {
  if (expected === undefined) return;
  if (expected instanceof RegExp) {
    check(expected.test(`${error}`), undefined, () => `${error} must match ${expected}`);
  } else if (typeof expected === "function") {
    if (expected.prototype instanceof Error || expected === Error) {
      const isOne = error instanceof (expected as unknown as typeof Error);
      check(isOne, undefined, () => `${error} must be of ${expected.name}`);
    } else {
      check(expected(error) === true, undefined, () => `the check refuses ${error}`);
    }
  } else {
    for (const [key, value] of Object.entries(expected)) {
      const actual = (error as Record<string, unknown>)[key];
      const fits = value instanceof RegExp && typeof actual === "string"
        ? value.test(actual)
        : isDeepStrictEqual(actual, value);
      check(fits, undefined, () => `${key} of ${error} must be ${value}, got ${shown(actual)}`);
    }
  }
}

const ok = (value: unknown, message?: string): void =>
  check(Boolean(value), message, () => `${shown(value)} must be truthy`);

/** The functions of `node:assert/strict`. */
export default Object.assign(ok, {
  ok,
  fail,
  equal: (a: unknown, b: unknown, message?: string): void =>
    check(Object.is(a, b), message, () => `${shown(a)} must be ${shown(b)}`),
  notEqual: (a: unknown, b: unknown, message?: string): void =>
    check(!Object.is(a, b), message, () => `${shown(a)} must be another value`),
  deepEqual: (a: unknown, b: unknown, message?: string): void =>
    check(isDeepStrictEqual(a, b), message, () => `${shown(a)} must equal ${shown(b)}`),
  notDeepEqual: (a: unknown, b: unknown, message?: string): void =>
    check(!isDeepStrictEqual(a, b), message, () => `${shown(a)} must not equal ${shown(b)}`),
  match: (text: string, pattern: RegExp, message?: string): void =>
    check(pattern.test(text), message, () => `${shown(text)} must match ${pattern}`),
  doesNotMatch: (text: string, pattern: RegExp, message?: string): void =>
    check(!pattern.test(text), message, () => `${shown(text)} must not match ${pattern}`),
  throws(run: () => unknown, expected?: Expected | string, message?: string): void {
    try {
      run();
    } catch (error) {
      return checkError(error, typeof expected === "string" ? undefined : expected);
    }
    fail(message ?? (typeof expected === "string" ? expected : "it must throw"));
  },
  async rejects(
    run: Promise<unknown> | (() => Promise<unknown>),
    expected?: Expected | string,
    message?: string,
  ): Promise<void> {
    try {
      await (typeof run === "function" ? run() : run);
    } catch (error) {
      return checkError(error, typeof expected === "string" ? undefined : expected);
    }
    fail(message ?? (typeof expected === "string" ? expected : "it must reject"));
  },
});
