// Starts real etcd servers (Debian's etcd-server) for tests: each in a directory and on ports of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { freePort } from "../support/processes.ts";

export interface EtcdProcess {
  readonly url: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** Why no etcd can be started here; undefined when one can. */
export async function whyNoEtcd(): Promise<string | undefined> {
  return (await findExecutable("etcd")) === undefined ? "etcd (Debian's etcd-server) is not installed" : undefined;
}

/** One cluster of so many members; resolves when each says that it is ready. */
export async function startEtcd(members = 1, extraArgs: readonly string[] = [], scheme = "http"): Promise<readonly EtcdProcess[]> {
  const ports = await Promise.all(Array.from({ length: members }, async () => [await freePort(), await freePort()] as const));
  const initial = ports.map(([, peer], i) => `m${i}=http://127.0.0.1:${peer}`).join(",");
  return Promise.all(
    ports.map(async ([client, peer], i) => {
      const dir = await mkdtemp(join(tmpdir(), "coracle-etcd-"));
      const url = `${scheme}://127.0.0.1:${client}`;
      const peerUrl = `http://127.0.0.1:${peer}`;
      const args = ["--name", `m${i}`, "--data-dir", dir, "--listen-client-urls", url, "--advertise-client-urls", url];
      args.push("--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl, "--initial-cluster", initial);
      const child = spawn("etcd", [...args, "--unsafe-no-fsync", ...extraArgs], { stdio: ["ignore", "ignore", "pipe"] });
      const exited = once(child, "exit");
      await new Promise<void>((resolve, reject) => {
        let said = "";
        child.stderr?.on("data", (chunk: Buffer) => {
          said = (said + chunk).slice(-20_000);
          if (said.includes("ready to serve client requests")) resolve();
        });
        void exited.then(() => reject(new Error(`etcd ended: ${said}`)));
      });
      return {
        url,
        process: child,
        async stop() {
          if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
          await exited;
          await rm(dir, { recursive: true, force: true });
        },
      };
    }),
  );
}
