// A large part of the program as a script that V8 need not parse anew in each process: the build leaves, beside the script, what V8
// has made of it when a server had started (its code cache). Node 20 takes such caches for scripts only, not for modules. Where the
// cache is missing, or is another version's of V8 or of a process with other flags, V8 parses the script as it would have anyway.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

type Exports = Readonly<Record<string, unknown>>;
type ImportFile = (name: string) => Promise<unknown>;
/** What a script is: a function of the modules it imports and of its own address; `provide` is called with what it exports. */
type Body = (require: (name: string) => unknown, importFile: ImportFile, provide: (exports: Exports) => void, url: string) => void;

interface Surroundings {
  /** The program's own modules that the script imports, by the names it has for them; Node's are found by theirs. */
  readonly modules: Readonly<Record<string, unknown>>;
  /** What its import() does. */
  readonly importFile: ImportFile;
}

/** What has run, by the paths of caches. */
const loaded = new Map<string, Script>();
const cacheSuffix = ".cache";

/** Runs the script at `url` and gives back what it exports. */
export function runScript(url: string, { modules, importFile }: Surroundings): Exports {
  const path = fileURLToPath(url);
  const cachePath = path + cacheSuffix;
  // The build writes ASCII only: one byte a character, which V8 keeps as it is.
  const script = new Script(readFileSync(path, "latin1"), {
    filename: path,
    cachedData: cacheAt(cachePath),
  });
  loaded.set(cachePath, script);
  const requireBuiltIn = createRequire(url);
  let provided: Exports | undefined;
  const body = script.runInThisContext() as Body;
  body(
    (name) => modules[name] ?? requireBuiltIn(name),
    importFile,
    (exports) => {
      provided = exports;
    },
    url,
  );
  if (!provided) throw new Error(`${path} exports nothing: build anew (node scripts/build.mjs)`);
  return provided;
}

function cacheAt(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Writes the caches of all scripts that have run in this process, with the functions that have been compiled so far. */
export function writeScriptCaches(): void {
  for (const [cachePath, script] of loaded) {
    writeFileSync(`${cachePath}.new`, script.createCachedData());
    renameSync(`${cachePath}.new`, cachePath);
  }
}

/** Whether what has run of each script found a cache that fits, by the script's file. */
export const scriptsWereCached = (): Readonly<Record<string, boolean>> =>
  Object.fromEntries([...loaded].map(([cachePath, script]) => [basename(cachePath, cacheSuffix), script.cachedDataRejected === false]));
