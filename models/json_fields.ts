/**
 * Fields of JSON files that others wrote.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { isRecord, shown } from "./json.ts";

/** Tells the values that a field may have. */
export type Guard<T> = (value: unknown) => value is T;

/** How the fields of an object are read. */
export interface Fields {
  /** A field: null counts as absent, an absent one is its fallback, and without one it is refused. */
  readonly field: <T>(
    name: string,
    requirement: string | number | boolean,
    holds: Guard<T>,
    fallback?: T,
  ) => T;
  /** Refuses the file. */
  readonly fail: (requirement: string, actual: unknown) => never;
}

/** Reads fields of an object; `prefix` goes before their names in errors. */
export function fieldsOf(json: unknown, source: string, prefix = ""): Fields {
  const fail = (requirement: string, actual: unknown): never => {
    throw new CheckpointError(`Cannot read ${source}: ${requirement}, got ${shown(actual)}`);
  };
  const fields = isRecord(json) ? json : fail("it must be a JSON object", json);
  return {
    fail,
    field: (name, requirement, holds, fallback) => {
      const value = (Object.hasOwn(fields, name) ? fields[name] : undefined) ?? fallback;
      return holds(value) ? value : fail(`${prefix}${name} must be ${requirement}`, value);
    },
  };
}

/** Tells one value. */
export function isEqual<const T>(wanted: T): Guard<T> {
  return (value): value is T => value === wanted;
}

/** Tells a count of at least 1. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** Tells a finite number above 0. */
export function isPositive(value: unknown): value is number {
  return typeof value === "number" && value > 0 && Number.isFinite(value);
}

/** Tells a share below 1. */
export function isRate(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value < 1;
}

/** Tells true and false. */
export function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}
