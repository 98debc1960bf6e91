// `coracle cni`: our CNI plugins and our libcni for other runtimes and for people.
//   coracle cni PLUGIN                      a plugin as any runtime runs one: arguments in the environment, configuration on input
//   coracle cni add|del|check NETWORK NETNS a network's plugins for a namespace, as cnitool does; also status, gc, version
//   coracle cni host DIRECTORY              keeps a plugin host for another runtime, with executables in DIRECTORY/cni/bin
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { realClock } from "../../base/clock.ts";
import { text as anyText, flag, list, optionalText } from "../../base/flags.ts";
import { createLogger } from "../../base/log.ts";
import { DirectoryLocks } from "../../cni/host/directory-locks.ts";
import { createEffects } from "../../cni/host/effects.ts";
import { defaultConfigDirectory, loadNetwork } from "../../cni/libcni/network-file.ts";
import { defaultCacheDirectory } from "../../cni/libcni/result-cache.ts";
import { type Attachment, type CniRuntime, createCniRuntime } from "../../cni/libcni/runtime.ts";
import { createPlugins } from "../../cni/plugins/all.ts";
import { answerCall, parseArgs } from "../../cni/spec/answer-call.ts";
import { CniError } from "../../cni/spec/cni-error.ts";
import { renderResult } from "../../cni/spec/convert-result.ts";
import { supportedVersions } from "../../cni/spec/versions.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand, untilSignal } from "../command-flags.ts";

const callTimeoutMs = 110_000;

const flags = {
  "conf-dir": flag(anyText, defaultConfigDirectory, "directory of network configurations"),
  "bin-dir": flag(list, ["/opt/cni/bin"], "directories of plugins"),
  "cache-dir": flag(anyText, defaultCacheDirectory, "directory of results"),
  ifname: flag(anyText, "eth0", "name of the interface in the namespace"),
  "container-id": flag(optionalText, undefined, "default one that is made from the namespace's path"),
  args: flag(anyText, "", "CNI_ARGS: KEY=value;KEY=value"),
  "capability-args": flag(anyText, "{}", "values of capabilities as JSON"),
};

const verbs = ["add", "del", "check", "status", "gc", "version"] as const;
type Verb = (typeof verbs)[number];

export async function run(args: readonly string[]): Promise<number> {
  const [name = "", ...rest] = args;
  if (name === "host") return serveHost(rest);
  if ((verbs as readonly string[]).includes(name)) return runNetwork(name as Verb, rest);
  return runPlugin(name);
}

async function runPlugin(name: string): Promise<number> {
  const plugins = createPlugins();
  const plugin = Object.hasOwn(plugins, name) ? plugins[name] : undefined;
  if (!plugin)
    throw new CommandError(`expected ${[...verbs, "host"].join(", ")}, or the name of a plugin: ${Object.keys(plugins).join(", ")}`);
  const { env } = process;
  if ((env.CNI_COMMAND ?? "") === "") {
    process.stderr.write(`CNI plugin ${name} of Coracle\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`);
    return 0;
  }
  const stdin = env.CNI_COMMAND === "VERSION" && process.stdin.isTTY ? "" : await text(process.stdin);
  const abort = new AbortController();
  const deadline = realClock.after(callTimeoutMs, () =>
    abort.abort(new Error(`plugin ${name} took longer than ${callTimeoutMs / 1000} s`)),
  );
  const locks = new DirectoryLocks({ acrossProcesses: true, clock: realClock });
  const effects = createEffects({ plugins, clock: realClock, logger: createLogger("cni"), locks, signal: abort.signal });
  const { exitCode, stdout } = await answerCall(plugin, { env, stdin }, effects);
  deadline.cancel();
  await new Promise<void>((done) => void process.stdout.write(stdout, () => done()));
  return exitCode;
}

async function serveHost([directory]: readonly string[]): Promise<number> {
  if (directory === undefined) throw new CommandError("expected a directory");
  const { startNodePlugins } = await import("./start-node-plugins.ts");
  const ended = untilSignal();
  const plugins = await startNodePlugins({ dataDir: resolve(directory), clock: realClock, logger: createLogger("cni") });
  process.stdout.write(`CNI plugins in ${plugins.directory}\n`);
  await ended;
  await plugins.stop();
  return 0;
}

/** Prints what cnitool prints: the result of ADD, or the error as a plugin would. */
async function runNetwork(verb: Verb, args: readonly string[]): Promise<number> {
  const positional = verb === "version" ? "PLUGIN" : ["status", "gc"].includes(verb) ? "NETWORK" : "NETWORK NETNS";
  const input = parseCommand({ name: `cni ${verb}`, summary: "Runs CNI plugins, as a container runtime does.", positional }, flags, args);
  if (!input) return 0;
  const [subject = "", netns = ""] = input.positional;
  if (input.positional.length !== positional.split(" ").length) throw new CommandError(`expected ${positional}`);
  const { "conf-dir": directory, "bin-dir": path, "cache-dir": cacheDirectory, ifname: ifName } = input.values;
  const runtime = createCniRuntime({ clock: realClock, path, cacheDirectory });
  const attachment: Attachment = {
    containerId: input.values["container-id"] ?? `cnitool-${createHash("sha512").update(netns).digest("hex").slice(0, 20)}`,
    netns,
    ifName,
    args: parseArgs(input.values.args),
    capabilities: parseCapabilities(input.values["capability-args"]),
  };
  try {
    await perform(verb, { runtime, subject, directory, attachment });
    return 0;
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw new CommandError(error.details === "" ? error.message : `${error.message}: ${error.details}`);
  }
}

interface Performance {
  readonly runtime: CniRuntime;
  /** A network, or a plugin. */
  readonly subject: string;
  readonly directory: string;
  readonly attachment: Attachment;
}

async function perform(verb: Verb, { runtime, subject, directory, attachment }: Performance): Promise<void> {
  const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value, null, 4)}\n`);
  if (verb === "version") return say({ supportedVersions: await runtime.versions(subject) });
  const network = await loadNetwork(subject, directory);
  if (verb === "add") return say(renderResult(await runtime.add(network, attachment), network.cniVersion));
  if (verb === "status") return runtime.status(network);
  if (verb === "gc") return runtime.gc(network, []);
  await runtime[verb](network, attachment);
}

function parseCapabilities(json: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(json) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new CommandError("--capability-args: expected JSON", { cause: error });
  }
}
