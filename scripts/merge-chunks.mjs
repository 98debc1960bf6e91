// Joins the chunks that the API server loads at its start into one. Esbuild makes a chunk of every set of modules that the
// same commands share: dozens of files, each of which costs the module loader time, of which the API server needs all. What the
// command line needs for every command stays as it is.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";

/** Chunks that a file imports statically, itself included. */
function closure(outputs, from, found = new Set()) {
  if (found.has(from)) return found;
  found.add(from);
  for (const { path, kind, external } of outputs[from].imports) if (kind === "import-statement" && !external) closure(outputs, path, found);
  return found;
}

const nameIn = (chunk, name) => `${chunk.replace(/\W/g, "_")}__${name}`;
/** How esbuild writes imports: `import{a,b as c}from"./chunk-X.js"` and `import"./chunk-X.js"`. */
const importStatement = /import(?:\{([^}]*)\}from)?"(\.\/(?:chunks\/)?)([^"/]+\.js)";?/g;

/** An import of a merged chunk as one of the merged file. */
function redirect(source, merged, file) {
  return source.replace(importStatement, (whole, names, folder, chunk) => {
    if (!merged.has(chunk)) return whole;
    if (names === undefined) return `import"${folder}${file}";`;
    const renamed = names.split(",").map((part) => {
      const [imported, local = imported] = part.split(" as ");
      return `${nameIn(chunk, imported)} as ${local}`;
    });
    return `import{${renamed.join(",")}}from"${folder}${file}";`;
  });
}

/**
 * Esbuild leaves in regular expressions what is not ASCII. A single character beyond Latin-1 makes V8 keep the whole file in two
 * bytes a character, and read it more slowly.
 */
const asAscii = (source) => source.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** `outdir`: where `metafile` says that everything was written; `entry` and `always` are sources of entry points. */
export async function mergeChunks({ outdir, metafile, entry, always }) {
  const { outputs } = metafile;
  const outputOf = (source) => Object.keys(outputs).find((path) => outputs[path].entryPoint === source);
  const kept = closure(outputs, outputOf(always));
  const parts = [...closure(outputs, outputOf(entry))].filter((path) => !kept.has(path) && !outputs[path].entryPoint);
  const chunks = new Map(parts.map((path) => [basename(path), outputs[path]]));
  const exported = [...chunks].map(([chunk, { exports }]) => {
    const names = exports.map((name) => `${name} as ${nameIn(chunk, name)}`);
    return `import "./${chunk}";\nexport { ${names.join(", ")} } from "./${chunk}";`;
  });
  const folder = join(outdir, "chunks");
  const file = "server-core.js";
  await build({
    stdin: { contents: exported.join("\n"), resolveDir: folder, sourcefile: "server-core.mjs" },
    outfile: join(folder, file),
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    minifyWhitespace: true,
    sourcemap: "linked",
    legalComments: "none",
    logLevel: "warning",
    plugins: [
      {
        name: "leave other chunks",
        setup({ onResolve }) {
          onResolve({ filter: /.*/ }, ({ path, importer }) =>
            importer === "" || path === "" || chunks.has(basename(path)) ? undefined : { path, external: true },
          );
        },
      },
    ],
  });
  for (const dir of [outdir, folder]) {
    for (const name of readdirSync(dir)) {
      if (!name.endsWith(".js") || chunks.has(name)) continue;
      const source = readFileSync(join(dir, name), "utf8");
      const finished = asAscii(name === file ? source : redirect(source, chunks, file));
      if (finished !== source) writeFileSync(join(dir, name), finished);
    }
  }
  for (const chunk of chunks.keys()) for (const end of ["", ".map"]) rmSync(join(folder, chunk + end), { force: true });
}
