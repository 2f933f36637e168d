/**
 * Flags of losses: the numbers that a loss is made with, each with a default, a domain and a line
 * of help. The command line, recipes, sweeps and the checks of the losses all derive from them.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";

/** A number that a loss is made with. */
export interface LossFlag {
  /** The default. */
  readonly default: number;
  /** Whether it must be an integer. */
  readonly kind: "integer" | "real";
  /** The lower end of its domain. */
  readonly least: number;
  /** Whether `least` itself is outside the domain. Default false. */
  readonly exclusive?: boolean;
  /** The upper end of its domain, inclusive. Default none. */
  readonly most?: number;
  /** Replaces its name in the names of a sweep's runs: `B` in `bear-B5-seed0`. Default its name. */
  readonly symbol?: string;
  /** One line of help. */
  readonly help: string;
}

/** The names of {@link sharedFlags}. */
export type SharedFlag = "beam" | "xi" | "lambda" | "tau" | "beta" | "eta";

/**
 * The flags that several losses read. A user's own loss is made with these. A flag that only one
 * loss reads is defined in the file of that loss.
 */
export const sharedFlags: Readonly<Record<SharedFlag, LossFlag>> = {
  beam: {
    default: 10,
    kind: "integer",
    least: 1,
    symbol: "B",
    help: "beam width B that the loss aims at",
  },
  xi: {
    default: 1,
    kind: "real",
    least: 0,
    exclusive: true,
    help: "temperature of the margin, or of prefixes",
  },
  lambda: {
    default: 1,
    kind: "real",
    least: 0,
    help: "weight of the beam term; in bear it is the paper's lambda / xi",
  },
  tau: { default: 1, kind: "real", least: 1e-8, help: "temperature of the softmax" },
  beta: { default: 0.1, kind: "real", least: 0, help: "weight of the prefix losses" },
  eta: { default: 0, kind: "real", least: 0, help: "how much the worst prefix stands out" },
};

/** Whether a value is in the domain of a flag. */
export function fitsFlag(flag: LossFlag, value: number): boolean {
  const { kind, least, exclusive = false, most = Infinity } = flag;
  const fits = kind === "integer" ? Number.isInteger(value) : Number.isFinite(value);
  return fits && (exclusive ? value > least : value >= least) && value <= most;
}

/** The domain of a flag in words, to follow "must be": "an integer of at least 1". */
export function domainOf({ kind, least, exclusive, most }: LossFlag): string {
  const what = kind === "integer" ? "an integer" : "a number";
  if (most !== undefined && !exclusive) return `${what} from ${least} to ${most}`;
  const from = exclusive ? `above ${least}` : `of at least ${least}`;
  return `${what} ${from}${most === undefined ? "" : ` and at most ${most}`}`;
}

/** A number for each flag. */
export type LossSettings<Flag extends string> = { readonly [F in Flag]: number };

/**
 * The value of each flag in the options of a loss, or its default. `others` are the names of its
 * further options.
 *
 * @throws {ArgumentError} if an option is unknown, or a value is outside its domain.
 */
export function readSettings<Flag extends string>(
  action: string,
  flags: Readonly<Record<Flag, LossFlag>>,
  options: { readonly [F in NoInfer<Flag>]?: number },
  others: readonly string[] = [],
): LossSettings<Flag> {
  const names = Object.keys(flags) as Flag[];
  checkOptions<Record<string, unknown>>(action, options, [...names, ...others]);
  const entries = names.map((name) => {
    const flag = flags[name];
    const value = options[name] === undefined ? flag.default : options[name];
    if (fitsFlag(flag, value)) return [name, value] as const;
    throw new ArgumentError(`Cannot ${action}: ${name} must be ${domainOf(flag)}, got ${value}`);
  });
  return Object.fromEntries(entries) as LossSettings<Flag>;
}
