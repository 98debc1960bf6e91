// Modules that users write in TypeScript or JavaScript (scheduler plugins, simulated images): bundled with what they import, so
// that they run on every version of Node and can be loaded again, all of them, when a file has changed. A module that has become
// wrong is logged, and what it exported before stays in use.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Clock } from "./clock.ts";
import { type FollowedFile, followFiles } from "./followed-files.ts";
import type { Running } from "./lifecycle.ts";
import { errorText } from "./log.ts";

/** A module that cannot be loaded, or does not export what it should. */
export class UserModuleError extends Error {
  override name = "UserModuleError";
}

export interface LoadedModules<T> {
  readonly exported: readonly T[];
  /** Every file that went into them. */
  readonly files: readonly FollowedFile[];
}

/** What the default export of a module stands for; throws an Error that says what is wrong with it. */
export type CheckExport<T> = (exported: unknown) => readonly T[];

/** Throws UserModuleError that names the file. */
export async function loadUserModules<T>(paths: readonly string[], check: CheckExport<T>): Promise<LoadedModules<T>> {
  const loaded = await Promise.all(paths.map((path) => loadModule(resolve(path), check)));
  const files = new Map(loaded.flatMap((module) => module.files.map((file) => [file.path, file])));
  return { exported: loaded.flatMap((module) => module.exported), files: [...files.values()] };
}

async function loadModule<T>(path: string, check: CheckExport<T>): Promise<LoadedModules<T>> {
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
    throw new UserModuleError(`${path}: ${firstProblem(error)}`, { cause: error });
  }
  try {
    return { exported: check(await evaluate(code)), files: [...read].map(([file, contents]) => ({ path: file, contents })) };
  } catch (error) {
    throw new UserModuleError(`${path}: ${errorText(error)}`, { cause: error });
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
  const directory = await mkdtemp(join(tmpdir(), "coracle-module-"));
  try {
    const file = join(directory, "module.mjs");
    await writeFile(file, code, { mode: 0o600 });
    return ((await import(pathToFileURL(file).href)) as { readonly default?: unknown }).default;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** esbuild's errors have places: "mine.ts:3:7: Expected …". */
function firstProblem(error: unknown): string {
  const [first] = (error as { readonly errors?: readonly import("esbuild").Message[] }).errors ?? [];
  if (!first) return errorText(error);
  const { location, text } = first;
  return location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : text;
}

export interface ModuleFollower<T> {
  readonly clock: Clock;
  readonly check: CheckExport<T>;
  /** Takes over what is exported now; what it throws goes to `failed`, and what was before stays in use. */
  readonly changed: (exported: readonly T[]) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

/** Loads the modules again whenever one of their files changes, until it is stopped. */
export function followUserModules<T>(paths: readonly string[], first: LoadedModules<T>, follower: ModuleFollower<T>): Running {
  const { clock, failed } = follower;
  let stopped = false;
  const follow = (modules: LoadedModules<T>): Running =>
    followFiles(modules.files, {
      clock,
      failed,
      async changed() {
        const next = await loadUserModules(paths, follower.check);
        await follower.changed(next.exported);
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

const sameFiles = <T>(a: LoadedModules<T>, b: LoadedModules<T>): boolean =>
  a.files.length === b.files.length && a.files.every(({ path }) => b.files.some((file) => file.path === path));
