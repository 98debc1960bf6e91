// Modules with users' plugins, in TypeScript or JavaScript: bundled with what they import, so that they run on every version of
// Node and can be loaded again, all of them, when a file has changed. A module that has become wrong is logged, and the plugins
// of before stay in use.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Clock } from "../../base/clock.ts";
import { type FollowedFile, followFiles } from "../../base/followed-files.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { checkedPlugins, type UserPlugin, UserPluginError } from "./user-plugin.ts";

export interface PluginModules {
  readonly plugins: readonly UserPlugin[];
  /** Every file that went into them. */
  readonly files: readonly FollowedFile[];
}

/** Throws UserPluginError that names the file. */
export async function loadPluginModules(paths: readonly string[]): Promise<PluginModules> {
  const loaded = await Promise.all(paths.map((path) => loadModule(resolve(path))));
  const files = new Map(loaded.flatMap((module) => module.files.map((file) => [file.path, file])));
  return { plugins: loaded.flatMap((module) => module.plugins), files: [...files.values()] };
}

async function loadModule(path: string): Promise<PluginModules> {
  const { build } = await import("esbuild");
  const read = new Map<string, string>();
  let code: string;
  try {
    const result = await build({
      entryPoints: [path],
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      target: `node${process.versions.node}`,
      sourcemap: "inline",
      logLevel: "silent",
      plugins: [rememberSources(read)],
    });
    code = result.outputFiles[0]?.text ?? "";
  } catch (error) {
    throw new UserPluginError(`${path}: ${firstProblem(error)}`, { cause: error });
  }
  try {
    return { plugins: checkedPlugins(await evaluate(code)), files: [...read].map(([file, contents]) => ({ path: file, contents })) };
  } catch (error) {
    throw new UserPluginError(`${path}: ${errorText(error)}`, { cause: error });
  }
}

/** What was bundled is what is followed, without a moment in between. */
function rememberSources(read: Map<string, string>): import("esbuild").Plugin {
  return {
    name: "remember-sources",
    setup(bundling) {
      bundling.onLoad({ filter: /\.[cm]?[jt]s$/ }, async ({ path }) => {
        const { readFile } = await import("node:fs/promises");
        const contents = await readFile(path, "utf8");
        read.set(path, contents);
        return { contents, loader: /\.[cm]?ts$/.test(path) ? "ts" : "js" };
      });
    },
  };
}

/** From a file of its own, as modules are cached by their address. */
async function evaluate(code: string): Promise<unknown> {
  const directory = await mkdtemp(join(tmpdir(), "coracle-plugin-"));
  try {
    const file = join(directory, "plugin.mjs");
    await writeFile(file, code, { mode: 0o600 });
    return ((await import(pathToFileURL(file).href)) as { readonly default?: unknown }).default;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** esbuild's errors have places: "plugin.ts:3:7: Expected …". */
function firstProblem(error: unknown): string {
  const [first] = (error as { readonly errors?: readonly import("esbuild").Message[] }).errors ?? [];
  if (!first) return errorText(error);
  const { location, text } = first;
  return location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : text;
}

export interface PluginFollower {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes over the plugins; what it throws is logged, and the ones of before stay in use. */
  readonly changed: (plugins: readonly UserPlugin[]) => Promise<void>;
}

/** Loads the modules again whenever one of their files changes, until it is stopped. */
export function followPluginModules(paths: readonly string[], first: PluginModules, follower: PluginFollower): Running {
  const { clock, logger } = follower;
  const failed = (error: unknown): void => logger.error("The plugins stay as they were", { error: errorText(error) });
  let stopped = false;
  const follow = (modules: PluginModules): Running =>
    followFiles(modules.files, {
      clock,
      failed,
      async changed() {
        const next = await loadPluginModules(paths);
        await follower.changed(next.plugins);
        logger.info("Plugins loaded again", { plugins: next.plugins.map(({ name }) => name).join(",") });
        if (stopped || sameFiles(modules, next)) return;
        // Other files from now on. It is one of the old follower's calls that this happens in: it is not waited for.
        const old = following;
        following = follow(next);
        void old.stop();
      },
    });
  let following = follow(first);
  return {
    async stop() {
      stopped = true;
      await following.stop();
    },
  };
}

const sameFiles = (a: PluginModules, b: PluginModules): boolean =>
  a.files.length === b.files.length && a.files.every(({ path }) => b.files.some((file) => file.path === path));
