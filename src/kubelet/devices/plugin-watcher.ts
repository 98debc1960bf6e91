// Plugins that put their socket into <root>/plugins_registry: each is asked who it is (registration v1), handed to whoever is
// responsible for its type, and told the outcome. A socket that vanishes, or is another one, deregisters its plugin. What
// fails is tried again, from half a second to two minutes apart.
import { type FSWatcher, watch } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { connectRpc } from "../../rpc/client.ts";
import { runtimeErrorText } from "../pods/start-error.ts";
import { type PluginInfo, pluginRegistrationV1, type Registration } from "./generated/plugin-registration-v1.ts";

/** Responsible for plugins of one type. */
export interface PluginHandler {
  /** Throws when the plugin cannot be used. */
  validate(name: string, endpoint: string, versions: readonly string[]): void;
  register(name: string, endpoint: string, versions: readonly string[]): Promise<void>;
  deregister(name: string, endpoint: string): void;
}

export interface PluginWatcherDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** By type: "DevicePlugin", "CSIPlugin", "DRAPlugin". */
  readonly handlers: ReadonlyMap<string, PluginHandler>;
}

interface Registered {
  /** Of the socket's file: another one under the same name is another plugin. */
  readonly identity: string;
  readonly deregister: () => void;
}

interface Failed {
  readonly identity: string;
  readonly failures: number;
  readonly retryAtMs: number;
}

const settleMs = 100;
const dialTimeoutMs = 10_000;
const infoTimeoutMs = 1_000;
const notifyTimeoutMs = 5_000;
const firstRetryMs = 500;
const maxRetryMs = 122_000;
const rescanMs = 60_000;
const maxDepth = 3;

export class PluginWatcher implements Running {
  readonly #deps: PluginWatcherDependencies;
  readonly #directory: string;
  readonly #registered = new Map<string, Registered>();
  readonly #failed = new Map<string, Failed>();
  readonly #watchers = new Map<string, FSWatcher>();
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  #scanning: Promise<void> = Promise.resolve();
  readonly #abort = new AbortController();
  #stopped = false;

  constructor(directory: string, deps: PluginWatcherDependencies) {
    this.#directory = directory;
    this.#deps = deps;
  }

  /** Resolves when the directory is there. Plugins that are in it already may take their time. */
  async start(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o750 });
    this.#scanning = this.#scan();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#abort.abort(new Error("the watcher of plugins was stopped"));
    this.#timer?.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    await this.#scanning;
  }

  #scanAfter(delayMs: number): void {
    const atMs = this.#deps.clock.now() + delayMs;
    if (this.#stopped || atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#deps.clock.after(delayMs, () => {
      this.#timerAtMs = Infinity;
      this.#scanning = this.#scanning.then(() => this.#scan());
    });
  }

  async #scan(): Promise<void> {
    if (this.#stopped) return;
    const found = new Map<string, string>();
    await this.#collect(this.#directory, 0, found);
    for (const [path, { identity, deregister }] of this.#registered) {
      if (found.get(path) === identity) continue;
      this.#registered.delete(path);
      deregister();
    }
    for (const [path, { identity }] of this.#failed) if (found.get(path) !== identity) this.#failed.delete(path);
    await Promise.all([...found].map(([path, identity]) => this.#handle(path, identity)));
    const now = this.#deps.clock.now();
    this.#scanAfter(Math.max(0, Math.min(rescanMs, ...[...this.#failed.values()].map((f) => f.retryAtMs - now))));
  }

  /** Sockets below the directory, with what tells one from another of the same name. */
  async #collect(directory: string, depth: number, found: Map<string, string>): Promise<void> {
    this.#watch(directory);
    const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = join(directory, entry.name);
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory() && depth < maxDepth) await this.#collect(path, depth + 1, found);
      const file = entry.isSocket() ? await stat(path).catch(() => undefined) : undefined;
      if (file) found.set(path, `${file.ino}/${file.ctimeMs}`);
    }
  }

  #watch(directory: string): void {
    if (this.#watchers.has(directory) || this.#stopped) return;
    try {
      const watcher = watch(directory, () => this.#scanAfter(settleMs));
      watcher.on("error", () => {
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, watcher);
    } catch (error) {
      // No watches left: the directory is still read from time to time.
      this.#deps.logger.info("Watching for plugins failed", { directory, error: errorText(error) }, 1);
    }
  }

  async #handle(path: string, identity: string): Promise<void> {
    const failed = this.#failed.get(path);
    if (this.#registered.has(path) || (failed && failed.retryAtMs > this.#deps.clock.now())) return;
    try {
      this.#registered.set(path, { identity, deregister: await this.#register(path) });
      this.#failed.delete(path);
    } catch (error) {
      if (this.#stopped) return;
      const failures = failed?.failures ?? 0;
      const retryAtMs = this.#deps.clock.now() + Math.min(firstRetryMs * 2 ** failures, maxRetryMs);
      this.#failed.set(path, { identity, failures: failures + 1, retryAtMs });
      this.#deps.logger.error("Registering a plugin failed", { path, error: errorText(error) });
    }
  }

  /** Returns how it is deregistered. */
  async #register(path: string): Promise<() => void> {
    const connection = connectRpc({ endpoint: path, timeoutMs: infoTimeoutMs });
    const { signal } = this.#abort;
    try {
      const plugin = connection.service<Registration>(pluginRegistrationV1, "Registration");
      const info = await ask(path, async () => {
        await connection.ready({ timeoutMs: dialTimeoutMs, signal });
        return await plugin.getInfo({}, { signal });
      });
      const tell = async (error: string): Promise<void> => {
        await plugin.notifyRegistrationStatus({ pluginRegistered: error === "", error }, { timeoutMs: notifyTimeoutMs, signal });
      };
      try {
        const deregister = await this.#hand(info, path);
        await tell("").catch((error: unknown) => {
          deregister();
          throw error;
        });
        return deregister;
      } catch (error) {
        await tell((error as Error).message);
        throw error;
      }
    } finally {
      connection.close();
    }
  }

  async #hand({ type, name, endpoint, supportedVersions }: PluginInfo, path: string): Promise<() => void> {
    const handler = this.#deps.handlers.get(type);
    if (!handler) throw new Error(`RegisterPlugin error -- no handler registered for plugin type: ${type} at socket ${path}`);
    const socket = endpoint || path;
    try {
      handler.validate(name, socket, supportedVersions);
    } catch (error) {
      throw new Error(`RegisterPlugin error -- plugin validation failed with err: ${(error as Error).message}`, { cause: error });
    }
    try {
      await handler.register(name, socket, supportedVersions);
    } catch (error) {
      throw new Error(`RegisterPlugin error -- plugin registration failed with err: ${(error as Error).message}`, { cause: error });
    }
    return () => handler.deregister(name, socket);
  }
}

async function ask<T>(path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const why = `failed to get plugin info using RPC GetInfo at socket ${path}, err: ${runtimeErrorText(error)}`;
    throw new Error(`RegisterPlugin error -- ${why}`, { cause: error });
  }
}
