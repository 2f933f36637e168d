/**
 * Command lines. A table of flags says what each option may be, its default and its help; commander
 * reads arguments by it and prints the help.
 *
 * @module
 */
import process from "node:process";
import { Command, CommanderError, Option } from "commander";
import { BeargradError, UsageError } from "../../core/errors.ts";
import { lineWidth } from "../table.ts";
import { print, say } from "../terminal.ts";

/** What a command is called by: the npm package has .js files, and the repository tasks. */
export const PROGRAM = import.meta.url.endsWith(".js") ? "npx beargrad" : "deno task";

/** One option. */
export type Flag<T> = {
  readonly value?: string; // what stands for the value in the help; a switch has none
  readonly help: string; // one line
  readonly domain?: string; // as the help states it: `at least 1`
  readonly default: T;
  readonly shown?: string; // how the help states the default; default `default 10`
  readonly isRequired?: boolean; // default false
  readonly alias?: string; // another name that is accepted but not listed
  /** The value that a text stands for. A switch is read from an empty text. */
  read(text: string, fail: Fail): T;
};

/** Refuses a value. The requirement follows "it must be"; the hint is one of {@link didYouMean}. */
export type Fail = (requirement: string, hint?: string) => never;

/** A flag for each option. */
export type Flags<O> = { readonly [K in keyof O]-?: Flag<O[K]> };

/** A command: options `G` are given on its command line, and it runs with options `O`. */
export type CommandLine<G, O = G> = {
  readonly name: string;
  readonly usage: string; // what follows the name in the first line of the help
  readonly does: string;
  readonly flags: Flags<G>;
  readonly operands?: boolean; // whether it takes arguments that are not options; default false
  /** Checks what no option can know alone, and fills in what depends on others. Default nothing. */
  complete?(given: Parsed<G>): O;
  run(options: O): void | Promise<void>;
};

/** What is given on a command line. */
export type Parsed<G> = {
  readonly options: G; // those that were not given have their defaults
  readonly given: ReadonlySet<string>; // the names of the options that were given
  readonly operands: readonly string[]; // what is not an option, such as the folders of a report
  readonly typed: string; // what was typed, as a shell takes it
};

/**
 * Reads the arguments of a command. `limitUsers` is `--limit-users` on the command line.
 *
 * @throws {UsageError} if an option is unknown, given twice, without its value or outside its
 * domain, or if options do not fit each other.
 */
export function parse<G, O>(line: CommandLine<G, O>, args: readonly string[]): O {
  const command = commandOf(line).helpOption(false).action(() => {});
  command.parse(args, { from: "user" });
  return readBy(command, line, args);
}

/**
 * Runs the command that the first argument names. An error of this project becomes one line on the
 * standard error, and the code 2 for bad usage, else 1. Without arguments the help is printed.
 */
export function runProgram(
  does: string,
  commands: readonly CommandLine<unknown>[],
  args: readonly string[],
): Promise<void> {
  const program = emptyCommand(PROGRAM).usage("<command> [options]").description(does);
  for (const line of commands) program.addCommand(runnable(line, args.slice(1)));
  return execute(program, args.length === 0 ? ["--help"] : args);
}

/** Runs a program of a single command, such as a benchmark, as {@link runProgram} does. */
export function runCommand<G, O>(line: CommandLine<G, O>, args: readonly string[]): Promise<void> {
  return execute(runnable(line, args).name(`${PROGRAM} ${line.name}`), args);
}

function runnable<G, O>(line: CommandLine<G, O>, args: readonly string[]): Command {
  const command = commandOf(line);
  return command.action(() => line.run(readBy(command, line, args)));
}

async function execute(command: Command, args: readonly string[]): Promise<void> {
  try {
    await command.parseAsync(args, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return; // the help was printed
    if (!(error instanceof BeargradError)) throw error;
    say(error.message.replaceAll(/[\r\n]+/g, " "));
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/** An option's name on the command line: `--kv-heads` for `kvHeads`. */
export function flagName(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * Refuses an option or a command line. The hint goes to the end of the message.
 *
 * @throws {UsageError} always.
 */
export function refuse(what: string, requirement: string, actual = "none", hint = ""): never {
  const shown = actual === "" ? "an empty text" : actual;
  throw new UsageError(`Cannot use ${what}: ${requirement}, got ${shown}${hint}`);
}

/** The help of a command, in lines of at most `width` characters. */
export function helpOf<G, O>(line: CommandLine<G, O>, width: number = lineWidth()): string {
  return commandOf(line).configureOutput({ getOutHelpWidth: () => width }).helpInformation();
}

/** A command without options. It prints as this project does, and throws instead of exiting. */
function emptyCommand(name: string): Command {
  const command = new Command(name);
  return command
    .helpOption("-h, --help", "print this and stop")
    .helpCommand(false)
    .exitOverride((error) => refuseUsage(command, error))
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      outputError: () => {},
      getOutHelpWidth: () => lineWidth(),
      getErrHelpWidth: () => lineWidth(),
      // By default these read the environment, and Deno asks whether they may.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({
      optionTerm: ({ flags }) => flags.replace(/^--\S+, /, ""), // without the alias
      optionDescription: ({ description }) => description,
      subcommandTerm: (one) => one.name(),
      subcommandDescription: (one) => one.description().replace(/[.;:] .*/s, "."),
    });
}

function commandOf<G, O>(line: CommandLine<G, O>): Command {
  const { name, usage, does, flags, operands = false } = line;
  const command = emptyCommand(name).usage(usage).description(does).allowExcessArguments(operands);
  for (const key of keysOf(flags)) command.addOption(optionOf(command, key, flags[key]));
  return command;
}

function optionOf<T>(command: Command, key: string, flag: Flag<T>): Option {
  const { value, help, domain, default: fallback, isRequired = false, alias } = flag;
  const name = flagName(key);
  const shown = value && fallback !== undefined ? `default ${fallback}` : "";
  const notes = [domain, flag.shown ?? shown].filter((note) => note).join("; ");
  const names = alias === undefined ? name : `${flagName(alias)}, ${name}`;
  const option = new Option(
    value === undefined ? names : `${names} ${value}`,
    notes === "" ? help : `${help} (${notes})`,
  );
  const read = (given?: string): T => {
    if (command.getOptionValueSource(key) === "cli") {
      refuse(name, "it must be given once", "it twice");
    }
    if (given?.startsWith("--")) refuse(name, `it must have a value, as in ${name} ${value}`);
    return flag.read(
      given ?? "",
      (requirement, hint) => refuse(name, `it must be ${requirement}`, given, hint),
    );
  };
  return option.default(fallback).argParser(read).makeOptionMandatory(isRequired);
}

/** What a command has read. */
function readBy<G, O>(
  command: Command,
  { name, flags, complete }: CommandLine<G, O>,
  args: readonly string[],
): O {
  const keys = keysOf(flags);
  const options = Object.fromEntries(keys.map((key) => [key, command.getOptionValue(key)])) as G;
  if (complete === undefined) return options as unknown as O;
  const quoted = args.map((arg) =>
    /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`
  );
  return complete({
    options,
    given: new Set(keys.filter((key) => command.getOptionValueSource(key) === "cli")),
    operands: command.args,
    typed: [PROGRAM, name, ...quoted].join(" "),
  });
}

function keysOf<O>(flags: Flags<O>): (keyof O & string)[] {
  return Object.keys(flags) as (keyof O & string)[];
}

/** Says in this project's words what commander finds wrong. */
function refuseUsage(command: Command, error: CommanderError): never {
  const [, what = ""] = /'([^']*)'/.exec(error.message) ?? [];
  const longer = command.options.map(({ long }) => long ?? "").find((one) => one.startsWith(what));
  const isCut = error.code === "commander.unknownOption" && what.length > 3 && longer;
  const hint = isCut ? `; did you mean ${longer}?` : hintIn(error.message);
  const refuseLine = (requirement: string, actual: string): never =>
    refuse("the command line", requirement, actual, hint);
  switch (error.code) {
    case "commander.optionMissingArgument": {
      const [name, value] = what.split(" ").slice(-2);
      return refuse(name, `it must have a value, as in ${name} ${value}`);
    }
    case "commander.missingMandatoryOptionValue":
      return refuseLine(`it must have ${what}`, "none");
    case "commander.unknownCommand":
      return refuseLine("it must begin with a command of --help", what);
    case "commander.unknownOption": {
      const [name, value] = what.split(/=(.*)/s);
      const isSwitch = command.options.some(({ long }) => long === name);
      if (isSwitch) return refuse(name, "it must stand without a value", value);
      return refuseLine("options must be among those that --help lists", what);
    }
    case "commander.excessArguments":
      return refuseLine("it must have options and their values only", command.args[0]);
    default:
      throw error; // help was asked for, and has been printed
  }
}

/**
 * What to add to an error about a word that is not among `known`: "; did you mean bear?", or
 * nothing.
 */
export function didYouMean(word: string, known: readonly string[]): string {
  // Commander knows what is near, but says so of options and commands only. So the words become
  // commands.
  const command = new Command().helpOption(false).helpCommand(false).exitOverride()
    .configureOutput({ outputError: () => {} });
  for (const name of known) command.command(name);
  try {
    command.parse([word], { from: "user" });
    return "";
  } catch (error) {
    return hintIn(`${error}`);
  }
}

function hintIn(message: string): string {
  const [, near] = /\(Did you mean (.*)\?\)/.exec(message) ?? [];
  return near === undefined ? "" : `; did you mean ${near}?`;
}
