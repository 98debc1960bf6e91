// Lets Node run the project's TypeScript files directly, for scripts and experiments: node --import ./scripts/ts-loader.mjs FILE.ts
import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { fileURLToPath } from "node:url";

if (typeof process !== "undefined" && !globalThis.__coracleLoader) {
  globalThis.__coracleLoader = true;
  try {
    register(import.meta.url);
  } catch {
    // already inside the loader thread
  }
}

export async function load(url, context, nextLoad) {
  if (!url.startsWith("file:") || !url.endsWith(".ts")) return nextLoad(url, context);
  const { transform } = await import("esbuild");
  const file = fileURLToPath(url);
  const { code } = await transform(await readFile(file, "utf8"), { loader: "ts", target: "node20", sourcefile: file, sourcemap: "inline" });
  return { format: "module", source: code, shortCircuit: true };
}
