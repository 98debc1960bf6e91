// Many connections a second to a server, from processes of their own (test/bench/connection-load.mjs), and what became of them.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { projectRoot } from "./processes.ts";

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  /** Connections in a second. */
  readonly rate: number;
  /** It ends then, if it is not ended before. */
  readonly seconds: number;
}

export interface LoadResult {
  readonly sent: number;
  readonly answered: number;
  readonly perSecond: number;
  /** How many by what went wrong. */
  readonly failed: Readonly<Record<string, number>>;
  readonly latencyMs: Readonly<Record<"p50" | "p90" | "p99" | "max", number>>;
  /** How many by the answer's text. */
  readonly answers: Readonly<Record<string, number>>;
}

export interface Load {
  /** No further requests; resolves when all have been answered or have failed. */
  end(): Promise<LoadResult>;
}

export function startLoad(options: LoadOptions): Load {
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  // On a machine that is ten times slower an answer may take its time: what counts is that it comes.
  const args = [join(projectRoot, "test/bench/connection-load.mjs"), ...flags, "--timeout", "30000"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  return {
    async end() {
      child.kill("SIGTERM");
      const code = await ended;
      if (code !== 0) throw new Error(`the load has ended with ${code}`);
      return JSON.parse(output) as LoadResult;
    },
  };
}
