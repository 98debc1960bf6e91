#!/usr/bin/env node
// `npm test [-- VITEST_ARGS]`: all set-up, the static checks, then the whole suite. With arguments only the suite's matching
// part runs, without the static checks. The last line is "N passed, N failed".
import { spawnSync } from "node:child_process";
import { ensureBuilt, ensureDependencies, ensureSystemPackages, nodePackages, testPackages } from "./setup.mjs";

const root = new URL("..", import.meta.url).pathname;
const args = process.argv.slice(2);
const run = (...command) => spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" }).status ?? 1;
try {
  ensureDependencies();
  ensureBuilt();
  // What cannot run without them says so itself.
  ensureSystemPackages([...nodePackages, ...testPackages]);
} catch (error) {
  console.error(`set-up failed: ${error.message}`);
  process.exit(1);
}
if (args.length === 0 && run("scripts/check.mjs") !== 0) {
  console.log("\n0 passed, 1 failed");
  process.exit(1);
}
process.exit(run("node_modules/vitest/vitest.mjs", "run", ...args));
