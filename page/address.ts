/**
 * The state of the page as the hash of its address, such as
 * `#model=msl&second=bear&user=112&beam=11&out=3.17`. What is default is left out, and what cannot
 * be read is ignored.
 *
 * @module
 */
import type { LossOptions } from "beargrad";
import type { SearchSettings } from "./protocol.ts";

/** What the address has of the page. */
export interface Address extends Omit<SearchSettings, "normalization" | "tau"> {
  readonly model?: string;
  /** The model beside it. */
  readonly second?: string;
  readonly user?: string;
  /** Absent: as the model was trained. */
  readonly normalization?: SearchSettings["normalization"];
  /** Absent: as the model was trained. */
  readonly tau?: number;
  /** The losses whose gradient weights are drawn. Absent: the default ones. */
  readonly losses?: readonly string[];
  /** What these losses are made with, where it is not the default. */
  readonly flags?: LossOptions;
}

/** A part of the address: its key, its text (undefined if it is default), and its value. */
interface Part<K extends keyof Address> {
  readonly key: string;
  format(value: Address[K]): string | undefined;
  /** Undefined if the text is malformed. */
  parse(text: string): Address[K] | undefined;
}

const name = (key: string) => ({
  key,
  format: (value: string | undefined) => value,
  parse: (text: string) => text === "" || text.length > 200 ? undefined : text,
});
const integers = (key: string) => ({
  key,
  format: (values: readonly number[]) => values.length > 0 ? values.join(".") : undefined,
  parse: (text: string) =>
    /^\d{1,9}(\.\d{1,9})*$/.test(text) ? text.split(".").map(Number) : undefined,
});

const parts: { readonly [K in keyof Address]-?: Part<K> } = {
  model: name("model"),
  second: name("second"),
  user: name("user"),
  beam: {
    key: "beam",
    format: (beam) => beam === 10 ? undefined : `${beam}`,
    parse: (text) => /^[1-9]\d{0,3}$/.test(text) ? Number(text) : undefined,
  },
  tau: {
    key: "tau",
    format: (tau) => tau === undefined ? undefined : `${tau}`,
    parse: (text) => {
      const tau = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
      return tau >= 0.01 && tau <= 100 ? tau : undefined;
    },
  },
  normalization: {
    key: "over",
    format: (over) => over,
    parse: (text) => text === "children" || text === "vocabulary" ? text : undefined,
  },
  excludeHistory: {
    key: "new",
    format: (isExcluded) => isExcluded ? "1" : undefined,
    parse: (text) => text === "1" ? true : undefined,
  },
  excluded: integers("out"),
  forced: integers("first"),
  losses: {
    key: "losses",
    format: (losses) => losses?.join("."),
    parse: (text) => /^[a-z-]+(\.[a-z-]+)*$/.test(text) ? text.split(".") : undefined,
  },
  flags: {
    key: "with",
    format: (flags = {}) =>
      Object.entries(flags).map(([name, value]) => `${name}-${value}`).join("_") || undefined,
    parse: (text) => {
      const given = text.split("_").map((one) => /^([a-z]+)-(\d+(?:\.\d+)?)$/.exec(one) ?? []);
      const isGood = given.every(([, name, value]) =>
        Object.hasOwn(fits, name) && fits[name](Number(value))
      );
      return isGood
        ? Object.fromEntries(given.map(([, name, value]) => [name, Number(value)]))
        : undefined;
    },
  },
};

/** Which values of flags a page can show. */
const fits: Readonly<Record<string, (value: number) => boolean>> = {
  beam: (value) => Number.isInteger(value) && value >= 1 && value <= 1000,
  xi: (value) => value >= 0.01 && value <= 100,
  lambda: (value) => value <= 100,
  tau: (value) => value >= 0.01 && value <= 100,
};

/** The hash of a state, without "#". */
export function formatAddress(address: Address): string {
  const hash = new URLSearchParams();
  for (const [name, part] of Object.entries(parts)) {
    const text = (part as Part<keyof Address>).format(address[name as keyof Address] as never);
    if (text !== undefined) hash.set(part.key, text);
  }
  return hash.toString();
}

/** The parts of a state that a hash has. */
export function parseAddress(hash: string): Partial<Address> {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  return Object.fromEntries(
    Object.entries(parts).flatMap(([name, part]) => {
      const text = given.get(part.key);
      const value = text === null ? undefined : part.parse(text);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
