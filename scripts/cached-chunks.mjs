// Makes scripts of large chunks, and V8's code caches for them (see src/base/cached-script.ts). What was a module becomes
//   X.script.js   a function with the module's code
//   X.js          a module that runs it, and exports what it exports
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

/** What takes less than a few milliseconds to parse stays a module. */
const minScriptBytes = 100_000;
const startDeadlineMs = 60_000;

/** How esbuild ends a module: with its exports, and the name of its source map. */
const moduleEnd = /export\{([^{}]*)\};\s*(\/\/# sourceMappingURL=\S+\s*)?$/;

const dynamicImport = /\bimport\(("(?:\.\/|node:)[\w./-]+")\)/g;

/** `path`: of a module that esbuild has bundled, whose imports do not lead back to it. `loader`: how it imports cached-script.ts. */
async function makeScript(path, loader) {
  const source = readFileSync(path, "utf8");
  const end = moduleEnd.exec(source);
  if (!end) throw new Error(`${path} does not end with its exports`);
  const names = end[1].split(",").map((part) => {
    const [local, exported = local] = part.split(" as ");
    return { local, exported };
  });
  const provided = names.map(({ local, exported }) => `${exported}:${local}`);
  writeFileSync(path, `${source.slice(0, end.index)}__provide({${provided.join(",")}});\n${end[2] ?? ""}`);
  const script = path.replace(/\.js$/, ".script.js");
  await build({
    entryPoints: [path],
    outfile: script,
    format: "cjs",
    platform: "node",
    target: "node20",
    minifyWhitespace: true,
    sourcemap: "linked",
    define: { "import.meta.url": "__url" },
    banner: { js: '(function(require,__import,__provide,__url){"use strict";' },
    footer: { js: "})" },
    logLevel: "warning",
  });
  rmSync(`${path}.map`);
  const code = readFileSync(script, "utf8").replace(dynamicImport, "__import($1)");
  if (/[^\w.]import\(/.test(code)) throw new Error(`${script}: an import() of something that is not a file beside it`);
  writeFileSync(script, code);
  const imported = [...new Set([...code.matchAll(/\brequire\("(\.[^"]+)"\)/g)].map((match) => match[1]))];
  const modules = imported.map((name, i) => `"${name}":m${i}`);
  writeFileSync(
    path,
    [
      `import{runScript}from"${loader}";`,
      ...imported.map((name, i) => `import*as m${i} from"${name}";`),
      `const url=new URL("./${basename(script)}",import.meta.url).href;`,
      `const all=runScript(url,{modules:{${modules.join(",")}},importFile:(name)=>import(name)});`,
      `export const{${names.map(({ exported }) => exported).join(",")}}=all;\n`,
    ].join("\n"),
  );
}

/** How esbuild writes what a chunk imports of others. */
const staticImport = /(?:from|import)"\.\/([^"/]+\.js)"/g;

/** Makes scripts of all chunks in `folder` that are large, but for those whose imports lead back to them; gives back their paths. */
export async function makeScripts(folder, loader) {
  const chunks = readdirSync(folder).filter((name) => name.endsWith(".js"));
  const imports = new Map(
    chunks.map((name) => [name, [...readFileSync(join(folder, name), "utf8").matchAll(staticImport)].map((match) => match[1])]),
  );
  const reachable = (from, found = new Set()) => {
    for (const next of imports.get(from) ?? []) if (!found.has(next)) reachable(next, found.add(next));
    return found;
  };
  const large = chunks.filter((name) => statSync(join(folder, name)).size >= minScriptBytes && !reachable(name).has(name));
  for (const name of large) await makeScript(join(folder, name), loader);
  return large.map((name) => join(folder, name));
}

/** Lets an API server of the build start and stop, loads all other scripts, and keeps what V8 has compiled. */
export async function writeCaches(dist, scripts) {
  const dir = mkdtempSync(join(tmpdir(), "coracle-build-"));
  const hook = join(dir, "hook.mjs");
  const cachedScript = pathToFileURL(join(dist, "cached-script.js")).href;
  writeFileSync(
    hook,
    [
      'import { createRequire, syncBuiltinESMExports } from "node:module";',
      `import { writeScriptCaches } from ${JSON.stringify(cachedScript)};`,
      ...scripts.map((path) => `await import(${JSON.stringify(pathToFileURL(path).href)});`),
      "// A cache fits processes that have the flags of the one which wrote it.",
      'createRequire(import.meta.url)("node:v8").setFlagsFromString = () => undefined;',
      "syncBuiltinESMExports();",
      'process.on("exit", writeScriptCaches);',
    ].join("\n"),
  );
  try {
    const args = ["apiserver", "--storage", "memory", "--data-dir", join(dir, "data"), "--secure-port", "0", "--bind-address", "127.0.0.1"];
    const server = spawn(process.execPath, ["--import", hook, join(dist, "coracle.js"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    let told = false;
    for (const stream of [server.stdout, server.stderr])
      stream.on("data", (chunk) => {
        said += chunk;
        if (told || !said.includes("API server ready")) return;
        told = true;
        server.kill("SIGTERM");
      });
    const late = setTimeout(() => server.kill("SIGKILL"), startDeadlineMs);
    const [code] = await once(server, "exit");
    clearTimeout(late);
    if (code !== 0) throw new Error(`an API server of this build did not start: ${said}`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
