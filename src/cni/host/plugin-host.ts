// The plugin host: runs CNI plugins inside the node's process, which spares the start of a program for each of them. Listens on a
// unix socket that only root can open; the plugins' executables (launcher.ts) hand it what they were called with. One call at a
// time for a container, several containers at once, each call with a deadline.
import { readlinkSync } from "node:fs";
import { chmod, mkdir, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { dirname, join, resolve } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { Turns } from "../../base/turns.ts";
import type { PluginTable } from "../plugins/plugin.ts";
import { answerCall, type CniAnswer } from "../spec/answer-call.ts";
import { cniErrorCodes } from "../spec/cni-error.ts";
import { DirectoryLocks } from "./directory-locks.ts";
import { createEffects } from "./effects.ts";
import { type LauncherRequest, refusal, renderAnswer } from "./host-protocol.ts";
import { LauncherSession } from "./launcher-session.ts";
import type { ToolRunner } from "./tool-runner.ts";

export interface PluginHostOptions {
  readonly socket: string;
  /** Asked for once, at the first call. */
  readonly plugins: () => Promise<PluginTable>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of one call. Default 60 s. */
  readonly callTimeoutMs?: number;
  /** Whether calls from other network namespaces are answered too: by plugins that do nothing there. Default false. */
  readonly anyNamespace?: boolean;
}

const longestSocket = 107;
const maxConnections = 512;
const slots = 8;

/** Where a data directory has a long name its hash stands for it. */
export function pluginHostSocket(dataDir: string, hash: string): string {
  const own = join(resolve(dataDir), "cni", "host.sock");
  return Buffer.byteLength(own) <= longestSocket ? own : join("/run/coracle", `${hash}.cni.sock`);
}

/** Resolves when calls are answered. A socket that is there already is a dead one's. */
export async function startPluginHost(options: PluginHostOptions): Promise<Running> {
  const { socket: path, logger } = options;
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  await rm(path, { force: true });
  const host = new PluginHost(options);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", (error) => logger.info("The connection of a CNI call broke", { error }, 2));
    host.serve(socket).catch((error: unknown) => {
      logger.error("A CNI call failed", { error: errorText(error) });
      socket.destroy();
    });
  });
  server.maxConnections = maxConnections;
  // The socket is made within listen(), for root alone; nothing else happens in this process meanwhile.
  const before = process.umask(0o177);
  const listening = new Promise<void>((done, failed) => server.once("error", failed).listen(path, done));
  process.umask(before);
  await listening;
  await chmod(path, 0o600);
  return {
    async stop() {
      const closed = new Promise((done) => server.close(done));
      await host.stop();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

class PluginHost {
  readonly #options: PluginHostOptions;
  readonly #locks: DirectoryLocks;
  readonly #turns: Turns;
  readonly #namespace = readlinkSync("/proc/self/ns/net");
  readonly #running = new Set<Promise<unknown>>();
  readonly #lastOf = new Map<string, Promise<unknown>>();
  #plugins: Promise<PluginTable> | undefined;
  #stopping = false;

  constructor(options: PluginHostOptions) {
    this.#options = options;
    this.#locks = new DirectoryLocks(options);
    this.#turns = new Turns(options.clock, { slots });
  }

  async serve(socket: Socket): Promise<void> {
    const session = new LauncherSession(socket);
    const request = await session.readRequest();
    this.#plugins ??= this.#options.plugins();
    const plugins = await this.#plugins;
    const known = Object.hasOwn(plugins, request.plugin);
    const here = this.#options.anyNamespace === true || request.namespace === this.#namespace;
    if (!known || !here || this.#stopping) {
      session.end(refusal);
      return;
    }
    const answer = this.#inOrder(request.env.CNI_CONTAINERID ?? "", () => this.#turns.take(() => this.#answer(request, plugins, session)));
    this.#running.add(answer);
    try {
      session.end(renderAnswer(await answer));
    } finally {
      this.#running.delete(answer);
    }
  }

  /** Calls that are being answered come to their end. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.allSettled(this.#running);
  }

  async #answer({ plugin: name, env, stdin }: LauncherRequest, plugins: PluginTable, runner: ToolRunner): Promise<CniAnswer> {
    const { clock, logger, callTimeoutMs = 60_000 } = this.#options;
    const plugin = plugins[name];
    if (!plugin) throw new Error(`no plugin ${name}`);
    const abort = new AbortController();
    const deadline = clock.after(callTimeoutMs, () => abort.abort(new Error(`plugin ${name} took longer than ${callTimeoutMs / 1000} s`)));
    const startedMs = clock.monotonic();
    const late = new Promise<CniAnswer>((done) => {
      abort.signal.addEventListener("abort", () => done(tooLate(abort.signal.reason)), { once: true });
    });
    const effects = createEffects({ plugins, clock, logger, locks: this.#locks, signal: abort.signal, runner, lasting: true });
    try {
      const answer = await Promise.race([answerCall(plugin, { env, stdin }, effects), late]);
      const about = { plugin: name, command: env.CNI_COMMAND, container: env.CNI_CONTAINERID };
      if (answer.exitCode !== 0) logger.warn("A CNI call failed", { ...about, answer: answer.stdout.replace(/\s+/g, " ").slice(0, 1000) });
      else logger.info("CNI call", { ...about, ms: Math.round(clock.monotonic() - startedMs) }, 4);
      return answer;
    } finally {
      deadline.cancel();
    }
  }

  /** One call at a time for one container. */
  async #inOrder<T>(container: string, work: () => Promise<T>): Promise<T> {
    if (container === "") return work();
    const before = this.#lastOf.get(container);
    const mine = before === undefined ? work() : before.catch(() => undefined).then(work);
    this.#lastOf.set(container, mine);
    try {
      return await mine;
    } finally {
      if (this.#lastOf.get(container) === mine) this.#lastOf.delete(container);
    }
  }
}

const tooLate = (reason: unknown): CniAnswer => ({
  exitCode: 1,
  stdout: JSON.stringify({ cniVersion: "1.0.0", code: cniErrorCodes.tryAgainLater, msg: errorText(reason) }),
});
