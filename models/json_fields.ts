/**
 * Fields of JSON files that others wrote.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";

/** Tells the values that a field may have. */
export type Guard<T> = (value: unknown) => value is T;

/** Characters of a value in an error. */
const SHOWN = 80;

/** Reads fields of an object: null counts as absent, an absent field is its fallback, and without one it is refused. */
export function fieldsOf(
  json: unknown,
  source: string,
): <T>(name: string, requirement: string, holds: Guard<T>, fallback?: T) => T {
  const fail = (requirement: string, actual: unknown): never => {
    const text = JSON.stringify(actual) ?? "none";
    const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
    throw new CheckpointError(`Cannot read ${source}: ${requirement}, got ${shown}`);
  };
  const fields = isRecord(json) ? json : fail("it must be a JSON object", json);
  return (name, requirement, holds, fallback) => {
    const value = (Object.hasOwn(fields, name) ? fields[name] : undefined) ?? fallback;
    return holds(value) ? value : fail(`${name} must be ${requirement}`, value);
  };
}

/** Tells one value. */
export function isEqual<const T>(wanted: T): Guard<T> {
  return (value): value is T => value === wanted;
}

/** Tells an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
