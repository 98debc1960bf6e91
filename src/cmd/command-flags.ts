// What every command does with its arguments: parse them by its flags, print help, turn a bad flag into one line; and how
// a command that serves waits for its end.
import { describeFlags, FlagError, type Flags, type FlagValues, parseFlags } from "../base/flags.ts";
import { CommandError } from "./command-error.ts";

export interface CommandUsage {
  /** "scheduler", "image import". */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Names of positional arguments as help shows them: "FILE…". Default none are allowed. */
  readonly positional?: string;
}

export interface CommandInput<F extends Flags> {
  readonly values: FlagValues<F>;
  readonly positional: readonly string[];
  /** The flags that were given. */
  readonly given: ReadonlySet<keyof F>;
}

/** Undefined when help was asked for and has been printed. Throws CommandError for bad arguments. */
export function parseCommand<F extends Flags>(usage: CommandUsage, flags: F, args: readonly string[]): CommandInput<F> | undefined {
  try {
    const { values, positional, given, help } = parseFlags(flags, args);
    if (help) {
      const words = ["coracle", usage.name, "[flags]", ...(usage.positional ? [usage.positional] : [])];
      process.stdout.write(`${usage.summary}\n\nUsage: ${words.join(" ")}\n\nFlags:\n${describeFlags(flags)}\n`);
      return undefined;
    }
    if (positional.length > 0 && !usage.positional) throw new FlagError(`unexpected argument ${JSON.stringify(positional[0])}`);
    return { values, positional, given };
  } catch (error) {
    if (error instanceof FlagError) throw new CommandError(`${error.message} (see coracle ${usage.name} --help)`);
    throw error;
  }
}

/**
 * Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. `ready` is said once signals are heard: whoever reads
 * it may send one.
 */
export function untilSignal(ready?: string): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let received = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (received) process.exit(signal === "SIGINT" ? 130 : 143);
        received = true;
        resolve(signal);
      });
    }
    if (ready !== undefined) process.stdout.write(ready);
  });
}
