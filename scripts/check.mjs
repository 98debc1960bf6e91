#!/usr/bin/env node
// Static checks: types, formatting and lint, layers. `node scripts/check.mjs [types|lint|layers]…`, all by default.
import { spawnSync } from "node:child_process";

const root = new URL("..", import.meta.url).pathname;
const bin = (name) => `${root}node_modules/.bin/${name}`;
const run = (command, args) => spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });

const checks = {
  types: () => run(process.execPath, [`${root}node_modules/typescript-native/bin/tsc`, "-p", "."]),
  lint: () => run(bin("biome"), ["check", "--max-diagnostics=50", "src", "test", "scripts"]),
  layers() {
    const result = run(bin("depcruise"), ["--config", ".dependency-cruiser.cjs", "src"]);
    // Without a compiler API it can read, it finds no module and calls that a success.
    const modules = Number(/\((\d+) modules/.exec(result.stdout)?.[1] ?? /(\d+) modules/.exec(result.stdout)?.[1] ?? 0);
    if (result.status === 0 && modules < 50) return { ...result, status: 1, stderr: `dependency-cruiser read only ${modules} modules` };
    return result;
  },
};

const wanted = process.argv.slice(2);
let failed = false;
for (const name of wanted.length > 0 ? wanted : Object.keys(checks)) {
  const result = checks[name]();
  process.stdout.write(`${name}: ${result.status === 0 ? "ok" : "failed"}\n`);
  if (result.status !== 0) {
    failed = true;
    process.stdout.write(`${result.stdout ?? ""}${result.stderr ?? ""}${result.error ?? ""}\n`);
  }
}
process.exit(failed ? 1 : 0);
