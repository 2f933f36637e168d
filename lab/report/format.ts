/**
 * Numbers and names as reports write them.
 *
 * @module
 */
import { listed } from "../table.ts";
import type { Estimate } from "./statistics.ts";

/** A share: `.0702`; "–" if it is not finite. */
export function share(x: number, digits = 4): string {
  if (!Number.isFinite(x)) return "–";
  return sign(x, digits) + Math.abs(x).toFixed(digits).replace(/^0\./, ".");
}

/** A difference of shares, with its sign: `+.0021`. */
export function signed(x: number, digits = 4): string {
  if (!Number.isFinite(x)) return "–";
  return (Number(x.toFixed(digits)) > 0 ? "+" : "") + share(x, digits);
}

/** A minus sign, but none where all digits are 0. */
function sign(x: number, digits: number): string {
  return Number(x.toFixed(digits)) < 0 ? "−" : "";
}

/** `.0702 [.0660, .0745]`; "" without an estimate. */
export function withInterval(estimate: Estimate | undefined, digits = 4, write = share): string {
  if (estimate === undefined) return "";
  const { value, low, high } = estimate;
  if (!Number.isFinite(value) || !Number.isFinite(low)) return write(value, digits);
  return `${write(value, digits)} [${write(low, digits)}, ${write(high, digits)}]`;
}

/** `+.0021 [−.0010, +.0052]`; "" without an estimate. */
export function signedInterval(estimate: Estimate | undefined, digits = 4): string {
  return withInterval(estimate, digits, signed);
}

/** A p value: `.031`, or `< .001`; "" without one. */
export function pValue(p: number | undefined): string {
  if (p === undefined) return "";
  if (!Number.isFinite(p)) return "–";
  if (p < 0.001) return "< .001";
  return p === 1 ? "1" : share(p, p < 0.1 ? 3 : 2);
}

/** A share in percent: `7.0 %`. */
export function percent(x: number, digits = 0): string {
  return Number.isFinite(x) ? `${sign(x, digits + 2)}${Math.abs(100 * x).toFixed(digits)} %` : "–";
}

/** Shares in percent: `12 %`, or `12 to 15 %`. */
export function percentRange(shares: readonly number[]): string {
  const [low, high] = [percent(Math.min(...shares)), percent(Math.max(...shares))];
  return low === high ? low : `${low.replace(" %", "")} to ${high}`;
}

/** A count: `4,905`. */
export function count(n: number): string {
  return `${Math.round(n)}`.replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

/** Counts: `4,905`, or `4,905 to 5,010`. */
export function countRange(counts: readonly number[]): string {
  const [low, high] = [count(Math.min(...counts)), count(Math.max(...counts))];
  return low === high ? low : `${low} to ${high}`;
}

/** A number with some significant digits: `23.5`. */
export function number(x: number, digits = 3): string {
  if (!Number.isFinite(x)) return "–";
  return Math.abs(x) >= 10 ** digits ? count(x) : `${Number(x.toPrecision(digits))}`;
}

/** `1 seed`, `3 seeds`. */
export function counted(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** Who is judged: `4,905 users`, or `1,925 cases of 1,092 users`. */
export function judgedOn(
  { cases, users }: { readonly cases: number; readonly users: number },
): string {
  const who = counted(users, "user");
  return cases === users ? who : `${count(cases)} cases of ${who}`;
}

/** The names of up to six variants, the number of more; "none". */
export function namedOrCounted(names: readonly string[]): string {
  return names.length <= 6 ? listed(names) || "none" : counted(names.length, "variant");
}

/** A value of a recipe; fields of objects with their names. */
export function recipeValue(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value !== "object" || value === null) return `${value ?? ""}`;
  return Object.entries(value).map(([name, inner]) => `${name} ${recipeValue(inner)}`).join(", ");
}
