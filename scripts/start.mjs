#!/usr/bin/env node
// `npm start [-- FLAGS]`: all set-up, then `coracle up` in the foreground with the flags given.
// --no-install refuses to install system packages and says which are missing.
import { spawn } from "node:child_process";
import { ensureBuilt, ensureDependencies, ensureSystemPackages, nodePackages, routedPackages } from "./setup.mjs";

const args = process.argv.slice(2);
const install = !args.includes("--no-install");
const routed = args.some((a, i) => a === "--pod-network=routed" || (a === "--pod-network" && args[i + 1] === "routed"));
const simulated = args.some((a, i) => a === "--runtime=simulated" || (a === "--runtime" && args[i + 1] === "simulated"));
try {
  ensureDependencies();
  ensureBuilt();
  if (!simulated && process.platform === "linux") {
    const missing = ensureSystemPackages([...nodePackages, ...(routed ? routedPackages : [])], { install });
    if (missing.length > 0 && !install) {
      console.error(
        `coracle: missing system packages: ${missing.join(" ")}. Install them, run without --no-install, or use --runtime=simulated.`,
      );
      process.exit(1);
    }
  }
} catch (error) {
  console.error(`coracle: set-up failed: ${error.message}`);
  process.exit(1);
}

const command = new URL("../coracle", import.meta.url).pathname;
const child = spawn(process.execPath, [command, "up", ...args.filter((a) => a !== "--no-install")], { stdio: "inherit" });
// The terminal sends Ctrl-C to the whole foreground group: the child stops by itself and this process waits for it.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
