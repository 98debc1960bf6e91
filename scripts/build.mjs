#!/usr/bin/env node
// Bundles src/cmd/main.ts into dist/coracle.js and one chunk per command, so that a command loads only what it needs,
// and the test kit into dist/testing.js. Native packages stay outside the bundle. The types of plugins go to dist/types.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { makeScripts, writeCaches } from "./cached-chunks.mjs";
import { mergeChunks } from "./merge-chunks.mjs";
import { sharedClasses } from "./object-literals.mjs";

const root = new URL("..", import.meta.url).pathname;
const staging = join(root, `dist.${process.pid}`);
const entryPoints = { coracle: join(root, "src/cmd/main.ts"), "cached-script": join(root, "src/base/cached-script.ts") };
const testing = join(root, "src/testing/index.ts");
if (existsSync(testing)) entryPoints.testing = testing;

/** The schema tables are JSON: parsed as such, they cost a fraction of what they cost as literals, in time and in memory. */
const jsonTables = {
  name: "schema tables as JSON",
  setup({ onLoad }) {
    onLoad({ filter: /src\/api\/schema\/generated\/[a-z0-9-]+-v[a-z0-9]+\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      const literal = source.slice(source.indexOf("= {") + 2, source.lastIndexOf(";"));
      const json = JSON.stringify(JSON.parse(literal.replace(/,(\s*})/g, "$1")));
      return { contents: `export const table = JSON.parse(${JSON.stringify(json)});`, loader: "js" };
    });
  },
};

try {
  const { metafile } = await build({
    entryPoints,
    outdir: staging,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["lmdb", "vitest", "esbuild"],
    minifyWhitespace: true,
    sourcemap: "linked",
    legalComments: "none",
    logLevel: "warning",
    chunkNames: "chunks/[name]-[hash]",
    metafile: true,
    absWorkingDir: root,
    plugins: [jsonTables, sharedClasses(/\/src\/.*\.ts$/)],
    // Bundled CommonJS packages call require for Node's own modules.
    banner: { js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);' },
  });
  await mergeChunks({ outdir: staging, metafile, entry: "src/cmd/apiserver/apiserver.ts", always: "src/cmd/main.ts" });
  const scripts = await makeScripts(join(staging, "chunks"), "../cached-script.js");
  const types = join(staging, "types");
  const typed = spawnSync(
    process.execPath,
    [join(root, "node_modules/typescript-native/bin/tsc"), "-p", join(root, "scripts/tsconfig.types.json"), "--outDir", types],
    { encoding: "utf8" },
  );
  if (typed.status !== 0) throw new Error(`types: ${typed.stdout}${typed.stderr}`);
  const descriptions = join(root, "scripts/build-descriptions.mjs");
  if (existsSync(descriptions)) {
    const { buildDescriptions } = await import(descriptions);
    await buildDescriptions(join(staging, "openapi-descriptions.json"));
  }
  // What is missing without is speed: a machine that lets no server listen can have a build.
  await writeCaches(staging, scripts).catch((error) => console.error(`build: no code caches, so starts will be slower: ${error.message}`));
  // Two builds at once must not see each other's half-written output: the finished folder is moved into place.
  const dist = join(root, "dist");
  const old = join(root, `dist.${process.pid}.old`);
  if (existsSync(dist)) renameSync(dist, old);
  mkdirSync(root, { recursive: true });
  renameSync(staging, dist);
  rmSync(old, { recursive: true, force: true });
} catch (error) {
  rmSync(staging, { recursive: true, force: true });
  console.error(`build failed: ${error.message}`);
  process.exit(1);
}
