// The build's large scripts start from V8's code caches, which nobody would miss: everything works without, only later.
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { temporaryDirectory } from "../support/processes.ts";

const dist = join(import.meta.dirname, "../../dist");

it("runs each large script from a cache that fits", async () => {
  const directory = await temporaryDirectory("caches");
  try {
    const chunks = readdirSync(join(dist, "chunks"));
    const scripts = chunks.filter((name) => name.endsWith(".script.js"));
    expect(scripts).toContain("server-core.script.js");
    const program = join(directory.path, "load.mjs");
    const address = (file: string): string => JSON.stringify(pathToFileURL(join(dist, file)).href);
    await writeFile(
      program,
      [
        `import { scriptsWereCached } from ${address("cached-script.js")};`,
        ...scripts.map((name) => `await import(${address(`chunks/${name.replace(".script", "")}`)});`),
        "console.log(JSON.stringify(scriptsWereCached()));",
      ].join("\n"),
    );
    const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: 60_000 });
    expect(JSON.parse(stdout)).toEqual(Object.fromEntries(scripts.map((name) => [name, true])));
  } finally {
    await directory.remove();
  }
});
