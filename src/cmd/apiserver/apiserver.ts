// `coracle apiserver`: the API server alone. Its contract: it serves --secure-port, says one line when /readyz is ok, and
// ends with exit code 0 on SIGINT or SIGTERM; what is wrong with a flag, a file or the port is one line and exit code 1.

import { type ApiServerSettings, apiServerFlags, apiServerOptions } from "../../apiserver/options.ts";
import { realClock } from "../../base/clock.ts";
import { optimizeSooner } from "../../base/engine.ts";
import { deprecationWarnings, describeFlags, FlagError, parseFlags } from "../../base/flags.ts";
import { CommandError } from "../command-error.ts";
import { untilSignal } from "../command-flags.ts";
import { versionFlags, versionText } from "../component/component-flags.ts";
import { startApiServer } from "./start-apiserver.ts";

const flags = { ...apiServerFlags, ...versionFlags };

const usage = (): string => `Runs the Kubernetes API server.\n\nUsage: coracle apiserver [flags]\n\nFlags:\n${describeFlags(flags)}\n`;

/** Runs until it is told to stop; resolves with the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const settings = parse(args);
  if (typeof settings === "string") {
    process.stdout.write(settings);
    return 0;
  }
  const server = await startApiServer(settings, { clock: realClock });
  await server.ready;
  optimizeSooner();
  await untilSignal(`API server ready at ${server.url}, kubeconfig ${server.adminKubeconfig}\n`);
  await server.stop();
  return 0;
}

/** A text is what is to be printed instead: for --help and --version. */
function parse(args: readonly string[]): ApiServerSettings | string {
  try {
    const { values, positional, given, help } = parseFlags(flags, args);
    if (help) return usage();
    for (const warning of deprecationWarnings(flags, given)) process.stderr.write(`${warning}\n`);
    if (positional.length > 0) throw new FlagError(`unexpected argument ${JSON.stringify(positional[0])}`);
    return versionText(values) ?? apiServerOptions(values);
  } catch (error) {
    if (error instanceof FlagError) throw new CommandError(`${error.message} (see coracle apiserver --help)`);
    throw error;
  }
}
