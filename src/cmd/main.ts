// The command line of Coracle: `coracle COMMAND [flags]`. Each command is a module of its own, loaded only when it runs,
// that exports `run(args)` and resolves with the process's exit code.
import { keepingAlive } from "../base/lifecycle.ts";
import { errorText } from "../base/log.ts";
import { version } from "../base/version.ts";
import { CommandError } from "./command-error.ts";

interface Command {
  readonly summary: string;
  readonly load: () => Promise<{ run(args: readonly string[]): Promise<number> }>;
}

const commands: Readonly<Record<string, Command>> = {
  up: { summary: "run a whole cluster in this process, in the foreground", load: () => import("./up/up.ts") },
  down: { summary: "stop the cluster of a data directory, its pods too", load: () => import("./up/down.ts") },
  apiserver: { summary: "run the API server alone", load: () => import("./apiserver/apiserver.ts") },
  "controller-manager": {
    summary: "run the controllers against an API server",
    load: () => import("./controller-manager/controller-manager.ts"),
  },
  scheduler: { summary: "run the scheduler against an API server", load: () => import("./scheduler/scheduler.ts") },
  explain: { summary: "explain where a pod can go, and why", load: () => import("./scheduler/explain.ts") },
  kubelet: { summary: "run this machine as a node of a cluster", load: () => import("./kubelet/kubelet.ts") },
  join: { summary: "make this machine a node of a cluster, with a token", load: () => import("./node/join.ts") },
  token: { summary: "create, list and delete the tokens machines join with", load: () => import("./credentials/token.ts") },
  node: { summary: "add, remove, stop, start and cut off nodes of a running cluster", load: () => import("./node/node.ts") },
  dns: { summary: "answer the names of a cluster", load: () => import("./network/dns.ts") },
  proxy: { summary: "lead services' addresses to their endpoints on this node", load: () => import("./proxy/proxy.ts") },
  ingress: { summary: "serve the Ingress objects of a cluster", load: () => import("./network/ingress.ts") },
  "metrics-server": { summary: "serve what nodes and pods use, for kubectl top", load: () => import("./metrics-server.ts") },
  cni: { summary: "run CNI plugins: ours for other runtimes, and those of a network for a namespace", load: () => import("./node/cni.ts") },
  image: { summary: "import, list and remove container images", load: () => import("./node/image.ts") },
};

/** Those that other commands start, not people; and the one that usage lists last. */
const hiddenCommands: Readonly<Record<string, Command>> = {
  "ingress-thread": { summary: "serve the Ingress objects of `up` in a thread", load: () => import("./network/ingress-thread.ts") },
  version: { summary: "print the version", load: () => import("./print-version.ts") },
  "node-process": { summary: "run a further node of `up`", load: () => import("./node/node-process.ts") },
};

function usage(): string {
  const rows = Object.entries(commands).map(([name, c]) => `  ${name.padEnd(20)}${c.summary}`);
  return `Coracle ${version}: Kubernetes in one process.\n\nUsage: coracle COMMAND [flags]\n\nCommands:\n${rows.join("\n")}\n  ${"version".padEnd(20)}print the version\n\nEach command explains its flags with --help.\n`;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === "help" && rest[0] !== undefined && rest[0] !== "help" && !rest[0].startsWith("-")) return main([...rest, "--help"]);
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(usage());
    return name === undefined ? 1 : 0;
  }
  const command = commands[name] ?? hiddenCommands[name === "--version" ? "version" : name];
  if (!command) {
    process.stderr.write(`coracle: unknown command "${name}"; "coracle help" lists the commands\n`);
    return 1;
  }
  try {
    return await keepingAlive((await command.load()).run(rest));
  } catch (error) {
    // Whatever is wrong with flags, files, ports or the machine is one line; a stack is for programming errors only.
    const expected = error instanceof CommandError || (error instanceof Error && "code" in error);
    process.stderr.write(`coracle ${name}: ${expected ? errorText(error) : ((error as Error).stack ?? String(error))}\n`);
    return 1;
  }
}

process.exit(await main(process.argv.slice(2)));
