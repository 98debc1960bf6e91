// `coracle version`, and `coracle --version`.
import { version } from "../base/version.ts";
import { parseCommand } from "./command-flags.ts";

export async function run(args: readonly string[]): Promise<number> {
  if (!parseCommand({ name: "version", summary: "Prints the version." }, {}, args)) return 0;
  process.stdout.write(`coracle ${version}\n`);
  return 0;
}
