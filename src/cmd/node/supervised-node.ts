// The process of one further node, as the cluster's own process keeps it: started in the node's network namespace, and under a
// host name of its own, which pods that share the node's network have too; started
// again with growing pauses when it ends, its output passed on line by line under the node's name.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { Backoff } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { namespacePath } from "../../linux/network-namespaces.ts";
import type { NodeReport } from "./node-settings.ts";

export interface SupervisedNodeOptions {
  readonly name: string;
  /** The node's directory. */
  readonly directory: string;
  /** Name of its network namespace. */
  readonly netns: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the node's lines go. Default standard error. */
  readonly write?: (line: string) => void;
}

export interface SupervisedNode extends Running {
  /** Of the process that runs now. */
  readonly pid: number | undefined;
  /** Resolves with the runtime's description when the node has said that it is ready for the first time; rejects when its process ends before. */
  readonly ready: Promise<string>;
  /** Ends the process at once, as a power cut does. */
  kill(): Promise<void>;
}

const restartDelays = { baseMs: 500, maxMs: 30_000 };
/** A process that lived this long has its next failure treated as its first. */
const healthyAfterMs = 60_000;
/** A process that does not end by itself in this time is killed. */
const politeMs = 30_000;
const lastLines = 5;

export function superviseNode(options: SupervisedNodeOptions): SupervisedNode {
  const { name, clock, logger } = options;
  const abort = new AbortController();
  const backoff = new Backoff(restartDelays);
  let current: NodeProcess | undefined;
  let settle: { resolve(description: string): void; reject(error: Error): void } | undefined;
  const ready = new Promise<string>((resolve, reject) => {
    settle = { resolve, reject };
  });
  ready.catch(() => undefined); // whoever waits for it sees the rejection; nobody has to

  const supervise = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      const startedAt = clock.monotonic();
      current = startProcess(options, (report) => settle?.resolve(report.description));
      const end = await current.ended;
      settle?.reject(new Error(`the process of node ${name} ended (${end.how})${end.lastWords ? `: ${end.lastWords}` : ""}`));
      if (abort.signal.aborted) return;
      if (clock.monotonic() - startedAt > healthyAfterMs) backoff.reset();
      const afterMs = backoff.next();
      logger.error("The process of a node ended and is started again", { node: name, how: end.how, afterMs });
      await clock.sleep(afterMs, abort.signal).catch(() => undefined); // stopping: the loop sees it
    }
  };
  const supervising = supervise();
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    abort.abort();
    current?.child.kill(signal);
    const timer = clock.after(politeMs, () => current?.child.kill("SIGKILL"));
    await supervising;
    timer.cancel();
  };
  return {
    get pid() {
      return current?.child.pid;
    },
    ready,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
  };
}

interface NodeProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly how: string; readonly lastWords: string }>;
}

function startProcess(options: SupervisedNodeOptions, onReport: (report: NodeReport) => void): NodeProcess {
  const { name, directory, netns, write = (line) => void process.stderr.write(line) } = options;
  const [command = ""] = process.argv.slice(1);
  const child = spawn(
    "nsenter",
    [
      ...[`--net=${namespacePath(netns)}`, "unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name],
      ...[process.execPath, ...process.execArgv, command, "node-process", directory],
    ],
    // A session of its own: Ctrl-C in a terminal is for the cluster's process, which ends this one.
    { detached: true, stdio: ["ignore", "pipe", "pipe", "ipc"] },
  );
  const words: string[] = [];
  const pass = (stream: Readable | null): void => {
    if (!stream) return;
    createInterface({ input: stream }).on("line", (line) => {
      words.push(line);
      if (words.length > lastLines) words.shift();
      write(`[${name}] ${line}\n`);
    });
  };
  pass(child.stdout);
  pass(child.stderr);
  child.on("message", (message) => onReport(message as NodeReport)); // nothing else is sent
  const ended = new Promise<{ how: string; lastWords: string }>((resolve) => {
    child.once("error", (error) => resolve({ how: error.message, lastWords: "" }));
    child.once("close", (code, signal) => resolve({ how: signal ?? `exit code ${code}`, lastWords: words.join("; ") }));
  });
  return { child, ended };
}
